"""Bringing the schema to this version, by Alembic, without a file of settings.

Rules, in order:

1. All steps run in one transaction: a migration killed in the middle leaves what was there before, and may be repeated.
2. Steps stand in one line; two programs that upgrade at once wait for each other.
3. A database that a newer version has made is never touched. Its migrations say down to which schema a program may run
   beside them (`beside`), and the upgrade writes that down in the database, where an older program reads it: it runs on
   while machines are upgraded one by one, or is refused with one line.
4. Whether there is anything to do is seen without Alembic: every start asks, few have to migrate, and loading Alembic
   takes a tenth of a start.
5. A step on PostgreSQL waits for a table 5 seconds at a time: whoever comes after it would wait behind it.
6. A database that its office has moved away from is refused (`relocation`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, inspect, select, text, update
from sqlalchemy.exc import OperationalError

from syndicator.store import relocation
from syndicator.store.database import Database, MissingDatabase, engine_for, probe, shown, sqlite_path
from syndicator.store.meta import BESIDE
from syndicator.store.tables import META

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

__all__ = ["NewerSchema", "is_current", "upgrade"]

SCRIPTS = Path(__file__).parent / "migrations"
VERSION = "alembic_version"  # the table in which Alembic notes the revision
LOCK = 0x53594E44  # any number that is ours alone; PostgreSQL's advisory locks are named by numbers
TAKEN = "55P03"  # PostgreSQL's lock_not_available
TIMES, PAUSE = 12, 2.0  # how often a step asks for a table that is in use, and the seconds between


class NewerSchema(RuntimeError):
    """A newer version of this program has made the database; one clear line."""


async def upgrade(url: str, *, anyway: bool = False, arriving: bool = False) -> None:
    """Bring the schema to head; makes the SQLite file and its folder where they are missing.

    `anyway`: also where its office has moved away from it. `arriving`: also where one is about to come.

    Raises:
        MissingDatabase: it cannot be opened or made.
        NewerSchema: its revision is unknown here, and this version may not run beside it.
        Moved: its office has moved away.
    """
    path = sqlite_path(url)
    if path is not None:
        _make_folder(path)
        await probe(path, "rwc")
    engine = engine_for(url, "create")
    try:
        for left in range(TIMES - 1, -1, -1):
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(_upgrade, anyway, arriving)
            except OperationalError as error:
                if not left or getattr(error.orig, "sqlstate", None) != TAKEN:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                return
    except OperationalError as error:
        reason = str(error.orig).splitlines()[0]
        raise MissingDatabase(f"{shown(url)}: the database cannot be opened or upgraded: {reason}") from None
    finally:
        await engine.dispose()


async def is_current(database: Database) -> bool:
    """Whether the schema is this version's, or one that it may run beside.

    Raises:
        MissingDatabase: it cannot be opened.
        NewerSchema: its revision is unknown here, and this version may not run beside it.
        Moved: its office has moved away.
    """
    async with database.reading() as session:
        connection = await session.connection()
        return await connection.run_sync(_is_ours)


def _is_ours(connection: Connection) -> bool:
    current = _is_current(connection)
    if current:
        relocation.refuse(connection)
    return current


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingDatabase(f"{path.parent}: cannot be made: {error.strerror}") from None


def _upgrade(connection: Connection, anyway: bool, arriving: bool) -> None:  # noqa: FBT001  # as `upgrade` has them
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    if not _is_current(connection):
        from alembic import command  # noqa: PLC0415  # see rule 4
        from alembic.config import Config  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _note(connection, ScriptDirectory.from_config(config))
    if not anyway:
        relocation.refuse(connection, arriving=arriving)


def _note(connection: Connection, steps: ScriptDirectory) -> None:
    """Write down the oldest schema whose programs may run on this one (rule 3)."""
    head = steps.get_revision("head")
    beside = getattr(head.module, "beside", head.revision)
    if connection.execute(update(META).where(META.c.name == BESIDE).values(value=beside)).rowcount == 0:
        connection.execute(insert(META).values(name=BESIDE, value=beside))


def _is_current(connection: Connection) -> bool:
    known = _revisions()
    found = None
    if inspect(connection).has_table(VERSION):
        found = connection.scalar(text(f"SELECT version_num FROM {VERSION}"))  # noqa: S608  # a constant
    if found is None or found in known:
        return bool(found == known[-1])
    beside = connection.scalar(select(META.c.value).where(META.c.name == BESIDE))
    if beside not in known:
        raise NewerSchema(f"the database has schema {found}, made by a newer version; install that version to use it")
    return True


def _revisions() -> list[str]:
    """The steps, oldest first: each file is named by its revision, `0001_schema.py`."""
    return sorted(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))
