"""Feeds as files: whole whatever happens, and believed after a restart only where they are what was written."""

import gzip
from dataclasses import replace
from datetime import timedelta

import brotli
import pytest

from feeds import files
from syndicator.domain.model import State
from syndicator.domain.topics import Taxonomy, Topic
from tests.feeds.looking import FEEDS, numbers


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


async def test_feeds_of_a_topic_that_is_no_more_are_taken_away(publish, shelf, make, tmp_path):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    publisher = publish(taxonomy=Taxonomy([Topic("law", {"en": "Law"})]))
    await publisher.refresh(make.now)
    left = {p.name.partition(".")[0] for p in (tmp_path / "feeds/en").iterdir()}
    assert left == {"all", "law"}
    assert not publisher.knows("en/visas.rss")


async def test_a_full_disk_leaves_the_old_files_whole_and_memory_goes_on_without_them(
    publish, shelf, make, tmp_path, monkeypatch
):
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    path = tmp_path / "feeds/en/all.rss"
    on_disk = path.read_bytes()
    shelf.put(make.release(2))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                await publisher.refresh(make.now)
    assert path.read_bytes() == on_disk
    assert numbers(publisher) == [2, 1]
    served = publisher.find("en/all.rss")
    assert await publisher.stale()
    assert await publisher.refresh(make.now + timedelta(hours=1)) > 0
    assert publisher.find("en/all.rss") == served  # written late, and no validator has moved
    assert path.read_bytes() == served.body
    assert not await publisher.stale()
    assert not list((tmp_path / "feeds").rglob("*.tmp"))


def full(_descriptor):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("end", ["withdrawn", "draft"])
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_on_a_full_disk_a_withdrawn_text_is_neither_served_nor_left_for_other_servers(
    publish, shelf, make, tmp_path, monkeypatch, end, restarted
):
    shelf.put(make.release(1, topics=("law",), body="<p>Said too early</p>"))
    shelf.put(make.release(2, topics=("visas",)))
    publisher = publish()
    await publisher.refresh(make.now)
    values = {"withdrawn_at": make.now} if end == "withdrawn" else {"opened_at": None}
    shelf.put(replace(shelf.get(1), state=State(end), **values))
    monkeypatch.setattr("os.fsync", full)
    publisher = publish() if restarted else publisher
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            await publisher.refresh(make.now)
    folder = tmp_path / "feeds"
    found = [publisher.find(f"en/{topic}.{fmt}").body for topic in ("all", "law") for fmt in ("rss", "atom", "json")]
    found += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not [body for body in found if b"Said too early" in body]
    assert not (folder / "en/law.rss").is_symlink()
    assert (folder / "en/visas.rss").is_symlink()  # what holds nothing of it still stands


async def test_what_memory_took_on_without_the_disk_is_taken_back_where_the_store_goes_back(
    publish, shelf, make, monkeypatch
):
    """Written to no file, and then as the files had it all the time."""
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    shelf.put(replace(shelf.get(1), topics=("law",)))
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            await publisher.refresh(make.now)
    assert numbers(publisher, "en/law.json") == [1]
    shelf.put(replace(shelf.get(1), topics=("visas",)))
    await publisher.refresh(make.now)
    assert numbers(publisher, "en/law.json") == []
    assert numbers(publisher, "en/visas.json") == [1]
    assert await publish().refresh(make.now) == 0


async def test_last_modified_never_goes_back_though_the_manifest_is_lost(publish, shelf, make, tmp_path):
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    shelf.put(make.revise(shelf.get(1), at=make.now, body="<p>Typo mended</p>"))  # silent: no entry's time moves
    await publisher.refresh(make.now)
    before = publisher.find("en/all.rss")
    (tmp_path / "feeds/manifest.json").unlink()
    again = publish()
    await again.refresh(make.now + timedelta(hours=1))
    assert again.find("en/all.rss") == before
    shelf.put(make.revise(shelf.get(1), at=make.now, body="<p>Another typo mended</p>"))
    (tmp_path / "feeds/manifest.json").unlink()
    again = publish()
    await again.refresh(make.now + timedelta(hours=1))
    assert again.find("en/all.rss").last_modified > before.last_modified


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
