"""Quiet hours: when a reader is left in peace, and when that ends."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syndicator.domain.quiet import Quiet

ZONES = ("Asia/Baku", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


HELD = {
    "in the evening until the morning": ("22-8", "Asia/Baku", "2026-11-21T19:00", "2026-11-22T04:00"),
    "the first hour belongs to it": ("22-8", "Asia/Baku", "2026-11-21T18:00", "2026-11-22T04:00"),
    "the last one does not": ("22-8", "Asia/Baku", "2026-11-22T04:00", None),
    "after midnight it is the same night": ("22-8", "Asia/Baku", "2026-11-21T21:30", "2026-11-22T04:00"),
    "by day nothing is held": ("22-8", "Asia/Baku", "2026-11-21T09:00", None),
    "hours by day": ("13-15", "Asia/Baku", "2026-11-21T10:30", "2026-11-21T11:00"),
    "from midnight on": ("0-7", "Asia/Baku", "2026-11-21T20:30", "2026-11-22T03:00"),
    "until midnight": ("18-0", "Asia/Baku", "2026-11-21T15:00", "2026-11-21T20:00"),
    "the night in which summer time begins": ("22-8", "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T06:00"),
    "the night in which it ends": ("22-8", "Europe/Berlin", "2026-10-24T21:00", "2026-10-25T07:00"),
    "an end that the clock leaps over": ("22-2", "Europe/Berlin", "2026-03-29T00:30", "2026-03-29T01:00"),
    "an end that comes twice": ("22-2", "Europe/Berlin", "2026-10-24T23:30", "2026-10-25T00:00"),
    "an hour that comes twice is quiet twice": ("1-3", "Europe/Berlin", "2026-10-25T01:30", "2026-10-25T02:00"),
}


@pytest.mark.parametrize("name", HELD)
def test_what_comes_in_quiet_hours_waits_for_their_end(name):
    hours, zone, now, until = HELD[name]
    quiet = Quiet.parse(hours)
    assert quiet is not None
    assert quiet.until(utc(now), ZoneInfo(zone)) == (None if until is None else utc(until))


@pytest.mark.parametrize("text", ["", "8-8", "0-0"])
def test_no_hours_are_no_quiet_hours(text):
    assert Quiet.parse(text) is None


@pytest.mark.parametrize("text", ["22", "22-24", "-1-8", "22-8 ", "22:00-8:00", "25-3", "a-b", "22–8", "1-2-3", "٢٢-٨"])
def test_what_is_not_two_hours_is_refused(text):
    with pytest.raises(ValueError, match="22-8"):
        Quiet.parse(text)


hours = st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda pair: pair[0] != pair[1])
moments = st.integers(631152000, 2114380800).map(lambda second: datetime.fromtimestamp(second, UTC))  # 1990 to 2037


@settings(max_examples=150)
@given(hours, st.sampled_from(ZONES).map(ZoneInfo), moments)
def test_the_end_is_ahead_within_a_day_and_quiet_no_more(pair, zone, now):
    quiet = Quiet(*pair)
    until = quiet.until(now, zone)
    assert (until is not None) == (now.astimezone(zone).hour in _all_hours(*pair))
    if until is not None:
        assert now < until
        assert (until - now).total_seconds() <= 26 * 3600
        assert quiet.until(until, zone) is None


def _all_hours(begins: int, ends: int) -> set[int]:
    return {hour % 24 for hour in range(begins, ends if begins < ends else ends + 24)}


def test_they_are_written_as_they_are_read():
    assert str(Quiet.parse("22-08")) == "22-8"
