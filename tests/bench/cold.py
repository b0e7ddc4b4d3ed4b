"""Cold and warm start with 10,000 releases: process start until the first feed is served, and until all are.

Cold: the database is there and no feed is on disk, as after a move or a change of settings. The process is asked for
the feed of all releases over and over from its first moment; what counts is its first 200. Beside the seconds stands
the CPU that the process had taken by then, which neighbours on a busy machine lengthen less.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from syndicator.store.database import Database
from tests.bench.crowd import library, taxonomy
from tests.bench.figures import Figure
from tests.program import Program, make_program

__all__ = ["filled", "measure"]

RELEASES = 10_000
ROUNDS = 3
KINDS = ("cold", "warm")
LIMIT = 2.0
FEED = "/feeds/az/all.rss"
PATIENCE = 60.0
TOPIC = '[[topic]]\nslug = "{slug}"\nname = {{ az = "{az}", en = "{en}", ru = "{ru}" }}\n'


def measure(folder: Path) -> Iterator[Figure]:
    """Some starts of each kind in turn; the best counts."""
    program = filled(folder, RELEASES)
    starts: dict[str, list[tuple[float, float, float, float]]] = {kind: [] for kind in KINDS}
    try:
        for _ in range(ROUNDS):
            for kind, found in starts.items():
                if kind == "cold":
                    shutil.rmtree(folder / "var" / "feeds", ignore_errors=True)
                found.append(_start(program))
                program.stop()
    finally:
        if program.process is not None and not program.dead():
            program.kill()
    for kind, found in starts.items():
        what = f"{kind} start, {RELEASES:,} releases, until"
        seconds, cpu = min(one[0] for one in found), min(one[1] for one in found)
        yield Figure(f"{what} the first feed", f"{seconds:.2f} s", f"limit {LIMIT:g} s", seconds / LIMIT)
        yield Figure(f"{what} the first feed, CPU", f"{cpu:.2f} s", f"limit {LIMIT:g} s", cpu / LIMIT)
        seconds, cpu = min(one[2] for one in found), min(one[3] for one in found)
        yield Figure(f"{what} /readyz", f"{seconds:.2f} s", f"CPU {cpu:.2f} s")


def filled(folder: Path, releases: int) -> Program:
    """A program with a full database and the taxonomy of the benchmark."""
    program = make_program(folder)
    topics = folder / "topics.toml"
    topics.write_text("\n".join(TOPIC.format(slug=topic.slug, **topic.names) for topic in taxonomy().topics))
    program.environ |= {"SYNDICATOR_TOPICS__FILE": str(topics)}
    program.command("migrate")
    asyncio.run(_fill(f"sqlite:///{folder}/var/syndicator.db", releases))
    return program


async def _fill(url: str, releases: int) -> None:
    database = Database(url)
    await library(database, releases)
    await database.close()


def _start(program: Program) -> tuple[float, float, float, float]:
    """Seconds and CPU until the first feed; and until the service says that it is ready."""
    begun = time.monotonic()
    log = program.spawn()
    assert program.process is not None
    process = psutil.Process(program.process.pid)
    found: list[float] = []
    for path in (FEED, "/readyz"):
        while not _stands(program, path):
            assert not program.dead(), log.read_text()[-4000:]
            assert time.monotonic() - begun < PATIENCE, f"no {path} in {PATIENCE:g} s"
            time.sleep(0.01)
        spent = process.cpu_times()
        found += [time.monotonic() - begun, spent.user + spent.system]
    return found[0], found[1], found[2], found[3]


def _stands(program: Program, path: str) -> bool:
    try:
        return program.get(path)[0] == 200
    except OSError:
        return False
