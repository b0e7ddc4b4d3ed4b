"""The publisher: right feeds on disk and in memory, written only when they differ, whole whatever happens."""

import asyncio
import gzip
import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import brotli
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from feeds import build, files
from syndicator.domain.model import State
from syndicator.domain.topics import Taxonomy, Topic
from syndicator.metrics import Metrics

FEEDS = 3 * 4 * 3 + 3  # languages × (all + 3 topics) × formats, and a list for each language


def stamps(folder):
    """What tells whether a file was touched: its inode and its time."""
    return {
        str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


def numbers(publisher, name="en/all.json"):
    return [item["_syndicator"]["number"] for item in json.loads(publisher.find(name).body)["items"]]


def touched(before, after):
    changed = {name for name in after if before.get(name) != after[name]} - {"manifest.json"}
    return {name for name in changed if not name.endswith((".gz", ".br"))}


async def test_the_first_refresh_writes_every_feed_and_the_second_nothing(publish, shelf, make, tmp_path):
    shelf.put(make.release(1))
    publisher = publish()
    assert await publisher.stale()
    assert await publisher.refresh(make.now) == FEEDS
    before = stamps(tmp_path)
    assert not await publisher.stale()
    assert await publisher.refresh(make.now + timedelta(hours=1)) == 0
    assert stamps(tmp_path) == before
    assert publisher.newest() == make.now + timedelta(hours=1)


async def test_a_restart_with_nothing_changed_writes_no_file_and_keeps_every_validator(publish, shelf, make, tmp_path):
    shelf.put(make.release(1))
    first = publish()
    await first.refresh(make.now)
    before, shelf.read = stamps(tmp_path), 0
    second = publish()
    assert await second.refresh(make.now + timedelta(days=1)) == 0
    assert stamps(tmp_path) == before
    assert shelf.read == 0
    for name in ("en/all.rss", "ru/visas.atom", "az.opml"):
        assert second.find(name) == first.find(name)


async def test_editing_one_release_touches_only_the_feeds_that_hold_it(publish, shelf, make, tmp_path):
    shelf.put(make.release(1, topics=("visas",)))
    shelf.put(make.release(2, topics=("law",), langs=("az", "en")))
    publisher = publish()
    await publisher.refresh(make.now)
    before, shelf.read = stamps(tmp_path / "feeds"), 0
    shelf.put(make.revise(shelf.get(2), at=make.now, note="Corrected"))
    assert await publisher.stale()
    written = await publisher.refresh(make.now)
    expected = {
        f"{lang}/{topic}.{fmt}" for lang in ("az", "en") for topic in ("all", "law") for fmt in ("rss", "atom", "json")
    }
    assert touched(before, stamps(tmp_path / "feeds")) == expected
    assert written == len(expected)
    assert shelf.read == 1


async def test_after_a_restart_one_change_reads_only_what_its_feeds_hold(publish, shelf, make, tmp_path):
    for number in range(1, 30):
        shelf.put(make.release(number, topics=("law",) if number > 25 else ("visas",), langs=("en",)))
    await publish(entries=5).refresh(make.now)
    shelf.put(make.revise(shelf.get(27), at=make.now, note="Corrected"))
    before, shelf.read = stamps(tmp_path / "feeds"), 0
    second = publish(entries=5)
    await second.refresh(make.now)
    names = {f"en/{topic}.{fmt}" for topic in ("all", "law") for fmt in ("rss", "atom", "json")}
    assert touched(before, stamps(tmp_path / "feeds")) == names
    assert shelf.read <= 10
    assert numbers(second) == [29, 28, 27, 26, 25]


async def test_an_incremental_feed_equals_one_built_from_nothing(publish, shelf, make, tmp_path):
    publisher = publish(entries=3)
    steps = [
        lambda: [shelf.put(make.release(n, topics=("visas", "law")[n % 2 :])) for n in range(1, 8)],
        lambda: shelf.put(make.revise(shelf.get(6), at=make.now, note="Corrected")),
        lambda: shelf.put(replace(shelf.get(7), state=State.WITHDRAWN, withdrawn_at=make.now, reason="Error")),
        lambda: shelf.put(replace(shelf.get(5), topics=("entry",))),
        lambda: shelf.put(make.release(8, langs=("ru",), topics=())),
        lambda: shelf.put(replace(shelf.get(6), state=State.DRAFT)),
    ]
    for at, step in enumerate(steps):
        step()
        await publisher.refresh(make.now)
        fresh = publish(entries=3, directory=tmp_path / f"fresh{at}")
        await fresh.refresh(make.now)
        for lang in ("az", "en", "ru"):
            for topic in ("all", "entry", "visas", "law"):
                for fmt in ("rss", "atom", "json"):
                    name = f"{lang}/{topic}.{fmt}"
                    assert publisher.find(name).body == fresh.find(name).body, name


async def test_the_window_is_the_newest_by_date_then_number(publish, shelf, make):
    same = make.now - timedelta(days=1)
    shelf.put(make.release(1, public_at=make.now))
    for number in (2, 3, 4):
        shelf.put(make.release(number, public_at=same))
    publisher = publish(entries=3)
    await publisher.refresh(make.now)
    assert numbers(publisher) == [1, 4, 3]


async def test_a_release_that_is_hidden_gives_its_place_to_the_next(publish, shelf, make):
    for number in (1, 2, 3):
        shelf.put(make.release(number))
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    assert numbers(publisher) == [3, 2]
    shelf.put(replace(shelf.get(3), state=State.DRAFT))
    await publisher.refresh(make.now)
    assert numbers(publisher) == [2, 1]


async def test_a_release_that_changes_topic_leaves_the_old_feed_and_its_parent(publish, shelf, make):
    shelf.put(make.release(1, topics=("visas",)))
    publisher = publish()
    await publisher.refresh(make.now)
    assert numbers(publisher, "en/entry.json") == [1]  # a parent includes its children
    old = publisher.find("en/visas.rss")
    shelf.put(replace(shelf.get(1), topics=("law",)))
    later = make.now + timedelta(hours=1)
    await publisher.refresh(later)
    assert [numbers(publisher, f"en/{t}.json") for t in ("all", "entry", "visas", "law")] == [[1], [], [], [1]]
    new = publisher.find("en/visas.rss")
    assert new.etag != old.etag
    assert new.last_modified == later  # readers who only compare dates must see that it changed


async def test_an_embargoed_release_is_nowhere_until_it_opens(publish, shelf, make, tmp_path):
    opens = make.now + timedelta(hours=2)
    secret = make.release(2, title="Embargoed secret", public_at=opens, state=State.SCHEDULED)
    shelf.put(make.release(1))
    shelf.put(secret)
    publisher = publish()
    await publisher.refresh(make.now)
    for path in (tmp_path / "feeds").rglob("*.*"):
        assert b"secret" not in path.read_bytes()
    assert numbers(publisher) == [1]
    shelf.put(replace(secret, state=State.PUBLIC, opened_at=opens))
    await publisher.refresh(opens)
    assert numbers(publisher) == [2, 1]


async def test_what_opened_by_a_clock_that_went_back_appears_at_its_time_without_a_change(publish, shelf, make):
    opens = make.now + timedelta(minutes=5)
    publisher = publish(clock=lambda: opens)
    await publisher.refresh(make.now)
    shelf.put(make.release(1, public_at=opens))
    await publisher.refresh(make.now)
    assert numbers(publisher) == []
    assert await publisher.stale()
    await publisher.refresh(opens)
    assert numbers(publisher) == [1]


async def test_a_store_that_answers_too_much_still_leaks_nothing(publish, shelf, make, monkeypatch):
    """The windows' own check stands even where the query would be wrong."""

    async def everything(lang, topics, now, limit):
        return sorted(shelf.releases)[:limit]

    monkeypatch.setattr(shelf, "newest", everything)
    shelf.put(make.release(1, state=State.SCHEDULED))
    shelf.put(make.release(2, public_at=make.now + timedelta(seconds=1)))
    shelf.put(make.release(3, langs=("ru",)))
    publisher = publish()
    await publisher.refresh(make.now)
    assert numbers(publisher) == []
    assert numbers(publisher, "ru/all.json") == [3]


async def test_a_withdrawn_release_is_marked_for_ninety_days_then_gone(publish, shelf, make):
    for number in (1, 2, 3):
        shelf.put(make.release(number))
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    shelf.put(replace(shelf.get(3), state=State.WITHDRAWN, withdrawn_at=make.now, reason="Error"))
    await publisher.refresh(make.now)
    assert numbers(publisher) == [3, 2]
    assert b"deleted-entry" in publisher.find("en/all.atom").body
    assert b"Body 3" not in publisher.find("en/all.atom").body
    almost, ended = make.now + timedelta(days=90, seconds=-1), make.now + timedelta(days=90)
    assert await publisher.refresh(almost) == 0
    again = publish(entries=2)  # a restart remembers when to look again
    assert await again.refresh(almost) == 0
    for one in (publisher, again):
        await one.refresh(ended)
        assert numbers(one) == [2, 1]
        assert b"deleted-entry" not in one.find("en/all.atom").body


async def test_many_old_withdrawals_do_not_starve_a_window(publish, shelf, make):
    shelf.put(make.release(1))
    long_ago = make.now - timedelta(days=200)
    for number in range(2, 40):
        shelf.put(replace(make.release(number), state=State.WITHDRAWN, withdrawn_at=long_ago))
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    assert numbers(publisher) == [1]


async def test_last_modified_is_the_newest_entrys_change(publish, shelf, make):
    release = make.release(1)
    shelf.put(release)
    publisher = publish()
    await publisher.refresh(make.now)
    assert publisher.find("en/all.rss").last_modified == release.public_at
    at = make.now - timedelta(minutes=3)
    shelf.put(make.revise(release, at=at, note="Corrected"))
    await publisher.refresh(make.now)
    assert publisher.find("en/all.rss").last_modified == at


async def test_a_silent_revision_still_moves_last_modified(publish, shelf, make):
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    shelf.put(make.revise(shelf.get(1), at=make.now, body="<p>Typo mended</p>"))
    await publisher.refresh(make.now)
    assert publisher.find("en/all.rss").last_modified == make.now


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"torn"),
        lambda path: path.with_name(path.name + ".gz").write_bytes(b""),
        lambda path: path.with_name(path.name + ".br").unlink(),
    ],
    ids=["missing", "torn", "torn gzip", "missing brotli"],
)
async def test_a_missing_or_damaged_file_is_built_again_with_the_same_validators(
    publish, shelf, make, tmp_path, damage
):
    shelf.put(make.release(1))
    first = publish()
    await first.refresh(make.now)
    damage(tmp_path / "feeds/en/all.rss")
    second = publish()
    assert await second.refresh(make.now + timedelta(days=3)) == 1
    assert second.find("en/all.rss") == first.find("en/all.rss")
    assert (tmp_path / "feeds/en/all.rss").read_bytes() == first.find("en/all.rss").body


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"settings": 1}', b'{"files": {"../../x": {}}}'])
async def test_a_manifest_that_cannot_be_read_means_building_again(publish, shelf, make, tmp_path, content):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    (tmp_path / "feeds/manifest.json").write_bytes(content)
    assert await publish().refresh(make.now) == FEEDS


