"""Digest windows follow each other without gap or overlap, whatever zone, clock and settings do."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syndicator.domain.model import Cadence
from syndicator.domain.windows import Schedule, Window

MORNING = Schedule(time(8), 0)
FORTNIGHT = timedelta(days=14)
ZONES = (
    "Asia/Baku",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "Pacific/Kiritimati",
)
CADENCES = (Cadence.DAILY, Cadence.WEEKLY)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BAKU, BERLIN, CAIRO, APIA = "Asia/Baku", "Europe/Berlin", "Africa/Cairo", "Pacific/Apia"
DAILY, WEEKLY = CADENCES
CLOSES = {
    "a minute before eight in Baku": (DAILY, BAKU, 8, "2026-11-21T03:59", "2026-11-20T04:00", "2026-11-21T04:00"),
    "at eight sharp it has closed": (DAILY, BAKU, 8, "2026-11-21T04:00", "2026-11-21T04:00", "2026-11-22T04:00"),
    "on a Saturday the week is open": (WEEKLY, BAKU, 8, "2026-11-21T09:00", "2026-11-16T04:00", "2026-11-23T04:00"),
    "on Monday at eight it closes": (WEEKLY, BAKU, 8, "2026-11-23T04:00", "2026-11-23T04:00", "2026-11-30T04:00"),
    "a day of 23 hours": (DAILY, BERLIN, 8, "2026-03-29T05:00", "2026-03-28T07:00", "2026-03-29T06:00"),
    "a day of 25 hours": (DAILY, BERLIN, 8, "2026-10-25T06:30", "2026-10-24T06:00", "2026-10-25T07:00"),
    "an hour that the clock leaps over": (DAILY, BERLIN, 2, "2026-03-29T00:30", "2026-03-28T01:00", "2026-03-29T01:00"),
    "an hour that comes twice": (DAILY, BERLIN, 2, "2026-10-25T01:30", "2026-10-25T00:00", "2026-10-26T01:00"),
    "midnight that Cairo leaps over": (DAILY, CAIRO, 0, "2026-04-23T21:30", "2026-04-22T22:00", "2026-04-23T22:00"),
    "a day that Samoa left out": (DAILY, APIA, 8, "2011-12-30T17:00", "2011-12-29T18:00", "2011-12-30T18:00"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSES)
def test_windows_close_on_the_readers_clock(name):
    cadence, zone, hour, now, latest, following = CLOSES[name]
    schedule = Schedule(time(hour), 0)
    assert schedule.latest(cadence, ZoneInfo(zone), utc(now)) == utc(latest)
    assert schedule.following(cadence, ZoneInfo(zone), utc(now)) == utc(following)


DUE = {
    "the first one reaches back, and subscriptions say how far": (None, ("2026-11-07T04:00", "2026-11-21T04:00")),
    "the next one begins where the last one ended": ("2026-11-20T04:00", ("2026-11-20T04:00", "2026-11-21T04:00")),
    "one makes up for some that were missed": ("2026-11-17T04:00", ("2026-11-17T04:00", "2026-11-21T04:00")),
    "but not for more than a fortnight": ("2026-10-01T04:00", ("2026-11-07T04:00", "2026-11-21T04:00")),
    "what was told is not due again": ("2026-11-21T04:00", None),
    "the hour was moved back after the last one": ("2026-11-21T05:00", None),
    "the hour was moved on after the last one": ("2026-11-20T03:00", ("2026-11-20T03:00", "2026-11-21T04:00")),
}


@pytest.mark.parametrize("name", DUE)
def test_which_window_is_due(name):
    told, expected = DUE[name]
    found = MORNING.due(
        Cadence.DAILY,
        ZoneInfo("Asia/Baku"),
        utc("2026-11-21T09:00"),
        told=None if told is None else utc(told),
        reach=FORTNIGHT,
    )
    assert found == (None if expected is None else Window(*map(utc, expected)))


moments = st.integers(631152000, 2114380800).map(lambda second: datetime.fromtimestamp(second, UTC))  # 1990 to 2037
schedules = st.builds(Schedule, st.times().map(lambda at: at.replace(second=0, microsecond=0)), st.integers(0, 6))
zones = st.sampled_from(ZONES).map(ZoneInfo)
cadences = st.sampled_from(CADENCES)


@settings(max_examples=150)
@given(cadences, zones, schedules, moments)
def test_there_is_always_one_close_behind_and_one_ahead_and_none_between(cadence, zone, schedule, now):
    latest, following = schedule.latest(cadence, zone, now), schedule.following(cadence, zone, now)
    assert latest <= now < following
    assert schedule.following(cadence, zone, latest) == following
    assert schedule.latest(cadence, zone, following) == following
    length = following - latest
    usual = timedelta(days=7 if cadence is Cadence.WEEKLY else 1)
    assert abs(length - usual) <= timedelta(hours=26)  # Samoa left out a whole day


steps = st.lists(st.tuples(st.timedeltas(timedelta(minutes=1), timedelta(days=10)), schedules), min_size=2, max_size=12)


@settings(max_examples=100)
@given(cadences, zones, moments, steps)
def test_whatever_settings_become_windows_leave_no_gap_and_no_overlap(cadence, zone, begun, steps):
    now, told, windows = begun, None, []
    for wait, schedule in steps:
        now += wait
        window = schedule.due(cadence, zone, now, told=told, reach=timedelta(days=60))
        if window is not None:
            windows.append(window)
            told = window.ends_at
            assert window.ends_at <= now
            assert schedule.due(cadence, zone, now, told=told, reach=timedelta(days=60)) is None
    assert all(window.begins_at < window.ends_at for window in windows)
    for earlier, later in pairwise(windows):
        assert later.begins_at == max(earlier.ends_at, later.ends_at - timedelta(days=60))
