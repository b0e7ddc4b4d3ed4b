"""Custom feeds: what a feed of any filter holds, what it costs, and that strangers cannot make it cost more."""

import asyncio
import json
import threading
from dataclasses import replace
from datetime import timedelta

import feedparser
import pytest
from lxml import etree

from feeds.custom import Bounds, Crowded
from feeds.windows import KEEP_WITHDRAWN
from syndicator.domain.filters import BadFilter, canonical, parse
from syndicator.domain.model import State
from syndicator.domain.topics import Taxonomy, Topic
from tests.feeds.customs import FakeLibrary, customs_on
from tests.feeds.rules import judge

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def library(taxonomy):
    return FakeLibrary(taxonomy)


@pytest.fixture
def customs(library, site, taxonomy, texts):
    return customs_on(library, site, taxonomy, texts)


async def held(customs, text, now, fmt="json"):
    return json.loads((await customs.find(parse(text), fmt, now)).body)["items"]


async def titles(customs, text, now):
    return [item["title"] for item in await held(customs, text, now)]


# -- what it holds
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("topic=entry", [5, 4, 1]),
        ("topic=visas,law", [3, 2, 1]),
        ("topic=entry&not=visas", [5, 4]),
        ("q=kvota", [3]),
        ("q=KVOT", [3]),
        ("q=kvota&topic=visas", []),
        ("kind=notice", [4]),
        ("lang=ru", [5, 4, 3, 2, 1]),
    ],
)
async def test_a_feed_holds_what_its_filter_takes_newest_first(customs, library, make, text, numbers):
    library.put(
        make.release(1, topics=("visas",)),
        make.release(2, topics=("law",)),
        make.release(3, topics=("law",), text="Kvotalar artır"),
        replace(make.release(4, topics=("entry",)), kind="notice"),
        make.release(5, topics=("entry",)),
        make.release(6, state=State.SCHEDULED, public_at=make.now + timedelta(hours=1)),
    )
    assert await titles(customs, text, make.now) == [f"Title {n}" for n in numbers]


async def test_entries_are_byte_for_byte_those_of_the_streams(customs, library, shelf, publish, make):
    released = [make.release(n, topics=("visas",), attachments=(make.picture(),)) for n in (1, 2)]
    library.put(*released)
    for release in released:
        shelf.put(release)
    publisher = publish(hubs=("https://press.example.org/hub",))
    await publisher.refresh(make.now)
    for fmt, start, end in (
        ("rss", b"<item>", b"</channel>"),
        ("atom", b"<entry", b"</feed>"),
        ("json", b'"items":[', b"]}"),
    ):
        custom = (await customs.find(parse("topic=visas,law&lang=en"), fmt, make.now)).body
        stream = publisher.find(f"en/visas.{fmt}").body
        assert custom[custom.index(start) :] == stream[stream.index(start) :], fmt
        assert end in custom


async def test_it_says_what_it_is_in_every_format(customs, make, library):
    library.put(make.release(1))
    wanted = parse("lang=en&topic=visas,law")
    address = "https://press.example.org/feeds/custom.{}?lang=en&topic=law,visas"
    for fmt in ("rss", "atom"):
        found = feedparser.parse((await customs.find(wanted, fmt, make.now)).body)
        assert found.bozo is False
        assert found.feed.title == "Law, Visas – Migration Service & Co"
        relations = {(link["rel"], link["href"]) for link in found.feed.links}
        assert ("self", address.format(fmt)) in relations
        assert ("hub", "https://press.example.org/hub") in relations
        assert found.feed.link == "https://press.example.org/en/feeds?lang=en&topic=law,visas"
        sibling = "related" if fmt == "atom" else "alternate"
        assert (sibling, address.format(fmt).replace("lang=en", "lang=ru")) in relations
    said = json.loads((await customs.find(wanted, "json", make.now)).body)
    assert said["feed_url"] == address.format("json")
    assert said["_syndicator"]["id"] == "tag:press.example.org,2026:feed:custom:lang=en&topic=law,visas"
    assert said["description"] == "Releases of Migration Service & Co chosen by: Law, Visas"


async def test_without_a_language_it_speaks_the_sites_own(customs, library, make):
    library.put(make.release(1))
    stored = await customs.find(parse("topic=visas,law"), "json", make.now)
    assert json.loads(stored.body)["language"] == "az"
    assert stored is await customs.find(parse("lang=az&topic=law,visas"), "json", make.now)


