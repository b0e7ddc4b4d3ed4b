"""The embedded engine keeps the port's promises: one job a key, importance first, room on request, a clean stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Done, Job, Turn, Verdict
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.metrics import Metrics

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Desk:
    """A handler that notes what it did, and a world whose pending work can be set."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.world: list[Job] = []
        self.now = NOW
        self.work: Callable[[Job, Turn], Awaitable[Verdict]] | None = None

    async def handle(self, job: Job, turn: Turn) -> Verdict:
        if self.work is not None:
            return await self.work(job, turn)
        self.done.append(job.key)
        return Done()

    async def pending(self, now: datetime) -> Sequence[Job]:
        return [job for job in self.world if job.key not in self.done]

    def always_fails(self) -> list[str]:
        """Work that never succeeds; the list grows by each try."""
        tries: list[str] = []

        async def work(found: Job, turn: Turn) -> Verdict:
            tries.append(found.key)
            raise OSError("down")

        self.work = work
        return tries

    def engine(self, **lanes: int) -> EmbeddedEngine:
        return EmbeddedEngine(
            {"work": self.handle}, self.pending, clock=lambda: self.now, metrics=Metrics(), lanes=lanes
        )


def job(key: str, priority: Priority = Priority.NORMAL, *, due: datetime = NOW, lane: str = "main") -> Job:
    return Job("work", key, priority, due, lane=lane)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_work_left_by_an_earlier_process_is_resumed_at_start(desk: Desk) -> None:
    desk.world = [job("left over")]
    engine = desk.engine()
    await engine.start()
    await until(lambda: desk.done == ["left over"])
    await engine.stop(1)


async def test_a_wake_asks_the_database_again(desk: Desk) -> None:
    engine = desk.engine()
    await engine.start()
    await until(lambda: engine.idle)
    desk.world = [job("written just now")]
    engine.wake()
    await until(lambda: desk.done == ["written just now"])
    await engine.stop(1)


async def test_jobs_of_one_key_that_wait_together_run_once(desk: Desk) -> None:
    engine = desk.engine()
    for _ in range(5):
        await engine.submit(job("same"))
    await engine.start()
    await until(lambda: engine.idle)
    assert desk.done == ["same"]
    await engine.stop(1)


async def test_a_key_submitted_while_it_runs_runs_once_more_and_never_beside_itself(desk: Desk) -> None:
    gate = asyncio.Event()
    running = peak = 0

    async def work(found: Job, turn: Turn) -> Verdict:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await gate.wait()
        running -= 1
        desk.done.append(found.key)
        return Done()

    desk.work = work
    engine = desk.engine(main=4)
    await engine.start()
    await engine.submit(job("k"))
    await until(lambda: running == 1)
    await engine.submit(job("k"))
    await engine.submit(job("k"))
    gate.set()
    await until(lambda: engine.idle)
    assert desk.done == ["k", "k"]
    assert peak == 1
    await engine.stop(1)


async def test_the_more_important_job_goes_first_and_then_the_earlier_one(desk: Desk) -> None:
    engine = desk.engine()
    await engine.submit(job("normal, later", due=NOW - timedelta(seconds=1)))
    await engine.submit(job("normal, earlier", due=NOW - timedelta(seconds=2)))
    await engine.submit(job("urgent", Priority.URGENT))
    await engine.submit(job("confirmation", Priority.CONFIRMATION))
    await engine.start()
    await until(lambda: len(desk.done) == 4)
    assert desk.done == ["confirmation", "urgent", "normal, earlier", "normal, later"]
    await engine.stop(1)


async def test_a_long_job_gives_way_to_a_more_important_one_of_its_lane_and_is_finished_afterwards(desk: Desk) -> None:
    started = asyncio.Event()
    chunks = 0

    async def work(found: Job, turn: Turn) -> Verdict:
        nonlocal chunks
        if found.key == "urgent":
            desk.done.append("urgent")
            return Done()
        while chunks < 3:
            chunks += 1
            started.set()
            await until(lambda: turn.should_yield() or "urgent" in desk.done)
            if turn.should_yield():
                return Again(NOW)
        desk.done.append("long")
        return Done()

    desk.work = work
    engine = desk.engine()
    await engine.submit(job("long"))
    await engine.start()
    await started.wait()
    await engine.submit(job("urgent", Priority.URGENT))
    await until(lambda: len(desk.done) == 2)
    assert desk.done == ["urgent", "long"]
    await engine.stop(1)


async def test_a_slow_lane_never_delays_another(desk: Desk) -> None:
    gate = asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        if found.lane == "email":
            await gate.wait()
        desk.done.append(found.key)
        return Done()

    desk.work = work
    engine = desk.engine()
    await engine.submit(job("mail", Priority.CONFIRMATION, lane="email"))
    await engine.submit(job("feeds", lane="feeds"))
    await engine.start()
    await until(lambda: desk.done == ["feeds"])
    gate.set()
    await until(lambda: desk.done == ["feeds", "mail"])
    await engine.stop(1)


