"""Custom feeds as topics, and other hubs that are told of every stream."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from feeds.files import etag_of
from syndicator.domain.topics import Taxonomy
from tests.hub.conftest import FEED

CUSTOM = "custom.atom?lang=en,az&topic=visas"
FILTER = "lang=en,az&topic=visas"


async def test_a_custom_feed_is_made_anew_only_when_the_store_has_changed(house, subscribe, reader):
    house.custom.held[FILTER] = "one"
    await subscribe(reader.url(), topic=house.topic(CUSTOM))
    before = house.custom.made
    for _ in range(3):
        await house.go()
    assert house.custom.made == before
    house.streams.put(FEED, "second")
    await house.go()
    assert house.custom.made == before + 1
    assert reader.got == []
    house.custom.held[FILTER] = "two"
    house.streams.put(FEED, "third")
    await house.go()
    assert reader.bodies() == ["two"]
    assert reader.got[0].headers["Link"].endswith(f'<{house.topic(CUSTOM)}>; rel="self"')


async def test_a_custom_feed_that_cannot_be_made_now_is_tried_again(house, subscribe, reader):
    house.custom.held[FILTER] = "one"
    house.custom.broken = OSError("crowded")
    await subscribe(reader.url(), topic=house.topic(CUSTOM))
    assert await house.leases() == []
    house.custom.broken = None
    house.later(minutes=2)
    await house.run("hub-verify")
    assert len(await house.leases()) == 1


async def test_a_custom_feed_is_made_for_nobody_whose_callback_has_not_agreed(house, subscribe, reader):
    async def never(request):
        return web.Response(status=404)

    reader.verify = never
    house.custom.held[FILTER] = "one"
    await subscribe(reader.url(), topic=house.topic(CUSTOM))
    assert (len(reader.asked), house.custom.made) == (1, 0)


async def test_what_changes_while_the_callback_is_asked_is_news_to_it(house, subscribe, reader):
    async def agrees(request):
        house.custom.held[FILTER] = "two"
        house.streams.put(FEED, "second")
        return web.Response(text=request.query["hub.challenge"])

    reader.verify = agrees
    house.custom.held[FILTER] = "one"
    await subscribe(reader.url(), topic=house.topic(CUSTOM))
    await house.go()
    assert reader.bodies() == ["two"]


@pytest.mark.parametrize("error", [OSError("crowded"), ZeroDivisionError("a bug")])
async def test_a_custom_feed_that_cannot_be_made_holds_up_no_other(house, subscribe, reader, error):
    others = "lang=en,az&kind=notice"
    house.custom.held |= {FILTER: "one", others: "one"}
    await subscribe(reader.url("/custom"), topic=house.topic(CUSTOM))
    await subscribe(reader.url("/other"), topic=house.topic(f"custom.atom?{others}"))
    await subscribe(reader.url("/stream"))
    find = house.custom.find

    async def failing(wanted, fmt, now):
        if wanted.topics:
            raise error
        return await find(wanted, fmt, now)

    house.custom.find = failing
    house.custom.held |= {FILTER: "two", others: "two"}
    house.streams.put(FEED, "second")
    await house.go()
    assert (reader.bodies("/stream"), reader.bodies("/other"), reader.bodies("/custom")) == (["second"], ["two"], [])
    house.custom.find = find
    house.later(seconds=10)
    await house.go()
    assert reader.bodies("/custom") == ["two"]


@pytest.mark.parametrize("name", [FEED, CUSTOM])
async def test_a_feed_that_goes_comes_back_and_changes_is_told_again(house, subscribe, reader, name):
    def put(text):
        if name == CUSTOM:
            house.custom.held[FILTER] = text
        house.streams.put(FEED if name == FEED else "en/other.atom", text)

    for text in ("one", "two"):
        put(text)
        if text == "one":
            await subscribe(reader.url(), topic=house.topic(name))
        await house.go()
    house.custom.held.clear()
    house.streams.held.clear()
    house.streams.built += 1
    await house.go()
    assert await house.leases() == []
    put("three")
    await subscribe(reader.url(), topic=house.topic(name))
    put("four")
    await house.go()
    assert reader.bodies() == ["two", "four"]
    assert await house.messages() == [f"feed:{name}:1", f"feed:{name}:2"]


def without_visas(topics):
    return tuple(topic for topic in topics if "visas" not in (topic.slug, topic.parent))


def visas_renamed(topics):
    """Its old name still leads to the new one, and is no address of its own."""
    return tuple(
        replace(topic, slug="entry", was=("visas",)) if topic.slug == "visas" else topic
        for topic in topics
        if topic.parent != "visas"
    )


@pytest.mark.parametrize("changed", [without_visas, visas_renamed])
async def test_a_topic_that_was_dropped_or_renamed_ends_the_leases_of_its_custom_feeds(
    house, subscribe, reader, changed
):
    house.custom.held[FILTER] = "one"
    await subscribe(reader.url(), topic=house.topic(CUSTOM))
    house.taxonomy = Taxonomy(changed(house.taxonomy.topics))
    await house.restart()
    house.streams.built += 1
    await house.go()
    assert await house.leases() == []
    assert reader.asked[-1]["hub.mode"] == "denied"


async def test_a_site_that_is_no_hub_any_more_ends_what_it_held_and_says_so(build, house, subscribe, reader):
    await subscribe(reader.url())
    await house.close()
    house.takes = False
    house.open()
    await house.go()
    await house.go()
    assert await house.leases() == []
    assert (reader.asked[-1]["hub.mode"], reader.asked[-1]["hub.reason"]) == ("denied", "this site is no hub any more")
    assert "hub-news" not in [job.name for job in await house.hub.pending(house.now)]


async def test_a_filter_that_fits_nothing_any_more_is_denied(house, subscribe, reader):
    house.custom.held[FILTER] = "one"
    await subscribe(reader.url(), topic=house.topic(CUSTOM))
    del house.custom.held[FILTER]
    house.streams.put(FEED, "second")
    await house.go()
    assert reader.asked[-1]["hub.mode"] == "denied"
    assert await house.leases() == []


def pings(reader, path="/hub"):
    return [parse_qs(got.body.decode()) for got in reader.got if got.path == path]


async def test_other_hubs_are_told_of_every_changed_stream_and_of_nothing_before(build, reader):
    house = build(hubs=(reader.url("/hub"),))
    house.streams.put("az/visas.rss", "one")
    house.streams.put("az.opml", "a list")
    await house.go()
    assert reader.got == []
    house.streams.put("az/visas.rss", "two")
    house.streams.put("az.opml", "another list")
    await house.go()
    await house.go()
    topic = house.topic("az/visas.rss")
    assert pings(reader) == [{"hub.mode": ["publish"], "hub.url": [topic], "hub.topic": [topic]}]
    assert reader.got[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_hub_in_trouble_is_told_later_and_410_does_not_end_it(build, reader):
    house = build(hubs=(reader.url("/hub"), reader.url("/other")))
    await house.go()
    reader.answers["/hub"] = 410
    house.streams.put(FEED, "second")
    await house.go()
    assert len(pings(reader, "/other")) == 1
    reader.answers["/hub"] = 202
    house.later(minutes=2)
    await house.go()
    assert len(pings(reader)) == 2
    assert [state for _, state, _ in await house.states()] == ["sent", "sent"]


async def test_a_hub_that_left_the_configuration_is_told_nothing_more(build, reader):
    house = build(hubs=(reader.url("/hub"),))
    await house.go()
    reader.answers["/hub"] = 500
    house.streams.put(FEED, "second")
    await house.go()
    house.hubs = ()
    await house.restart()
    house.later(minutes=5)
    await house.go()
    assert len(reader.got) == 1
    assert (await house.states())[0][1:] == ("failed", "the hub is no longer configured")


async def test_subscribers_and_hubs_are_told_side_by_side(build, reader):
    from tests.hub.conftest import face_of  # noqa: PLC0415  # only here

    house = build(hubs=(reader.url("/hub"),))
    await house.go()
    values = {"hub.mode": "subscribe", "hub.topic": house.topic(), "hub.callback": reader.url("/cb")}
    async with face_of(house) as client, client.post("/hub", data=values):
        pass
    await house.go()
    house.streams.put(FEED, "second")
    await house.go()
    assert (len(pings(reader)), reader.bodies("/cb")) == (1, ["second"])
    assert (await house.told())[FEED]["etag"] == etag_of(b"second")


def test_a_callback_is_no_person_that_could_be_imported(site, taxonomy):
    from syndicator.pipeline.importing import BadRow, read_rows  # noqa: PLC0415  # only here

    head = "address,channel,language,filter,cadence,consent_at,consent_source,consent_text\n"
    row = "http://reader.example.org/,websub,az,,immediate,2026-11-01T10:00:00+04:00,desk,yes\n"
    (bad,) = read_rows([head, row], site, taxonomy)
    assert isinstance(bad, BadRow)
    assert "email" in bad.reason
