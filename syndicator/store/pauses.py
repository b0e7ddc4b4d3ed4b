"""Durable pauses that a channel must keep: scope is `bot` or `chat:ID`. A pause outlives a restart.

1. A pause is only ever made longer; `clear` ends it.
2. Nothing is deleted by reading: one that has passed simply no longer counts.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store import tables
from syndicator.store.upsert import insert_for

__all__ = ["all", "clear", "pause", "until"]


async def until(session: AsyncSession, scope: str) -> datetime | None:
    """Until when that scope must keep silent, past or not; None where nothing was said."""
    found: datetime | None = await session.scalar(select(tables.PAUSE.c.until).where(tables.PAUSE.c.scope == scope))
    return found


async def all(session: AsyncSession) -> dict[str, datetime]:  # noqa: A001  # read as pauses.all
    """Every pause, past or not."""
    query = select(tables.PAUSE.c.scope, tables.PAUSE.c.until)
    return {row[0]: row[1] for row in await session.execute(query)}


async def pause(session: AsyncSession, scope: str, until: datetime, reason: str) -> None:
    """Keep silent until then; a longer pause that holds already stays."""
    insert = insert_for(session, tables.PAUSE).values(scope=scope, until=until, reason=reason)
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["scope"],
            set_={"until": until, "reason": reason},
            where=tables.PAUSE.c.until < until,
        )
    )


async def clear(session: AsyncSession, scope: str) -> None:
    """End a pause."""
    await session.execute(delete(tables.PAUSE).where(tables.PAUSE.c.scope == scope))
