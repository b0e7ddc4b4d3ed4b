"""Bringing an office back from its backup (`restore FILE`), without saying anything twice.

Rules, in order:

1. All of it is prepared in a file of its own, and put into place at once: a restore that is killed has changed nothing,
   and what it left lying goes with the next one.
2. A database that holds anything is replaced only on the operator's word; the SQLite file that was there is kept aside.
   Nothing of it may be in use, or stand in a log beside it: until the new one is in its place it stays whole.
3. What would have happened until the moment `until` happens now, on that file: embargoes open, windows of digests
   close, applications are looked at, recipients are written. Then all that waits stands as `unknown`
   (`store.restored`): the ledger knows of it, corrections find it, the operator may send it, nobody gets it unasked.
4. Numbers go on far behind those of the backup, and of what is replaced (`store.numbering`): links of mails that went
   out after it open what they meant or nothing, never another release or somebody else's page.
5. Kept files come back into this machine's folder; where several machines serve them (PostgreSQL) they stay in the
   table as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncSession

from config.settings import Settings
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.pipeline.backing_up import seal
from syndicator.pipeline.media_along import files_into, write_files
from syndicator.pipeline.moving_house import Bar
from syndicator.pipeline.replaying import replay
from syndicator.store import copying, meta, migrate, numbering, relocation, restored
from syndicator.store.database import Database, DatabaseTrouble, MissingDatabase, probe, shown, sqlite_path
from syndicator.store.locks import SingleRun
from syndicator.store.migrate import NewerSchema

__all__ = ["Plan", "Restore", "restore"]

log = structlog.get_logger()

PATIENCE = 10.0  # seconds for whoever still reads the database that is replaced
OURS = (  # the one trigger of a database of ours
    "CREATE TRIGGER variant_words_follow AFTER DELETE ON variant "
    "BEGIN DELETE FROM variant_words WHERE rowid = old.id; END"
)


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
    """What a restore did: from which backup, what stands as unknown by kind and channel, and what was kept aside.

    `releases_from` is the first number that a release gets now.
    """

    backup_at: datetime
    until: datetime
    unknown: Mapping[tuple[str, str], int]
    files: int
    aside: Path | None
    releases_from: int


async def restore(settings: Settings, plan: Plan, bar: Bar) -> Restore:
    """Put that backup into the configured database.

    Raises:
        AlreadyRunning: a service runs on it.
        MissingDatabase: the database cannot be opened, or the file is damaged.
        NewerSchema: a newer version made the backup, or the database.
        Moved: the office has moved away from that database.
        ValueError: the file is no backup, `until` is not between it and now, or the database is not empty.
        OSError: the disk does not allow it.
    """
    url, media = settings.database.url, Path(settings.media.directory)
    with ExitStack() as held:
        held.enter_context(SingleRun(url))
        await _stands(url, replace=plan.replace)
        if not plan.replace and (found := await _held(url)):
            raise ValueError(
                f"{shown(url)}: is not empty ({', '.join(found[:3])}); --replace puts the backup in its place"
            )
        work = Path(held.enter_context(_workplace(url, media))) / "office.db"
        inside = f"sqlite:///{work}"
        try:
            await asyncio.to_thread(_copy, plan.file, work)
            backup_at = await _examine(inside, plan.file)
        except DatabaseTrouble as error:
            raise MissingDatabase(str(error).replace(str(work), str(plan.file))) from None
        until = _until(plan, backup_at)
        await migrate.upgrade(inside)
        unknown, last = await _settle(settings, inside, backup_at, until, plan, await _given(url))
        path = sqlite_path(url)
        async with copying.transaction(inside) as there:
            files = await (files_into(there, media) if path is not None else write_files(there, media))
        await asyncio.to_thread(seal, work)
        aside = None
        if path is not None:
            aside = await asyncio.to_thread(_put, work, path.resolve(), plan.now)
        else:
            await _pour(inside, url, bar)
        return Restore(backup_at, until, unknown, files, aside, last + 1)


async def _stands(url: str, *, replace: bool) -> None:
    """Whether that database may be the office's again; a file that cannot be read says nothing against it.

    Raises:
        Moved: its office lives on elsewhere; two of it would tell everything twice.
        MissingDatabase: it cannot be read, and is not to be replaced.
    """
    path = sqlite_path(url)
    if path is not None and not (path.exists() and path.stat().st_size):
        return
    try:
        async with copying.snapshot(url) as connection:
            if "meta" in await copying.tables(connection):
                await connection.run_sync(relocation.refuse)
    except (DatabaseError, DatabaseTrouble) as error:  # a damaged disk is what one restores for
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        if path is None or not replace:
            raise MissingDatabase(f"{shown(url)}: cannot be read: {reason}") from None
        log.warning("the database that was there cannot be read; its file is kept aside", reason=reason)


def _workplace(url: str, media: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder that only we can read: for SQLite where the database will be, else beside the kept files.

    Who comes here holds the database, so what lies here of another restore was left by one that was killed.
    """
    path = sqlite_path(url)
    try:
        folder = media.resolve() if path is None else path.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f".restoring-{hashlib.sha256(url.encode()).hexdigest()[:12]}-"
        for left in folder.glob(f"{prefix}*"):
            shutil.rmtree(left)
        return tempfile.TemporaryDirectory(prefix=prefix, dir=folder)
    except OSError as error:
        raise MissingDatabase(f"{error.filename}: cannot be made: {error.strerror}") from None


