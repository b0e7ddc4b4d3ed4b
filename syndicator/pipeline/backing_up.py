"""A backup: the whole office in one file, made beside a running service (`backup FILE`).

Rules, in order:

1. The file is an SQLite database of this version's schema, whatever the office runs on: every table as of one moment,
   and every kept picture and file inside (`media_file`). What is configured, and what can be rebuilt, is not in it.
2. It is there whole or not at all: written aside, examined, flushed to the disk, then named. Nothing is written over,
   and two that are made at once, even of one name, are each written by themselves. What a killed one left aside goes
   with the next one in its folder.
3. Only its owner may read it: it holds addresses, and the minted secret.
4. `meta` says since when it is a backup; a service refuses to run on one before it was restored.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.pipeline.media import flush
from syndicator.pipeline.media_along import rows_into
from syndicator.pipeline.moving_house import Bar, current
from syndicator.store import copying, meta, migrate, numbering, relocation
from syndicator.store.database import DatabaseTrouble, MissingDatabase, probe, sqlite_path

__all__ = ["Backup", "back_up", "seal"]

LOOK_SECONDS = 0.2
PART = ".backup-part"  # so ends the name of one that is being written


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    file: Path
    at: datetime
    size: int
    files: int
    secret: bool


async def back_up(url: str, file: Path, *, media: Path, now: datetime, bar: Bar) -> Backup:
    """Write that database and those files into a new file.

    Raises:
        MissingDatabase: the database cannot be opened.
        DatabaseTrouble: it fails, or the file does.
        NewerSchema: a newer version has made it, beside which this one may not run.
        OSError: the file cannot be written, or there is one.
    """
    if await asyncio.to_thread(file.exists):
        raise FileExistsError(f"{file}: is there already; nothing is written over")
    if (path := sqlite_path(url)) is not None:
        await probe(path, "rw")
    await current(url)
    with _beside(file) as part:
        await _fill(url, part, bar)
        async with copying.transaction(f"sqlite:///{part}") as there:
            session = AsyncSession(there)
            await relocation.stay(session)
            await meta.put(session, meta.BACKUP, json.dumps({"at": now.isoformat()}))
            secret = await meta.get(session, "secret") is not None
            await session.flush()
            files = await rows_into(there, media, now)
        await asyncio.to_thread(seal, part)
        _name(part, file)
        return Backup(file, now, _size(file), files, secret)


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """A file of our own to write into, which is gone afterwards; who writes holds the folder, beside others."""
    part = file.with_name(f".{file.name}.{uuid4().hex}{PART}")
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # others are at work here, or such a disk has no locks
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in file.parent.glob(f".*{PART}"):
                _forget(left)
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
    finally:
        _forget(part)
        os.close(folder)


def _name(part: Path, file: Path) -> None:
    """Never over what somebody else has put there meanwhile."""
    try:
        os.link(part, file)
    except FileExistsError:
        raise
    except OSError:  # a disk without links: FAT, many shares
        if file.exists():
            raise FileExistsError(f"{file}: is there already; nothing is written over") from None
        part.rename(file)
    flush(file.parent)


async def _fill(url: str, part: Path, bar: Bar) -> None:
    """All tables as of one moment."""
    path = sqlite_path(url)
    if path is not None:
        work = asyncio.ensure_future(asyncio.to_thread(_vacuum_into, path, part))
        with bar("backing up", path.stat().st_size) as advance:
            await _watch(part, work, advance)
        return
    await migrate.upgrade(f"sqlite:///{part}")
    async with copying.snapshot(url) as here, copying.transaction(f"sqlite:///{part}") as there:
        with bar("backing up", 2.0 * await copying.total(here)) as advance:
            await copying.copy(here, there, advance)
        await numbering.carry_on(there, await numbering.given(here))


async def _watch(part: Path, work: asyncio.Future[None], advance: Callable[[float], None]) -> None:
    seen = 0
    while not (await asyncio.wait([work], timeout=LOOK_SECONDS))[0]:
        size = _size(part)
        advance(size - seen)
        seen = size
    await work


def _vacuum_into(path: Path, part: Path) -> None:
    """One read transaction of SQLite's own: writers go on beside it."""
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            connection.execute("VACUUM INTO ?", (str(part),))
    except sqlite3.Error as error:
        raise DatabaseTrouble(f"{part}: cannot be written: {error}") from None


def seal(file: Path) -> None:
    """One plain file, examined and on the disk.

    Raises:
        MissingDatabase: it is damaged.
    """
    try:
        with closing(sqlite3.connect(file, timeout=10)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise MissingDatabase(f"{file}: is damaged: {said}")
    flush(file)
    flush(file.parent)


def _size(file: Path) -> int:
    return file.stat().st_size


def _forget(part: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            part.with_name(part.name + end).unlink()