async def test_a_feed_of_several_languages_has_the_releases_own_ids_and_says_each_ones_language(customs, library, make):
    library.put(
        make.release(1, langs=("az", "en")), make.release(2, langs=("en", "ru")), make.release(3, langs=("ru",))
    )
    items = await held(customs, "lang=en,az", make.now)
    assert [(item["id"], item["language"]) for item in items] == [
        ("tag:press.example.org,2026:release:2", "en"),
        ("tag:press.example.org,2026:release:1", "en"),
    ]
    atom = etree.fromstring((await customs.find(parse("lang=az,ru"), "atom", make.now)).body)
    langs = [e.get("{http://www.w3.org/XML/1998/namespace}lang") for e in atom.findall("{*}entry")]
    assert langs == ["ru", "ru", "az"]


async def test_a_late_translation_is_no_new_entry(customs, library, make):
    library.put(make.release(1, langs=("ru",)))
    [before] = await held(customs, "lang=az,ru", make.now)
    library.put(make.release(1, langs=("ru", "az")))
    [after] = await held(customs, "lang=az,ru", make.now)
    assert (before["language"], after["language"]) == ("ru", "az")
    assert before["id"] == after["id"]


@pytest.mark.parametrize("fmt", ["rss", "atom", "json"])
@pytest.mark.parametrize("text", ["lang=en&topic=law,visas", "lang=ru,az,en&q=body", "lang=az&q=nobody"])
async def test_it_obeys_every_rule_of_its_format(customs, library, make, fmt, text):
    withdrawn = make.release(3, state=State.WITHDRAWN, opened_at=make.now, withdrawn_at=make.now, reason="Error & co")
    corrected = make.revise(make.release(2, langs=("en",)), at=make.now, note="The fee was wrong.")
    library.put(make.release(1, attachments=(make.picture(),), rights="© The Service"), corrected, withdrawn)
    wanted = parse(text)
    served = f"https://press.example.org/feeds/custom.{fmt}?{canonical(wanted)}"
    assert judge(fmt, (await customs.find(wanted, fmt, make.now)).body, served, make.now) == []


# -- withdrawal and embargo
async def test_a_withdrawn_release_stands_as_its_notice_for_ninety_days(customs, library, make):
    release = make.release(1, text="Sirli söz", body="<p>Sirli söz</p>")
    library.put(release)
    assert await titles(customs, "q=sirli", make.now) == ["Title 1"]
    gone = make.now + SECOND
    library.put(replace(release, state=State.WITHDRAWN, withdrawn_at=gone, reason="It was wrong."))
    atom = (await customs.find(parse("q=sirli"), "atom", gone)).body.decode()
    assert "It was wrong." in atom
    assert "deleted-entry" in atom
    assert "Sirli" not in atom.replace("“sirli”", "")
    last = gone + KEEP_WITHDRAWN - SECOND
    assert len(await held(customs, "q=sirli", last)) == 1
    assert await held(customs, "q=sirli", last + SECOND) == []


async def test_what_was_written_after_a_withdrawal_cannot_be_searched_for(library, customs, make):
    """The store's index may know words that nobody has seen; the release is given as readers last knew it."""
    gone = make.now + SECOND
    known = make.release(1, state=State.WITHDRAWN, opened_at=make.now, withdrawn_at=gone, text="Köhnə mətn")
    for text in ("q=gizli", "q=kohne"):
        assert await held(customs, text, make.now) == []

    library.put(known)
    library.listing = lambda wanted, now: [known]  # as the index of an unseen revision would answer
    assert await held(customs, "q=gizli", gone + HOUR) == []
    assert len(await held(customs, "q=kohne", gone + HOUR)) == 1


async def test_a_clock_that_goes_back_hides_again_what_is_not_public_yet(customs, library, make):
    library.put(make.release(1, public_at=make.now))
    assert await titles(customs, "topic=visas,law", make.now) == ["Title 1"]
    assert await titles(customs, "topic=visas,law", make.now - SECOND) == []


# -- validators
async def test_the_validators_move_with_the_bytes_alone(customs, library, make):
    wanted = parse("topic=visas,law")
    library.put(make.release(1))
    first = await customs.find(wanted, "rss", make.now)
    library.put(make.release(2, topics=("entry",)))
    same = await customs.find(wanted, "rss", make.now + SECOND)
    assert (same.etag, same.last_modified) == (first.etag, first.last_modified)
    library.put(make.release(3))
    other = await customs.find(wanted, "rss", make.now + 2 * SECOND)
    assert other.etag != first.etag
    assert other.last_modified > first.last_modified


