"""Backup and restore on both databases: what comes back, what is refused in one line, and what is left when it is."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from syndicator.domain.model import ChannelKind, DeliveryState
from syndicator.pipeline import backing_up, restoring
from syndicator.pipeline.backing_up import back_up
from syndicator.store import copying, meta, migrate, relocation, restored
from syndicator.store.database import Database
from syndicator.store.migrate import NewerSchema
from syndicator.store.relocation import Journey, Moved
from syndicator.store.settled_by_hand import settle_restored, unknown_by_reason
from syndicator.store.tables import DELIVERY, META, RATE, SUBSCRIBER
from tests.moving.kept import HOUR, Kept, bar


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def office(url, tmp_path, site, taxonomy, now):
    return await Kept(url, tmp_path, site, taxonomy, now).backed_up()


@pytest.fixture
async def plain(sqlite_url, tmp_path, site, taxonomy, now):
    return await Kept(sqlite_url, tmp_path, site, taxonomy, now).backed_up()


async def test_a_backup_comes_back_on_either_database_and_nothing_of_it_is_due(office):
    people = select(SUBSCRIBER.c.address).where(SUBSCRIBER.c.address.like("p%")).order_by(SUBSCRIBER.c.id)
    before, secret = await office.ask(people), await office.ask(select(META).where(META.c.name == "secret"))
    await office.tell("UPDATE subscriber SET address = 'x' || id")
    await office.tell("INSERT INTO meta (name, value) VALUES ('since', 'x')")
    done = await office.restore()
    assert await office.ask(people) == before
    assert await office.ask(select(META).where(META.c.name == "secret")) == secret
    assert await office.ask(select(META).where(META.c.name == "since")) == []
    states = (
        select(DELIVERY.c.state, func.count())
        .where(DELIVERY.c.reason.startswith("restored from the backup of"))
        .group_by(DELIVERY.c.state)
    )
    assert await office.ask(states) == [(DeliveryState.UNKNOWN, sum(done.unknown.values()))]
    assert sum(done.unknown.values()) > 0
    assert done.files == 1
    if done.aside is not None:
        with closing(sqlite3.connect(done.aside)) as was:
            assert was.execute("SELECT count(*) FROM subscriber WHERE address LIKE 'x%'").fetchone() != (0,)
    database = Database(office.url)
    async with database.reading() as session:
        assert await restored.of(session) is not None
    await database.close()


async def test_a_backup_beside_writes_holds_each_transaction_whole_or_not_at_all(office):
    """Row 11 of the catalogue: each transaction writes into two tables that lie far apart in the copy."""
    written, ends = 0, asyncio.Event()
    database = Database(office.url)

    async def write() -> None:
        nonlocal written
        while not ends.is_set():
            async with database.writing() as session:
                await session.execute(insert(META).values(name=f"pair:{written}", value=""))
                await session.execute(insert(RATE).values(name=f"pair:{written}", turn_at=office.now))
            written += 1
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    try:
        while written < 3:
            await asyncio.sleep(0.001)
        before = written
        file = office.folder / "beside.backup"
        await back_up(office.url, file, media=office.media, now=office.now + HOUR, bar=bar)
        assert written > before, "writes go on meanwhile"
    finally:
        ends.set()
        await writing
        await database.close()
    with closing(sqlite3.connect(file)) as kept:
        assert kept.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        one, other = (
            {name for (name,) in kept.execute(f"SELECT name FROM {table} WHERE name LIKE 'pair:%'")}
            for table in ("meta", "rate")
        )
    assert one == other
    assert before <= len(one) <= written
    done = await office.restore(file=file)
    assert done.unknown


async def test_what_a_restore_left_unknown_is_counted_by_reason_and_settled_together(office):
    left = sum((await office.restore()).unknown.values())
    database = Database(office.url)
    async with database.writing() as session:
        (counted,) = await unknown_by_reason(session)
        assert (counted["deliveries"], counted["channel"], counted["kind"], counted["release"]) == (
            left,
            "email",
            "release",
            1,
        )
        given = {"outcome": "sent", "now": office.now}
        assert await settle_restored(session, channel=ChannelKind.TELEGRAM, **given) == 0
        assert await settle_restored(session, release=2, **given) == 0
        assert await settle_restored(session, channel=ChannelKind.EMAIL, release=1, **given) == left
        assert await unknown_by_reason(session) == []
    await database.close()


async def test_a_restore_into_what_is_not_empty_changes_nothing_unless_it_is_to(office):
    with pytest.raises(ValueError, match="is not empty"):
        await office.restore(replace=False)
    assert await office.ask(select(META).where(META.c.name == restored.RESTORED)) == []


async def test_a_restore_that_fails_while_it_pours_leaves_what_was_there(
    postgresql_url, tmp_path, site, taxonomy, now, monkeypatch
):
    office = await Kept(postgresql_url, tmp_path, site, taxonomy, now).backed_up()
    await office.tell("UPDATE subscriber SET address = 'x' || id")

    async def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(copying, "_index", dies)
    with pytest.raises(KeyboardInterrupt):
        await office.restore()
    assert {address[0] for (address,) in await office.ask(select(SUBSCRIBER.c.address))} == {"x"}


@pytest.mark.parametrize(
    ("hours", "said"), [(0.5, "is not between the backup"), (3, "is not between the backup"), (1.5, "")]
)
async def test_the_moment_that_is_named_lies_between_the_backup_and_now(plain, hours, said):
    until = plain.now + hours * HOUR
    if said:
        with pytest.raises(ValueError, match=said):
            await plain.restore(until=until)
        return
    assert (await plain.restore(until=until)).until == until


FORGED = "UPDATE meta SET value = '{}' WHERE name = 'backup'"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (FORGED.format("nonsense"), "does not say when it was made"),
        (FORGED.format("[]"), "does not say when it was made"),
        (FORGED.format('{"at": 5}'), "does not say when it was made"),
        (FORGED.format('{"at": "2999-01-01T00:00:00+00:00"}'), "which is still to come"),
        ("CREATE TRIGGER t AFTER UPDATE ON release BEGIN DELETE FROM delivery; END", "somebody else's"),
        ("CREATE VIEW v AS SELECT 1", "somebody else's"),
        ("DELETE FROM meta WHERE name = 'backup'", "is no backup"),
    ],
)
async def test_an_odd_backup_is_refused_in_one_line_that_names_it(plain, statement, said):
    plain.forge(statement)
    with pytest.raises(ValueError, match=said) as refused:
        await plain.restore()
    assert str(plain.file) in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_damaged_backup_is_named_as_the_operator_named_it(plain):
    plain.file.write_bytes(plain.file.read_bytes()[:20_000])
    with pytest.raises(OSError, match=f"^{plain.file}: "):
        await plain.restore()


async def test_a_database_that_is_damaged_is_replaced_and_kept_aside(plain):
    plain.damage()
    with pytest.raises(OSError, match=r"cannot be read: file is not a database"):
        await plain.restore(replace=False)
    done = await plain.restore()
    assert done.aside is not None
    assert done.aside.read_bytes()[:4096] == bytes(4096)
    assert await plain.ask(select(SUBSCRIBER.c.id))


async def test_an_office_that_has_moved_away_is_not_doubled_by_a_restore(plain):
    said = json.dumps({"name": "n", "to": "postgresql://db/x", "at": "2026-11-22", "done": True})
    await plain.tell(f"INSERT INTO meta (name, value) VALUES ('{relocation.LEFT}', '{said}')".replace(":", "\\:"))
    with pytest.raises(Moved, match="the office has moved"):
        await plain.restore()
    assert relocation._read(said) == Journey("n", "postgresql://db/x", "2026-11-22", done=True)


async def test_neither_backup_nor_restore_touches_what_a_newer_version_has_made(office):
    await office.tell("UPDATE alembic_version SET version_num = '9999'")
    await office.tell(f"UPDATE meta SET value = '9998' WHERE name = '{meta.BESIDE}'")
    with pytest.raises(NewerSchema, match="newer version"):
        await back_up(office.url, office.folder / "b", media=office.media, now=office.now, bar=bar)
    assert not (office.folder / "b").exists()
    if office.url.startswith("postgresql"):
        with pytest.raises(NewerSchema, match="new, empty database"):
            await office.restore()


async def test_a_backup_is_made_on_a_disk_without_links(plain, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    other = plain.folder / "other.backup"
    await back_up(plain.url, other, media=plain.media, now=plain.now, bar=bar)
    assert other.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        await back_up(plain.url, other, media=plain.media, now=datetime.now(UTC), bar=bar)
    assert [path.name for path in plain.folder.iterdir() if path.name.endswith(".part")] == []


async def test_a_backup_that_is_killed_on_a_disk_without_links_is_not_there(plain, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr(Path, "rename", dies)
    monkeypatch.setattr(Path, "replace", dies)
    other = plain.folder / "other.backup"
    with pytest.raises(KeyboardInterrupt):
        await back_up(plain.url, other, media=plain.media, now=plain.now, bar=bar)
    assert not other.exists()


async def test_two_backups_of_one_name_do_not_write_into_each_other(plain, monkeypatch):
    first_done, begun = asyncio.Event(), []
    real, file = backing_up.rows_into, plain.folder / "twice.backup"

    def back_up_again():
        return back_up(plain.url, file, media=plain.media, now=plain.now, bar=bar)

    async def meets(*given):
        found = await real(*given)
        begun.append(asyncio.current_task())
        if len(begun) == 1:
            begun.append(asyncio.create_task(back_up_again()))
            while len(begun) < 3:
                await asyncio.sleep(0.001)
        else:
            await first_done.wait()
        return found

    monkeypatch.setattr(backing_up, "rows_into", meets)
    await back_up_again()
    with closing(sqlite3.connect(file)) as kept:
        assert kept.execute("SELECT count(*) FROM meta WHERE name = 'backup'").fetchall() == [(1,)]
    first_done.set()
    with pytest.raises(FileExistsError):
        await begun[1]
    assert [path.name for path in plain.folder.glob(".*part*")] == []


async def test_a_database_that_somebody_still_reads_is_not_replaced(plain, monkeypatch):
    monkeypatch.setattr(restoring, "PATIENCE", 0.1)
    path = plain.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM subscriber").fetchone()
        await plain.tell("UPDATE subscriber SET address = 'x' || id")
        with pytest.raises(OSError, match="another command is at work on it"):
            await plain.restore()
    assert {address[0] for (address,) in await plain.ask(select(SUBSCRIBER.c.address))} == {"x"}
    assert list(plain.folder.glob("*.before-*")) == []
    await plain.restore()


def test_every_migration_says_beside_which_schema_a_program_may_run():
    first = "0013"  # the first whose programs may be several
    for path in sorted((migrate.SCRIPTS / "versions").glob("[0-9]*_*.py")):
        revision = path.name.partition("_")[0]
        if revision >= first:
            said = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith('beside = "')]
            assert len(said) == 1, f"{path.name} does not say `beside`"
            assert first <= said[0].split('"')[1] <= revision, f"{path.name}: {said[0]}"
