"""A refresh does as little as it may: only what changed is read, rendered and written."""

import asyncio
from datetime import timedelta

import pytest

from feeds import build
from syndicator.metrics import Metrics
from tests.feeds.looking import FEEDS, numbers, stamps, touched


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


async def test_a_flood_of_changes_asks_every_window_anew(publish, shelf, make, monkeypatch):
    monkeypatch.setattr("feeds.publisher.MANY", 3)
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    for number in range(2, 12):
        shelf.put(make.release(number))
    await publisher.refresh(make.now)
    assert numbers(publisher) == list(range(11, 0, -1))


async def test_written_feeds_are_counted(publish, shelf, make):
    metrics = Metrics()
    shelf.put(make.release(1))
    await publish(metrics=metrics).refresh(make.now)
    assert metrics.registry.get_sample_value("syndicator_feed_files_written_total") == FEEDS


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
