"""Releases by time, for archives: which months hold any, what stands in a month, what has changed its place.

Rules, in order:

1. What may be shown is decided by `catalogue.shown` alone; withdrawn releases that had opened keep their place.
2. A month is one of the office's calendar; its span is given in UTC by who asks.
3. Only what says where a release belongs is read, never its texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import State
from syndicator.store.catalogue import OF_RELEASE, shown
from syndicator.store.tables import RELEASE, RELEASE_TOPIC, VARIANT

__all__ = ["Moved", "Placed", "first_days", "moved_since", "opening_after", "within"]

_CENTURIES = 12_000  # months; what is older than a thousand years is a mistake, and no reason to search for ever


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a release belongs, as of which change. `topics` are without their parents."""

    number: int
    langs: tuple[str, ...]
    topics: tuple[str, ...]
    change: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A release that changed: when it is of, whether it ever opened, what it is now, and by which change."""

    number: int
    public_at: datetime
    opened_at: datetime | None
    state: State
    change: int


async def first_days(session: AsyncSession, zone: ZoneInfo, now: datetime) -> Sequence[datetime]:
    """The first moment in `zone` of every month that holds a release which may be shown, newest first.

    Each step looks for the newest release before the month found last: its cost goes by months, not releases.
    """
    newest = select(RELEASE.c.public_at).where(shown(now, withdrawn=True)).order_by(RELEASE.c.public_at.desc()).limit(1)
    found: list[datetime] = []
    latest = await session.scalar(newest)
    while latest is not None and len(found) < _CENTURIES:
        found.append(latest.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0))
        latest = await session.scalar(newest.where(RELEASE.c.public_at < found[-1].astimezone(UTC)))
    return found


async def within(session: AsyncSession, start: datetime, end: datetime, now: datetime) -> Sequence[Placed]:
    """Releases of that time (`end` not included) that may be shown or stand as withdrawn, newest first."""
    of_then = (shown(now, withdrawn=True), RELEASE.c.public_at >= start, RELEASE.c.public_at < end)
    newest = (RELEASE.c.public_at.desc(), RELEASE.c.id.desc())
    langs: defaultdict[int, list[str]] = defaultdict(list)
    changes: dict[int, int] = {}
    spoken = (
        select(RELEASE.c.id, VARIANT.c.lang, RELEASE.c.change).join_from(RELEASE, VARIANT, OF_RELEASE).where(*of_then)
    )
    for number, lang, change in await session.execute(spoken.order_by(*newest, VARIANT.c.position, VARIANT.c.id)):
        langs[number].append(lang)
        changes[number] = change
    topics: defaultdict[int, list[str]] = defaultdict(list)
    about = select(RELEASE.c.id, RELEASE_TOPIC.c.topic).join(RELEASE_TOPIC, RELEASE_TOPIC.c.release_id == RELEASE.c.id)
    for number, topic in await session.execute(about.where(*of_then).order_by(RELEASE_TOPIC.c.position)):
        topics[number].append(topic)
    return [Placed(number, tuple(said), tuple(topics[number]), changes[number]) for number, said in langs.items()]


async def moved_since(session: AsyncSession, change: int) -> Sequence[Moved]:
    """Every release with a greater change number, in order of change, whatever its state."""
    query = (
        select(RELEASE.c.id, RELEASE.c.public_at, RELEASE.c.opened_at, RELEASE.c.state, RELEASE.c.change)
        .where(RELEASE.c.change > change)
        .order_by(RELEASE.c.change)
    )
    return [Moved(row[0], row[1], row[2], State(row[3]), row[4]) for row in await session.execute(query)]


async def opening_after(session: AsyncSession, after: datetime) -> Sequence[datetime]:
    """Times later than `after` at which a release that has opened may be shown: the clock alone decides there."""
    query = select(RELEASE.c.public_at).where(RELEASE.c.opened_at.is_not(None), RELEASE.c.public_at > after)
    return list(await session.scalars(query.order_by(RELEASE.c.public_at)))
