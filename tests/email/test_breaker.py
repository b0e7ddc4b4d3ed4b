"""How long a relay is left alone, whatever becomes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bots.email.pace import Heard, Limits, Pace
from bots.email.relay.breaker import Breaker
from syndicator.domain.letters import Later

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
WAIT = timedelta(seconds=60)
BACK = [timedelta(seconds=1), timedelta(hours=1), timedelta(days=3)]


class Ticks:
    """Seconds that go forward as they are told."""

    at = 1000.0

    def __call__(self):
        return self.at


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def breaker(ticks):
    shut = Breaker("relay:25", None, ticks)
    shut.shut(Later("closed", not_before=NOW + WAIT, counts=False), NOW)
    return shut


def test_it_is_closed_until_its_time(breaker, ticks):
    for passed, closed in [(0, True), (59, True), (60, False)]:
        ticks.at = 1000.0 + passed
        assert (breaker.closed(NOW + timedelta(seconds=passed)) is not None) is closed


@pytest.mark.parametrize("back", BACK)
def test_a_clock_that_is_set_back_keeps_it_closed_no_longer(breaker, ticks, back):
    ticks.at += 20
    then = NOW + timedelta(seconds=20) - back
    left = min(timedelta(seconds=40), NOW + WAIT - then)
    assert then + left <= breaker.ready_at(then) <= then + timedelta(seconds=60)
    assert breaker.closed(then).not_before == breaker.ready_at(then)
    ticks.at += 40
    assert breaker.closed(then + timedelta(seconds=40)) is None


def test_of_two_times_the_longer_holds_when_the_clock_was_set_back_between(breaker, ticks):
    then = NOW - timedelta(hours=1)
    told = breaker.shut(Later("closed", not_before=then + timedelta(seconds=30), counts=False), then)
    assert told.not_before == then + WAIT
    told = breaker.shut(Later("longer", not_before=then + timedelta(minutes=5), counts=False), then)
    assert told.not_before == then + timedelta(minutes=5)
    ticks.at += 299
    assert breaker.closed(then + timedelta(seconds=299)) is not None
    ticks.at += 1
    assert breaker.closed(then + timedelta(seconds=299)) is None


@pytest.mark.parametrize("back", BACK)
def test_a_pause_of_all_mail_or_of_a_domain_lasts_no_longer_when_the_clock_is_set_back(back):
    pace = Pace(Limits())
    pace.relay_paused(NOW + WAIT, NOW)
    assert pace.ready_at(NOW - back) <= NOW - back + WAIT
    slow = Pace(Limits())
    assert slow.admit("slow.example", NOW) is None
    slow.done("slow.example", Heard.SLOW_DOWN, NOW, wait=WAIT)
    assert slow.admit("slow.example", NOW - back) <= NOW - back + WAIT + timedelta(seconds=10)
    assert slow.admit("slow.example", NOW - back + WAIT + timedelta(seconds=30)) is None
