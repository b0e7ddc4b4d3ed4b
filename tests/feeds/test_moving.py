"""A site that moves to another address keeps every id that it ever gave out; its addresses move along."""

import json
from dataclasses import replace

import pytest
from lxml import etree

from feeds.custom_writer import Writer
from feeds.streams import ALL, Stream, describe
from syndicator.domain.filters import parse
from syndicator.domain.topics import Taxonomy, Topic
from tests.program import Program, make_program, wait_for

ATOM = "{http://www.w3.org/2005/Atom}"
OLD, NEW = "http://localhost:8080", "https://press.example.org"


def test_a_feeds_id_is_of_what_it_was_minted_under_and_its_addresses_of_today(site, taxonomy, texts):
    moved = replace(site, base_url="https://elsewhere.example", minted_under="press.example.org")
    here, there = (describe(Stream("en", ALL), one, taxonomy, texts) for one in (site, moved))
    assert here.uid == there.uid == "tag:press.example.org,2026:feed:en:all"
    assert there.page == "https://elsewhere.example/en/"


@pytest.mark.parametrize("was", [("visas",), ("visas", "visa-rules")])
async def test_a_topic_that_was_renamed_keeps_the_id_of_its_feed_in_every_format_and_of_its_archives(
    publish, archive, shelf, make, was
):
    """However often it is renamed: the id is of the slug that it had first."""
    shelf.put(make.release(1, topics=("visas",)))
    month = make.release(1).public_at.strftime("%Y-%m")
    taxonomy = Taxonomy((Topic("entry-visas", {"en": "Visas"}, was=was),))
    publisher = publish(taxonomy=taxonomy)
    await publisher.refresh(make.now)
    archives = archive(publisher, taxonomy=taxonomy)
    await archives.build_all(make.now)
    for stem in ("en/entry-visas", f"en/entry-visas/{month}"):
        for fmt in ("rss", "atom", "json"):
            stored = publisher.find(f"{stem}.{fmt}") or await archives.find(f"{stem}.{fmt}")
            if fmt == "atom":
                assert facts(stored.body)[0][0] == "tag:press.example.org,2026:feed:en:visas"
            elif fmt == "json":
                assert json.loads(stored.body)["_syndicator"]["id"] == "tag:press.example.org,2026:feed:en:visas"
            assert f"/feeds/{stem}.{fmt}".encode() in stored.body


def test_a_custom_feed_keeps_its_id_when_its_topics_are_renamed(site, taxonomy, texts):
    renamed = Taxonomy(
        (Topic("entry-visas", {"en": "Visas"}, was=("visas",)), Topic("a-law", {"en": "Law"}, was=("law",)))
    )
    before, after = (Writer(site, one, texts, 60) for one in (taxonomy, renamed))
    old = before.channel(parse("lang=en&topic=visas,law&not=entry"))
    new = after.channel(parse("lang=en&topic=entry-visas,a-law&not=entry"))
    assert old.uid == new.uid == "tag:press.example.org,2026:feed:custom:lang=en&topic=law,visas&not=entry"
    assert old.addresses != new.addresses


def atom_of(program: Program, out: str) -> bytes:
    """The feed as the command builds it."""
    program.command("feeds", "build", "--out", out)
    return (program.folder / out / "en" / "all.atom").read_bytes()


def facts(body: bytes) -> tuple[list[str], list[str]]:
    """(ids, addresses) of a feed and its entries."""
    root = etree.fromstring(body)
    return [one.text for one in root.iter(f"{ATOM}id")], [one.get("href") for one in root.iter(f"{ATOM}link")]


def test_moving_the_whole_site_keeps_the_ids_of_feeds_and_entries_for_commands_and_service_alike(tmp_path):
    program = make_program(tmp_path, warm=True)
    program.environ["SYNDICATOR_SITE__BASE_URL"] = OLD
    program.write("fees.en.txt", "Fees change\n\nThe fee is lower.\n")
    program.command("migrate")
    program.command("harvest")
    ids, addresses = facts(atom_of(program, "old"))
    assert ids[0] == "tag:localhost,2026:feed:en:all"
    assert len(ids) == 2
    assert all(address.startswith(f"{OLD}/") for address in addresses)

    program.environ["SYNDICATOR_SITE__BASE_URL"] = NEW
    program.write("visas.en.txt", "Visas\n\nA release from after the move.\n")
    try:
        program.start()
        wait_for(lambda: len(program.feed()["items"]) == 2, "the second release")
        served = program.get("/feeds/en/all.atom")[1]
        document = json.loads(program.get("/feeds/en/all.json")[1])
    finally:
        program.stop()
    kept, moved = facts(served)
    assert set(ids) < set(kept)
    assert kept[0] == ids[0] == document["_syndicator"]["id"]
    assert all(address.startswith(f"{NEW}/") for address in moved)
    assert facts(atom_of(program, "new")) == (kept, moved)
