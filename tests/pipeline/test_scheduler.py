"""The clockwork: what is done once an hour is done whatever fails beside it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syndicator.pipeline.scheduler import Scheduler


@pytest.mark.parametrize("trouble", [OSError("no space left"), ValueError("a bad row")])
async def test_an_hourly_job_that_fails_does_not_stop_the_others(sqlite_database, now, trouble):
    done = []

    async def fails():
        raise trouble

    async def works():
        done.append("works")

    engine = None  # tidying asks no engine
    scheduler = Scheduler(
        engine,
        sqlite_database,
        sources={},
        pending_for=timedelta(days=7),
        clock=lambda: now,
        hourly=[fails, works],
    )
    await scheduler.tidy()
    assert done == ["works"]