@pytest.mark.parametrize("change", ["entries", "max_age", "taxonomy", "site", "renderer"])
async def test_changed_settings_build_every_feed_again(publish, shelf, make, site, monkeypatch, change):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    values = {
        "entries": {"entries": 7},
        "max_age": {"max_age": 600},
        "taxonomy": {"taxonomy": Taxonomy([Topic("law", {"en": "Law and order"})])},
        "site": {"site": replace(site, names={"az": "Başqa"})},
        "renderer": {},
    }[change]
    if change == "renderer":
        monkeypatch.setattr(build, "RENDERER", 99)
    publisher = publish(**values)
    await publisher.refresh(make.now)
    fresh = {name: stored.body for name, stored in publisher._state.served.items()}
    assert fresh
    again = publish(**values)
    assert await again.refresh(make.now) == 0
    assert {name: stored.body for name, stored in again._state.served.items()} == fresh


async def test_feeds_of_a_topic_that_is_no_more_are_taken_away(publish, shelf, make, tmp_path):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    publisher = publish(taxonomy=Taxonomy([Topic("law", {"en": "Law"})]))
    await publisher.refresh(make.now)
    left = {p.name.partition(".")[0] for p in (tmp_path / "feeds/en").iterdir()}
    assert left == {"all", "law"}
    assert not publisher.knows("en/visas.rss")


