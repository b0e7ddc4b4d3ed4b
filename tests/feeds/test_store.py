"""Feeds from the real store: a release's whole life, as readers see it."""

import json
from datetime import timedelta

import pytest

from feeds.publisher import Publisher
from syndicator.domain.model import Revision, State, Urgency
from syndicator.metrics import Metrics
from syndicator.store import releases
from syndicator.store.releases import Draft


@pytest.fixture
def press(database, site):
    """Write releases as intake would."""

    async def record(key, lang, title, *, now, **values):
        note = values.pop("note", "")
        usual = {"kind": "news", "urgency": Urgency.NORMAL, "state": State.PUBLIC, "public_at": now, "reason": ""}
        draft = Draft(
            source="directory",
            key=key,
            lang=lang,
            slug=key,
            revision=Revision(0, 0, title, f"{title} summary", f"<p>{title}</p>", title, note=note),
            topics=(("visas", "source", ""),),
            **(usual | values),
        )
        async with database.writing() as session:
            return await releases.record(session, draft, site_uids=site, now=now)

    return record


@pytest.fixture
def publisher(database, site, taxonomy, texts, tmp_path, make):
    return Publisher(
        database,
        site=site,
        taxonomy=taxonomy,
        texts=texts,
        directory=tmp_path / "feeds",
        entries=3,
        max_age=60,
        metrics=Metrics(),
        clock=lambda: make.now,
    )


def shown(publisher, name="en/all.json"):
    return {item["id"]: item["title"] for item in json.loads(publisher.find(name).body)["items"]}


async def test_a_release_is_published_translated_corrected_and_withdrawn(press, database, publisher, make):
    now = make.now
    await publisher.refresh(now)
    assert shown(publisher) == {}
    number = (await press("a", "en", "Fees", now=now)).release.number
    await press("b", "en", "Older", now=now, public_at=now - timedelta(days=9))
    await publisher.refresh(now)
    uid = f"tag:press.example.org,2026:release:en:{number}"
    assert list(shown(publisher).values()) == ["Fees", "Older"]
    assert shown(publisher, "en/entry.json")[uid] == "Fees"
    assert shown(publisher, "ru/all.json") == {}

    await press("a", "ru", "Пошлины", now=now + timedelta(hours=1), public_at=now)
    await publisher.refresh(now + timedelta(hours=1))
    assert list(shown(publisher, "ru/visas.json").values()) == ["Пошлины"]
    assert b'hreflang="ru"' in publisher.find("en/visas.atom").body.partition(b"<entry")[2]

    corrected_at = now + timedelta(hours=2)
    await press("a", "en", "Fees from May", now=corrected_at, public_at=now, note="The month was missing.")
    await publisher.refresh(corrected_at)
    item = json.loads(publisher.find("en/all.json").body)["items"][0]
    assert (item["id"], item["title"]) == (uid, "Fees from May")
    assert (item["date_published"], item["date_modified"]) == (now.isoformat(), corrected_at.isoformat())
    assert "The month was missing." in item["content_html"]

    async with database.writing() as session:
        await releases.withdraw(session, number, "Issued in error", corrected_at + timedelta(hours=1))
    assert await publisher.stale()
    await publisher.refresh(corrected_at + timedelta(hours=1))
    assert shown(publisher)[uid] == "Withdrawn: Fees from May"
    assert b"deleted-entry" in publisher.find("en/entry.atom").body
    assert not await publisher.stale()


async def test_an_embargo_ends_in_the_feeds_when_it_ends_in_the_store(press, database, publisher, make):
    opens = make.now + timedelta(hours=3)
    await press("secret", "en", "Embargoed", now=make.now, public_at=opens)
    await publisher.refresh(make.now)
    assert shown(publisher) == {}
    async with database.writing() as session:
        await releases.open_due(session, opens)
    await publisher.refresh(opens)
    assert list(shown(publisher).values()) == ["Embargoed"]
    assert json.loads(publisher.find("en/all.json").body)["items"][0]["date_published"] == opens.isoformat()


async def test_the_window_slides_over_withdrawn_and_drafted_releases(press, database, publisher, make):
    numbers = {}
    for hour, key in enumerate("abcde"):
        when = make.now - timedelta(hours=9 - hour)
        numbers[key] = (await press(key, "en", key, now=when)).release.number
    await publisher.refresh(make.now)
    assert list(shown(publisher).values()) == ["e", "d", "c"]
    async with database.writing() as session:
        await releases.withdraw(session, numbers["e"], "Error", make.now)
    await publisher.refresh(make.now)
    assert list(shown(publisher).values()) == ["Withdrawn: e", "d", "c"]
    await publisher.refresh(make.now + timedelta(days=91))
    assert list(shown(publisher).values()) == ["d", "c", "b"]
