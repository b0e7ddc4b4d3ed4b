"""Archives: what reader finds when the live feed ends, month by month, and how it stays right (RFC 5005 section 4)."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock, Mock
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from feeds import build
from syndicator.domain.model import State
from syndicator.domain.ports import Again, Done
from syndicator.metrics import Metrics
from tests.feeds.looking import stamps, touched
from tests.feeds.rules import judge

FORMATS = ("rss", "atom", "json")
BASE = "https://press.example.org"
ATOM, HISTORY = "{http://www.w3.org/2005/Atom}", "{http://purl.org/syndication/history/1.0}"


def at(month, day=10):
    return datetime(2026, month, day, 9, tzinfo=UTC)


class Patient:
    """A turn that never asks for room, or asks after each month."""

    def __init__(self, *, hurry=False):
        self.hurry = hurry

    def should_yield(self):
        return self.hurry


@pytest.fixture
def months(publish, shelf, archive, make):
    """A publisher with small windows and its archives, after these releases: (number, month) and what else."""

    async def made(*releases, entries=2, **values):
        for release in releases:
            shelf.put(release)
        publisher = publish(entries=entries, **values)
        await publisher.refresh(make.now)
        archives = archive(publisher, **values)
        await archives.build_all(make.now)
        return publisher, archives

    return made


async def body(archives, name):
    return (await archives.find(name)).body


async def numbers(archives, name):
    return [item["_syndicator"]["number"] for item in json.loads(await body(archives, f"{name}.json"))["items"]]


def links(document):
    root = etree.fromstring(document)
    channel = root if root.tag == f"{ATOM}feed" else root[0]
    return {link.get("rel"): link.get("href") for link in channel.findall(f"{ATOM}link") if not link.get("hreflang")}


async def test_every_month_of_a_stream_holds_its_releases_newest_first(months, make):
    _, archives = await months(
        make.release(1, public_at=at(3)), make.release(2, public_at=at(5, 1)), make.release(3, public_at=at(5, 30))
    )
    assert await numbers(archives, "en/all/2026-05") == [3, 2]
    assert await numbers(archives, "en/visas/2026-03") == [1]
    assert await archives.find("en/all/2026-04.rss") is None
    assert archives.knows("en/all/2026-04.rss") is False
    assert archives.knows("en/law/2026-05.rss") is False


async def test_a_month_is_one_of_the_offices_calendar(months, make):
    last_minute = datetime(2026, 4, 30, 20, 30, tzinfo=UTC)  # half past midnight on the first of May in Baku
    _, archives = await months(make.release(1, public_at=last_minute))
    assert await numbers(archives, "az/all/2026-05") == [1]
    assert archives.knows("az/all/2026-04.json") is False


async def test_an_archive_names_its_live_feed_and_its_neighbours(months, make):
    publisher, archives = await months(*(make.release(n, public_at=at(month)) for n, month in enumerate((1, 4, 9), 1)))
    for fmt in ("rss", "atom"):
        document = await body(archives, f"en/all/2026-04.{fmt}")
        assert links(document) == {
            "self": f"{BASE}/feeds/en/all/2026-04.{fmt}",
            "current": f"{BASE}/feeds/en/all.{fmt}",
            "prev-archive": f"{BASE}/feeds/en/all/2026-01.{fmt}",
            "next-archive": f"{BASE}/feeds/en/all/2026-09.{fmt}",
        }
        assert document.count(b"<fh:archive/>") == 1
        assert "prev-archive" not in links(await body(archives, f"en/all/2026-01.{fmt}"))
        assert "next-archive" not in links(await body(archives, f"en/all/2026-09.{fmt}"))
        assert b"<fh:archive/>" not in publisher.find(f"en/all.{fmt}").body
    found = json.loads(await body(archives, "en/all/2026-04.json"))
    assert found["next_url"] == f"{BASE}/feeds/en/all/2026-01.json"
    assert found["_syndicator"]["id"] == json.loads(publisher.find("en/all.json").body)["_syndicator"]["id"]
    live, month = (
        etree.fromstring(d) for d in (publisher.find("en/all.atom").body, await body(archives, "en/all/2026-04.atom"))
    )
    assert month.findtext(f"{ATOM}id") == live.findtext(f"{ATOM}id")


@pytest.mark.parametrize(("lang", "month"), [("az", "aprel 2026"), ("en", "April 2026"), ("ru", "апрель 2026")])
async def test_its_title_says_the_month_in_the_feeds_language(months, make, lang, month):
    _, archives = await months(make.release(1, public_at=at(4)))
    assert json.loads(await body(archives, f"{lang}/all/2026-04.json"))["title"].endswith(f", {month}")


async def test_live_feed_and_archives_together_lose_nothing(months, make):
    """Whoever follows the links from the live feed to the end has seen every release."""
    publisher, archives = await months(
        *(make.release(n, topics=(), public_at=at(1 + n % 4, n)) for n in range(1, 10)), entries=3
    )
    for lang in ("az", "ru"):
        document, seen = json.loads(publisher.find(f"{lang}/all.json").body), set()
        while True:
            seen |= {item["_syndicator"]["number"] for item in document["items"]}
            if "next_url" not in document:
                break
            name = document["next_url"].removeprefix(f"{BASE}/feeds/")
            document = json.loads(await body(archives, name))
        assert seen == set(range(1, 10))


async def test_a_live_feed_that_holds_everything_names_no_archive(months, make):
    publisher, _ = await months(make.release(1, public_at=at(3)), entries=2)
    assert "prev-archive" not in links(publisher.find("en/all.atom").body)
    assert "next_url" not in json.loads(publisher.find("en/all.json").body)


async def test_a_translation_is_named_where_it_has_the_same_month(months, make):
    _, archives = await months(make.release(1, public_at=at(3), langs=("az", "en")))
    found = json.loads(await body(archives, "az/all/2026-03.json"))["_syndicator"]["translations"]
    assert found == [{"language": "en", "url": f"{BASE}/feeds/en/all/2026-03.json"}]


@pytest.mark.parametrize("fmt", FORMATS)
async def test_archives_obey_every_rule(months, make, fmt):
    releases = [make.release(n, topics=(), public_at=at(n), title=f"Fees & <dues> {n}") for n in range(1, 5)]
    releases[2] = replace(releases[2], state=State.WITHDRAWN, withdrawn_at=at(8), reason="Error")
    publisher, archives = await months(*releases)
    for month in range(1, 5):
        name = f"en/all/2026-{month:02}.{fmt}"
        assert judge(fmt, await body(archives, name), f"{BASE}/feeds/{name}", make.now) == []
    assert judge(fmt, publisher.find(f"en/all.{fmt}").body, f"{BASE}/feeds/en/all.{fmt}", make.now) == []


async def test_a_correction_rewrites_its_month_under_a_new_etag_and_no_other(months, shelf, make, tmp_path):
    publisher, archives = await months(*(make.release(n, public_at=at(n)) for n in range(1, 7)))
    before, files = await archives.find("en/all/2026-02.atom"), stamps(tmp_path / "feeds")
    shelf.put(make.revise(shelf.get(2), at=make.now, note="The fee was wrong", title="Right at last"))
    await publisher.refresh(make.now)
    await archives.build_all(make.now)
    after = await archives.find("en/all/2026-02.atom")
    assert b"The fee was wrong" in after.body
    assert after.etag != before.etag
    assert after.last_modified > before.last_modified
    moved = touched(files, stamps(tmp_path / "feeds"))
    assert moved == {
        f"{lang}/{topic}/2026-02.{fmt}"
        for lang in ("az", "en", "ru")
        for topic in ("all", "entry", "visas")
        for fmt in FORMATS
    }


async def test_a_withdrawn_release_stands_in_its_month_for_good_and_never_with_its_text(months, shelf, make, tmp_path):
    secret = make.release(1, public_at=at(2), title="Said too early", body="<p>Hush</p>", summary="Hush")
    publisher, archives = await months(secret, make.release(2, public_at=at(3)))
    shelf.put(replace(shelf.get(1), state=State.WITHDRAWN, withdrawn_at=at(4), reason="Error"))
    await publisher.refresh(make.now)
    await archives.build_all(make.now)
    for fmt in FORMATS:
        text = (await body(archives, f"en/all/2026-02.{fmt}")).decode()
        assert "Withdrawn: Said too early" in text
        assert "Error" in text
        assert "Hush" not in text
    kept = [path.read_bytes() for path in (tmp_path / "feeds").rglob("*.json") if path.is_file()]
    assert kept
    assert not [one for one in kept if b"Hush" in one]


async def test_an_embargoed_release_makes_no_month_and_touches_no_file(months, shelf, make, tmp_path):
    publisher, archives = await months(make.release(1, public_at=at(2)))
    before = stamps(tmp_path)
    opens = at(12)
    shelf.put(make.release(2, public_at=opens, state=State.SCHEDULED))
    shelf.put(make.release(3, public_at=at(2, 11), state=State.DRAFT))
    await publisher.refresh(make.now)
    assert await archives.build_all(make.now) == 0
    assert touched(before, stamps(tmp_path)) <= {"feeds/manifest.json", "feeds/.archives/progress.json"}
    assert archives.knows("en/all/2026-12.rss") is False
    shelf.put(replace(shelf.get(2), state=State.PUBLIC, opened_at=opens))
    await publisher.refresh(opens)
    await archives.build_all(opens)
    assert await numbers(archives, "en/all/2026-12") == [2]
    assert links(await body(archives, "en/all/2026-02.atom"))["next-archive"].endswith("2026-12.atom")


async def test_a_month_that_is_empty_again_is_gone_and_its_neighbours_know(months, shelf, make, tmp_path):
    publisher, archives = await months(*(make.release(n, topics=(), public_at=at(n)) for n in (1, 2, 3)))
    shelf.put(replace(shelf.get(2), state=State.DRAFT))
    await publisher.refresh(make.now)
    await archives.build_all(make.now)
    assert await archives.find("en/all/2026-02.rss") is None
    assert archives.knows("en/all/2026-02.rss") is False
    assert not list((tmp_path / "feeds").rglob("2026-02*"))
    assert links(await body(archives, "en/all/2026-03.rss"))["prev-archive"].endswith("2026-01.rss")
    assert links(await body(archives, "en/all/2026-01.rss"))["next-archive"].endswith("2026-03.rss")


async def test_the_clock_alone_brings_a_release_into_its_month(months, shelf, make):
    """It opened, then a clock went back: until the time has come again, nobody sees it."""
    ahead = make.now + timedelta(hours=3)
    _, archives = await months(make.release(1, public_at=at(2)), make.release(2, public_at=ahead, opened_at=at(2)))
    assert archives.knows("en/all/2026-11.json") is False
    (job,) = await archives.pending(make.now)
    assert job.due == ahead
    await archives.build_all(ahead)
    assert await numbers(archives, "en/all/2026-11") == [2]


async def test_nothing_changed_means_nothing_to_do(months, make, tmp_path):
    _, archives = await months(make.release(1, public_at=at(2)))
    before = stamps(tmp_path)
    assert await archives.pending(make.now) == ()
    assert await archives.build_all(make.now) == 0
    assert stamps(tmp_path) == before


async def test_after_a_restart_nothing_is_rendered_and_nothing_written(
    months, publish, shelf, archive, make, tmp_path, monkeypatch
):
    await months(*(make.release(n, topics=(), public_at=at(n)) for n in (1, 2, 3)))
    before, shelf.read = stamps(tmp_path), 0
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    again = archive(publisher)
    assert again.knows("en/all/2026-02.rss") is None  # nobody can tell yet
    (job,) = await again.pending(make.now)
    assert (job.name, job.lane, job.due) == ("archives", "archives", make.now)
    monkeypatch.setattr(build, "fragment_of", lambda entry: pytest.fail("rendered"))
    assert isinstance(await again.handlers()["archives"](job, Patient()), Done)
    assert await again.pending(make.now) == ()
    assert stamps(tmp_path) == before
    assert shelf.read == 0
    assert await numbers(again, "en/all/2026-02") == [2]


async def test_a_build_that_is_broken_off_is_taken_up_where_it_stood(publish, shelf, archive, make):
    for n in range(1, 7):
        shelf.put(make.release(n, topics=(), public_at=at(n)))
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    archives = archive(publisher)
    (job,) = await archives.pending(make.now)
    assert isinstance(await archives.handlers()["archives"](job, Patient(hurry=True)), Again)
    assert await numbers(archives, "en/all/2026-06") == [6]  # the newest first
    assert await archives.find("en/all/2026-05.rss") is None
    assert archives.knows("en/all/2026-05.rss") is True  # so it is worth asking again
    second = archive(publisher)
    (job,) = await second.pending(make.now)
    shelf.put(make.revise(shelf.get(2), at=make.now, note="Corrected"))
    await publisher.refresh(make.now)
    await second.handlers()["archives"](job, Patient(hurry=True))
    assert b"Corrected" in await body(second, "en/all/2026-02.rss")  # what changed goes before what is merely missing
    while isinstance(await second.handlers()["archives"](job, Patient(hurry=True)), Again):
        pass
    assert await numbers(second, "en/all/2026-01") == [1]


async def test_a_damaged_archive_is_not_served_and_is_built_again(months, make, tmp_path):
    _, archives = await months(make.release(1, public_at=at(2)))
    tmp_path.joinpath("feeds", "en", "all", "2026-02.rss").write_bytes(b"torn")
    archives._reader._held.clear()
    assert await archives.find("en/all/2026-02.rss") is None
    assert await archives.pending(make.now)
    await archives.build_all(make.now)
    assert b"Title 1" in await body(archives, "en/all/2026-02.rss")


@pytest.mark.parametrize("what", ["progress.json", "2026-02.json"])
@pytest.mark.parametrize("text", ["", "[]", '{"settings": 1}', '{"files": {"../../x": {}}}'])
async def test_what_cannot_be_read_is_built_again_to_equal_bytes(months, archive, make, tmp_path, what, text):
    publisher, archives = await months(*(make.release(n, topics=(), public_at=at(n)) for n in (1, 2, 3)))
    before = await archives.find("en/all/2026-02.rss")
    (tmp_path / "feeds" / ".archives" / what).write_text(text)
    again = archive(publisher)
    await again.build_all(make.now)
    assert (await again.find("en/all/2026-02.rss")).etag == before.etag
    assert await again.pending(make.now) == ()


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("at_once", [400, 3], ids=["together", "language by language"])
async def test_an_unchanged_entry_of_a_month_is_neither_read_nor_rendered_again(
    months, publish, archive, shelf, make, monkeypatch, restarted, at_once
):
    monkeypatch.setattr("feeds.archives._AT_ONCE", at_once)
    publisher, archives = await months(*(make.release(n, public_at=at(4, n)) for n in range(1, 9)), entries=1)
    if restarted:
        publisher = publish(entries=1)
        await publisher.refresh(make.now)
        archives = archive(publisher)
    shelf.put(make.revise(shelf.get(3), at=make.now, title="Right & at last"))
    await publisher.refresh(make.now)
    rendered, real = [], build.fragment_of
    monkeypatch.setattr(build, "fragment_of", lambda entry: rendered.append((entry.lang, entry.number)) or real(entry))
    shelf.read = 0
    await archives.build_all(make.now)
    assert sorted(rendered) == [("az", 3), ("en", 3), ("ru", 3)]
    assert shelf.read == (1 if at_once == 400 else 3)
    assert await numbers(archives, "en/visas/2026-04") == list(range(8, 0, -1))
    for fmt in FORMATS:
        assert (await body(archives, f"en/all/2026-04.{fmt}")).count(b"at last") >= 1


@pytest.mark.parametrize("what", ["en/all/2026-04.atom", ".archives/2026-04.entries.json"])
@pytest.mark.parametrize("damage", [b"", b"[]", b'{"settings": "x"}'])
async def test_what_a_month_remembers_is_not_believed_where_anything_of_it_is_damaged(
    months, shelf, make, tmp_path, archive, what, damage
):
    publisher, archives = await months(*(make.release(n, public_at=at(4, n)) for n in range(1, 5)), entries=1)
    path = tmp_path / "feeds" / what
    path.resolve().write_bytes(damage)
    shelf.put(make.revise(shelf.get(2), at=make.now, title="Other"))
    await publisher.refresh(make.now)
    await archives.build_all(make.now)
    fresh = archive(publisher, directory=tmp_path / "fresh")
    await fresh.build_all(make.now)
    for fmt in FORMATS:
        assert await body(archives, f"en/all/2026-04.{fmt}") == await body(fresh, f"en/all/2026-04.{fmt}")


async def test_other_settings_take_no_month_away_but_those_that_changed_meanwhile(
    months, publish, archive, shelf, make, site
):
    await months(*(make.release(n, topics=(), public_at=at(n)) for n in (1, 2, 3)))
    shelf.put(replace(shelf.get(1), state=State.WITHDRAWN, withdrawn_at=make.now))
    renamed = {"site": replace(site, names=dict.fromkeys(site.languages, "Another office"))}
    publisher = publish(entries=2, **renamed)
    await publisher.refresh(make.now)
    archives = archive(publisher, **renamed)
    (job,) = await archives.pending(make.now)
    assert isinstance(await archives.handlers()["archives"](job, Patient(hurry=True)), Again)
    assert b"Another office" in await body(archives, "en/all/2026-01.rss")  # what changed was built first
    for month in ("02", "03"):
        assert b"Migration Service" in await body(archives, f"en/all/2026-{month}.rss")
    await archives.build_all(make.now)
    assert b"Another office" in await body(archives, "en/all/2026-03.rss")


async def test_with_other_settings_what_was_withdrawn_meanwhile_is_not_served_until_it_is_built(
    months, publish, archive, shelf, make, site
):
    await months(*(make.release(n, topics=(), public_at=at(n)) for n in (1, 2)))
    shelf.put(replace(shelf.get(1), state=State.WITHDRAWN, withdrawn_at=make.now))
    renamed = {"site": replace(site, names=dict.fromkeys(site.languages, "Another office"))}
    publisher = publish(entries=2, **renamed)
    await publisher.refresh(make.now)
    archives = archive(publisher, **renamed)
    archives._build = fails = AsyncMock(side_effect=OSError("disk"))
    with pytest.raises(OSError, match="disk"):
        await archives.build_all(make.now)
    assert fails.await_args.args[0] == "2026-01"
    assert await archives.find("en/all/2026-01.rss") is None
    assert await archives.find("en/all/2026-02.rss") is not None


async def test_a_month_that_only_grows_rests_after_it_was_built_and_one_that_is_corrected_does_not(
    months, archive, shelf, make
):
    clock = [make.now]

    def tick():
        clock[0] += timedelta(milliseconds=100)
        return clock[0]

    publisher, _ = await months(make.release(1, public_at=at(4, 1)))
    archives = archive(publisher, clock=tick)
    work = archives.handlers()["archives"]
    shelf.put(make.release(2, public_at=at(4, 2)))
    await publisher.refresh(make.now)
    await work(None, Patient())
    shelf.put(make.release(3, public_at=at(4, 3)))
    await publisher.refresh(make.now)
    verdict = await work(None, Patient())
    assert isinstance(verdict, Again)
    assert timedelta(0) < verdict.due - clock[0] < timedelta(minutes=1)
    (job,) = await archives.pending(clock[0])
    assert job.due == verdict.due
    assert await numbers(archives, "en/all/2026-04") == [2, 1]
    clock[0] = verdict.due
    assert isinstance(await work(None, Patient()), Done)
    assert await numbers(archives, "en/all/2026-04") == [3, 2, 1]
    shelf.put(make.release(4, public_at=at(4, 4)))
    shelf.put(make.revise(shelf.get(1), at=make.now, note="The fee was wrong"))
    await publisher.refresh(make.now)
    assert isinstance(await work(None, Patient()), Done)
    assert await numbers(archives, "en/all/2026-04") == [4, 3, 2, 1]


@pytest.mark.parametrize("end", ["withdrawn", "draft"])
async def test_on_a_full_disk_a_withdrawn_text_leaves_its_archives(months, shelf, make, tmp_path, monkeypatch, end):
    publisher, archives = await months(
        *(make.release(n, topics=(), public_at=at(n), body=f"<p>Said {n}</p>") for n in (1, 2))
    )
    assert b"Said 1" in await body(archives, "en/all/2026-01.rss")
    values = {"withdrawn_at": make.now} if end == "withdrawn" else {"opened_at": None}
    shelf.put(replace(shelf.get(1), state=State(end), **values))
    await publisher.refresh(make.now)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
        patch.setattr("os.sync", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            await archives.build_all(make.now)
        assert await archives.find("en/all/2026-01.rss") is None
        left = [path.read_bytes() for path in (tmp_path / "feeds").rglob("2026-*") if path.is_file()]
        assert not [one for one in left if b"Said 1" in one]
        assert await archives.find("en/all/2026-02.rss") is not None
    await archives.build_all(make.now)
    assert await numbers(archives, "en/all/2026-02") == [2]
    assert archives.knows("en/all/2026-01.rss") is (end == "withdrawn")


async def test_the_alarm_on_late_archives_sees_what_waits_and_how_long(publish, shelf, archive, make):
    clock, metrics = [make.now], Metrics()
    publisher = publish()
    archives = archive(publisher, clock=lambda: clock[0], metrics=metrics)

    def waits():
        return metrics.registry.get_sample_value("syndicator_oldest_due_archive_seconds")

    assert waits() == 0
    shelf.put(make.release(1, public_at=at(2)))
    await publisher.refresh(make.now)
    for minutes in (0, 10, 20):
        clock[0] = make.now + timedelta(minutes=minutes)
        assert await archives.pending(clock[0])
        assert waits() == minutes * 60
    await archives.build_all(clock[0])
    clock[0] += timedelta(hours=1)
    assert await archives.pending(clock[0]) == ()
    assert waits() == 0


async def test_last_modified_of_an_archive_never_goes_back_though_its_manifest_is_lost(
    months, archive, shelf, make, tmp_path
):
    publisher, archives = await months(make.release(1, public_at=at(2)))
    shelf.put(make.revise(shelf.get(1), at=make.now, body="<p>Typo mended</p>"))  # silent: no entry's time moves
    await publisher.refresh(make.now)
    await archives.build_all(make.now)
    before = await archives.find("en/all/2026-02.rss")
    assert before.last_modified == make.now
    for name in ("2026-02.json", "2026-02.entries.json", "progress.json"):
        (tmp_path / "feeds/.archives" / name).unlink()
    again = archive(publisher)
    await again.build_all(make.now + timedelta(hours=1))
    assert await again.find("en/all/2026-02.rss") == before


async def test_a_month_that_cannot_be_built_keeps_no_other_from_it(publish, shelf, archive, make, monkeypatch):
    for n in (1, 2, 3):
        shelf.put(make.release(n, topics=(), public_at=at(n)))
    publisher = publish()
    await publisher.refresh(make.now)
    archives = archive(publisher)
    real = archives._build

    async def fails(month, now):
        if month == "2026-03":
            raise ValueError("no")
        return await real(month, now)

    monkeypatch.setattr(archives, "_build", fails)
    with pytest.raises(RuntimeError, match="2026-03"):
        await archives.build_all(make.now)
    assert await numbers(archives, "en/all/2026-01") == [1]
    monkeypatch.undo()
    await archives.build_all(make.now)
    assert await numbers(archives, "en/all/2026-03") == [3]


async def test_a_very_full_month_is_built_language_by_language_to_the_same_bytes(
    months, archive, make, monkeypatch, tmp_path
):
    publisher, archives = await months(
        *(make.release(n, public_at=at(4, n), langs=("az", "en")[n % 2 :]) for n in range(1, 9))
    )
    monkeypatch.setattr("feeds.archives._AT_ONCE", 3)
    monkeypatch.setattr("feeds.archives_month._PART", 2000)
    other = archive(publisher, directory=tmp_path / "other")
    await other.build_all(make.now)
    for lang in ("az", "en"):
        for fmt in FORMATS:
            name = f"{lang}/visas/2026-04.{fmt}"
            assert await body(other, name) == await body(archives, name)


STEPS = st.lists(
    st.tuples(
        st.integers(1, 7),
        st.sampled_from(["public", "withdrawn", "draft", "moved", "corrected", "dated", "embargoed"]),
        st.sampled_from([("visas",), ("law", "visas"), ()]),
        st.sampled_from([("en",), ("en", "ru")]),
        st.integers(0, 40),
    ),
    max_size=7,
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_happens_step_by_step_ends_in_the_archives_of_a_fresh_build(
    publish, archive, make, steps, tmp_path, shelf
):
    """And no text that may not be read now is in any file."""
    shelf.releases, shelf.change = {}, 0
    room = tmp_path / uuid4().hex
    now, clock = make.now, {"directory": room / "kept", "entries": 3}
    publisher = publish(**clock)
    archives = archive(publisher, directory=room / "kept")
    for place, (number, what, topics, langs, days) in enumerate(steps):
        now += timedelta(days=days)
        release = make.release(
            number, langs=langs, topics=topics, public_at=at(number), body=f"<p>secret{place}end</p>"
        )
        release = replace(
            release,
            major=place,
            variants=tuple(replace(v, revision=replace(v.revision, number=2 * place)) for v in release.variants),
        )
        shelf.put(
            {
                "public": release,
                "withdrawn": replace(release, state=State.WITHDRAWN, withdrawn_at=now, reason="Error"),
                "draft": replace(release, state=State.DRAFT),
                "moved": replace(release, topics=(*topics, "law")),
                "corrected": make.revise(release, at=now, note=f"Corrected {place}"),
                "dated": replace(release, public_at=release.public_at + timedelta(days=days)),
                "embargoed": replace(release, state=State.SCHEDULED, opened_at=None, public_at=now + timedelta(days=3)),
            }[what]
        )
        if days % 3:
            await publisher.refresh(now)
        if days % 2:
            await archives.build_all(now)
        if days % 7 == 6:
            publisher = publish(**clock)
            await publisher.refresh(now)
            archives = archive(publisher, directory=room / "kept")
    for one in (publisher, fresh := publish(entries=3, directory=room / "fresh")):
        await one.refresh(now)
    second = archive(fresh, directory=room / "fresh")
    await archives.build_all(now)
    await second.build_all(now)
    kept, built = (
        {
            str(path.relative_to(room / part)): path.read_bytes()
            for path in (room / part).rglob("2026-*")
            if path.is_symlink()
        }
        for part in ("kept", "fresh")
    )
    assert kept == built
    readable = {
        v.revision.body.encode()
        for r in shelf.releases.values()
        if r.state is State.PUBLIC and r.opened_at and r.public_at <= now
        for v in r.variants
    }
    said = {f"secret{place}end".encode() for place in range(len(steps))} - {
        b.removeprefix(b"<p>").removesuffix(b"</p>") for b in readable
    }
    for name, content in kept.items():
        if not name.endswith((".gz", ".br")):
            assert not [one for one in said if one in content], name