async def test_a_job_that_is_due_later_waits_for_its_time(desk: Desk) -> None:
    engine = desk.engine()
    await engine.submit(job("embargo", due=NOW + timedelta(hours=1)))
    await engine.start()
    await until(lambda: engine.idle)
    assert desk.done == []
    desk.now = NOW + timedelta(hours=1)
    engine.wake()
    await until(lambda: desk.done == ["embargo"])
    await engine.stop(1)


async def test_a_job_that_raises_is_tried_again_after_a_while_and_stops_nobody(desk: Desk) -> None:
    tries = 0

    async def work(found: Job, turn: Turn) -> Verdict:
        nonlocal tries
        if found.key == "bad":
            tries += 1
            if tries < 3:
                raise RuntimeError("no such table")
        desk.done.append(found.key)
        return Done()

    desk.work = work
    engine = desk.engine()
    await engine.submit(job("bad"))
    await engine.submit(job("good"))
    await engine.start()
    await until(lambda: desk.done == ["good"])
    assert tries == 1
    desk.now += timedelta(seconds=1)
    engine.wake()
    await until(lambda: tries == 2)
    desk.now += timedelta(seconds=1)
    engine.wake()
    await until(lambda: engine.idle)
    assert tries == 2, "the second pause is longer than the first"
    desk.now += timedelta(seconds=1)
    engine.wake()
    await until(lambda: desk.done == ["good", "bad"])
    await engine.stop(1)


async def test_stop_lets_a_running_chunk_finish_and_starts_nothing_new(desk: Desk) -> None:
    gate = asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        await gate.wait()
        desk.done.append(found.key)
        assert turn.should_yield()
        return Done()

    desk.work = work
    engine = desk.engine()
    await engine.submit(job("first"))
    await engine.submit(job("second", due=NOW + timedelta(microseconds=1)))
    await engine.start()
    await until(lambda: not engine.idle)
    stopping = asyncio.create_task(engine.stop(5))
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert desk.done == ["first"]


async def test_stop_cancels_what_does_not_finish_within_its_grace(desk: Desk) -> None:
    async def work(found: Job, turn: Turn) -> Verdict:
        try:
            await asyncio.Event().wait()
        finally:
            desk.done.append("cancelled")
        return Done()

    desk.work = work
    engine = desk.engine()
    await engine.submit(job("stuck"))
    await engine.start()
    await until(lambda: not engine.idle)
    await asyncio.sleep(0.01)
    await engine.stop(0.01)
    assert desk.done == ["cancelled"]


async def test_a_job_nobody_can_do_is_refused_at_once(desk: Desk) -> None:
    with pytest.raises(KeyError, match="no handler"):
        await desk.engine().submit(Job("unheard-of", "k", Priority.NORMAL, NOW))


async def test_a_job_that_has_failed_for_days_is_still_tried_again_every_five_minutes(desk: Desk) -> None:
    tries = desk.always_fails()
    engine = desk.engine()
    engine._failures.counts["k"] = 5000
    await engine.submit(job("k"))
    await engine.start()
    await until(lambda: len(tries) == 1)
    desk.now += timedelta(minutes=5)
    engine.wake()
    await until(lambda: len(tries) == 2)
    await engine.stop(1)


async def test_what_the_database_says_now_takes_the_place_of_what_it_said_before(desk: Desk) -> None:
    desk.world = [job("embargo", due=NOW + timedelta(hours=1)), job("withdrawn", due=NOW + timedelta(hours=1))]
    engine = desk.engine()
    await engine.start()
    await until(lambda: engine.idle)
    desk.world = [job("embargo", due=NOW + timedelta(hours=2))]
    engine.wake()
    await until(lambda: engine.idle)
    desk.now = NOW + timedelta(hours=1)
    engine.wake()
    await until(lambda: engine.idle)
    assert desk.done == []
    desk.now = NOW + timedelta(hours=2)
    engine.wake()
    await until(lambda: desk.done == ["embargo"])
    await engine.stop(1)


async def test_an_urgent_job_that_fails_never_stays_away_for_long(desk: Desk) -> None:
    tries = desk.always_fails()
    engine = desk.engine()
    engine._failures.counts["open"] = 50
    await engine.submit(job("open", Priority.URGENT))
    await engine.start()
    await until(lambda: len(tries) == 1)
    desk.now += timedelta(seconds=5)
    engine.wake()
    await until(lambda: len(tries) == 2)
    await engine.stop(1)


async def test_a_job_that_failed_is_tried_again_though_the_clock_was_set_back(desk: Desk) -> None:
    tries = desk.always_fails()
    engine = desk.engine()
    await engine.submit(job("open", Priority.URGENT, due=NOW - timedelta(hours=2)))
    await engine.start()
    await until(lambda: len(tries) == 1)
    desk.now -= timedelta(hours=1)
    engine.wake()
    await until(lambda: len(tries) == 2)
    await engine.stop(1)
