"""Releases in the store: looked up, opened and withdrawn here; recorded by `recording`, listed by `catalogue`.

Every function takes the session of `Database.reading()` or `.writing()` first, and gives `domain.model.Release`s
with their variants and current revisions, never rows. Rules, in order:

1. A release opens once, when its time has come; `public_at` never moves again.
2. Every change of a release takes the next change number, in commit order.
3. A withdrawn release keeps its texts; who may see what is decided by `visible` and `domain.visibility` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Release, State
from syndicator.store.catalogue import (
    Place,
    changed_since,
    chosen,
    count,
    history,
    kinds,
    last_change,
    last_public_change,
    listing,
    listing_after,
    months,
    newest_ids,
    public_changes,
    ticked,
    topic_totals,
    visible,
    withdrawn_listing,
)
from syndicator.store.loading import get, get_by_key, many
from syndicator.store.recording import Draft, Recorded, lock_changes, next_change, open_variants, record
from syndicator.store.tables import RELEASE

__all__ = [
    "Draft",
    "Place",
    "Recorded",
    "changed_since",
    "chosen",
    "count",
    "get",
    "get_by_key",
    "history",
    "kinds",
    "last_change",
    "last_public_change",
    "listing",
    "listing_after",
    "lock_changes",
    "many",
    "months",
    "newest_ids",
    "next_due",
    "open_due",
    "public_changes",
    "record",
    "ticked",
    "topic_totals",
    "visible",
    "withdraw",
    "withdrawn_listing",
]


async def open_due(session: AsyncSession, now: datetime) -> Sequence[Release]:
    """Turn scheduled releases whose time has come into public ones, earliest first. Safe to run twice."""
    await lock_changes(session)
    due = (
        select(RELEASE.c.id)
        .where(RELEASE.c.state == State.SCHEDULED, RELEASE.c.public_at <= now)
        .order_by(RELEASE.c.public_at, RELEASE.c.id)
        .with_for_update(skip_locked=True, key_share=True)
    )
    numbers = list(await session.scalars(due))
    for number in numbers:
        opened = {"state": State.PUBLIC, "opened_at": now, "change": await next_change(session)}
        await session.execute(update(RELEASE).where(RELEASE.c.id == number).values(opened))
        await open_variants(session, number, now)
    return list((await many(session, numbers)).values())


async def next_due(session: AsyncSession) -> datetime | None:
    """When the next scheduled release comes due."""
    found: datetime | None = await session.scalar(
        select(RELEASE.c.public_at).where(RELEASE.c.state == State.SCHEDULED).order_by(RELEASE.c.public_at).limit(1)
    )
    return found


async def withdraw(session: AsyncSession, number: int, reason: str, now: datetime) -> Release | None:
    """Withdraw by number; None if there is no such release. Withdrawing twice changes nothing."""
    await lock_changes(session)
    query = (
        update(RELEASE)
        .where(RELEASE.c.id == number, RELEASE.c.state != State.WITHDRAWN)
        .values(state=State.WITHDRAWN, withdrawn_at=now, reason=reason)
        .returning(RELEASE.c.id)
    )
    if await session.scalar(query) is not None:
        change = await next_change(session)
        await session.execute(update(RELEASE).where(RELEASE.c.id == number).values(change=change))
    return await get(session, number)
