"""Every engine keeps the port's promises: one job a key, importance first, room on request, a clean stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Done, Job, Turn, Verdict
from tests.engine.floors import NOW, ClusterFloor, Desk, EmbeddedFloor, Floor, job, until


@pytest.fixture(params=["embedded", "procrastinate"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Where the queue is, for an engine that has one."""
    return None if request.param == "embedded" else str(request.getfixturevalue("queue_url"))


@pytest.fixture
async def floor(url: str | None) -> AsyncIterator[Floor]:
    made: Floor = EmbeddedFloor(Desk(), wide=4) if url is None else ClusterFloor(Desk(), url, wide=4)
    yield made
    await made.end()


async def test_work_left_by_an_earlier_process_is_resumed_at_start(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    desk.world = [job("left over")]
    await engine.start()
    await until(lambda: desk.done == ["left over"])


async def test_a_wake_asks_the_database_again(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    await engine.start()
    await until(floor.idle)
    desk.world = [job("written just now")]
    engine.wake()
    await until(lambda: desk.done == ["written just now"])


async def test_jobs_of_one_key_that_wait_together_run_once(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    for _ in range(5):
        await engine.submit(job("same"))
    await engine.start()
    await until(floor.idle)
    assert desk.done == ["same"]


async def test_a_key_submitted_while_it_runs_runs_once_more_and_never_beside_itself(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
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
    await engine.start()
    await engine.submit(job("k", lane="wide"))
    await until(lambda: running == 1)
    await engine.submit(job("k", lane="wide"))
    await engine.submit(job("k", lane="wide"))
    gate.set()
    await until(floor.idle)
    assert desk.done == ["k", "k"]
    assert peak == 1


async def test_the_more_important_job_goes_first_and_then_the_earlier_one(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    await engine.submit(job("normal, earlier", due=NOW - timedelta(seconds=2)))
    await engine.submit(job("normal, later", due=NOW - timedelta(seconds=1)))
    await engine.submit(job("urgent", Priority.URGENT))
    await engine.submit(job("confirmation", Priority.CONFIRMATION))
    await engine.start()
    await until(lambda: len(desk.done) == 4)
    assert desk.done == ["confirmation", "urgent", "normal, earlier", "normal, later"]


async def test_a_long_job_gives_way_to_a_more_important_one_of_its_lane_and_is_finished_afterwards(
    floor: Floor,
) -> None:
    desk, engine = floor.desk, floor.engine
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
    await engine.submit(job("long"))
    await engine.start()
    await started.wait()
    await engine.submit(job("urgent", Priority.URGENT))
    await until(lambda: len(desk.done) == 2)
    assert desk.done == ["urgent", "long"]


async def test_a_slow_lane_never_delays_another(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    gate = asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        if found.lane == "email":
            await gate.wait()
        desk.done.append(found.key)
        return Done()

    desk.work = work
    await engine.submit(job("mail", Priority.CONFIRMATION, lane="email"))
    await engine.submit(job("feeds", lane="feeds"))
    await engine.start()
    await until(lambda: desk.done == ["feeds"])
    gate.set()
    await until(lambda: desk.done == ["feeds", "mail"])


async def test_a_job_that_is_due_later_waits_for_its_time(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    await engine.submit(job("embargo", due=NOW + timedelta(hours=1)))
    await engine.start()
    await until(floor.idle)
    assert desk.done == []
    await floor.advance(NOW + timedelta(hours=1) - desk.now)
    await until(lambda: desk.done == ["embargo"])


async def test_a_job_that_raises_is_tried_again_after_a_while_and_stops_nobody(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
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
    await engine.submit(job("bad"))
    await engine.submit(job("good"))
    await engine.start()
    await until(lambda: desk.done == ["good"])
    assert tries == 1
    await floor.advance(timedelta(seconds=1))
    await until(lambda: tries == 2)
    await floor.advance(timedelta(seconds=1))
    await until(floor.idle)
    assert tries == 2, "the second pause is longer than the first"
    await floor.advance(timedelta(seconds=1))
    await until(lambda: desk.done == ["good", "bad"])


async def test_stop_lets_a_running_chunk_finish_and_starts_nothing_new(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    gate, began = asyncio.Event(), asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        began.set()
        await gate.wait()
        desk.done.append(found.key)
        assert turn.should_yield()
        return Done()

    desk.work = work
    await engine.submit(job("first"))
    await engine.submit(job("second", due=NOW + timedelta(microseconds=1)))
    await engine.start()
    await began.wait()
    stopping = asyncio.create_task(engine.stop(5))
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert desk.done == ["first"]


async def test_stop_cancels_what_does_not_finish_within_its_grace(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    began = asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            desk.done.append("cancelled")
        return Done()

    desk.work = work
    await engine.submit(job("stuck"))
    await engine.start()
    await began.wait()
    await engine.stop(0.01)
    assert desk.done == ["cancelled"]


async def test_a_job_nobody_can_do_is_refused_at_once(floor: Floor) -> None:
    with pytest.raises(KeyError, match="no handler"):
        await floor.engine.submit(Job("unheard-of", "k", Priority.NORMAL, NOW))


async def test_a_job_that_has_failed_for_days_is_still_tried_again_every_five_minutes(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    tries = desk.always_fails()
    await engine.submit(job("k"))
    await floor.has_failed("k", 5000)
    await engine.start()
    await until(lambda: len(tries) == 1)
    await floor.advance(timedelta(minutes=5))
    await until(lambda: len(tries) == 2)


async def test_what_the_database_says_now_takes_the_place_of_what_it_said_before(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    desk.world = [job("embargo", due=NOW + timedelta(hours=1)), job("withdrawn", due=NOW + timedelta(hours=1))]
    await engine.start()
    await until(floor.idle)
    desk.world = [job("embargo", due=NOW + timedelta(hours=2))]
    engine.wake()
    await until(floor.idle)
    await floor.advance(NOW + timedelta(hours=1) - desk.now)
    await until(floor.idle)
    assert desk.done == []
    await floor.advance(NOW + timedelta(hours=2) - desk.now)
    await until(lambda: desk.done == ["embargo"])


async def test_an_urgent_job_that_fails_never_stays_away_for_long(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    tries = desk.always_fails()
    await engine.submit(job("open", Priority.URGENT))
    await floor.has_failed("open", 50)
    await engine.start()
    await until(lambda: len(tries) == 1)
    await floor.advance(timedelta(seconds=5))
    await until(lambda: len(tries) == 2)


async def test_a_job_that_failed_is_tried_again_though_the_clock_was_set_back(floor: Floor) -> None:
    desk, engine = floor.desk, floor.engine
    tries = desk.always_fails()
    await engine.submit(job("open", Priority.URGENT, due=NOW - timedelta(hours=2)))
    await engine.start()
    await until(lambda: len(tries) == 1)
    desk.now -= timedelta(hours=1)
    engine.wake()
    await until(lambda: len(tries) == 2)
