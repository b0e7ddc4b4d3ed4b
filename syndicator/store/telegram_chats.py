"""The newest message number that a bot knows of a channel: what came after it can be looked for there.

1. Numbers only grow: a note that comes late changes nothing.
2. A chat is kept by what Telegram calls it, as text; numbers of one bot mean nothing to another.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.tables import TELEGRAM_CHAT
from syndicator.store.upsert import insert_for

__all__ = ["newest", "note"]


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
