"""Disks that are full or read-only, and feeds that are being written when the process dies."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.needing import absent
from tests.program import make_program, wait_for

MEGABYTES = 6


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own, for the database."""
    folder = tmp_path / "var"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        absent("a file system can only be mounted by root with the right to do so")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def program(tmp_path):
    made = make_program(tmp_path, warm=True)
    folder = {"kind": "directory", "path": str(made.releases), "interval": 2}  # not a minute until it tries again
    made.environ["SYNDICATOR_SOURCES"] = json.dumps([folder])
    yield made
    if made.process is not None and not made.dead():
        made.kill()


def write(program, number: int) -> None:
    program.write(f"n{number}.en.txt", f"Notice number {number}\n\nA text for everyone.\n")


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


@pytest.mark.slow
def test_on_a_full_disk_feeds_are_served_the_trouble_is_told_and_it_goes_on_when_there_is_room(tmp_path, disk, program):
    program.environ |= {"SYNDICATOR_FEEDS__DIRECTORY": str(tmp_path / "feeds")}
    write(program, 0)
    program.start()
    wait_for(lambda: program.titles() == ["Notice number 0"], "the first release")
    fill(disk / "ballast")
    write(program, 1)
    wait_for(lambda: "disk is full" in program.log() or "No space left" in program.log(), "the trouble to be told")
    assert program.titles()[-1] == "Notice number 0", "feeds are served"
    assert program.get("/healthz")[0] == 200
    (disk / "ballast").unlink()
    wait_for(lambda: sorted(program.titles()) == ["Notice number 0", "Notice number 1"], "the second release", 60)
    assert program.stop() == 0


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.mark.slow
def test_a_disk_that_can_only_be_read_keeps_the_old_feeds_and_stops_a_start_with_one_line(tmp_path, disk, program):
    program.environ |= {
        "SYNDICATOR_DATABASE__URL": f"sqlite:///{tmp_path}/office.db",
        "SYNDICATOR_FEEDS__DIRECTORY": str(disk / "feeds"),
    }
    write(program, 0)
    program.start()
    feed = disk / "feeds/en/all.rss"
    wait_for(lambda: feed.exists() and b"number 0" in feed.read_bytes(), "the first release on disk")
    before = feed.read_bytes()
    remount(disk, "ro")
    write(program, 1)
    wait_for(lambda: "Read-only" in program.log(), "the trouble to be told")
    assert feed.read_bytes() == before
    assert program.get("/feeds/en/all.rss")[0] == 200
    remount(disk, "rw")
    wait_for(lambda: b"number 1" in feed.read_bytes(), "the second release on disk", 60)
    assert program.stop() == 0
    remount(disk, "ro")
    program.environ["SYNDICATOR_DATABASE__URL"] = f"sqlite:///{disk}/office.db"
    refused = program.command("run", check=False)
    assert refused.returncode == 1
    assert [line for line in refused.stderr.splitlines() if line.startswith("syndicator:")]
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_whoever_reads_a_feed_while_the_writer_is_killed_finds_it_whole(tmp_path, program):
    feed = tmp_path / "var/feeds/en/all.rss"
    over, read, torn = threading.Event(), [], []

    def look():
        while not over.is_set():
            if feed.exists():
                try:
                    read.append(len(list(ET.fromstring(feed.read_bytes()).iter("item"))))
                except ET.ParseError as error:
                    torn.append(str(error))
            time.sleep(0.001)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(3):
            write(program, number)
            program.spawn()
            title = f"number {number}<"
            wait_for(lambda title=title: feed.exists() and title in feed.read_text(), "the feed")
            write(program, 100 + number)
            program.run_for(0.05 * number)
            program.kill()
        program.start()
        wait_for(lambda: len(program.titles()) == 6, "everything")
        program.stop()
    finally:
        over.set()
        reader.join()
    assert not torn
    assert max(read) == 6
