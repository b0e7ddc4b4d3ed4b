"""Bringing an office back from its backup (`restore FILE`), without saying anything twice.

Rules, in order:

1. All of it is prepared in a file of its own, and put into place at once: a restore that is killed has changed nothing.
2. A database that holds anything is replaced only on the operator's word; the SQLite file that was there is kept aside.
3. What would have happened until the moment `until` happens now, on that file: embargoes open, windows of digests
   close, applications are looked at, recipients are written. Then all that waits stands as `unknown`
   (`store.restored`): the ledger knows of it, corrections find it, the operator may send it, nobody gets it unasked.
4. Numbers go on far behind those of the backup (`store.numbering`): links of mails that went out after it open nothing.
5. Kept files come back into this machine's folder; where several machines serve them (PostgreSQL) they stay in the
   table as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from config.settings import Settings
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.pipeline.backing_up import seal
from syndicator.pipeline.media_along import files_into, write_files
from syndicator.pipeline.moving_house import Bar
from syndicator.pipeline.replaying import replay
from syndicator.store import copying, meta, migrate, numbering, restored
from syndicator.store.database import Database, MissingDatabase, probe, shown, sqlite_path
from syndicator.store.locks import SingleRun

__all__ = ["Plan", "Restore", "restore"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be restored. `tells` is what each way out has words for; `until` None means `now`."""

    file: Path
    replace: bool
    until: datetime | None
    now: datetime
    tells: Mapping[ChannelKind, Collection[MessageKind]]


@dataclass(frozen=True, slots=True)
class Restore:
    """What a restore did: from which backup, what stands as unknown by kind and channel, and what was kept aside."""

    backup_at: datetime
    until: datetime
    unknown: Mapping[tuple[str, str], int]
    files: int
    aside: Path | None


async def restore(settings: Settings, plan: Plan, bar: Bar) -> Restore:
    """Put that backup into the configured database.

    Raises:
        AlreadyRunning: a service runs on it.
        MissingDatabase: the database cannot be opened, or the file is damaged.
        NewerSchema: a newer version made the backup.
        ValueError: the file is no backup, `until` is not between it and now, or the database is not empty.
        OSError: the disk does not allow it.
    """
    url = settings.database.url
    with ExitStack() as held:
        held.enter_context(SingleRun(url))
        if not plan.replace and (found := await _held(url)):
            raise ValueError(
                f"{shown(url)}: is not empty ({', '.join(found[:3])}); --replace puts the backup in its place"
            )
        work = Path(held.enter_context(_workplace(url))) / "office.db"
        await asyncio.to_thread(_copy, plan.file, work)
        inside = f"sqlite:///{work}"
        backup_at = await _examine(inside, plan.file)
        until = _until(plan, backup_at)
        await migrate.upgrade(inside)
        unknown = await _settle(settings, inside, backup_at, until, plan)
        media = Path(settings.media.directory)
        path = sqlite_path(url)
        async with copying.transaction(inside) as there:
            files = await (files_into(there, media) if path is not None else write_files(there, media))
        await asyncio.to_thread(seal, work)
        aside = None
        if path is not None:
            aside = await asyncio.to_thread(_put, work, path.resolve(), plan.now)
        else:
            await _pour(inside, url, bar)
        return Restore(backup_at, until, unknown, files, aside)


def _workplace(url: str) -> tempfile.TemporaryDirectory[str]:
    """A folder that only we can read; for SQLite where the database will be, so that it only has to be named there."""
    path = sqlite_path(url)
    try:
        if path is None:
            return tempfile.TemporaryDirectory(prefix="syndicator-restore-")
        folder = path.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".restoring-", dir=folder)
    except OSError as error:
        raise MissingDatabase(f"{error.filename}: cannot be made: {error.strerror}") from None


async def _held(url: str) -> list[str]:
    """The tables of the configured database that hold anything."""
    path = sqlite_path(url)
    if path is not None and not (path.exists() and path.stat().st_size):
        return []
    async with copying.snapshot(url) as connection:
        return list(await copying.filled(connection))


def _copy(file: Path, work: Path) -> None:
    os.close(os.open(work, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    shutil.copyfile(file, work)
    seal(work)


async def _examine(inside: str, file: Path) -> datetime:
    """Since when it is a backup; it holds one no longer afterwards."""
    await probe(Path(inside.removeprefix("sqlite:///")), "rw")
    async with copying.transaction(inside) as there:
        names = await copying.tables(there)
        session = AsyncSession(there)
        said = await meta.get(session, meta.BACKUP) if "meta" in names else None
        if said is None:
            raise ValueError(f"{file}: is no backup of `backup`; a plain copy of a database is put in place by hand")
        await meta.forget(session, meta.BACKUP)
        await session.flush()
        return datetime.fromisoformat(json.loads(said)["at"])


def _until(plan: Plan, backup_at: datetime) -> datetime:
    until = plan.until or max(plan.now, backup_at)
    if not backup_at <= until <= max(plan.now, backup_at):
        first, last = (one.isoformat(timespec="seconds") for one in (backup_at, plan.now))
        raise ValueError(f"--until: {until.isoformat()} is not between the backup ({first}) and now ({last})")
    return until


async def _settle(
    settings: Settings, inside: str, backup_at: datetime, until: datetime, plan: Plan
) -> Mapping[tuple[str, str], int]:
    """Rules 3 and 4; what stands as unknown."""
    database = Database(inside)
    try:
        await replay(settings, database, until, plan.tells)
        async with database.writing() as session:
            await restored.begin(session, backup_at, until)
            await restored.hush(session)
            unknown = await restored.close_books(session, backup_at, plan.now)
            connection = await session.connection()
            await numbering.shift_changes(connection)
            await numbering.skip(connection, await numbering.given(connection), plan.now)
            return unknown
    finally:
        await database.close()


def _put(work: Path, path: Path, now: datetime) -> Path | None:
    """Name the file as the configured one; what was there is kept aside, with what was still beside it."""
    aside = None
    if path.exists():
        aside = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%SZ}")
        for end in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + end).replace(aside.with_name(aside.name + end))
        path.replace(aside)
    work.replace(path)
    seal(path)
    return aside


async def _pour(inside: str, url: str, bar: Bar) -> None:
    """Into PostgreSQL, in one transaction."""
    await migrate.upgrade(url, anyway=True)
    async with copying.snapshot(inside) as here, copying.transaction(url) as there:
        with bar("restoring", 2.0 * await copying.total(here)) as advance:
            await copying.empty(there)
            if "procrastinate_jobs" in await copying.tables(there):  # they follow from rows
                await there.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
            await copying.copy(here, there, advance)
        await numbering.carry_on(there, await numbering.given(here))
