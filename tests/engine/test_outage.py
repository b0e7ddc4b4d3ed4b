"""A database that is gone or hangs stops an engine for no longer than that, and nobody is judged for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from psycopg import AsyncConnection

from syndicator import patience
from syndicator.domain.ports import Done, Job, Turn, Verdict
from syndicator.engine import line as lines
from syndicator.engine.judge import Judge, _Seen
from syndicator.engine.line import QueueTrouble, connector_for
from tests.engine.floors import FAST, ClusterFloor, Desk, job, until
from tests.faulty.proxy import Proxy, server_of, through


@dataclass
class Far:
    """An engine behind a line that fails as it is told, and its database as the test sees it."""

    floor: ClusterFloor
    line: Proxy
    near: ClusterFloor


@pytest.fixture
async def far(queue_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Far]:
    for name, seconds in {"DOUBT": 0.2, "ANSWER": 0.3, "LOOK_AGAIN": 0.1, "GOODBYE": 0.3}.items():
        monkeypatch.setattr(patience, name, seconds)
    monkeypatch.setattr(lines, "FREE", 0.5)
    async with Proxy(server_of(queue_url)) as line:
        floor = ClusterFloor(Desk(), through(queue_url, line.port))
        near = ClusterFloor(Desk(), queue_url, more={"plans": False, "works_on": lambda lane: False})
        await floor.engine.start()
        yield Far(floor, line, near)
        await line.mend()
        await floor.end()
        await near.engine.leave()


@pytest.mark.parametrize("fault", ["hang", "refuse"])
async def test_what_is_asked_for_during_an_outage_is_done_after_it(far: Far, fault: str) -> None:
    desk, engine = far.floor.desk, far.floor.engine
    await until(far.floor.engine._listener.listens.is_set)
    if fault == "hang":
        far.line.hang(for_good=True)
    else:
        await far.line.refuse()
    with pytest.raises(QueueTrouble, match=r"^queue: [^\n]+$"):
        await engine.submit(job("lost"))
    await far.near.engine.submit(job("k"))
    await until(lambda: not engine.attendance.is_sure())
    assert desk.done == []
    await far.line.mend()
    await until(lambda: desk.done == ["k"] and engine.attendance.is_sure())


async def test_a_job_that_ends_during_an_outage_is_finished_after_it_and_once(far: Far) -> None:
    desk, gate = far.floor.desk, asyncio.Event()

    async def work(found: Job, turn: Turn) -> Verdict:
        await gate.wait()
        desk.done.append(found.key)
        return Done()

    desk.work = work
    await far.near.engine.submit(job("k"))
    await until(lambda: far.floor.engine._crew.busy)
    await far.line.refuse()
    gate.set()
    await until(lambda: bool(far.floor.engine._crew._owed))
    await far.line.mend()

    async def finished() -> bool:
        return await far.near.rows("SELECT id FROM procrastinate_jobs") == []

    await until(finished)
    assert desk.done == ["k"]


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON procrastinate_jobs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status = 'doing') EXECUTE FUNCTION slow()
"""
COMMITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


class Room:
    """A Part that says whether it runs."""

    runs = False

    async def start(self) -> None:
        self.runs = True

    async def stop(self) -> None:
        self.runs = False


@pytest.mark.parametrize("what", ["a job", "a seat"])
async def test_what_was_taken_by_a_commit_whose_answer_was_lost_is_done_within_seconds(far: Far, what: str) -> None:
    room = Room()
    taker = ClusterFloor(Desk(), through(far.near.url, far.line.port), more={"seats": {"telegram": room}})
    taken = taker if what == "a seat" else far.floor

    async def commits() -> bool:
        return bool(await far.near.rows(COMMITS))

    async with await AsyncConnection.connect(far.near.url, autocommit=True) as line:
        await line.execute(SLOW)
        try:
            if what == "a seat":
                await taken.engine.start()
            else:
                await far.near.engine.submit(job("k"))
            await until(commits)
            far.line.cut()
        finally:
            await line.execute("DROP FUNCTION slow CASCADE")  # waits for the commit
    await until(lambda: room.runs if what == "a seat" else far.floor.desk.done == ["k"], FAST.beat + 5)
    await taker.end()


