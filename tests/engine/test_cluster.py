"""Several engines on one queue: each job once, importance across them, words to all, seats for one, newer versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from syndicator.clock import steady
from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Done, Job, Turn, Verdict
from syndicator.engine import cluster, seats
from syndicator.engine.line import QueueTrouble
from syndicator.engine.queue import Queue
from syndicator.engine.rhythm import Rhythm
from syndicator.store import wanted
from syndicator.store.database import Database
from tests.engine.floors import FAST, NOW, ClusterFloor, Desk, job, until

SOON = 10.0  # seconds, on a busy machine; alone it is a fraction of one
Opening = Callable[..., AbstractAsyncContextManager[ClusterFloor]]


class Room:
    """A Part that notes whether it runs."""

    def __init__(self, *, fails: int = 0) -> None:
        self.runs = False
        self.starts = 0
        self.fails = fails

    async def start(self) -> None:
        self.starts += 1
        if self.starts <= self.fails:
            raise OSError("the port is taken")
        self.runs = True

    async def stop(self) -> None:
        self.runs = False


@pytest.fixture
def opened(queue_url: str) -> Opening:
    """One more engine on the same queue."""

    @asynccontextmanager
    async def opening(desk: Desk | None = None, *, start: bool = True, **more: Any) -> AsyncIterator[ClusterFloor]:
        lanes = more.pop("lanes", {})
        floor = ClusterFloor(desk or Desk(), queue_url, more=more, **lanes)
        if start:
            await floor.engine.start()
        try:
            yield floor
        finally:
            await floor.end()

    return opening


async def test_two_planners_and_two_workers_share_the_work_and_leave_none_of_it(opened: Opening) -> None:
    desk = Desk()
    desk.world = [job(f"k{n}", lane=f"lane {n % 5}") for n in range(100)]
    async with opened(desk) as one, opened(desk) as two:
        for floor in (one, two):
            floor.engine.wake()
        await until(lambda: len(set(desk.done)) == 100)
        await until(one.idle)
        assert len(desk.done) < 120, "one that was asked for as it ended may come once more"
        assert await one.rows("SELECT id FROM procrastinate_jobs") == []


async def test_a_key_never_runs_beside_itself_on_another_machine(opened: Opening) -> None:
    desk, gate = Desk(), asyncio.Event()
    running: list[str] = []

    async def work(found: Job, turn: Turn) -> Verdict:
        running.append(found.key)
        await gate.wait()
        desk.done.append(found.key)
        return Done()

    desk.work = work
    async with opened(desk, lanes={"main": 4}) as one, opened(desk, lanes={"main": 4}) as two:
        await one.engine.submit(job("k"))
        await until(lambda: running == ["k"])
        await two.engine.submit(job("k"))
        await two.engine.submit(job("other"))
        await until(lambda: running == ["k", "other"])
        gate.set()
        await until(lambda: desk.done.count("k") == 2)


async def test_what_runs_is_not_asked_for_beside_itself_and_is_looked_at_again_soon(opened: Opening) -> None:
    desk, gate = Desk(), asyncio.Event()
    desk.world = [job("k")]

    async def work(found: Job, turn: Turn) -> Verdict:
        await gate.wait()
        desk.done.append(found.key)
        desk.world = [job("written meanwhile")]
        return Done()

    desk.work = work
    async with opened(desk, rhythm=replace(FAST, soon=0.3)) as floor:
        await until(lambda: floor.engine._crew.busy)
        floor.engine.wake()
        await asyncio.sleep(0.1)
        assert await floor.rows("SELECT status::text FROM procrastinate_jobs") == [("doing",)]
        gate.set()
        await until(lambda: desk.done == ["k", "written meanwhile"])


async def test_what_runs_for_long_is_asked_about_less_and_less(opened: Opening) -> None:
    desk, gate, asked = Desk(), asyncio.Event(), list[float]()
    desk.world = [job("k")]
    real = desk.pending

    async def pending(now: Any) -> Any:
        asked.append(monotonic())
        return await real(now)

    async def work(found: Job, turn: Turn) -> Verdict:
        await gate.wait()
        desk.done.append(found.key)
        return Done()

    desk.work, desk.pending = work, pending  # type: ignore[method-assign]
    async with opened(desk, rhythm=replace(FAST, soon=0.02)) as floor:
        await until(lambda: floor.engine._listener.listens.is_set() and floor.engine._crew.busy)
        asked.clear()
        floor.engine.wake()
        await until(lambda: len(asked) > 2)
        before = len(asked)
        await asyncio.sleep(0.7)
        assert len(asked) - before < 8, "0.02 s each would be 35"
        gate.set()
        await until(lambda: desk.done == ["k"])


async def test_a_process_takes_only_jobs_of_its_own_lanes(opened: Opening) -> None:
    web, worker = Desk(), Desk()
    async with opened(web, works_on=lambda lane: False, plans=False) as one, opened(worker, plans=False):
        await one.engine.submit(job("k"))
        await until(lambda: worker.done == ["k"])
    assert web.done == []


async def test_a_long_job_gives_way_to_more_important_work_that_another_machine_asked_for(opened: Opening) -> None:
    desk, began = Desk(), asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        began.set()
        if found.key == "long" and "urgent" not in desk.done:
            await until(turn.should_yield)
            return Again(NOW)
        desk.done.append(found.key)
        return Done()

    desk.work = work
    async with opened(desk), opened(works_on=lambda lane: False, plans=False) as elsewhere:
        await elsewhere.engine.submit(job("long"))
        await began.wait()
        await elsewhere.engine.submit(job("urgent", Priority.URGENT))
        await until(lambda: desk.done == ["urgent", "long"])


async def test_no_job_gives_way_to_what_is_no_more_important_or_waits_elsewhere(opened: Opening) -> None:
    desk, began, asked = Desk(), asyncio.Event(), []

    async def work(found: Job, turn: Turn) -> Verdict:
        if found.key == "long":
            began.set()
            await asyncio.sleep(0.2)
            asked.append(turn.should_yield())
        return Done()

    desk.work = work
    async with opened(desk, plans=False, works_on=lambda lane: lane == "main") as floor:
        await floor.engine.submit(job("long"))
        await began.wait()
        await floor.engine.submit(job("as important"))
        await floor.engine.submit(job("urgent, elsewhere", Priority.URGENT, lane="another"))
        await floor.engine.submit(job("urgent, tomorrow", Priority.URGENT, due=NOW + timedelta(days=1)))
        await until(lambda: asked == [False])


async def test_every_process_hears_what_a_transaction_tells(opened: Opening, queue_url: str) -> None:
    heard: dict[str, int] = {"one": 0, "two": 0}

    def hears(name: str) -> Callable[[], None]:
        return lambda: heard.update({name: heard[name] + 1})

    database = Database(queue_url)
    async with opened(heard=hears("one"), plans=False) as one, opened(heard=hears("two"), plans=False) as two:
        for floor in (one, two):
            await until(floor.engine._listener.listens.is_set)
        database.attach(one.engine.post)
        before = dict(heard)
        async with database.writing() as session:
            wanted.tell(session)
        await until(lambda: heard["one"] > before["one"] and heard["two"] > before["two"])
        before = dict(heard)
        await one.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syndicator listens'"
        )
        await until(lambda: heard["one"] > before["one"] and heard["two"] > before["two"])
    await database.close()


async def test_jobs_of_a_newer_version_are_left_to_it_and_in_nobodys_way(opened: Opening) -> None:
    old, new = Desk(), Desk()
    strange = [Job("newer", f"k{n}", Priority.URGENT, NOW, lane="main") for n in range(20)]
    untouched = "SELECT DISTINCT status::text, attempts, worker_id, scheduled_at FROM procrastinate_jobs"
    untouched += " WHERE task_name = 'newer'"
    async with opened(new, handlers={"newer": new.handle}, start=False) as later, opened(old) as earlier:
        for one in strange:
            await later.engine.submit(one)
        await earlier.engine.submit(job("known"))
        await until(lambda: old.done == ["known"])
        assert await earlier.rows(untouched) == [("todo", 0, None, None)]
        begun = monotonic()
        await later.engine.start()
        await until(lambda: len(new.done) == len(strange))
        assert monotonic() - begun < SOON
    assert old.done == ["known"]


async def _holds(floor: ClusterFloor, query: str, rows: list[tuple[Any, ...]]) -> bool:
    return await floor.rows(query) == rows


async def test_a_seat_is_held_by_one_and_goes_on_to_another_when_it_leaves(opened: Opening) -> None:
    first, second = Room(), Room()
    async with opened(seats={"telegram": second}, start=False) as two:
        async with opened(seats={"telegram": first}):
            await until(lambda: first.runs)
            await two.engine.start()
            await asyncio.sleep(0.2)
            assert not second.runs
        assert not first.runs
        await until(lambda: second.runs)
    assert not second.runs
    assert (first.starts, second.starts) == (1, 1)


async def test_nothing_of_a_seat_is_left_when_all_have_gone(opened: Opening) -> None:
    room = Room()
    async with opened(seats={"hub": room}) as floor:
        await until(lambda: room.runs)
    assert await floor.rows("SELECT id FROM procrastinate_jobs") == []
    assert await floor.rows("SELECT id FROM procrastinate_workers") == []


async def test_a_seat_whose_work_cannot_begin_is_tried_again(opened: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "AWAY", 0.1)
    room = Room(fails=2)
    async with opened(seats={"inbound": room}):
        await until(lambda: room.runs)
    assert room.starts == 3


async def test_a_seat_that_cannot_be_held_here_is_held_by_another_at_once(opened: Opening) -> None:
    broken, whole = Room(fails=99), Room()
    async with opened(seats={"hub": broken}):
        await until(lambda: broken.starts == 1)
        async with opened(seats={"hub": whole}):
            await until(lambda: whole.runs)


async def test_who_is_not_sure_of_itself_leaves_its_seat_at_once_and_takes_no_job(opened: Opening) -> None:
    room, desk = Room(), Desk()
    async with opened(desk, seats={"telegram": room}, plans=False) as floor:
        await until(lambda: room.runs)
        attendance = floor.engine.attendance
        attendance._task.cancel()  # no sign of life any more
        await until(lambda: not attendance.is_sure())
        await until(lambda: not room.runs)
        await floor.engine.submit(job("k"))
        await asyncio.sleep(0.2)
        assert desk.done == []
        await attendance.start()
        await until(lambda: room.runs and desk.done == ["k"])


async def test_jobs_go_on_after_every_line_was_cut(opened: Opening) -> None:
    desk = Desk()
    async with opened(desk) as floor:
        await floor.engine.submit(job("before"))
        await until(lambda: desk.done == ["before"])
        await floor.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'syndicator%'"
        )
        desk.world = [job("after")]
        floor.engine.wake()
        await until(lambda: desk.done == ["before", "after"])


async def test_what_became_of_a_job_while_the_database_was_away_is_said_later(
    opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    async with opened(desk) as floor:
        away = True
        done = Queue.done

        async def fails(queue: Queue, number: int) -> None:
            if away:
                raise QueueTrouble("queue: gone")
            await done(queue, number)

        monkeypatch.setattr(Queue, "done", fails)
        await floor.engine.submit(job("k"))
        await until(lambda: desk.done == ["k"])
        await asyncio.sleep(0.1)
        assert await floor.rows("SELECT status::text FROM procrastinate_jobs") == [("doing",)]
        away = False
        await until(floor.idle)
        assert await floor.rows("SELECT id FROM procrastinate_jobs") == []
    assert desk.done == ["k"]


@pytest.mark.parametrize("whose", ["the database's, back", "the program's, forward"])
async def test_a_job_that_was_to_be_tried_again_soon_is_though_a_clock_was_set(opened: Opening, whose: str) -> None:
    desk = Desk()
    tries = desk.always_fails()
    async with opened(desk) as floor:
        await floor.engine.submit(job("k", Priority.URGENT))
        await until(lambda: len(tries) == 1)
        gone = "SELECT status::text FROM procrastinate_jobs"
        await until(lambda: _holds(floor, gone, [("todo",)]))
        day = timedelta(days=1)
        if whose.startswith("the program"):
            desk.now += day
        await floor.rows("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at + %s RETURNING id", day)
        floor.engine.wake()
        await until(lambda: len(tries) > 1)


async def test_a_worker_that_ends_by_itself_is_begun_again_though_this_process_has_a_seat(
    opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ENDING", 3600.0)  # what runs gives way, and is not only cancelled at last
    desk, room = Desk(), Room()
    async with opened(desk, seats={"hub": room}) as floor:
        await until(lambda: room.runs)
        first = floor.engine._worker
        first.stop()
        await until(lambda: floor.engine._worker is not first)
        await floor.engine.submit(job("k"))
        await until(lambda: desk.done == ["k"])
        await until(lambda: room.starts == 2 and room.runs)


@pytest.mark.parametrize("args", ['{"due": "soon", "args": [1]}', '{"due": 7}', "[1]", '"text"', "{}"])
async def test_a_job_whose_arguments_cannot_be_read_is_done_without_them_and_stops_nothing(
    opened: Opening, args: str
) -> None:
    desk = Desk()
    async with opened(desk) as floor:
        await floor.rows(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)"
            " VALUES ('main', 'work', 'x', 'x', %s) RETURNING id",
            args,
        )
        await until(lambda: desk.done == ["x"])
        await floor.engine.submit(job("good"))
        await until(lambda: desk.done == ["x", "good"])


@pytest.mark.parametrize("what", ["take", "board", "reclaim", "ensure", "done"])
async def test_an_error_that_nobody_thought_of_stops_nothing_for_good(
    opened: Opening, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    desk, room, real, failed = Desk(), Room(), getattr(Queue, what), list[str]()

    async def odd(*given: Any) -> Any:
        if not failed:
            failed.append(what)
            raise RuntimeError("odd")
        return await real(*given)

    monkeypatch.setattr(Queue, what, odd)
    async with opened(desk, seats={"hub": room}) as floor:
        await floor.engine.submit(job("k"))
        await until(lambda: room.runs and desk.done == ["k"] and failed == [what])


async def test_an_odd_error_in_a_sign_of_life_is_not_the_last_one(opened: Opening, monkeypatch: Any) -> None:
    async with opened() as floor:
        attendance = floor.engine.attendance
        real, failed = attendance._beat, list[int]()

        async def odd() -> None:
            failed.append(1)
            if len(failed) == 1:
                raise RuntimeError("odd")
            await real()

        monkeypatch.setattr(attendance, "_beat", odd)
        await until(lambda: len(failed) > 2)
        assert attendance.is_sure()


async def test_what_was_cancelled_at_stop_is_done_by_another_at_once(opened: Opening) -> None:
    stuck, other, began = Desk(), Desk(), asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        began.set()
        await asyncio.Event().wait()
        return Done()

    stuck.work = work
    async with opened(stuck) as one:
        await one.engine.submit(job("k"))
        await began.wait()
        async with opened(other):
            await one.engine.stop(0.05)
            await until(lambda: other.done == ["k"])


async def test_a_process_hears_with_each_sign_of_life_what_the_databases_clock_says(opened: Opening) -> None:
    heard: list[tuple[datetime, float]] = []
    async with opened(agreed=lambda theirs, asked: heard.append((theirs, asked))) as floor:
        await until(lambda: len(heard) > 1)
        [(now,)] = await floor.rows("SELECT clock_timestamp()")
    passed = steady() - heard[0][1]
    assert 0 <= (now - heard[0][0]).total_seconds() <= passed
    assert heard[0][0] < heard[1][0]


async def test_what_a_frozen_process_has_locked_in_the_queue_is_free_before_its_jobs_are_given_to_others(
    opened: Opening,
) -> None:
    asked = "SELECT extract(epoch FROM current_setting('idle_in_transaction_session_timeout')::interval) AS seconds"
    async with opened() as floor:
        [found] = await floor.engine._connector.execute_query_all_async(asked)
    assert 0 < found["seconds"] < Rhythm().dead
