"""A filled office on one database, its backup, and the restore of it, without processes."""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from config.settings import DatabaseSettings, MediaSettings
from syndicator.pipeline.backing_up import back_up
from syndicator.pipeline.restoring import Plan, restore
from syndicator.store import copying
from syndicator.store.database import Database
from tests.moving.test_copying import fill
from tests.offices import settings_of
from tests.store.looked import TELLS

__all__ = ["HOUR", "Kept", "bar"]

HOUR = timedelta(hours=1)


class Kept:
    """A filled office on one database, and its backup."""

    def __init__(self, url, folder, site, taxonomy, now):
        self.url, self.folder, self.now = url, folder, now
        self.site, self.taxonomy = site, taxonomy
        self.file = folder / "office.backup"
        self.media = folder / "media"
        plain = settings_of(site)
        self.settings = plain.model_copy(
            update={"database": DatabaseSettings(url=url), "media": MediaSettings(directory=str(self.media))}
        )

    @property
    def path(self):
        """Of an SQLite file."""
        return Path(self.url.removeprefix("sqlite:///"))

    async def backed_up(self):
        database = Database(self.url)
        await fill(database, self.site, self.taxonomy, self.now)
        await database.close()
        await back_up(self.url, self.file, media=self.media, now=self.now + HOUR, bar=bar)
        return self

    async def restore(self, **more):
        plan = Plan(self.file, replace=True, until=None, now=self.now + 2 * HOUR, tells=TELLS)
        return await restore(self.settings, replace(plan, **more), bar)

    async def ask(self, query):
        async with copying.snapshot(self.url) as there:
            return [tuple(row) for row in await there.execute(query)]

    async def tell(self, statement):
        async with copying.transaction(self.url) as there:
            await there.execute(text(statement))

    def damage(self):
        self.path.write_bytes(bytes(4096) + self.path.read_bytes()[4096:])

    def forge(self, *statements):
        with closing(sqlite3.connect(self.file)) as file, file:
            for statement in statements:
                file.execute(statement)


def bar(what, total):
    """No bar."""
    return nullcontext(lambda _: None)
