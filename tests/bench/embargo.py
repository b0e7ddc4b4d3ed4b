"""Embargo: seconds past its second until a release is seen, also when nobody was there then. The limit is 2 s."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import Figure, spread
from tests.bench.newsroom import FACES, Newsroom, newsroom, text_of
from tests.program import wait_for

__all__ = ["measure"]

RUNS, RUNS_AWAY = 5, 3
LIMIT = 2.0
AHEAD = 2.5  # seconds from writing to opening: enough to be taken in, and to stop the service


def measure(folder: Path) -> Iterator[Figure]:
    """Some that come due under a running service, some under none."""
    with newsroom(folder) as room:
        room.program.start()
        present = [_wait(room, f"Embargo number {n:03}") for n in range(RUNS)]
        absent = [_away(room, f"Absence number {n:03}") for n in range(RUNS_AWAY)]
    for face in FACES:
        yield spread(f"its second until in the {face}", [run[face] for run in present], LIMIT)
    for face in FACES:
        yield spread(f"came due while down: /readyz until in the {face}", [run[face] for run in absent], LIMIT)


def _write(room: Newsroom, title: str) -> float:
    opens = time.time() + AHEAD
    when = datetime.fromtimestamp(opens, UTC).isoformat()
    before = room.program.log().count('"recorded"')
    text = f"---\nembargo: {when}\n---\n# {text_of(title)}"
    room.program.write(f"{title.replace(' ', '-')}.en.md", text)
    wait_for(lambda: room.program.log().count('"recorded"') > before, "the release to be taken in")
    return opens


def _wait(room: Newsroom, title: str) -> dict[str, float]:
    opens = _write(room, title)
    found = dict(room.seconds_until(title, opens))
    assert time.time() >= opens
    return found


def _away(room: Newsroom, title: str) -> dict[str, float]:
    opens = _write(room, title)
    room.program.kill()
    time.sleep(max(opens - time.time(), 0) + 0.1)
    room.program.start()
    return dict(room.seconds_until(title, time.time()))
