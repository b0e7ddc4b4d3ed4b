"""One process of a cluster, for tests that kill and freeze it: `python -m tests.engine.mate URL FOLDER plans|works`.

It says on its output what happens: `number N`, `began KEY`, `ended KEY`, `seat taken`, `seat left`, `bereaved`. A job
ends when a file of its key's name lies in the folder, or when it is to give way.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from syndicator.domain.ports import Done, Job, Turn, Verdict
from syndicator.engine.cluster import ClusterEngine
from syndicator.metrics import Metrics
from tests.engine.floors import REAL


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201  # who began it reads along


class Room:
    """A Part that says whether it runs."""

    async def start(self) -> None:
        say("seat taken")

    async def stop(self) -> None:
        say("seat left")


async def nothing(now: datetime) -> Sequence[Job]:
    return []


async def main(url: str, folder: Path, role: str) -> None:
    async def work(job: Job, turn: Turn) -> Verdict:
        say("began", job.key)
        while not (folder / job.key).exists() and not turn.should_yield():
            await asyncio.sleep(0.01)
        say("ended", job.key)
        return Done()

    async def bereaved() -> None:
        say("bereaved")

    engine = ClusterEngine(
        url,
        {"work": work},
        nothing,
        clock=lambda: datetime.now(UTC),
        metrics=Metrics(),
        lanes={"main": 4},
        works_on=lambda lane: role == "works",
        plans=role == "plans",
        seats={"telegram": Room()} if role == "works" else {},
        bereaved=bereaved,
        rhythm=REAL,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await engine.start()
    say("number", engine.attendance.number)
    await stop.wait()
    await engine.stop(1)
    await engine.leave()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