async def _held(url: str) -> list[str]:
    """The tables of the configured database that hold anything."""
    path = sqlite_path(url)
    if path is not None and not (path.exists() and path.stat().st_size):
        return []
    async with copying.snapshot(url) as connection:
        return list(await copying.filled(connection))


async def _given(url: str) -> Mapping[str, int]:
    """The numbers that the database has given out which is replaced; none where nobody can read them."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return {}
    try:
        async with copying.snapshot(url) as connection:
            return await numbering.given(connection, await copying.tables(connection))
    except (DatabaseError, DatabaseTrouble):
        return {}


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
        found = await session.scalars(text("SELECT sql FROM sqlite_master WHERE type IN ('trigger', 'view')"))
        if any(" ".join(str(sql).split()) != OURS for sql in found):
            raise ValueError(f"{file}: is no backup of `backup`: it holds a trigger or a view of somebody else's")
        await meta.forget(session, meta.BACKUP)
        await session.flush()
        try:
            return datetime.fromisoformat(json.loads(said)["at"]).astimezone(UTC)
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{file}: does not say when it was made; is it a backup?") from None


def _until(plan: Plan, backup_at: datetime) -> datetime:
    if backup_at > plan.now:
        at = backup_at.isoformat(timespec="seconds")
        raise ValueError(f"{plan.file}: was made at {at}, which is still to come: set this machine's clock")
    until = plan.until or plan.now
    if not backup_at <= until <= plan.now:
        first, last = (one.isoformat(timespec="seconds") for one in (backup_at, plan.now))
        raise ValueError(f"--until: {until.isoformat()} is not between the backup ({first}) and now ({last})")
    return until


async def _settle(
    settings: Settings, inside: str, backup_at: datetime, until: datetime, plan: Plan, given: Mapping[str, int]
) -> tuple[Mapping[tuple[str, str], int], int]:
    """Rules 3 and 4; what stands as unknown, and the last number that no release gets."""
    database = Database(inside)
    try:
        await replay(settings, database, until, plan.tells)
        async with database.writing() as session:
            await restored.begin(session, backup_at, until, named=plan.until is not None)
            await restored.hush(session)
            unknown = await restored.close_books(session, backup_at, plan.now)
            connection = await session.connection()
            await numbering.shift_changes(connection)
            last = dict(await numbering.given(connection))
            for name, number in given.items():
                last[name] = max(last.get(name, 0), number)
            return unknown, await numbering.skip(connection, last, plan.now, plan.now - backup_at)
    finally:
        await database.close()


def _put(work: Path, path: Path, now: datetime) -> Path | None:
    """Name the file as the configured one, at once; what was there is kept aside, whole, under a second name."""
    aside = None
    if path.exists():
        left = _at_rest(path)
        aside = _aside(path, now)
        for end in left:  # of one that is damaged
            path.with_name(path.name + end).replace(aside.with_name(aside.name + end))
    work.replace(path)
    seal(path)
    return aside


def _at_rest(path: Path) -> Sequence[str]:
    """The ends of what stands beside the file and is not in it: nothing, unless it is damaged.

    Raises:
        MissingDatabase: somebody is at work on it.
    """
    busy = False
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path, timeout=PATIENCE)) as was:
        try:
            was.execute("SELECT 1 FROM sqlite_master").fetchone()  # what a crash left half-written is taken back
            (busy, *_) = was.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    if busy:
        raise MissingDatabase(f"{path}: another command is at work on it; repeat this when it has ended")
    return [end for end in ("-wal", "-shm", "-journal") if path.with_name(path.name + end).exists()]


def _aside(path: Path, now: datetime) -> Path:
    """The file under a second name that is free, or that a restore gave it which was killed."""
    for known in path.parent.glob(f"{path.name}.before-*"):
        if known.samefile(path):
            return known
    named = f"{path.name}.before-{now:%Y%m%dT%H%M%SZ}"
    tries = (path.with_name(named + again) for again in ("", *(f"-{n}" for n in range(2, 99))))
    aside = next(one for one in tries if not one.exists())
    try:
        os.link(path, aside)
    except FileExistsError:
        raise
    except OSError:  # a disk without links
        part = aside.with_name(f".{aside.name}.part")
        shutil.copy2(path, part)
        part.rename(aside)
    return aside


async def _pour(inside: str, url: str, bar: Bar) -> None:
    """Into PostgreSQL, in one transaction."""
    try:
        await migrate.upgrade(url, anyway=True)
    except NewerSchema:
        raise NewerSchema(
            f"{shown(url)}: a newer version has made what is there; restore into a new, empty database"
        ) from None
    async with copying.snapshot(inside) as here, copying.transaction(url) as there:
        with bar("restoring", 2.0 * await copying.total(here)) as advance:
            await copying.empty(there)
            if "procrastinate_jobs" in await copying.tables(there):  # they follow from rows
                await there.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
            await copying.copy(here, there, advance)
        await numbering.carry_on(there, await numbering.given(here))
