"""Lists cut by place: every release once, while others come and go; nothing read that is not needed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.event import listen

from syndicator.domain.filters import parse
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.store.releases import Place
from tests.store.conftest import Press
from tests.whole.house import examples

LANGS = st.lists(st.sampled_from(["az", "en", "ru"]), min_size=1, unique=True)


@dataclass
class Shelf:
    """Releases that come and go. `at` is minutes before now: many have the same time."""

    press: object
    session: object
    now: object
    public: dict[int, tuple] = field(default_factory=dict)
    keys: int = 0

    async def publish(self, at, langs, topic):
        self.keys += 1
        for lang in langs:
            recorded = await self.press.record(
                self.session,
                f"k{self.keys}",
                lang,
                topics=(topic,),
                public_at=self.now - timedelta(minutes=at),
                now=self.now,
            )
        self.public[recorded.release.number] = (recorded.release.public_at, recorded.release.number)

    async def withdraw(self, place):
        number = sorted(self.public)[place % len(self.public)]
        await releases.withdraw(self.session, number, "", self.now)
        del self.public[number]

    async def play(self, actions):
        for name, *what in actions:
            if name == "publish":
                await self.publish(*what)
            elif self.public:
                await self.withdraw(*what)


topics = st.sampled_from(["visas", "e-visa", "office"])
publications = st.tuples(st.just("publish"), st.integers(0, 3), LANGS, topics)
actions = st.one_of(publications, st.tuples(st.just("withdraw"), st.integers(0, 99)))
wishes = st.sampled_from(["", "lang=az", "lang=ru,en", "topic=visas", "not=visas", "lang=en&topic=migration"])


async def every(session, wanted, taxonomy, now):
    found = await releases.listing_after(session, wanted, taxonomy, lang=None, now=now, limit=1000)
    assert len(found) == await releases.count(session, wanted, taxonomy, lang=None, now=now)
    return {release.number for release in found}


async def walk(shelf, before, between, limit, wanted, taxonomy):
    """Publishes, then walks to the end while others publish and withdraw between two parts."""
    await shelf.play(before)
    seen, after, changes = [], None, iter(between)
    there = await every(shelf.session, wanted, taxonomy, shelf.now)
    more = True
    while more:
        part = await releases.listing_after(
            shelf.session, wanted, taxonomy, lang=None, now=shelf.now, limit=limit, after=after
        )
        seen += [(release.public_at, release.number) for release in part]
        more = len(part) == limit
        after = Place(*seen[-1]) if seen else None
        await shelf.play(next(changes, ()))
        there &= await every(shelf.session, wanted, taxonomy, shelf.now)
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen))
    assert there <= {number for _, number in seen}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_walk_meets_all_that_was_there_all_along_once_and_nothing_twice(request, kind, taxonomy, site, now):
    url = request.getfixturevalue(f"{kind}_url")

    async def through(*example):
        database = Database(url)
        try:
            async with database.writing() as session:
                await walk(Shelf(Press(site, now), session, now), *example, taxonomy)
                await session.rollback()
        finally:
            await database.close()

    @settings(
        max_examples=examples(6 if kind == "sqlite" else 3),
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        before=st.lists(publications, min_size=1, max_size=6),
        between=st.lists(st.lists(actions, max_size=2), max_size=3),
        limit=st.integers(1, 3),
        wish=wishes,
    )
    def walked(before, between, limit, wish):
        asyncio.run(through(before, between, limit, parse(wish)))

    walked()


@pytest.mark.parametrize("wish", ["", "lang=az", "lang=az,en", "topic=visas", "not=visas&kind=news"])
@pytest.mark.parametrize(
    "more", [{}, {"after": True}, {"since": True}, {"until": True}, {"until": True, "by_update": True}]
)
async def test_a_part_of_a_list_is_found_in_its_order_from_its_place_on(sqlite_database, taxonomy, now, wish, more):
    values = {name: now if name in ("since", "until") else value for name, value in more.items()}
    if "after" in values:
        values["after"] = Place(now, 7)

    async def ask(session):
        await releases.listing_after(session, parse(wish), taxonomy, lang=None, now=now, limit=9, **values)

    steps = await plan(sqlite_database, ask)
    assert not any("ORDER BY" in step for step in steps), steps
    assert steps[0].startswith("SEARCH release USING INDEX ix_release_"), steps
    assert "public_at<" in steps[0], steps


@pytest.mark.parametrize(
    "ask",
    [
        lambda session, now: releases.public_changes(session, 5, now=now, limit=9),
        releases.last_public_change,
    ],
    ids=["changes", "last change"],
)
async def test_changes_are_found_in_their_order_from_their_number_on(sqlite_database, now, ask):
    steps = await plan(sqlite_database, lambda session: ask(session, now))
    assert not any("ORDER BY" in step for step in steps), steps
    assert "ix_release_change" in steps[0], steps


async def plan(database, ask):
    asked = []
    async with database.reading() as session:
        connection = await session.connection()
        listen(connection.sync_connection, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
        await ask(session)
        statement, values = asked[0]
        explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return [step[3] for step in explained]
