"""The newest message number that a bot knows of a channel: what came after it can be looked for there.

1. Numbers only grow: a note that comes late changes nothing.
2. A chat is kept by what Telegram calls it, as text; numbers of one bot mean nothing to another.
3. What the ledger was answered about the office's own places is read from its newest rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, SubscriberRole
from syndicator.store.tables import DELIVERY, SUBSCRIBER, TELEGRAM_CHAT
from syndicator.store.upsert import insert_for

__all__ = ["Answered", "Written", "answered", "newest", "note", "places"]

LOOKED_AT = 300  # newest rows of a chat


@dataclass(frozen=True, slots=True)
class Written:
    """A place of the office's own: its subscriber, its address as configured, and what Telegram calls it, or ""."""

    subscriber: int
    address: str
    resolved: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What a channel answered, and when it was settled, if it was."""

    answer: Mapping[str, Any]
    settled_at: datetime | None


async def newest(session: AsyncSession, bot: int, chat: str) -> int | None:
    """The newest number known there, or None."""
    query = select(TELEGRAM_CHAT.c.newest).where(TELEGRAM_CHAT.c.bot == bot, TELEGRAM_CHAT.c.chat == chat)
    found: int | None = await session.scalar(query)
    return found


async def note(session: AsyncSession, bot: int, chat: str, number: int, now: datetime) -> None:
    """That message stands there; nothing, if a newer one is known."""
    insert = insert_for(session, TELEGRAM_CHAT).values(bot=bot, chat=chat, newest=number, noted_at=now)
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["bot", "chat"],
            set_={"newest": number, "noted_at": now},
            where=TELEGRAM_CHAT.c.newest < number,
        )
    )


async def places(session: AsyncSession) -> Sequence[Written]:
    """The office's own places, those that are no longer configured too."""
    query = select(SUBSCRIBER.c.id, SUBSCRIBER.c.address, SUBSCRIBER.c.resolved).where(
        SUBSCRIBER.c.role == SubscriberRole.CHANNEL, SUBSCRIBER.c.channel == ChannelKind.TELEGRAM
    )
    return [Written(row.id, row.address, row.resolved) for row in await session.execute(query)]


async def answered(session: AsyncSession, subscribers: Sequence[int]) -> Sequence[Answered]:
    """What was answered about their newest deliveries, newest first."""
    query = (
        select(DELIVERY.c.answer, DELIVERY.c.settled_at)
        .where(DELIVERY.c.subscriber_id.in_(subscribers))
        .order_by((DELIVERY.c.id + 0).desc())  # `+ 0`: a chat has few rows, and the table's end is others'
        .limit(LOOKED_AT)
    )
    return [Answered(row.answer or {}, row.settled_at) for row in await session.execute(query)]