async def test_a_crash_while_writing_leaves_the_old_feeds_whole(publish, shelf, make, tmp_path, monkeypatch):
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    path = tmp_path / "feeds/en/all.rss"
    on_disk, served = path.read_bytes(), publisher.find("en/all.rss")
    shelf.put(make.release(2))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            await publisher.refresh(make.now)
    assert path.read_bytes() == on_disk
    assert publisher.find("en/all.rss") is served
    assert await publisher.stale()
    assert await publisher.refresh(make.now) > 0
    assert numbers(publisher) == [2, 1]
    assert not list((tmp_path / "feeds").rglob("*.tmp"))


async def test_a_crash_between_feeds_and_manifest_is_mended_at_the_next_start(publish, shelf, make, monkeypatch):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    shelf.put(make.release(2))
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_manifest", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            await publish().refresh(make.now)
    after = publish()
    await after.refresh(make.now)
    assert numbers(after) == [2, 1]
    assert await publish().refresh(make.now) == 0


async def test_a_store_that_cannot_be_read_leaves_what_is_served(publish, shelf, make):
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    shelf.broken = OSError("database is gone")
    with pytest.raises(OSError, match="gone"):
        await publisher.refresh(make.now + timedelta(hours=1))
    assert numbers(publisher) == [1]
    assert publisher.newest() == make.now  # the alarm on silent feeds can see it


