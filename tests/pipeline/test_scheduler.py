"""The clockwork: what is due by the clock is asked for once, and what is done once an hour is done whatever fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syndicator.domain.ports import Done
from syndicator.pipeline.scheduler import turn_of
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