async def test_whoever_listens_hears_that_the_database_is_back_at_once_however_often_it_was_away(far: Far) -> None:
    listener, told = far.floor.engine._listener, list[float]()
    listener._told = lambda: told.append(monotonic())
    await until(listener.listens.is_set)
    for time in range(6):
        told.clear()
        far.line.cut()
        cut = monotonic()
        await until(lambda: bool(told))
        assert told[0] - cut < 1.0, f"the {time}. time"


async def test_a_statement_of_the_queue_that_waits_for_a_lock_is_left_alone(far: Far) -> None:
    connector = far.floor.engine._connector
    async with await AsyncConnection.connect(far.near.url, autocommit=False) as other:
        await other.execute("LOCK TABLE procrastinate_events")
        waiting = asyncio.create_task(connector.execute_query_async("SELECT count(*) FROM procrastinate_events"))
        await asyncio.sleep(1.5)  # four times the patience with a server that says nothing
        assert not waiting.done()
    await waiting


async def test_stopping_while_the_database_hangs_takes_no_longer_than_it_may(far: Far) -> None:
    far.line.hang()
    async with asyncio.timeout(20):
        await far.floor.engine.stop(0.1)
        await far.floor.engine.leave()


class Bench:
    """A judge over workers whose signs of life the test gives."""

    def __init__(self, url: str) -> None:
        self.connector = connector_for(url)
        self.floor = ClusterFloor(Desk(), url, more={"plans": False})
        self.told = 0
        self.judge = Judge(self.connector, FAST, lambda: 1, self.bereaved)

    async def bereaved(self) -> None:
        self.told += 1

    async def register(self, *numbers: int) -> None:
        for number in numbers:
            await self.floor.rows(
                "INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%s) RETURNING id", number
            )

    async def beat(self, *numbers: int) -> None:
        await self.floor.rows(
            "UPDATE procrastinate_workers SET last_heartbeat = clock_timestamp() WHERE id = ANY(%s) RETURNING id",
            list(numbers),
        )

    async def alive(self) -> list[int]:
        return [number for (number,) in await self.floor.rows("SELECT id FROM procrastinate_workers ORDER BY id")]

    async def run(self, worker: int, key: str) -> None:
        """That worker runs that job."""
        await self.floor.rows(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, status, worker_id)"
            " VALUES ('main', 'work', %s, %s, 'doing', %s) RETURNING id",
            key,
            key,
            worker,
        )

    async def jobs(self) -> list[tuple[Any, ...]]:
        return await self.floor.rows("SELECT queueing_lock, status::text FROM procrastinate_jobs ORDER BY 1, 2")


@pytest.fixture
async def bench(queue_url: str) -> AsyncIterator[Bench]:
    made = Bench(queue_url)
    await made.connector.open_async()
    await made.register(1, 2, 3)
    yield made
    await made.connector.close_async()


async def test_who_gives_no_sign_for_long_enough_is_buried_and_its_jobs_are_new_ones(bench: Bench) -> None:
    await bench.run(2, "a")
    await bench.run(3, "b")
    before = await bench.floor.rows("SELECT id FROM procrastinate_jobs WHERE queueing_lock = 'b'")
    for tenth in range(14):
        await bench.judge.look(tenth / 10)
        await bench.beat(1, 2)
    assert await bench.alive() == [1, 2]
    assert await bench.jobs() == [("a", "doing"), ("b", "todo")]
    assert before != await bench.floor.rows("SELECT id FROM procrastinate_jobs WHERE queueing_lock = 'b'")
    assert bench.told == 1


async def test_after_a_gap_nobody_is_judged_before_all_had_their_time(bench: Bench) -> None:
    for moment in (0.0, 0.1, 0.2, 60.0, 60.1, 61.0):  # the database was away for a minute; so it is once more
        await bench.judge.look(moment)
    assert await bench.alive() == [1, 2, 3]


async def test_dates_say_nothing_about_who_is_alive(bench: Bench) -> None:
    for tenth in range(14):
        sign = datetime(1999, 1, 1, tzinfo=UTC) + timedelta(seconds=tenth) * (-1) ** tenth
        await bench.floor.rows("UPDATE procrastinate_workers SET last_heartbeat = %s RETURNING id", sign)
        await bench.judge.look(tenth / 10)
    assert await bench.alive() == [1, 2, 3]