async def test_a_reader_that_compares_dates_learns_of_an_entry_that_left_even_after_the_feed_was_forgotten(
    library, site, taxonomy, texts, make
):
    customs = customs_on(library, site, taxonomy, texts, bounds=Bounds(feeds=1))
    wanted = parse("topic=visas,law")
    library.put(make.release(1), make.release(2))
    first = await customs.find(wanted, "rss", make.now)
    library.put(make.release(2, topics=("entry",)))
    await customs.find(parse("topic=entry,law"), "rss", make.now)
    assert not customs.holds(parse("lang=az&topic=visas,law"), "rss")
    assert (await customs.find(wanted, "rss", make.now)).last_modified > first.last_modified


async def test_a_new_process_does_not_vouch_for_what_was_before_it(library, site, taxonomy, texts, make):
    library.put(make.release(1))
    stored = await customs_on(library, site, taxonomy, texts).find(parse("topic=visas,law"), "rss", make.now)
    assert stored.last_modified == make.now


# -- what it costs
async def test_an_unchanged_store_costs_one_small_query_and_nothing_is_made_again(customs, library, make):
    library.put(make.release(1))
    first = await customs.find(parse("topic=visas,law"), "rss", make.now)
    assert (library.asked, library.listed) == (1, 1)
    assert await customs.find(parse("topic=law,visas"), "rss", make.now) is first
    assert (library.asked, library.listed) == (2, 1)


async def test_a_change_costs_one_listing_and_renders_only_what_is_new(customs, library, make, monkeypatch):
    rendered = []
    keep = customs._writer.fragment

    def spy(_, release, variant, *, mixed):
        rendered.append(release.number)
        return keep(release, variant, mixed=mixed)

    monkeypatch.setattr("feeds.custom_writer.Writer.fragment", spy)
    library.put(make.release(1), make.release(2))
    await customs.find(parse("topic=visas,law"), "rss", make.now)
    await customs.find(parse("topic=visas,law"), "atom", make.now)
    await customs.find(parse("topic=visas,entry"), "json", make.now)
    library.put(make.release(3))
    await customs.find(parse("topic=visas,law"), "rss", make.now)
    assert sorted(rendered) == [1, 2, 3]
    assert library.listed == 4


