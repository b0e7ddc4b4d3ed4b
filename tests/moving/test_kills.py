"""A move, a backup or a restore is killed anywhere: what was there works as before, or the same command finishes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from syndicator.store import copying, migrate, restored
from syndicator.store.database import Database
from syndicator.store.relocation import Moved
from syndicator.store.tables import DELIVERY, META, SUBSCRIBER
from tests.faulty.dying import DIES_AT
from tests.moving.test_copying import fill
from tests.program import make_program

MOVE = [
    "before the old office is marked",
    "before anything is carried over",
    "when all rows are written",
    "before the arrival is committed",
    "before the old office knows of the arrival",
    "after the old office knows of the arrival",
]
BACKUP = ["when the backup has its tables", "before the backup is examined", "before the backup has its name"]
RESTORE = {
    "sqlite": [
        "when the backup is prepared",
        "before the old database is aside",
        "between the old database and the new one",
        "when the new database is in its place",
    ],
    "postgresql": ["before the restore is committed", "when the restore is committed"],
}
KILLED = -9


class Operator:
    """Who gives commands to a filled office; nothing else runs."""

    def __init__(self, folder: Path, url: str, site, taxonomy) -> None:
        self.url, self.folder = url, folder
        self.program = make_program(folder, warm=True)
        self.program.environ["SYNDICATOR_DATABASE__URL"] = url
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

        async def filled() -> None:
            database = Database(url)
            await fill(database, site, taxonomy, self.now)
            await database.close()

        asyncio.run(filled())

    def command(self, *arguments: str, dies: str = "") -> str:
        """What it says; with `dies` it is killed there."""
        self.program.environ.pop(DIES_AT, None)
        if dies:
            self.program.environ[DIES_AT] = dies
        done = self.program.command(*arguments, check=False)
        assert done.returncode == (KILLED if dies else 0), (arguments, dies, done.returncode, done.stderr)
        return done.stdout

    def ask(self, query, url: str = ""):
        async def asked():
            async with copying.snapshot(url or self.url) as there:
                return [tuple(row) for row in await there.execute(query)]

        return asyncio.run(asked())

    def tell(self, statement: str) -> None:
        async def told() -> None:
            async with copying.transaction(self.url) as there:
                await there.execute(text(statement))

        asyncio.run(told())

    def litter(self) -> list[str]:
        return [path.name for path in self.folder.glob(".*")]


def may_run(url: str) -> bool:
    """Whether a service would."""

    async def asked() -> bool:
        database = Database(url)
        try:
            return await migrate.is_current(database)
        except Moved:
            return False
        finally:
            await database.close()

    return asyncio.run(asked())


LEDGER = select(DELIVERY.c.id, DELIVERY.c.subscriber_id, DELIVERY.c.state, DELIVERY.c.reason).order_by(DELIVERY.c.id)
PEOPLE = select(func.count()).select_from(SUBSCRIBER).where(SUBSCRIBER.c.address.startswith("p"))


@pytest.fixture
def operator(request, tmp_path, site, taxonomy):
    kind = getattr(request, "param", "sqlite")
    return Operator(tmp_path, request.getfixturevalue(f"{kind}_url"), site, taxonomy)


def test_a_move_that_is_killed_anywhere_leaves_no_half_office_that_runs_and_the_same_command_finishes(
    operator, postgresql_url
):
    before = operator.ask(LEDGER)
    assert before
    for point in MOVE:
        operator.command("migrate", "--to", postgresql_url, dies=point)
        arrived = operator.ask(LEDGER, postgresql_url) == before
        assert arrived is (point in MOVE[4:])
        assert may_run(postgresql_url) is arrived, f"{point}: the new database"
        assert may_run(operator.url) is (point == MOVE[0]), f"{point}: the old one"
        if point == "when all rows are written":
            operator.command("migrate", "--stay")
            assert may_run(operator.url), "the operator has said that the office stays"
            assert not may_run(postgresql_url)
    assert operator.ask(PEOPLE, postgresql_url) == operator.ask(PEOPLE)
    operator.program.environ["SYNDICATOR_DATABASE__URL"] = postgresql_url
    operator.command("migrate")


def test_an_empty_database_that_awaits_an_office_becomes_one_of_its_own_when_the_operator_says_so(
    operator, postgresql_url
):
    operator.command("migrate", "--to", postgresql_url, dies="before anything is carried over")
    operator.program.environ["SYNDICATOR_DATABASE__URL"] = postgresql_url
    del operator.program.environ[DIES_AT]
    assert not may_run(postgresql_url)
    refused = operator.program.command("migrate", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "has not arrived" in refused.stderr
    operator.command("migrate", "--stay")
    assert may_run(postgresql_url)


@pytest.mark.parametrize("operator", ["sqlite", "postgresql"], indirect=True)
def test_a_backup_that_is_killed_anywhere_is_whole_or_not_there_and_leaves_nothing_lying(operator):
    file = operator.folder / "office.backup"
    for point in BACKUP if operator.url.startswith("sqlite") else BACKUP[:1]:
        operator.command("backup", f"{point}.backup", dies=point)
        assert not (operator.folder / f"{point}.backup").exists()
        assert operator.litter(), "what was written aside, for the next one to take away"
    operator.command("backup", str(file), dies="when the backup has its name")
    with closing(sqlite3.connect(file)) as kept:
        assert kept.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert kept.execute("SELECT count(*) FROM delivery").fetchall() == [(len(operator.ask(LEDGER)),)]
        assert kept.execute("SELECT count(*) FROM meta WHERE name = 'backup'").fetchall() == [(1,)]
    operator.command("backup", "next.backup")
    assert operator.litter() == []
    assert may_run(operator.url)


@pytest.mark.parametrize("operator", ["sqlite", "postgresql"], indirect=True)
def test_a_restore_that_is_killed_anywhere_has_changed_nothing_or_is_done(operator):
    kind = operator.url.partition(":")[0]
    operator.command("backup", "office.backup")
    operator.tell("UPDATE subscriber SET address = 'x' || id")
    before, last = operator.ask(LEDGER), RESTORE[kind][-1]
    for point in RESTORE[kind]:
        operator.command("restore", "office.backup", "--replace", dies=point)
        assert may_run(operator.url)
        if point != last:
            assert (operator.ask(LEDGER), operator.ask(PEOPLE)) == (before, [(0,)]), point
    assert operator.ask(PEOPLE) != [(0,)]
    assert operator.ask(select(META.c.value).where(META.c.name == restored.RESTORED))
    assert not operator.ask(select(DELIVERY.c.id).where(DELIVERY.c.state.in_(["due", "sending", "deferred"])))
    again = operator.program.command("restore", "office.backup", check=False)
    assert "is not empty" in again.stderr
    operator.command("restore", "office.backup", "--replace")
    media = operator.folder / "var" / "media"
    assert [path.name for folder in (operator.folder, media) for path in folder.glob(".restoring-*")] == []
    kept = sorted(operator.folder.glob("syndicator.db.before-*"))
    assert len(kept) == (2 if kind == "sqlite" else 0), "the office that was there, and what was restored first"
    if kept:
        with closing(sqlite3.connect(kept[0])) as was:
            assert was.execute("SELECT count(*) FROM subscriber WHERE address LIKE 'x%'").fetchone() != (0,)