async def test_a_sign_of_life_in_the_last_moment_counts(bench: Bench) -> None:
    for tenth in range(12):
        await bench.judge.look(tenth / 10)
    late = bench.judge._seen.silent(9.0, FAST.dead)
    await bench.beat(3)
    assert await bench.judge._bury(late) is True
    assert await bench.alive() == [3]


async def test_two_judges_replace_a_job_once(bench: Bench) -> None:
    await bench.run(3, "b")
    other = Judge(bench.connector, FAST, lambda: 2, bench.bereaved)
    for tenth in range(14):
        await asyncio.gather(bench.judge.look(tenth / 10), other.look(tenth / 10))
        await bench.beat(1, 2)
    assert await bench.alive() == [1, 2]
    assert await bench.jobs() == [("b", "todo")]


async def test_a_job_of_the_dead_that_also_waits_is_one_job(bench: Bench) -> None:
    await bench.run(3, "b")
    await bench.floor.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, scheduled_at)"
        " VALUES ('main', 'work', 'b', 'b', now() + interval '1 hour') RETURNING id"
    )
    for tenth in range(14):
        await bench.judge.look(tenth / 10)
        await bench.beat(1, 2)
    assert await bench.floor.rows("SELECT queueing_lock, scheduled_at FROM procrastinate_jobs") == [("b", None)]


async def test_a_job_that_takes_the_place_of_one_of_the_dead_is_as_important_as_that_was(bench: Bench) -> None:
    await bench.run(3, "b")
    await bench.floor.rows("UPDATE procrastinate_jobs SET priority = -10 RETURNING id")
    await bench.floor.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, priority)"
        " VALUES ('main', 'work', 'b', 'b', -30) RETURNING id"
    )
    await bench.floor.rows("DELETE FROM procrastinate_workers WHERE id = 3 RETURNING id")
    await bench.judge.look(0.0)
    assert await bench.floor.rows("SELECT queueing_lock, priority FROM procrastinate_jobs") == [("b", -10)]


@pytest.mark.parametrize(
    ("task", "priority", "waits"),
    [("work", -20, [0, 0, 4, 8, 16]), ("work", -10, [0, 0, 4, 5, 5]), ("seat", 0, [0, 0, 0, 0, 0])],
)
async def test_a_job_that_kills_whoever_runs_it_waits_from_the_third_time_on_but_a_seat_does_not(
    bench: Bench, task: str, priority: int, waits: list[int]
) -> None:
    await bench.run(2, "deadly")
    await bench.floor.rows("UPDATE procrastinate_jobs SET task_name = %s, priority = %s RETURNING id", task, priority)
    found = []
    for death in range(len(waits)):
        await bench.floor.rows(
            "UPDATE procrastinate_jobs SET status = 'doing', scheduled_at = NULL, worker_id = NULL RETURNING id"
        )
        await bench.judge.look(float(death))
        [(wait,)] = await bench.floor.rows(
            "SELECT ceil(coalesce(extract(epoch FROM scheduled_at - now()), 0))::integer FROM procrastinate_jobs"
        )
        found.append(wait)
    assert found == waits


async def test_a_job_whose_worker_has_left_is_done_anew_at_once(bench: Bench) -> None:
    await bench.run(3, "b")
    await bench.floor.rows("DELETE FROM procrastinate_workers WHERE id = 3 RETURNING id")
    await bench.judge.look(0.0)
    assert await bench.jobs() == [("b", "todo")]


async def test_the_ledger_is_told_again_where_that_failed(bench: Bench) -> None:
    async def fails() -> None:
        bench.told += 1
        if bench.told == 1:
            raise OSError("the database is gone")

    bench.judge._bereaved = fails
    await bench.run(3, "b")
    await bench.floor.rows("DELETE FROM procrastinate_workers WHERE id = 3 RETURNING id")
    with pytest.raises(OSError, match="gone"):
        await bench.judge.look(0.0)
    await bench.judge.look(0.1)
    assert bench.told == 2


def test_a_worker_that_is_seen_for_the_first_time_has_all_its_time() -> None:
    seen = _Seen()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    seen.note({1: long_ago}, 100.0, 5.0)
    assert seen.silent(100.0, 20.0) == {}
    seen.note({1: long_ago, 2: long_ago}, 104.0, 5.0)
    assert seen.silent(120.0, 20.0) == {1: long_ago}
