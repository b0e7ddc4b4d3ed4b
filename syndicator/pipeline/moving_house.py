"""Moving the office into another database (`migrate --to`): from SQLite to PostgreSQL, or back, or to another server.

Rules, in order:

1. Nobody works meanwhile: the locks of both databases are held.
2. Both databases are marked first, and the new one is filled in one transaction (`store.relocation`,
   `store.copying`). So at any moment at most one of them is the office's, and a move that was killed may simply be
   repeated.
3. What is carried is everything: numbers, the minted secret, permanent ids, the ledger. What a crash left `sending` is
   due again there, as at any start after a crash. Jobs are not carried: they follow from rows.
4. Kept files go along: into PostgreSQL, from where every machine gets them; out of it into this machine's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.pipeline.media_along import files_into, rows_into
from syndicator.store import copying, ledger, meta, migrate, numbering, relocation
from syndicator.store.copying import Copied
from syndicator.store.database import Database, DatabaseTrouble, MissingDatabase, shown, sqlite_path
from syndicator.store.locks import SingleRun
from syndicator.store.relocation import Journey

__all__ = ["Bar", "Move", "current", "move", "stay"]

log = structlog.get_logger()

Bar = Callable[[str, float], AbstractContextManager[Callable[[float], None]]]
"""Shows how far something is: what, of how many steps; the function that it gives moves it on."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a move did. `rows` is empty where all had arrived before; `again` are deliveries that a crash left."""

    to: str
    rows: Mapping[str, int]
    files: int
    again: int
    secret: bool  # it was minted, and has come along


async def move(old: str, new: str, *, media: Path, now: datetime, bar: Bar) -> Move:
    """Carry everything over, and mark the old database.

    Raises:
        AlreadyRunning: a service runs on one of them.
        MissingDatabase: one of them cannot be opened, or the old one's schema is not current.
        DatabaseTrouble: it failed; the old database is still the office's, or says what to do.
        Moved: the office has moved away from the old one before.
        ValueError: both are the same, or the new one is not empty.
    """
    if _is_same(old, new):
        raise ValueError(f"--to: {shown(new)} is the database that the office is in")
    with SingleRun(old), SingleRun(new):
        await current(old)
        await migrate.upgrade(new, arriving=True)
        journey = await _begin(old, new, now)
        done = await _come(new) == journey.name
        move_ = Move(journey.to, {}, 0, 0, secret=False) if done else await _carry(old, new, journey, media, now, bar)
        await _mark(old, Journey(journey.name, journey.to, journey.at, done=True))
        return move_


async def stay(url: str) -> Journey | None:
    """The operator says that the office is in this database; what mark there was.

    Raises:
        AlreadyRunning: a service runs on it.
        DatabaseTrouble: it cannot be written.
    """
    with SingleRun(url):
        async with copying.transaction(url) as connection:
            return await relocation.stay(AsyncSession(connection))


def _is_same(old: str, new: str) -> bool:
    one, other = sqlite_path(old), sqlite_path(new)
    return one.resolve() == other.resolve() if one is not None and other is not None else old == new


async def current(url: str) -> None:
    """Whether its schema is one that this version works with; whether its office has moved away does not matter.

    Raises:
        MissingDatabase: it is older.
        NewerSchema: it is newer, and this version may not run beside it.
    """
    database = Database(url)
    try:
        with suppress(relocation.Moved):  # `begin` says more
            if not await migrate.is_current(database):
                raise MissingDatabase(f"{shown(url)}: the schema is not current; run `migrate` first")
    finally:
        await database.close()


async def _begin(old: str, new: str, now: datetime) -> Journey:
    """The marks on both, if the new one can take the old one in."""
    async with copying.snapshot(new) as there:
        filled = await copying.filled(there)
        came = await relocation.came_by(AsyncSession(there))
    async with copying.snapshot(old) as here:
        known = await relocation.of(AsyncSession(here))
    if filled and (known is None or known.name != came):
        raise ValueError(
            f"--to: {shown(new)} is not empty: {', '.join(filled[:3])}; make a new database for the office"
        )
    async with copying.snapshot(old) as here:
        await relocation.begun(AsyncSession(here), shown(new))
    if not filled:
        async with copying.transaction(new) as there:
            await relocation.await_(AsyncSession(there), now)
    async with copying.transaction(old) as here:
        session = AsyncSession(here)
        journey = await relocation.begin(session, shown(new), now)
        await session.flush()
        return journey


async def _come(new: str) -> str:
    async with copying.snapshot(new) as there:
        return await relocation.came_by(AsyncSession(there))


async def _mark(old: str, journey: Journey) -> None:
    async with copying.transaction(old) as here:
        await relocation.save(AsyncSession(here), journey)


async def _carry(old: str, new: str, journey: Journey, media: Path, now: datetime, bar: Bar) -> Move:
    """All of it in one transaction of the new database; the mark goes where it did not arrive."""
    try:
        async with copying.snapshot(old) as here, copying.transaction(new) as there:
            with bar("moving", 2.0 * await copying.total(here)) as advance:
                copied: Copied = await copying.copy(here, there, advance)
            await numbering.carry_on(there, await numbering.given(here))
            session = AsyncSession(there)
            await relocation.arrive(session, journey)
            is_file = sqlite_path(new) is not None
            files = await (files_into(there, media) if is_file else rows_into(there, media, now))
            again = await ledger.recover(session, now)
            secret = await meta.get(session, "secret") is not None
            await session.flush()
            return Move(journey.to, copied.rows, files, again, secret)
    except BaseException:
        await _give_up(old, new, journey)
        raise


async def _give_up(old: str, new: str, journey: Journey) -> None:
    """The old database is the office's again, unless all has arrived after all, or nobody can tell."""
    with suppress(DatabaseTrouble):
        if await _come(new) != journey.name:
            async with copying.transaction(old) as here:
                await relocation.stay(AsyncSession(here))
            async with copying.transaction(new) as there:
                await relocation.let_go(AsyncSession(there))
