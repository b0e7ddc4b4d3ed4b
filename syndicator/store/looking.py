"""The ledger as people and alarms read it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState
from syndicator.store.indexed import OPEN, TROUBLED, in_state
from syndicator.store.numbering import SEALED
from syndicator.store.tables import DELIVERY, DIGEST_ITEM, MESSAGE, SUBSCRIBER

__all__ = ["counts", "listing", "oldest_due", "streamed"]

PAGE = 500


async def listing(
    session: AsyncSession, *, state: DeliveryState | None = None, release: int | None = None, limit: int = 100
) -> Sequence[Mapping[str, Any]]:
    """Rows for people, newest first: id, message key, channel, address, lang, state, attempts, times, reason.

    Those about a release are also the digests that tell of it.
    """
    query = _rows(state, release, limit)
    return [dict(row) for row in (await session.execute(query)).mappings()]


async def streamed(
    session: AsyncSession, *, state: DeliveryState | None = None, release: int | None = None, limit: int = 100
) -> AsyncGenerator[Mapping[str, Any], None]:
    """`listing` row by row: one query, and no more than a page of it in memory."""
    query = _rows(state, release, limit).execution_options(yield_per=PAGE)
    async for row in (await session.stream(query)).mappings():
        yield dict(row)


def _rows(state: DeliveryState | None, release: int | None, limit: int) -> Select[Any]:
    query = (
        select(
            DELIVERY.c.id,
            MESSAGE.c.key.label("message"),
            SUBSCRIBER.c.channel,
            SUBSCRIBER.c.address,
            *(DELIVERY.c[name] for name in ("lang", "state", "attempts", "due_at", "settled_at", "reason")),
        )
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .where(DELIVERY.c.reason != SEALED)  # a restore's mark, and nobody's delivery
        .order_by(DELIVERY.c.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(in_state(state))
    if release is not None:
        query = query.where(DELIVERY.c.id.in_(_about(release)))
    return query


def _about(release: int) -> CompoundSelect[Any]:
    """All that was said of a release, also in digests; each half by an index of its own."""
    own = select(DELIVERY.c.id).join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
    digested = select(DIGEST_ITEM.c.delivery_id).where(DIGEST_ITEM.c.release_id == release)
    return own.where(MESSAGE.c.release_id == release).union_all(digested)


async def counts(session: AsyncSession) -> Mapping[tuple[str, str], int]:
    """Deliveries by (channel, state): those that wait and those in trouble; the settled ones are too many to count."""
    found: dict[tuple[str, str], int] = {}
    for state in (*OPEN, *TROUBLED):
        query = (
            select(SUBSCRIBER.c.channel, func.count())
            .join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
            .where(in_state(state))
            .group_by(SUBSCRIBER.c.channel)
        )
        found |= {(channel, str(state)): number for channel, number in await session.execute(query)}
    return found


async def oldest_due(session: AsyncSession) -> datetime | None:
    """The oldest due_at among rows due or sending, for the alarm."""
    firsts: list[datetime | None] = [
        await session.scalar(select(func.min(DELIVERY.c.due_at)).where(in_state(state)))
        for state in (DeliveryState.DUE, DeliveryState.SENDING)
    ]
    return min((first for first in firsts if first is not None), default=None)
