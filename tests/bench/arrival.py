"""Arrival: seconds from the moment a file stands in the watched folder until people can see it. The limit is 2 s."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, spread
from tests.bench.newsroom import FACES, newsroom, text_of

__all__ = ["measure"]

RELEASES = 10
LIMIT = 2.0


def measure(folder: Path) -> Iterator[Figure]:
    """Ten releases, one after another, into a service that has nothing else to do."""
    with newsroom(folder) as room:
        room.program.start()
        runs = []
        for number in range(RELEASES):
            title = f"Arrival number {number:03}"
            text = text_of(title)
            since = time.time()
            room.program.write(f"arrival{number}.en.txt", text)
            runs.append(room.seconds_until(title, since))
            time.sleep(0.3 + number / 20)  # not in step with anything that ticks
    for face in FACES:
        yield spread(f"file in the folder until in the {face}", [run[face] for run in runs], LIMIT)
