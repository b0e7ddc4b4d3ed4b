"""Durable pauses that a channel must keep: scope is `bot` or `chat:ID`. A pause outlives a restart.

1. A pause is only ever made longer.
2. Nothing is deleted by reading: one that has passed simply no longer counts.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store import tables
from syndicator.store.upsert import insert_for

__all__ = ["all", "pause"]


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
