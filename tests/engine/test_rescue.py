"""Processes that are killed or frozen leave nothing behind: real ones, with real signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.floors import ClusterFloor, Desk, job, until

ROOT = Path(__file__).parents[2]


class Mate:
    """A process, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(line.decode().strip())

    def has_said(self, *lines: str) -> bool:
        return all(self.said.count(line) >= lines.count(line) for line in lines)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self) -> None:
        if self.process.returncode is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
            await self._reader


class Crowd:
    """Who plans, two who work, and the queue as the test sees it."""

    def __init__(self, floor: ClusterFloor, folder: Path) -> None:
        self.floor = floor
        self.folder = folder
        self.mates: list[Mate] = []

    async def begin(self) -> None:
        for role in ("plans", "works", "works"):
            command = (sys.executable, "-m", "tests.engine.mate", self.floor.url, str(self.folder), role)
            pipe = asyncio.subprocess.PIPE
            self.mates.append(Mate(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe)))
        await until(lambda: all(mate.said for mate in self.mates), 60)

    @property
    def judge(self) -> Mate:
        return self.mates[0]

    async def who(self, line: str) -> tuple[Mate, Mate]:
        """Which of the two has said it, and the other one."""
        one, two = self.mates[1:]
        await until(lambda: one.has_said(line) or two.has_said(line))
        return (one, two) if one.has_said(line) else (two, one)

    def let_end(self, key: str) -> None:
        (self.folder / key).touch()

    async def jobs(self) -> list[str]:
        """What is in the queue, but for the seat."""
        rows = await self.floor.rows("SELECT queueing_lock FROM procrastinate_jobs WHERE task_name <> 'seat'")
        return [key for (key,) in rows]


@pytest.fixture
async def crowd(queue_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    made = Crowd(ClusterFloor(Desk(), queue_url, more={"plans": False}), tmp_path)
    try:
        await made.begin()
        yield made
    finally:
        await asyncio.gather(*(mate.end() for mate in made.mates))
        await made.floor.engine.leave()


async def test_jobs_and_the_seat_of_a_killed_process_are_another_one_s(crowd: Crowd) -> None:
    holder, other = await crowd.who("seat taken")
    for key in ("a", "b", "c", "d", "e", "f", "g"):
        await crowd.floor.engine.submit(job(key))
    await until(lambda: sum(said.startswith("began") for mate in crowd.mates for said in mate.said) == 7)
    begun = [said for said in holder.said if said.startswith("began")]
    assert begun, "both are at work"
    holder.send(signal.SIGKILL)
    for key in ("a", "b", "c", "d", "e", "f", "g"):
        crowd.let_end(key)
    await until(lambda: other.has_said(*begun, "seat taken") and crowd.judge.has_said("bereaved"))

    async def nothing_left() -> bool:
        return await crowd.jobs() == []

    await until(nothing_left)
    assert await crowd.floor.rows("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") == [(1,)]
    assert await crowd.floor.rows("SELECT count(*) FROM procrastinate_workers") == [(2,)]
    for mate in crowd.mates:  # and who ends in order leaves nothing at all
        await mate.end()
    assert await crowd.floor.rows("SELECT id FROM procrastinate_jobs") == []
    assert await crowd.floor.rows("SELECT id FROM procrastinate_workers") == []


async def test_a_frozen_process_is_replaced_and_what_it_finishes_late_is_nobody_s(crowd: Crowd) -> None:
    frozen, other = await crowd.who("seat taken")
    frozen_before = list(frozen.said)
    other.send(signal.SIGSTOP)  # so that the one with the seat gets the job
    await crowd.floor.engine.submit(job("k"))
    await until(lambda: frozen.has_said("began k"))
    frozen.send(signal.SIGSTOP)
    other.send(signal.SIGCONT)
    await until(lambda: other.has_said("began k", "seat taken"))
    [(before,)] = await crowd.floor.rows("SELECT id FROM procrastinate_jobs WHERE queueing_lock = 'k'")
    frozen.send(signal.SIGCONT)
    await until(lambda: frozen.has_said("ended k", "seat left"))
    await asyncio.sleep(0.3)
    assert await crowd.floor.rows("SELECT id, status::text FROM procrastinate_jobs WHERE queueing_lock = 'k'") == [
        (before, "doing")
    ], "the other one still has it"
    assert not other.has_said("ended k")
    crowd.let_end("k")
    await until(lambda: other.has_said("ended k"))
    assert frozen.said.count("seat taken") == frozen_before.count("seat taken") == 1
    other.send(signal.SIGSTOP)
    await crowd.floor.engine.submit(job("later"))
    await until(lambda: frozen.has_said("began later", "seat taken", "seat taken"))
