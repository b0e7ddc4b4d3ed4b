"""Whether everybody who is owed a release has a row of it: asked anew of the subscriptions, not of what was written.

Rules, in order:

1. Asked once in full when a release's recipients are all written, by the question that wrote them
   (`fanout.MATCHED`), in steps of its own reading, so that nobody waits for it. What is found then stands on the
   message: so many rows there are to be.
2. From then on rows are counted. Only where some are gone the whole is asked again: people change their
   language or come back from a pause, and are owed no release of before; of two people who became one, one row goes.
3. A release that was told of anew (a translation came) has its number written anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import MessageKind, Release, State, SubscriberRole
from syndicator.store.database import Database
from syndicator.store.digesting import runs_about
from syndicator.store.fanout import MATCHED, matching
from syndicator.store.loading import get
from syndicator.store.messages import FORGOTTEN
from syndicator.store.stepping import PEOPLE, bounds, join_as_written, next_high, typed
from syndicator.store.tables import DELIVERY, MESSAGE

__all__ = ["ROWS", "lacking", "missed"]

ROWS = "rows"  # in `message.matched`: how many deliveries there are to be
STEP = 20_000

LACKING = """SELECT COUNT(*) FROM ({owed}) q WHERE q.choice = 1 AND NOT EXISTS
    (SELECT 1 FROM delivery had WHERE had.message_id = :message AND had.subscriber_id = q.subscriber_id)"""


async def missed(database: Database, message: int, channels: Sequence[str], order: Sequence[str]) -> int:
    """How many people who are owed that release's message have no row; 0 while it is still being written.

    `channels` have words for releases, `order` is the site's languages, best first.

    Raises:
        OSError: the database fails.
    """
    async with database.reading() as session:
        found = await _closed(session, message)
        if found is None:
            return 0
        matched, release = found
        rows = await _rows(session, message)
    expected = matched.get(ROWS)
    if expected is not None and rows >= expected:
        return 0
    gone = await lacking(database, message, release, channels, order)
    if expected is None:
        await _note(database, message, matched, rows + gone)
    return gone


async def lacking(
    database: Database, message: int, release: Release, channels: Sequence[str], order: Sequence[str]
) -> int:
    """How many are owed it by their subscriptions and have no row of it."""
    found, low, high = 0, 0, None
    while True:
        async with database.reading() as session:
            high = await next_high(session, low, STEP)
            if high is None:
                return found
            values = {
                **_owed(release, order),
                "runs": await runs_about(session, [release.number], low, high),
                "message": message,
                "channels": list(channels),
            }
            await join_as_written(session)
            roles = (SubscriberRole.CHANNEL, SubscriberRole.PERSON) if low == 0 else (SubscriberRole.PERSON,)
            for role in roles:
                query = LACKING.format(owed=MATCHED.format(people=PEOPLE[role]))
                asked = typed(query, {**values, **bounds(low, high, role)})
                found += (await session.execute(asked)).scalar_one()
        low = high


def _owed(release: Release, order: Sequence[str]) -> dict[str, Any]:
    """As the fan-out asks once all languages have settled."""
    return matching(release, order) | {"again": False, "others": True, "nothing": "{}"}


async def _closed(session: AsyncSession, message: int) -> tuple[Mapping[str, Any], Release] | None:
    """What is noted on a release's message whose recipients are all written, and its release."""
    query = select(MESSAGE.c.matched, MESSAGE.c.release_id).where(
        MESSAGE.c.id == message, MESSAGE.c.kind == MessageKind.RELEASE, MESSAGE.c.fanned_out_at.is_not(None)
    )
    row = (await session.execute(query)).one_or_none()
    matched = (row[0] if row else None) or {}
    if row is None or FORGOTTEN in matched or "change" not in matched:
        return None
    release = await get(session, row[1])
    if release is None or release.state is not State.PUBLIC:
        return None
    return None if ROWS not in matched and release.change != matched["change"] else (matched, release)


async def _rows(session: AsyncSession, message: int) -> int:
    query = select(func.count()).select_from(DELIVERY).where(DELIVERY.c.message_id == message)
    return int(await session.scalar(query) or 0)


async def _note(database: Database, message: int, matched: Mapping[str, Any], rows: int) -> None:
    """Write the number down, unless the fan-out has gone on meanwhile."""
    async with database.writing() as session:
        held = select(MESSAGE.c.matched).where(MESSAGE.c.id == message, MESSAGE.c.fanned_out_at.is_not(None))
        if await session.scalar(held.with_for_update()) == matched:
            noted = {**matched, ROWS: rows}
            await session.execute(update(MESSAGE).where(MESSAGE.c.id == message).values(matched=noted))