async def test_after_a_restart_the_old_feeds_are_served_even_if_the_store_cannot_be_read(publish, shelf, make):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    shelf.broken = OSError("database is gone")
    publisher = publish()
    with pytest.raises(OSError, match="gone"):
        await publisher.refresh(make.now)
    assert numbers(publisher) == [1]
    assert publisher.newest() is None
    shelf.broken = None
    assert await publisher.refresh(make.now) == 0


async def test_one_release_that_cannot_be_rendered_is_left_out_and_said_once(publish, shelf, make, monkeypatch):
    real = build._add_entry

    def fails(generator, entry):
        if entry.number == 2:
            raise ValueError("cannot be written")
        real(generator, entry)

    monkeypatch.setattr(build, "_add_entry", fails)
    for number in (1, 2, 3):
        shelf.put(make.release(number, langs=("en",)))
    publisher = publish()
    with capture_logs() as logs:
        await publisher.refresh(make.now)
        shelf.put(make.release(4, langs=("en",)))
        await publisher.refresh(make.now)
    assert numbers(publisher) == [4, 3, 1]
    assert [(log["release"], log["lang"]) for log in logs if log["log_level"] == "error"] == [(2, "en")]
    monkeypatch.undo()
    shelf.put(make.revise(shelf.get(2), at=make.now, title="Mended"))
    await publisher.refresh(make.now)
    assert numbers(publisher) == [4, 3, 2, 1]


async def test_an_unchanged_entry_is_never_rendered_again(publish, shelf, make, monkeypatch):
    for number in range(1, 6):
        shelf.put(make.release(number))
    publisher = publish()
    await publisher.refresh(make.now)
    rendered = []
    real = build.fragment_of
    monkeypatch.setattr(build, "fragment_of", lambda entry: rendered.append((entry.lang, entry.number)) or real(entry))
    shelf.put(make.release(6, langs=("en",)))
    shelf.put(shelf.get(3))  # a change of nothing that feeds show
    await publisher.refresh(make.now)
    assert rendered == [("en", 6)]


async def test_a_store_that_was_put_back_to_an_older_state_is_followed(publish, shelf, make):
    for number in (1, 2):
        shelf.put(make.release(number))
    publisher = publish()
    await publisher.refresh(make.now)
    del shelf.releases[2]
    shelf.change = 1
    await publisher.refresh(make.now)
    assert numbers(publisher) == [1]


async def test_a_flood_of_changes_asks_every_window_anew(publish, shelf, make, monkeypatch):
    monkeypatch.setattr("feeds.publisher.MANY", 3)
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    for number in range(2, 12):
        shelf.put(make.release(number))
    await publisher.refresh(make.now)
    assert numbers(publisher) == list(range(11, 0, -1))


