"""The hub's work goes to another machine, whose feeds may stand at an earlier change than those that were told."""

from __future__ import annotations

import pytest

from syndicator.store import hub_news
from tests.hub.conftest import FEED

FILTER = "lang=en,az&topic=visas"
CUSTOM = f"custom.atom?{FILTER}"


@pytest.fixture
def behind(build, house):
    """Another machine, which has not heard of the last change yet."""
    made = build()
    made.streams.built = house.streams.built
    return made


@pytest.mark.parametrize("hubs", [(), ("https://hub.example.org/",)])
async def test_a_machine_that_is_behind_tells_nothing_old_and_what_is_new_once_it_has_heard(
    house, behind, subscribe, reader, hubs
):
    await subscribe(reader.url())
    house.streams.put(FEED, "withdrawn")
    await house.go()
    behind.hub._hubs = hubs
    due = {job.name for job in await behind.hub.pending(behind.now) if job.due <= behind.now}
    assert "hub-news" not in due, "it waits until it has heard, and does not ask itself again and again"
    await behind.run("hub-news")
    await behind.send()
    assert reader.bodies() == ["withdrawn"], "the text of before is not told again"
    for text in ("withdrawn", "and a new one"):
        behind.streams.put(FEED, text)
        await behind.go()
    assert reader.bodies() == ["withdrawn", "and a new one"]


async def test_a_custom_feed_is_made_on_no_machine_that_is_behind(house, behind, subscribe, reader):
    for one in (house, behind):
        one.custom.held[FILTER] = "first"
    await subscribe(reader.url(), topic=house.topic(CUSTOM))
    house.custom.held[FILTER] = "second"
    house.streams.put("en/all.rss", "moved")
    await house.go()
    await behind.run("hub-customs")
    await behind.send()
    assert reader.bodies() == ["second"]
    assert (await house.told())[CUSTOM]["built"] == house.streams.built


async def test_news_of_an_earlier_change_that_come_late_are_none(house, subscribe, reader):
    await subscribe(reader.url())
    before = (await house.told())[FEED]["etag"]

    async def announced(built, etag, before):
        async with house.database.writing() as session:
            return await hub_news.announce(session, FEED, etag=etag, before=before, built=built, hubs=(), now=house.now)

    assert await announced(9, "b", before) == 1
    assert await announced(8, before, "b") is None
    assert await announced(10, "c", "b") == 1
    assert (await house.told())[FEED]["etag"] == "c"
