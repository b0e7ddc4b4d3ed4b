"""The tree of versions: whole at every moment, whatever breaks off where, and clean after the next writing."""

import gzip
import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import brotli
import pytest

from feeds import files, tree
from feeds.files import Stored

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NAMES = ("az/all.rss", "az/all/2026-10.rss", "az.opml")
UNPACK = {"": bytes, ".gz": gzip.decompress, ".br": brotli.decompress}
CALLS = ("fsync", "utime", "replace", "symlink")


class Killed(BaseException):
    """As a crash: nothing that handles errors sees it."""


def edition(number):
    found = {}
    for name in NAMES:
        body = f"{name} {number} ".encode() * 50
        found[name] = Stored(body, files.pack(body), files.etag_of(body), START + timedelta(seconds=number))
    return found


def write_until(monkeypatch, call, moment, folder):
    """Write the second edition until the `moment`-th such call, which does not happen, nor anything after it."""
    real, left = getattr(os, call), [moment]

    def broken(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return real(*arguments, **options)

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(os, call, broken)
        files.save(folder, edition(2))


def read(folder, name):
    """The edition that each of a name's files belongs to, by suffix; every one of them is whole."""
    found = {}
    for suffix, unpack in UNPACK.items():
        path = folder / (name + suffix)
        body = unpack(path.read_bytes())
        assert hashlib.sha256(body).hexdigest() == path.resolve().name.split(".")[1]
        found[suffix] = int(body.split()[1])
        assert path.stat().st_mtime == (START + timedelta(seconds=found[suffix])).timestamp()
    return found


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("call", CALLS)
def test_a_crash_at_any_step_leaves_every_name_whole_and_the_next_writing_leaves_no_trace(tmp_path, monkeypatch, call):
    clean = tmp_path / "clean"
    files.save(clean, edition(2))
    for moment in range(len(NAMES) * 3):
        folder = tmp_path / str(moment)
        files.save(folder, edition(1))
        write_until(monkeypatch, call, moment, folder)
        for name in NAMES:
            found = read(folder, name)
            assert set(found.values()) <= {1, 2}
            assert found[""] <= min(found[".gz"], found[".br"])  # codings turn first
        for path in (folder / tree.VERSIONS).rglob("[!.]*"):  # what a server finds that looks for names
            if path.is_file() and path.suffix not in UNPACK:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.split(".")[1]
        files.save(folder, edition(2))
        assert everything(folder) == everything(clean)


def test_files_that_are_made_safe_together_are_so_before_anything_public_changes(tmp_path, monkeypatch):
    files.save(tmp_path, edition(1))
    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(os, "sync", Mock(side_effect=Killed))
        patch.setattr(os, "fsync", lambda _descriptor: pytest.fail("synced one by one"))
        files.save(tmp_path, edition(2), together=True)
    assert [read(tmp_path, name)[""] for name in NAMES] == [1] * len(NAMES)
    files.save(tmp_path, edition(2), together=True)
    assert [read(tmp_path, name)[""] for name in NAMES] == [2] * len(NAMES)


def test_nothing_public_changes_before_every_new_file_is_safe(tmp_path, monkeypatch):
    files.save(tmp_path, edition(1))
    write_until(monkeypatch, "fsync", len(NAMES) * 3 - 1, tmp_path)
    assert [read(tmp_path, name)[""] for name in NAMES] == [1] * len(NAMES)


def test_the_same_version_again_after_damage_is_whole_again(tmp_path):
    files.save(tmp_path, edition(1))
    damaged = (tmp_path / "az/all.rss.gz").resolve()
    with damaged.open("rb") as reader:
        before = reader.read()
        damaged.chmod(0o600)
        files.save(tmp_path, {"az/all.rss": edition(1)["az/all.rss"]})
        reader.seek(0)
        assert reader.read() == before  # who had it open keeps it
    assert read(tmp_path, "az/all.rss") == {"": 1, ".gz": 1, ".br": 1}


def test_what_is_removed_leaves_no_file_and_no_empty_folder_of_its_own(tmp_path):
    files.save(tmp_path, edition(1))
    files.remove(tmp_path, ["az/all/2026-10.rss", "az.opml"])
    assert {path.removeprefix(".versions/").partition(".")[0] for path in everything(tmp_path)} == {"az/all"}
    assert not (tmp_path / "az/all").exists()
    assert read(tmp_path, "az/all.rss")[""] == 1


def test_the_folder_may_be_moved(tmp_path):
    files.save(tmp_path / "here", edition(1))
    (tmp_path / "here").rename(tmp_path / "there")
    assert [read(tmp_path / "there", name)[""] for name in NAMES] == [1] * len(NAMES)


def test_a_folder_of_plain_files_is_not_believed_but_built_again_as_links(tmp_path):
    """As releases before this one wrote it."""
    stored = edition(1)["az/all.rss"]
    (tmp_path / "az").mkdir()
    (tmp_path / "az/all.rss").write_bytes(stored.body)
    for coding, suffix in files.SUFFIXES.items():
        (tmp_path / f"az/all.rss{suffix}").write_bytes(stored.packed[coding])
    assert files.load(tmp_path, "az/all.rss", files.kept_of(stored)) is None
    files.save(tmp_path, {"az/all.rss": stored})
    assert files.load(tmp_path, "az/all.rss", files.kept_of(stored)) == stored
