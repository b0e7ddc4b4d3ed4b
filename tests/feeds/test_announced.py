"""What live feeds say of others: hubs that push them, the same feed in other languages, the list of all feeds."""

from __future__ import annotations

import json

import pytest
from lxml import etree

HUBS = ("https://press.example.org/hub", "https://hub.example.com/")
BASE = "https://press.example.org"
LINK = "{http://www.w3.org/2005/Atom}link"


@pytest.fixture
async def live(publish, shelf, make):
    """Everything built, with two hubs."""
    shelf.put(make.release(1))
    publisher = publish(hubs=HUBS)
    await publisher.refresh(make.now)
    return lambda name: publisher.find(name).body


def links(body):
    """(relation, language, address) of the links of a feed itself, not of its entries."""
    root = etree.fromstring(body)
    holder = root if root.tag.endswith("}feed") else root[0]
    return [(one.get("rel"), one.get("hreflang"), one.get("href")) for one in holder.findall(LINK)]


@pytest.mark.parametrize("topic", ["all", "visas"])
@pytest.mark.parametrize("fmt", ["rss", "atom"])
def test_a_live_feed_names_every_hub_in_its_body(live, fmt, topic):
    assert [href for rel, _, href in links(live(f"en/{topic}.{fmt}")) if rel == "hub"] == [*HUBS]


def test_a_json_feed_names_every_hub_in_its_body(live):
    assert json.loads(live("en/visas.json"))["hubs"] == [{"type": "WebSub", "url": hub} for hub in HUBS]


@pytest.mark.parametrize("topic", ["all", "visas"])
@pytest.mark.parametrize(("fmt", "relation"), [("rss", "alternate"), ("atom", "related")])
def test_a_live_feed_names_the_same_feed_in_each_other_language(live, fmt, relation, topic):
    found = [one for one in links(live(f"en/{topic}.{fmt}")) if one[0] == relation and f".{fmt}" in one[2]]
    assert found == [(relation, lang, f"{BASE}/feeds/{lang}/{topic}.{fmt}") for lang in ("az", "ru")]


def test_a_json_feed_names_the_same_feed_in_each_other_language(live):
    assert json.loads(live("en/visas.json"))["_syndicator"]["translations"] == [
        {"language": lang, "url": f"{BASE}/feeds/{lang}/visas.json"} for lang in ("az", "ru")
    ]


def test_the_list_of_all_feeds_has_a_group_for_each_language_under_its_own_name(live):
    groups = etree.fromstring(live("index.opml")).findall("body/outline")
    assert [group.get("text") for group in groups] == ["Azərbaycanca", "English", "Русский"]
    for group, lang in zip(groups, ("az", "en", "ru"), strict=True):
        assert group.get("type") is None
        assert [one.get("xmlUrl") for one in group] == [
            f"{BASE}/feeds/{lang}/{topic}.rss" for topic in ("all", "entry", "visas", "law")
        ]
        assert {(one.get("type"), one.get("language")) for one in group} == {("rss", lang)}
