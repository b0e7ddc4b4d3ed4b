"""Questions to new addresses: what was asked, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import MessageKind
from syndicator.store.messages import overtaken
from syndicator.store.tables import MESSAGE, READDRESSED

__all__ = ["Question", "answered", "question"]


@dataclass(frozen=True, slots=True)
class Question:
    """Whether `address` is the subscriber's; `done_at` is when it said yes, `is_overtaken`: another one was asked."""

    message: int
    subscriber: int
    address: str
    done_at: datetime | None
    is_overtaken: bool


async def question(session: AsyncSession, message: int) -> Question | None:
    """The question that this message asks; None where it asks none."""
    query = (
        select(READDRESSED)
        .join(MESSAGE, MESSAGE.c.id == READDRESSED.c.message_id)
        .where(READDRESSED.c.message_id == message, MESSAGE.c.kind == MessageKind.ADDRESS)
    )
    row = (await session.execute(query)).mappings().one_or_none()
    if row is None:
        return None
    late = message in await overtaken(session, [message])
    return Question(message, row["subscriber_id"], row["address"], row["done_at"], late)


async def answered(session: AsyncSession, message: int, now: datetime) -> None:
    """It said yes."""
    await session.execute(update(READDRESSED).where(READDRESSED.c.message_id == message).values(done_at=now))