async def test_compressed_files_stand_beside_each_feed_and_say_the_same(publish, shelf, make, tmp_path):
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    path = tmp_path / "feeds/ru/visas.atom"
    body = path.read_bytes()
    assert body == publisher.find("ru/visas.atom").body
    assert gzip.decompress(path.with_name("visas.atom.gz").read_bytes()) == body
    assert brotli.decompress(path.with_name("visas.atom.br").read_bytes()) == body
    assert path.stat().st_mtime == publisher.find("ru/visas.atom").last_modified.timestamp()


async def test_written_feeds_are_counted(publish, shelf, make):
    metrics = Metrics()
    shelf.put(make.release(1))
    await publish(metrics=metrics).refresh(make.now)
    assert metrics.registry.get_sample_value("syndicator_feed_files_written_total") == FEEDS


def test_the_catalogue_names_every_stream_in_order(publish):
    catalogue = publish()
    found = catalogue.links("ru")
    assert [link.topic for link in found] == ["all", "entry", "visas", "law"]
    assert found[0].title == "Миграционная служба"
    assert found[2].title == "Visas ru – Миграционная служба"
    assert found[2].json == "https://press.example.org/feeds/ru/visas.json"
    assert catalogue.link("ru", "visas") == found[2]
    assert catalogue.link("ru", "nothing") is None
    assert list(catalogue.links("xx")) == []
    assert len({link.title for link in found}) == len(found)  # autodiscovery asks for distinct titles


async def test_two_refreshes_at_once_do_the_work_once(publish, shelf, make, tmp_path):
    shelf.put(make.release(1))
    publisher = publish()
    assert sorted(await asyncio.gather(publisher.refresh(make.now), publisher.refresh(make.now))) == [0, FEEDS]


async def test_a_refresh_that_is_cancelled_is_done_again(publish, shelf, make):
    shelf.put(make.release(1))
    publisher = publish()
    task = asyncio.ensure_future(publisher.refresh(make.now))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await publisher.refresh(make.now)
    assert numbers(publisher) == [1]
    assert await publish().refresh(make.now) == 0


STEPS = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.sampled_from(["public", "withdrawn", "draft", "moved", "corrected", "dated"]),
        st.sampled_from([("visas",), ("law", "visas"), ("entry",), ()]),
        st.sampled_from([("en",), ("en", "ru")]),
        st.integers(0, 40),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, entries=st.integers(1, 4))
async def test_whatever_happens_step_by_step_ends_in_the_feeds_of_a_fresh_build(
    publish, make, steps, entries, tmp_path, shelf
):
    """Sliding windows, cached entries and skipped feeds never show; days pass, so withdrawals grow old too."""
    shelf.releases, shelf.change = {}, 0
    room = tmp_path / uuid4().hex
    publisher, now = publish(entries=entries, directory=room / "kept"), make.now
    for at, (number, what, topics, langs, days) in enumerate(steps):
        now += timedelta(days=days)
        release = replace(make.release(number, langs=langs, topics=topics), major=at)
        texts = tuple(replace(v, revision=replace(v.revision, number=2 * at)) for v in release.variants)
        release = replace(release, variants=texts)
        shelf.put(
            {
                "public": release,
                "withdrawn": replace(release, state=State.WITHDRAWN, withdrawn_at=now, reason="Error"),
                "draft": replace(release, state=State.DRAFT),
                "moved": replace(release, topics=(*topics, "law")),
                "corrected": make.revise(release, at=now, note=f"Corrected {at}", title=f"Title {at}"),
                "dated": replace(release, public_at=release.public_at + timedelta(hours=days)),
            }[what]
        )
        if days % 3:
            await publisher.refresh(now)
        if days % 7 == 6:
            publisher = publish(entries=entries, directory=room / "kept")
    await publisher.refresh(now)
    fresh = publish(entries=entries, directory=room / "fresh")
    await fresh.refresh(now)
    kept = {name: stored.body for name, stored in publisher._state.served.items()}
    assert kept == {name: stored.body for name, stored in fresh._state.served.items()}
