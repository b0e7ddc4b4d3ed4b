"""Names and values of the service itself: what is minted at the first start and stays, such as the secret."""

from __future__ import annotations

import secrets

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.database import Database
from syndicator.store.tables import META
from syndicator.store.upsert import insert_for, upsert

__all__ = ["AWAITED", "BACKUP", "BESIDE", "authority", "forget", "get", "put", "secret"]

AWAITED = "awaited"  # in an empty database into which an office is about to move: since when (`relocation`)
BACKUP = "backup"  # in a backup alone: since when it is one
BESIDE = "beside"  # the oldest schema whose programs may run on this one (`migrate`)

SECRET = "secret"  # noqa: S105  # the name of the row, not what is in it
AUTHORITY = "authority"


async def get(session: AsyncSession, name: str) -> str | None:
    """The value of that name, or None."""
    found: str | None = await session.scalar(select(META.c.value).where(META.c.name == name))
    return found


async def put(session: AsyncSession, name: str, value: str) -> None:
    """That value stands under that name from now on."""
    await upsert(session, META, {"name": name}, {"value": value})


async def forget(session: AsyncSession, *names: str) -> None:
    """Nothing stands under these names any more."""
    await session.execute(delete(META).where(META.c.name.in_(names)))


async def secret(database: Database) -> bytes:
    """The key that tokens are signed with: 32 random bytes in hex, minted once."""
    return (await _minted(database, SECRET, secrets.token_hex(32))).encode()


async def authority(database: Database, host: str) -> str:
    """What permanent ids are minted under: the host of the first start, whatever the host is now."""
    return await _minted(database, AUTHORITY, host)


async def _minted(database: Database, name: str, value: str) -> str:
    """The value that stands under that name; `value` if there was none. In a race the first one stands."""
    async with database.reading() as session:
        found = await get(session, name)
    if found is not None:
        return found  # the usual case waits for no writer
    async with database.writing() as session:
        await session.execute(insert_for(session, META).values(name=name, value=value).on_conflict_do_nothing())
        return await get(session, name) or value
