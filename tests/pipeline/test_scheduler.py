"""The clockwork: what is due by the clock is asked for once, and what is done once an hour is done whatever fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from syndicator.domain.ports import Done
from syndicator.pipeline import scheduler
from syndicator.pipeline.scheduler import Scheduler, turn_of
from syndicator.pipeline.tidying import Tidying, tidy_job


class Turn:
    def __init__(self, gives_way=False):
        self.gives_way = gives_way

    def should_yield(self):
        return self.gives_way


def tidying(database, now, *hourly):
    return Tidying(database, pending_for=timedelta(days=7), clock=lambda: now, hourly=hourly)


@pytest.mark.parametrize("trouble", [OSError("no space left"), ValueError("a bad row")])
async def test_an_hourly_job_that_fails_does_not_stop_the_others(sqlite_database, now, trouble):
    done = []

    async def fails():
        raise trouble

    async def works():
        done.append("works")

    tidy = tidying(sqlite_database, now, fails, works).handlers()["tidy"]
    assert isinstance(await tidy(tidy_job(now), Turn()), Done)
    assert done == ["works"]


@pytest.mark.parametrize(
    ("at", "seconds", "turn"),
    [
        ("09:00:00", 60, "09:00:00"),
        ("09:00:59.999", 60, "09:00:00"),
        ("09:01:00", 60, "09:01:00"),
        ("09:17:00", 3600, "09:00:00"),
        ("09:00:00.7", 0.5, "09:00:00.5"),
    ],
)
def test_two_machines_name_the_same_turn_of_a_timetable_alike(at, seconds, turn):
    moment, expected = (datetime.fromisoformat(f"2026-11-21T{time}").replace(tzinfo=UTC) for time in (at, turn))
    assert turn_of(moment, seconds) == expected


class Queue:
    """An engine that cannot be reached so many times."""

    def __init__(self, now):
        self.away, self.asked = 0, []

    async def submit(self, job, turn=None):
        if self.away > 0:
            self.away -= 1
            raise OSError("the queue is away")
        self.asked.append((job.key, turn))


class Watched:
    """A source that says that something moved whenever a test does."""

    name = "desk"

    def __init__(self):
        self.moved, self.breaks, self.trouble = asyncio.Event(), 0, OSError

    async def watch(self):
        while True:
            await self.moved.wait()
            self.moved.clear()
            if self.breaks:
                self.breaks -= 1
                raise self.trouble("the folder is gone")
            yield


@pytest.fixture
async def office(now, monkeypatch):
    for name in ("WATCH_AGAIN_SECONDS", "TELL_AGAIN_SECONDS"):
        monkeypatch.setattr(scheduler, name, 0.01)
    queue, source = Queue(now), Watched()
    clockwork = Scheduler(queue, sources={"desk": (source, 0.2)}, clock=lambda: datetime.now(UTC))
    yield clockwork, queue, source
    await clockwork.stop()


async def asked(queue, *, turns):
    """The next thing that the queue was asked for; `turns`: by the timetable."""
    async with asyncio.timeout(10):
        while not (found := [key for key, turn in queue.asked if (turn is not None) == turns]):
            await asyncio.sleep(0.01)
    queue.asked.clear()
    return found[0]


@pytest.mark.parametrize(("breaks", "trouble"), [(0, OSError), (1, OSError), (1, RuntimeError)])
async def test_a_watcher_goes_on_after_a_queue_that_was_away_again_and_again(office, breaks, trouble):
    clockwork, queue, source = office
    source.trouble = trouble
    await clockwork.start()
    assert await asked(queue, turns=False) == "harvest:desk"
    for _ in range(2):
        source.breaks, queue.away = breaks, 3
        source.moved.set()
        assert await asked(queue, turns=False) == "harvest:desk"


async def test_a_turn_that_fell_into_an_outage_is_asked_for_as_soon_as_it_is_over(office, monkeypatch):
    clockwork, queue, _ = office
    await clockwork.start()
    queue.away = 5
    assert await asked(queue, turns=True) == "harvest:desk"
    assert queue.away == 0