async def test_readers_that_come_together_share_one_making(customs, library, make):
    library.put(make.release(1))
    library.gate.clear()
    asking = [asyncio.create_task(customs.find(parse("topic=visas,law"), "rss", make.now)) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    library.gate.set()
    found = await asyncio.gather(*asking)
    assert all(one is found[0] for one in found)
    assert library.listed == 1


async def test_who_comes_after_a_change_gets_it_though_an_older_making_is_under_way(customs, library, make):
    library.put(make.release(1))
    library.gate.clear()
    early = asyncio.create_task(customs.find(parse("topic=visas,law"), "json", make.now))
    while not library.listed:
        await asyncio.sleep(0)
    library.put(make.release(2))
    late = asyncio.create_task(customs.find(parse("topic=visas,law"), "json", make.now))
    await asyncio.sleep(0)
    library.gate.set()
    assert b"Title 2" not in (await early).body
    assert b"Title 2" in (await late).body


async def test_few_are_made_at_a_time_and_few_may_wait(library, site, taxonomy, texts, make):
    customs = customs_on(library, site, taxonomy, texts, bounds=Bounds(at_once=2, waiting=3))
    library.gate.clear()
    asking = [asyncio.create_task(customs.find(parse(f"q=word{n}"), "rss", make.now)) for n in range(8)]
    done, waiting = await asyncio.wait(asking, timeout=0.05)
    assert [type(task.exception()) for task in done] == [Crowded] * 3
    library.gate.set()
    await asyncio.gather(*waiting)
    assert library.most_at_once == 2


async def test_a_reader_who_leaves_does_not_spoil_it_for_the_others(customs, library, make):
    library.gate.clear()
    leaving, staying = (asyncio.create_task(customs.find(parse("topic=visas,law"), "rss", make.now)) for _ in range(2))
    while not library.listed:
        await asyncio.sleep(0)
    leaving.cancel()
    library.gate.set()
    assert (await staying).body


async def test_a_store_that_cannot_be_read_is_said_once_and_spoils_nothing(customs, library, make):
    library.broken = OSError("the disk is gone")
    with pytest.raises(OSError, match="the disk is gone"):
        await customs.find(parse("topic=visas,law"), "rss", make.now)
    library.broken = None
    assert (await customs.find(parse("topic=visas,law"), "rss", make.now)).body


async def test_what_is_kept_is_served_as_it_was_while_the_store_cannot_be_read(customs, library, make):
    library.put(make.release(1))
    before = await customs.find(parse("topic=visas,law"), "rss", make.now)
    library.broken = OSError("the database is away")
    assert await customs.find(parse("topic=visas,law"), "rss", make.now) is before
    with pytest.raises(OSError, match="away"):
        await customs.find(parse("topic=visas,law&q=new"), "rss", make.now)
    library.broken = None
    library.put(make.release(2))
    assert (await customs.find(parse("topic=visas,law"), "rss", make.now)).body != before.body


async def test_strangers_random_filters_neither_fill_the_memory_nor_push_out_what_is_read(
    library, site, taxonomy, texts, make
):
    bounds = Bounds(feeds=40, feeds_size=300_000, entries=50, entries_size=100_000, validators=60)
    customs = customs_on(library, site, taxonomy, texts, bounds=bounds)
    library.put(*(make.release(n) for n in range(1, 5)))
    read = [parse("topic=visas,law"), parse("topic=entry,law")]
    for _ in range(2):
        for one in read:
            await customs.find(one, "rss", make.now)
    for n in range(150):
        await customs.find(parse(f"q=stranger{n}"), "rss", make.now)
    number, size = customs.kept
    assert number <= 40
    assert size <= 400_000
    assert len(customs._told) <= 60
    before = library.listed
    for one in read:
        await customs.find(one, "rss", make.now)
    assert library.listed == before


async def test_one_entry_that_cannot_be_rendered_is_left_out_and_the_feed_ships(customs, library, make, monkeypatch):
    library.put(make.release(1), make.release(2))
    whole = customs_on(library, customs.site, customs.taxonomy, customs._writer.texts)

    def refuse(entry):
        raise ValueError("no")

    monkeypatch.setattr("feeds.custom_writer.build.fragment_of", refuse)
    assert await held(customs, "topic=visas,law", make.now) == []
    monkeypatch.undo()
    assert len(await held(whole, "topic=visas,law", make.now)) == 2


# -- lists, and topics renamed
async def test_the_subscription_list_names_the_feed_and_each_topics_own_stream(customs, make):
    stored = await customs.find(parse("lang=en&topic=visas,law&not=entry"), "opml", make.now)
    outlines = etree.fromstring(stored.body).findall(".//outline")
    assert [o.get("xmlUrl") for o in outlines] == [
        "https://press.example.org/feeds/custom.rss?lang=en&topic=law,visas&not=entry",
        "https://press.example.org/feeds/en/law.rss",
        "https://press.example.org/feeds/en/visas.rss",
    ]
    assert outlines[1].get("text") == "Law – Migration Service & Co"


async def test_a_subscription_list_is_made_once_in_a_thread_and_counts_as_what_is_made(
    customs, library, make, monkeypatch
):
    wanted, threads = parse("lang=en&topic=visas,law"), []
    assert not customs.holds(wanted, "opml")
    keep = customs._writer.subscriptions
    spy = lambda _, one: threads.append(threading.current_thread()) or keep(one)  # noqa: E731
    monkeypatch.setattr("feeds.custom_writer.Writer.subscriptions", spy)
    first = await customs.find(wanted, "opml", make.now)
    assert customs.holds(wanted, "opml")
    library.put(make.release(1))
    assert await customs.find(wanted, "opml", make.now + HOUR) is first
    assert [thread is threading.main_thread() for thread in threads] == [False]
    assert customs.kept[0] == 1


async def test_the_list_of_a_streams_filter_is_that_stream(customs, make):
    stored = await customs.find(parse("lang=en&topic=visas"), "opml", make.now)
    assert [o.get("xmlUrl") for o in etree.fromstring(stored.body).iter("outline")] == [
        "https://press.example.org/feeds/en/visas.rss"
    ]


async def test_a_former_slug_holds_what_the_new_one_does(site, texts, make):
    names = {"az": "Vizalar", "en": "Visas", "ru": "Визы"}
    taxonomy = Taxonomy((Topic("visas", names, None, {}, ("visa-rules",)), Topic("law", names)))
    library = FakeLibrary(taxonomy)
    library.put(make.release(1, topics=("visa-rules",)), make.release(2, topics=("visas",)))
    customs = customs_on(library, site, taxonomy, texts)
    assert await titles(customs, "topic=visa-rules,law", make.now) == ["Title 2", "Title 1"]
    assert await titles(customs, "topic=visas,law", make.now) == ["Title 2", "Title 1"]
    with pytest.raises(BadFilter, match="never match"):
        await customs.find(parse("topic=visas&not=visa-rules"), "rss", make.now)
