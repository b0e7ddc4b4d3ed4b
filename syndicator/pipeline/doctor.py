"""The doctor's questions: is everything in order? None has a side effect; none sends anything to anybody.

1. Each question is answered by a line of what was found, or raises OSError or ValueError with what is wrong.
2. Questions about the outside (relay, Telegram) are asked by the bots, which know how (`bots.*.doctor`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from config.settings import AnySource, DirectorySource, Settings, SqlSource
from config.topics import load_topics
from syndicator.pipeline.channels import public_channels
from syndicator.sources.sql import SqlSource as SqlStore
from syndicator.store import migrate
from syndicator.store.database import Database, MissingDatabase, shown

__all__ = ["Question", "questions"]

Question = tuple[str, Callable[[], Awaitable[str]]]


def questions(settings: Settings, open_sql: Callable[[SqlSource], SqlStore]) -> Sequence[Question]:
    """What can be asked about this configuration, in the order in which a start needs it."""

    async def topics() -> str:
        return f"{len(load_topics(settings.topics_path).topics)} topics in {settings.topics_path}"

    async def database() -> str:
        return await _database(settings.database.url)

    async def channels() -> str:
        return f"{len(public_channels(settings, settings.as_site(), load_topics(settings.topics_path)))} places"

    async def secret() -> str:
        return "set" if settings.site.secret else "minted into the database"

    found: list[Question] = [("topics", topics), ("database", database), ("secret", secret)]
    if settings.telegram.channels:
        found.append(("channels", channels))
    found += [(f"source {source.name}", _source(source, open_sql)) for source in settings.sources]
    folders = {"feeds": settings.feeds.directory, "media": settings.media.directory}
    if settings.email.transport == "file":
        folders["email"] = settings.email.outbox
    if settings.telegram.token is None:
        folders["telegram"] = settings.telegram.outbox
    found += [(f"{name} folder", _writable(Path(folder))) for name, folder in folders.items()]
    return found


async def _database(url: str) -> str:
    database = Database(url)
    try:
        if not await migrate.is_current(database):
            raise MissingDatabase(f"{shown(url)}: the schema is not current; run `migrate`")
    except migrate.NewerSchema as error:
        raise ValueError(str(error)) from None
    finally:
        await database.close()
    return f"{shown(url)} is current"


def _source(source: AnySource, open_sql: Callable[[SqlSource], SqlStore]) -> Callable[[], Awaitable[str]]:
    return _directory(source) if isinstance(source, DirectorySource) else lambda: _query(source, open_sql)


async def _query(source: SqlSource, open_sql: Callable[[SqlSource], SqlStore]) -> str:
    """Run the query from the beginning, as the first pass of all would, and take nothing."""
    rows, problems = await open_sql(source).first_page()
    if not rows:
        return "the query runs and yields no rows"
    said = f"the query runs, {rows} rows on its first page"
    if problems:
        said += f", {len(problems)} of them bad; {problems[0].origin}: {problems[0].reason}"
    return said


def _directory(source: DirectorySource) -> Callable[[], Awaitable[str]]:
    def look() -> str:
        folder = Path(source.path)
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: is no folder")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise PermissionError(f"{folder}: may not be read")
        return f"{folder} can be read"

    return lambda: asyncio.to_thread(look)


def _writable(folder: Path) -> Callable[[], Awaitable[str]]:
    """Whether the folder, or the nearest that exists above it, may be written; nothing is made."""

    def look() -> str:
        nearest = folder.absolute()
        while not nearest.exists():
            nearest = nearest.parent
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(f"{nearest}: may not be written")
        return f"{folder} can be written"

    return lambda: asyncio.to_thread(look)
