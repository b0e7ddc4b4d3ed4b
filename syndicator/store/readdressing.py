"""Questions to new addresses: what was asked, what came of it, and what is not asked any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState, MessageKind
from syndicator.store.messages import overtaken
from syndicator.store.tables import APPLICATION, DELIVERY, MESSAGE, READDRESSED

__all__ = ["Question", "answered", "call_off", "forget", "question", "was_told"]

_WAITING = (DeliveryState.DUE, DeliveryState.DEFERRED)


@dataclass(frozen=True, slots=True)
class Question:
    """Whether `address` is the subscriber's; `done_at` is when it said yes, `is_overtaken`: another one was asked."""

    message: int
    subscriber: int
    address: str
    done_at: datetime | None
    is_overtaken: bool


async def question(session: AsyncSession, message: int, *, held: bool = False) -> Question | None:
    """The question that this message asks; None where it asks none, or its address is kept no longer.

    `held`: nobody else answers it until the transaction ends.
    """
    query = (
        select(READDRESSED)
        .join(MESSAGE, MESSAGE.c.id == READDRESSED.c.message_id)
        .where(READDRESSED.c.message_id == message, MESSAGE.c.kind == MessageKind.ADDRESS, READDRESSED.c.address != "")
    )
    if held:
        query = query.with_for_update(of=READDRESSED)
    row = (await session.execute(query)).mappings().one_or_none()
    if row is None:
        return None
    late = message in await overtaken(session, [message])
    return Question(message, row["subscriber_id"], row["address"], row["done_at"], late)


async def answered(session: AsyncSession, message: int, now: datetime) -> None:
    """It said yes."""
    await session.execute(update(READDRESSED).where(READDRESSED.c.message_id == message).values(done_at=now))


async def was_told(session: AsyncSession, subscriber: int, moved_at: datetime) -> bool:
    """Whether a letter to their old address was written when they moved."""
    told = (
        exists()
        .where(READDRESSED.c.subscriber_id == subscriber, READDRESSED.c.asked_at == moved_at)
        .where(MESSAGE.c.id == READDRESSED.c.message_id, MESSAGE.c.kind == MessageKind.MOVED)
    )
    return bool(await session.scalar(select(told)))


async def call_off(session: AsyncSession, address: str, now: datetime) -> None:
    """That address is kept out: nothing that was asked for there and still waits goes out, or is looked at."""
    if not address:
        return
    asked = (
        select(READDRESSED.c.message_id)
        .join(MESSAGE, MESSAGE.c.id == READDRESSED.c.message_id)
        .where(READDRESSED.c.address == address, MESSAGE.c.kind == MessageKind.ADDRESS)
    )
    waits = DELIVERY.c.message_id.in_(asked) & DELIVERY.c.state.in_(_WAITING)
    values = {"state": DeliveryState.SUPPRESSED, "reason": "the address is kept out", "settled_at": now}
    await session.execute(update(DELIVERY).where(waits).values(values))
    await session.execute(delete(APPLICATION).where(APPLICATION.c.address == address))


async def forget(session: AsyncSession, address: str) -> None:
    """Whose address it is was erased: it stays in nobody's questions. That there was one stays."""
    await session.execute(update(READDRESSED).where(READDRESSED.c.address == address).values(address=""))
