"""Signing up where several machines answer: one visitor has one share, and no answer tells who is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from syndicator.domain.tokens import Tokens
from syndicator.pipeline.crowds import SHARE, TURNS, SharedCrowds
from syndicator.store.database import Database
from syndicator.store.tables import RATE
from syndicator.web.limits import Limits, Window
from syndicator.web.shared_limits import SharedLimits

TOKENS = Tokens(b"one secret of sixteen")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def machines(postgresql_url):
    """Two machines' ways to the one database."""
    opened = [Database(postgresql_url) for _ in range(2)]
    yield opened
    for one in opened:
        await one.close()


async def test_a_visitor_has_one_share_whichever_machine_answers(machines):
    limits = [SharedLimits(one, TOKENS, each=Window(4, 4 * MINUTE)) for one in machines]
    assert [await limits[turn % 2].take("192.0.2.7") for turn in range(4)] == [(0, False)] * 4
    for limit in limits:
        wait, busy = await limit.take("192.0.2.7")
        assert 55 <= wait <= 60
        assert not busy
        assert await limit.take("192.0.2.8") == (0, False)


async def test_many_together_make_the_site_busy_and_nobody_is_refused(database, now):
    limits = SharedLimits(database, TOKENS, everybody=Window(3, 3 * MINUTE))
    found = [await limits.take(f"192.0.2.{visitor}", now) for visitor in range(5)]
    assert found == [(0, False)] * 3 + [(0, True)] * 2
    assert await limits.take("192.0.2.8", now + MINUTE) == (0, True)
    assert await limits.take("192.0.2.9", now + 3 * MINUTE) == (0, False)


@pytest.mark.parametrize(("each_second", "busy"), [(2.0, True), (1.2, True), (0.8, False)])
async def test_a_site_stays_busy_until_fewer_come_than_it_expects(database, now, each_second, busy):
    expected = Window(20, timedelta(seconds=20))
    shared, alone = SharedLimits(database, TOKENS, everybody=expected), Limits(everybody=expected)
    found, as_in_memory = [], []
    for visitor in range(100):
        rate = 2.0 if visitor < 60 else each_second
        now += timedelta(seconds=1 / rate)
        wait, is_busy = await shared.take(f"192.0.2.{visitor}", now)
        assert (wait, alone.take(f"192.0.2.{visitor}", now)) == (0, 0)
        found.append(is_busy)
        as_in_memory.append(alone.busy(now))
    assert all(found[41:60]), "every one of a flood that goes on, not each second one"
    assert found[-10:] == as_in_memory[-10:] == [busy] * 10


async def test_machines_measure_one_flow_together(machines):
    limits = [SharedLimits(one, TOKENS, everybody=Window(3, 3 * MINUTE)) for one in machines]
    assert [(await limits[turn % 2].take(f"192.0.2.{turn}"))[1] for turn in range(6)] == [False] * 3 + [True] * 3


async def test_a_refused_turn_is_not_counted_so_waiting_always_helps(database, now):
    limits = SharedLimits(database, TOKENS, each=Window(2, 2 * MINUTE))
    for _ in range(2):
        await limits.take("192.0.2.7", now)
    waits = {(await limits.take("192.0.2.7", now))[0] for _ in range(10)}
    assert waits == {60}
    assert await limits.take("192.0.2.7", now + MINUTE) == (0, False)


async def test_a_domains_line_is_one_for_all_and_a_network_has_its_share_of_it(machines, now):
    here, there = (SharedCrowds(one, TOKENS) for one in machines)
    turns = [await (here, there)[number % 2].turn("gov.example", now) for number in range(TURNS + 2)]
    assert turns[:TURNS] == [now] * TURNS
    assert turns[TURNS] < turns[TURNS + 1] <= now + MINUTE
    assert await here.turn("gmail.com", now) == now
    places = [await (here, there)[number % 2].share("a.example", "192.0.2.0/24", now) for number in range(SHARE + 1)]
    assert places[:SHARE] == [now] * SHARE
    assert places[SHARE] > now
    assert await there.share("a.example", "198.51.100.0/24", now) == now
    assert await there.share("a.example", "", now) == now


async def test_nobody_can_be_read_out_of_what_is_kept(machines, now):
    await SharedLimits(machines[0], TOKENS).take("192.0.2.7")
    await SharedCrowds(machines[0], TOKENS).share("small-firm.example", "192.0.2.0/24", now)
    async with machines[0].reading() as session:
        kept = " ".join(await session.scalars(select(RATE.c.name)))
    assert "192.0.2" not in kept
    assert "small-firm" not in kept


async def test_pages_keep_the_shared_limit_and_answer_alike_whoever_is_asked_for(
    parts, open_site, clock, people, postgresql_url
):
    shared = Database(postgresql_url)
    limits = SharedLimits(shared, TOKENS, each=Window(3, 3 * MINUTE))
    sites = [await open_site(replace(parts, limits=limits)) for _ in range(2)]
    page = await sites[0].text("/en/subscribe")
    made = page.split('name="made" value="')[1].split('"')[0]
    clock.move(seconds=5)

    async def send(site, email):
        answer = await site.post("/en/subscribe", {"made": made, "email": email, "language": "en"})
        return answer.status, await answer.text(), answer.headers.get("Retry-After")

    first = await send(sites[0], "known@example.org")
    await people.heard()
    again = await send(sites[1], "known@example.org")
    unknown = await send(sites[0], "unknown@example.org")
    assert first == again == unknown
    assert first[0] == 200
    refused = [await send(sites[1], address) for address in ("known@example.org", "unknown@example.org")]
    assert [status for status, _, _ in refused] == [429, 429]
    assert {after for _, _, after in refused} <= {"59", "60"}
    await shared.close()
