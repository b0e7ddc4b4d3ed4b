"""Start: seconds to /readyz, with an empty store and with 2,000 releases; and what a second harvest costs (nothing)."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.newsroom import text_of
from tests.program import Program, make_program, wait_for

__all__ = ["measure", "rows_of"]

RELEASES = 2000


def measure(folder: Path) -> Iterator[Figure]:
    """One program: empty, then full, then harvested again."""
    program = make_program(folder)
    program.command("migrate")
    try:
        empty = _start(program)
        yield Figure("process start to /readyz, empty store", f"{empty:.2f} s")
        for number in range(RELEASES):
            text = text_of(f"Release number {number:04} about residence")
            program.write(f"r{number}.en.md", f"---\npublished: 2025-{number % 12 + 1:02}-03\n---\n# {text}")
        begun = time.monotonic()
        wait_for(lambda: rows_of(program, "release") == RELEASES, "every release", patience=120)
        yield Figure(
            f"{RELEASES:,} files put into the folder until all are stored", f"{time.monotonic() - begun:.1f} s"
        )
        wait_for(lambda: _quiet(program), "the feeds", patience=60)
        program.stop()
        full = _start(program)
        yield Figure(
            f"process start to /readyz, {RELEASES:,} releases", f"{full:.2f} s", f"empty {empty:.2f} s", full / empty
        )
        yield from _again(program)
    finally:
        if program.process is not None and not program.dead():
            program.kill()


def _again(program: Program) -> Iterator[Figure]:
    files, rows = _files(program), [rows_of(program, table) for table in ("message", "delivery", "revision")]
    begun = time.monotonic()
    (tally,) = json.loads(program.command("harvest", "--json").stdout)
    seconds = time.monotonic() - begun
    time.sleep(1)  # twice the time in which a running service notices a command's writes
    written = sum(files.get(path) != stamp for path, stamp in _files(program).items())
    more = [rows_of(program, table) - had for table, had in zip(("message", "delivery", "revision"), rows, strict=True)]
    yield Figure("second harvest of the same store, the whole command", f"{seconds:.2f} s")
    yield Figure(
        "second harvest: releases changed, feed files written", f"{tally['changed']}, {written}", "must be 0, 0"
    )
    yield Figure("second harvest: messages, deliveries, revisions", ", ".join(map(str, more)), "must be 0, 0, 0")


def _start(program: Program) -> float:
    begun = time.monotonic()
    program.start()
    return time.monotonic() - begun


def rows_of(program: Program, table: str) -> int:
    """How many rows a table of that program's database has."""
    with sqlite3.connect(f"file:{program.folder}/var/syndicator.db?mode=ro", uri=True) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _files(program: Program) -> dict[Path, tuple[int, int]]:
    found = {}
    for path in (program.folder / "var" / "feeds").rglob("*"):
        if path.is_file():
            stat = path.stat()
            found[path] = (stat.st_ino, stat.st_mtime_ns)
    return found


def _quiet(program: Program) -> bool:
    """Whether no feed file has changed for a second."""
    before = _files(program)
    time.sleep(1)
    return before == _files(program)
