"""Names and values of the service itself: the minted secret, versions of renderers."""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.database import Database
from syndicator.store.tables import META
from syndicator.store.upsert import insert_for, upsert

__all__ = ["get", "put", "secret"]

SECRET = "secret"  # noqa: S105  # the name of the row, not what is in it


async def get(session: AsyncSession, name: str) -> str | None:
    """The value of that name, or None."""
    found: str | None = await session.scalar(select(META.c.value).where(META.c.name == name))
    return found


async def put(session: AsyncSession, name: str, value: str) -> None:
    """Write a value."""
    await upsert(session, META, {"name": name}, {"value": value})


async def secret(database: Database) -> bytes:
    """The key that tokens are signed with: 32 random bytes in hex, minted once; in a race the first one stands."""
    async with database.writing() as session:
        mint = insert_for(session, META).values(name=SECRET, value=secrets.token_hex(32))
        await session.execute(mint.on_conflict_do_nothing())
        found = await get(session, SECRET)
    return (found or "").encode()
