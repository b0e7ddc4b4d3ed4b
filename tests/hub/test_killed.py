"""The process dies between any two steps: nothing is lost, and only what was on its way may come twice."""

from __future__ import annotations

import pytest

from syndicator.store import hub, hub_news, hub_requests
from tests.hub.conftest import FEED


class Killed(BaseException):
    """The process is gone; nothing catches this."""


def dying(monkeypatch, module, name, *, after=False):
    """Kill the process before (or right after) that step, once."""
    real = getattr(module, name)
    state = {"left": 1}

    async def step(*args, **kwargs):
        if state["left"]:
            state["left"] = 0
            if after:
                await real(*args, **kwargs)
            raise Killed
        return await real(*args, **kwargs)

    monkeypatch.setattr(module, name, step)


VERIFYING = [
    ("asked, nothing done yet", "outgoing.ask", False),
    ("the callback has agreed, nothing is written", "outgoing.ask", True),
    ("the lease is written, not committed", "activate", True),
]


@pytest.mark.parametrize(("_", "step", "after"), VERIFYING, ids=[one[0] for one in VERIFYING])
async def test_a_request_survives_until_its_callback_has_answered(
    house, subscribe, reader, monkeypatch, _, step, after
):
    await subscribe(reader.url(), verify=False)
    if step == "outgoing.ask":
        dying(monkeypatch, house.outgoing, "ask", after=after)
    else:
        dying(monkeypatch, hub, step, after=after)
    with pytest.raises(Killed):
        await house.run("hub-verify")
    assert await house.leases() == []
    await house.restart()
    await house.go()
    assert len(await house.leases()) == 1
    assert len({asked["hub.challenge"] for asked in reader.asked}) == 1


NEWS = [
    ("before anything", hub_news, "announce", False),
    ("all is written, not committed", hub_news, "announce", True),
]


@pytest.mark.parametrize(("_", "module", "step", "after"), NEWS, ids=[one[0] for one in NEWS])
async def test_news_are_written_whole_or_not_at_all(house, subscribe, reader, monkeypatch, _, module, step, after):
    await subscribe(reader.url())
    before = (await house.told())[FEED]
    house.streams.put(FEED, "second")
    dying(monkeypatch, module, step, after=after)
    with pytest.raises(Killed):
        await house.run("hub-news")
    assert (await house.told())[FEED] == before
    assert await house.messages() == []
    await house.restart()
    await house.go()
    assert reader.bodies() == ["second"]
    assert await house.messages() == [f"feed:{FEED}:1"]


async def test_news_that_are_written_and_not_sent_are_sent_after_the_start(house, subscribe, reader):
    await subscribe(reader.url())
    house.streams.put(FEED, "second")
    await house.run("hub-news")
    await house.restart()
    await house.send()
    assert reader.bodies() == ["second"]


SENDING = [
    ("claimed, not sent", "ask", False, 1),
    ("sent, and nothing written down", "ask", True, 2),
    ("sent and kept, the ledger has not heard", "note", True, 1),
]


@pytest.mark.parametrize(("_", "step", "after", "times"), SENDING, ids=[one[0] for one in SENDING])
async def test_only_what_was_on_its_way_may_come_twice(house, subscribe, reader, monkeypatch, _, step, after, times):
    await subscribe(reader.url())
    house.streams.put(FEED, "second")
    await house.run("hub-news")
    if step == "ask":
        dying(monkeypatch, house.outgoing, step, after=after)
    else:
        monkeypatch.setattr(house.settler, "settle", dead)
    with pytest.raises(Killed):
        await house.send()
    assert [state for _, state, _ in await house.states()] == ["sending"]
    await house.restart()
    await house.go()
    assert reader.bodies() == ["second"] * times
    assert [state for _, state, _ in await house.states()] == ["sent"]


async def dead(*args, **kwargs):
    raise Killed


async def test_what_changed_while_nobody_ran_is_told_after_the_start(house, subscribe, reader):
    await subscribe(reader.url())
    house.streams.put(FEED, "second")
    await house.restart()
    house.streams.put(FEED, "third")
    await house.go()
    assert reader.bodies() == ["third"]


async def test_two_who_tell_the_same_news_tell_it_once(house, subscribe, reader):
    await subscribe(reader.url())
    house.streams.put(FEED, "second")
    told = (await house.told())[FEED]
    for expected in (1, None):
        async with house.database.writing() as session:
            values = {"before": told["etag"], "built": 9, "hubs": (), "now": house.now}
            assert await hub_news.announce(session, FEED, etag='"new"', **values) == expected


async def test_a_request_that_was_done_meanwhile_is_not_done_twice(house, subscribe, reader):
    await subscribe(reader.url(), verify=False)
    async with house.database.reading() as session:
        (request,) = await hub_requests.due_requests(session, house.now, 9)
    await house.run("hub-verify")
    values = {"etag": "", "built": 1, "tracked": False, "language": "az", "timezone": "Asia/Baku", "now": house.now}
    async with house.database.writing() as session:
        assert not await hub_requests.drop(session, request)
        assert not await hub.activate(session, request, **values)
        assert not await hub.end(session, request, house.now)
    assert len(await house.leases()) == 1


async def test_a_row_of_older_news_that_was_on_its_way_is_overtaken_when_it_is_claimed_again(house, subscribe, reader):
    await subscribe(reader.url())
    house.streams.put(FEED, "second")
    await house.run("hub-news")
    house.settler.settle = dead
    with pytest.raises(Killed):
        await house.send()
    house.streams.put(FEED, "third")
    await house.run("hub-news")  # the older row stands `sending` now, and is not touched
    await house.restart()
    await house.go()
    assert reader.bodies() == ["second", "third"]
    assert sorted(state for _, state, _ in await house.states()) == ["sent", "suppressed"]
