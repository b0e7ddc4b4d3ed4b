"""A whole database is carried over into one of either kind, and everything of it has arrived."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, text
from sqlmodel import SQLModel

from syndicator.domain.filters import parse
from syndicator.domain.model import (
    Cadence,
    ChannelKind,
    MessageKind,
    Priority,
    Revision,
    State,
    SubscriptionState,
    Urgency,
)
from syndicator.store import copying, ledger, meta, numbering, releases, subscriptions, words
from syndicator.store.database import Database, DatabaseTrouble
from syndicator.store.releases import Draft
from syndicator.store.tables import MEDIA_FILE, MESSAGE, SUBSCRIBER, VARIANT
from tests.store.looked import TELLS

PICTURE = f"/media/{7:032x}.png"
ODD = "Şəhər — “dırnaq” \\N \t \\. İı 😀 'x'; DROP"


async def fill(database, site, taxonomy, now):
    """Something in the tables that matter, with what is hard to carry: quotes, escapes, files, gaps in numbers."""
    async with database.writing() as session:
        for name, lang in (("a", "az"), ("a", "en"), ("b", "az"), ("gone", "az")):
            revision = Revision(0, 0, f"{name} {ODD}", ODD, "<p>x</p>", f"sözlər {lang} viza", note="")
            draft = Draft("directory", name, lang, name, "news", Urgency.NORMAL, State.PUBLIC, now, revision)
            await releases.record(session, draft, site_uids=site, now=now)
        await session.execute(text("DELETE FROM release WHERE key = 'gone'"))
        for number in range(5):
            who = await subscriptions.ensure(
                session, ChannelKind.EMAIL, f"p{number}@example.org", language="az", timezone="Asia/Baku", now=now
            )
            cadence = Cadence.DAILY if number == 4 else Cadence.IMMEDIATE
            await subscriptions.subscribe(
                session, who.id, parse("q=viza"), cadence=cadence, state=SubscriptionState.ACTIVE, consent=None, now=now
            )
        message = await ledger.announce(
            session, 1, kind=MessageKind.RELEASE, major=0, priority=Priority.NORMAL, now=now
        )
        later = now + timedelta(minutes=5)
        given = {"taxonomy": taxonomy, "order": ("az", "en"), "now": later, "tells": TELLS}
        while await ledger.fan_out(session, message.id, **given) is not None:
            pass
        await session.execute(insert(MEDIA_FILE).values(url=PICTURE, data=bytes(range(256)) * 99, kept_at=now))
        await session.execute(text("DELETE FROM subscriber WHERE address = 'p3@example.org'"))
    await meta.secret(database)


@pytest.fixture(params=[("sqlite", "postgresql"), ("postgresql", "sqlite")], ids=str)
def both_ways(request):
    return tuple(request.getfixturevalue(f"{kind}_url") for kind in request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
def into_postgresql(request, postgresql):
    there = postgresql.fresh()
    yield request.getfixturevalue(f"{request.param}_url"), there
    postgresql.drop(there)


async def test_every_row_arrives_as_it_was(both_ways, site, taxonomy, now):
    here, there = both_ways
    database = Database(here)
    await fill(database, site, taxonomy, now)
    steps = []
    async with copying.snapshot(here) as one, copying.transaction(there) as other:
        rows = await copying.total(one)
        copied = await copying.copy(one, other, steps.append)
        await numbering.carry_on(other, await numbering.given(one))
    assert copied.total == rows
    assert sum(steps) == 2 * rows  # written, and read back
    new = Database(there)
    for table in SQLModel.metadata.sorted_tables:
        async with database.reading() as before, new.reading() as after:
            was = sorted(repr(tuple(row)) for row in await before.execute(select(table)))
            assert sorted(repr(tuple(row)) for row in await after.execute(select(table))) == was
    async with new.reading() as session:
        found = select(func.count()).select_from(VARIANT).where(words.fits(session, VARIANT.c.id, ["viz", "sozl"]))
        assert await session.scalar(found) == 3
    await database.close()
    await new.close()


async def test_numbers_go_on_where_they_were(into_postgresql, site, taxonomy, now):
    here, there = into_postgresql
    database = Database(here)
    await fill(database, site, taxonomy, now)
    async with copying.snapshot(here) as one, copying.transaction(there) as other:
        await copying.copy(one, other, lambda _: None)
        await numbering.carry_on(other, await numbering.given(one))
    new = Database(there)
    async with new.writing() as session:
        revision = Revision(0, 0, "c", "", "<p>x</p>", "x", note="")
        draft = Draft("directory", "c", "az", "c", "news", Urgency.NORMAL, State.PUBLIC, now, revision)
        recorded = await releases.record(session, draft, site_uids=site, now=now)
        assert recorded.release.number == 4  # the third one was public once
        who = await subscriptions.ensure(
            session, ChannelKind.EMAIL, "new@example.org", language="az", timezone="Asia/Baku", now=now
        )
        assert who.id == 6
        assert recorded.release.change == 5
    await database.close()
    await new.close()


async def test_a_backup_skips_the_numbers_that_were_given_out_after_it(sqlite_url, site, taxonomy, now):
    database = Database(sqlite_url)
    await fill(database, site, taxonomy, now)
    async with copying.transaction(sqlite_url) as connection:
        await numbering.skip(connection, await numbering.given(connection), now)
    async with database.writing() as session:
        who = await subscriptions.ensure(
            session, ChannelKind.EMAIL, "new@example.org", language="az", timezone="Asia/Baku", now=now
        )
        made = await subscriptions.subscribe(
            session, who.id, parse(""), cadence=Cadence.DAILY, state=SubscriptionState.ACTIVE, consent=None, now=now
        )
        said = await ledger.confirmation(session, made.id, who.id, now=now)
        revision = Revision(0, 0, "c", "", "<p>x</p>", "x", note="")
        draft = Draft("directory", "c", "az", "c", "news", Urgency.NORMAL, State.PUBLIC, now, revision)
        recorded = await releases.record(session, draft, site_uids=site, now=now)
        assert min(who.id, made.id, said.id) > 1_000_000
        assert recorded.release.number > 100_000
        erased = select(SUBSCRIBER.c.state, SUBSCRIBER.c.state_reason).where(SUBSCRIBER.c.id == who.id - 1)
        assert tuple((await session.execute(erased)).one()) == ("paused", "erased")
        assert [m.id for m in await ledger.open_messages(session)] == []
        assert not [row for row in await ledger.listing(session) if row["message"].startswith("sealed:")]
        assert not [state for _, state in await ledger.counts(session) if state == "suppressed"]
    await database.close()


@pytest.mark.parametrize("table", numbering.GAPS, ids=str)
def test_a_gap_is_wider_the_older_the_backup_and_never_leads_out_of_the_numbers(table):
    last = numbering.GAPS[table].last
    ages = [timedelta(), timedelta(minutes=1), timedelta(days=1), timedelta(days=3650)]
    found = [numbering.gap(table, 50, age) for age in ages[:3]]
    assert 50 < found[0] < found[1] < found[2]
    for before in (50, last // 2, last - 10):
        assert all(before < numbering.gap(table, before, age) < last for age in ages)


async def test_what_a_newer_version_has_added_is_not_left_behind_in_silence(sqlite_url, postgresql_url):
    async with copying.transaction(sqlite_url) as connection:
        await connection.execute(text("ALTER TABLE message ADD COLUMN mood VARCHAR"))
    with pytest.raises(DatabaseTrouble, match=r"message\.mood"):
        async with copying.snapshot(sqlite_url) as one, copying.transaction(postgresql_url) as other:
            await copying.copy(one, other, lambda _: None)


async def test_what_arrives_otherwise_than_it_went_ends_the_move(
    sqlite_url, postgresql_url, site, taxonomy, now, monkeypatch
):
    database = Database(sqlite_url)
    await fill(database, site, taxonomy, now)
    await database.close()
    real = copying._write

    async def careless(target, table, rows):
        if table is MESSAGE:
            rows = [tuple("?" if value == "release" else value for value in row) for row in rows]
        await real(target, table, rows)

    monkeypatch.setattr(copying, "_write", careless)
    with pytest.raises(DatabaseTrouble, match="message: 1 rows went and 1 came, or not as they were"):
        async with copying.snapshot(sqlite_url) as one, copying.transaction(postgresql_url) as other:
            await copying.copy(one, other, lambda _: None)
    async with copying.snapshot(postgresql_url) as other:
        assert await copying.filled(other) == []


async def test_a_text_that_the_other_database_cannot_keep_is_named_by_its_table(sqlite_url, postgresql_url, now):
    async with copying.transaction(sqlite_url) as connection:
        await connection.execute(text("INSERT INTO meta (name, value) VALUES ('x', 'a' || char(0) || 'b')"))
    with pytest.raises(DatabaseTrouble, match="meta: "):
        async with copying.snapshot(sqlite_url) as one, copying.transaction(postgresql_url) as other:
            await copying.copy(one, other, lambda _: None)
