"""Feeds as files: whole whatever happens, and believed after a restart only where they are what was written."""

import gzip
from datetime import timedelta

import brotli
import pytest

from feeds import files
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
        patch.setattr("os.fsync", full)
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
