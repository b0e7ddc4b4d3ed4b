"""Bringing the schema to this version, by Alembic, without a file of settings.

Rules, in order:

1. All steps run in one transaction: a migration killed in the middle leaves what was there before, and may be repeated.
2. Steps stand in one line; two programs that upgrade at once wait for each other.
3. A database that a newer version has made is refused, never touched.
4. Whether there is anything to do is seen without Alembic: every start asks, few have to migrate, and loading Alembic
   takes a tenth of a start.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from syndicator.store.database import Database, MissingDatabase, engine_for, probe, shown, sqlite_path

__all__ = ["NewerSchema", "is_current", "upgrade"]

SCRIPTS = Path(__file__).parent / "migrations"
VERSION = "alembic_version"  # the table in which Alembic notes the revision
LOCK = 0x53594E44  # any number that is ours alone; PostgreSQL's advisory locks are named by numbers


class NewerSchema(RuntimeError):
    """A newer version of this program has made the database; one clear line."""


async def upgrade(url: str) -> None:
    """Bring the schema to head; makes the SQLite file and its folder where they are missing.

    Raises:
        MissingDatabase: it cannot be opened or made.
        NewerSchema: its revision is unknown here.
    """
    path = sqlite_path(url)
    if path is not None:
        _make_folder(path)
        await probe(path, "rwc")
    engine = engine_for(url, "create")
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except OperationalError as error:
        reason = str(error.orig).splitlines()[0]
        raise MissingDatabase(f"{shown(url)}: the database cannot be opened or upgraded: {reason}") from None
    finally:
        await engine.dispose()


async def is_current(database: Database) -> bool:
    """Whether the schema is this version's.

    Raises:
        MissingDatabase: it cannot be opened.
        NewerSchema: its revision is unknown here.
    """
    async with database.reading() as session:
        connection = await session.connection()
        return await connection.run_sync(_is_current)


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingDatabase(f"{path.parent}: cannot be made: {error.strerror}") from None


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    if not _is_current(connection):
        from alembic import command  # noqa: PLC0415  # see rule 4
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _is_current(connection: Connection) -> bool:
    known = _revisions()
    found = None
    if inspect(connection).has_table(VERSION):
        found = connection.scalar(text(f"SELECT version_num FROM {VERSION}"))  # noqa: S608  # a constant
    if found is not None and found not in known:
        raise NewerSchema(f"the database has schema {found}, made by a newer version; install that version to use it")
    return found == known[-1]


def _revisions() -> list[str]:
    """The steps, oldest first: each file is named by its revision, `0001_schema.py`."""
    return sorted(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))
