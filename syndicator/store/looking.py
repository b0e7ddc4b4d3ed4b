"""The ledger as people and alarms read it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState
from syndicator.store.tables import DELIVERY, MESSAGE, SUBSCRIBER

__all__ = ["answers", "counts", "listing", "oldest_due", "streamed"]

PAGE = 500


async def listing(
    session: AsyncSession, *, state: DeliveryState | None = None, release: int | None = None, limit: int = 100
) -> Sequence[Mapping[str, Any]]:
    """Rows for people, newest first: id, message key, channel, address, lang, state, attempts, times, reason."""
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
        .order_by(DELIVERY.c.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(DELIVERY.c.state == state)
    if release is not None:
        query = query.where(MESSAGE.c.release_id == release)
    return query


async def counts(session: AsyncSession) -> Mapping[tuple[str, str], int]:
    """Deliveries by (channel, state)."""
    query = (
        select(SUBSCRIBER.c.channel, DELIVERY.c.state, func.count())
        .join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .group_by(SUBSCRIBER.c.channel, DELIVERY.c.state)
    )
    return {(channel, state): number for channel, state, number in await session.execute(query)}


async def oldest_due(session: AsyncSession) -> datetime | None:
    """The oldest due_at among rows due or sending, for the alarm."""
    waiting = DELIVERY.c.state.in_((DeliveryState.DUE, DeliveryState.SENDING))
    found: datetime | None = await session.scalar(select(func.min(DELIVERY.c.due_at)).where(waiting))
    return found


async def answers(session: AsyncSession, release: int, subscribers: Collection[int]) -> Mapping[int, Mapping[str, Any]]:
    """What the channel answered when these subscribers last got that release: for editing or answering that post."""
    query = (
        select(DELIVERY.c.subscriber_id, DELIVERY.c.answer)
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .where(
            MESSAGE.c.release_id == release,
            DELIVERY.c.subscriber_id.in_(subscribers),
            DELIVERY.c.state == DeliveryState.SENT,
        )
        .order_by(DELIVERY.c.id)
    )
    return {row.subscriber_id: row.answer for row in await session.execute(query)}
