"""Releases in the store: recorded, opened, withdrawn, looked up. CONTRACT, to be filled in.

All functions take the session of `Database.reading()` or `.writing()` first. All return domain values
(`domain.model.Release` with its variants and current revisions), never table rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter
from syndicator.domain.model import Release, Revision, State, Urgency
from syndicator.domain.topics import Taxonomy


@dataclass(frozen=True, slots=True)
class Draft:
    """One language version as intake has cleaned it, ready to be stored.

    `revision.number`, `.major` and `.created_at` are set by `record`. `topics` are (slug, chosen_by, reason).
    `public_at` is None where the first sight's time should stand. `state` is draft, scheduled, public or withdrawn.
    """

    source: str
    key: str
    lang: str
    slug: str
    kind: str
    urgency: Urgency
    state: State
    public_at: datetime
    revision: Revision
    topics: tuple[tuple[str, str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record` did. `news` is True when a language version is there for the first time and may be announced."""

    release: Release
    created: bool  # a new release
    new_variant: bool  # a new language of it
    revised: bool  # a text changed
    major: bool  # it was a correction with a note, after it had opened
    withdrawn: bool  # it became withdrawn now
    changed: bool  # anything at all changed (feeds and pages must follow)


async def record(session: AsyncSession, draft: Draft, *, site_uids: object, now: datetime) -> Recorded:
    """Store one language version; idempotent: the same draft again changes nothing (changed=False).

    `site_uids` is `domain.site.Site` (mints uids). `public_at` is fixed once the release has opened. A new text makes
    a new revision; with a note after opening, it is a major one: release.major + 1, variant.updated_at = now. Before
    opening, public_at may still move (embargo changed). Every effective change takes the next `change` number
    (counter row, so numbers grow in commit order). A withdrawn release that comes back as public is public again,
    a major revision. State scheduled/public follows public_at against now: record() opens (opened_at=now, state=public)
    what is due, leaves the rest scheduled.
    """
    raise NotImplementedError


async def open_due(session: AsyncSession, now: datetime) -> Sequence[Release]:
    """Turn scheduled releases whose time has come into public ones; returns them. Safe to run twice."""
    raise NotImplementedError


async def next_due(session: AsyncSession) -> datetime | None:
    """When the next scheduled release comes due."""
    raise NotImplementedError


async def withdraw(session: AsyncSession, number: int, reason: str, now: datetime) -> Release | None:
    """Withdraw by number; None if there is no such release. Withdrawing twice changes nothing."""
    raise NotImplementedError


async def get(session: AsyncSession, number: int) -> Release | None:
    """By number, whatever its state. Outside faces use `visible`."""
    raise NotImplementedError


async def get_by_key(session: AsyncSession, source: str, key: str) -> Release | None:
    """By its name in its source."""
    raise NotImplementedError


async def visible(session: AsyncSession, number: int, now: datetime) -> Release | None:
    """By number, if it may be shown now (public or withdrawn after opening)."""
    raise NotImplementedError


async def listing(
    session: AsyncSession,
    filter_: Filter,
    taxonomy: Taxonomy,
    *,
    lang: str,
    now: datetime,
    limit: int = 20,
    offset: int = 0,
    withdrawn: bool = False,
) -> Sequence[Release]:
    """Releases for a filter, newest first, that exist in `lang` (or in one of filter.langs when given): the filter's SQL
    one way. With `withdrawn`, withdrawn ones (that had opened) are among them. Agrees with `filters.wants`."""
    raise NotImplementedError


async def count(session: AsyncSession, filter_: Filter, taxonomy: Taxonomy, *, lang: str, now: datetime) -> int:
    """How many `listing` would give in all."""
    raise NotImplementedError


async def changed_since(session: AsyncSession, change: int, limit: int = 1000) -> Sequence[Release]:
    """Releases with a greater change number, in order of change, whatever their state; for feeds."""
    raise NotImplementedError


async def last_change(session: AsyncSession) -> int:
    """The greatest change number so far."""
    raise NotImplementedError


async def newest_ids(
    session: AsyncSession, lang: str, topics: Sequence[str] | None, *, now: datetime, limit: int
) -> Sequence[int]:
    """Numbers of the newest visible releases in a language with any of the topics (None: all), newest first."""
    raise NotImplementedError


async def many(session: AsyncSession, numbers: Sequence[int]) -> Mapping[int, Release]:
    """Several at once (three queries in all, not three each)."""
    raise NotImplementedError


async def history(session: AsyncSession, number: int, lang: str) -> Sequence[Revision]:
    """All revisions of a language version, newest first."""
    raise NotImplementedError


async def topic_counts(session: AsyncSession, lang: str, now: datetime) -> Mapping[str, int]:
    """How many visible public releases each topic has in a language."""
    raise NotImplementedError


# syndicator.store.sourcing (what was read of each source):
#   async def cursor(session, source) -> str
#   async def advance(session, source, cursor, now) -> None
#   async def passed(session, source, now, problem="") -> None         end of a pass, or why it could not be made
#   async def known(session, source) -> dict[str, str]                 origin -> fingerprint
#   async def origins(session, source, key) -> dict[str, str]          origin -> lang of one release
#   async def remember(session, source, origin, key, lang, fingerprint, now) -> None
#   async def remember_problem(session, problem: Problem, now) -> None (fingerprint kept, so it is not read again until it changes)
#   async def problems(session) -> Sequence[Problem]
# syndicator.store.meta: async get(session, name) -> str | None · put(session, name, value) · secret(database) -> bytes (minted once, 32 random bytes hex, safe in a race)
