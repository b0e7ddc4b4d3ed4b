"""The pictures that Telegram has already, so that none is uploaded twice.

1. A file_id serves the bot that uploaded it and no other (https://core.telegram.org/bots/api#sending-files).
2. A picture is known by its address, which is the digest of its bytes: what is kept never goes stale by itself. Only a
   refusal by Telegram makes it forgotten.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.tables import TELEGRAM_FILE
from syndicator.store.upsert import insert_for

__all__ = ["forget", "keep", "kept"]


async def kept(session: AsyncSession, bot: int, url: str) -> str | None:
    """The file_id that this bot has for that picture."""
    mine = (TELEGRAM_FILE.c.bot == bot) & (TELEGRAM_FILE.c.url == url)
    found: str | None = await session.scalar(select(TELEGRAM_FILE.c.file_id).where(mine))
    return found


async def keep(session: AsyncSession, bot: int, url: str, file_id: str, now: datetime) -> None:
    """Keep what Telegram answered; the newest answer counts."""
    insert = insert_for(session, TELEGRAM_FILE).values(bot=bot, url=url, file_id=file_id, kept_at=now)
    set_ = {"file_id": file_id, "kept_at": now}
    await session.execute(insert.on_conflict_do_update(index_elements=["bot", "url"], set_=set_))


async def forget(session: AsyncSession, bot: int, url: str) -> None:
    """Telegram no longer takes it."""
    mine = (TELEGRAM_FILE.c.bot == bot) & (TELEGRAM_FILE.c.url == url)
    await session.execute(delete(TELEGRAM_FILE).where(mine))
