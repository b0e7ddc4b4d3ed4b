"""One clock for all machines: the database's, as exactly as the way to it is short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from syndicator.clock import DRIFT, OneClock

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Machine:
    """Its own clock, which stands `ahead` and may be set, a steady one, and what the database's says."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.passed, self.ahead, self.theirs = 0.0, ahead, 0.0
        self.clock = OneClock(lambda: self.true + timedelta(seconds=self.ahead), lambda: 1000 + self.passed)

    @property
    def true(self) -> datetime:
        return NOON + timedelta(seconds=self.passed)

    @property
    def database(self) -> datetime:
        return self.true + timedelta(seconds=self.theirs)

    def ask(self, there: float = 0.0, back: float = 0.0) -> None:
        """A question that took so long to go there, and its answer to come back."""
        asked = 1000 + self.passed
        self.passed += there
        said = self.database
        self.passed += back
        self.clock.agree(said, asked)

    @property
    def off(self) -> float:
        """Seconds between the program's clock and the database's."""
        return abs((self.clock() - self.database).total_seconds())


def test_a_process_that_has_the_database_to_itself_goes_by_its_machine():
    machine = Machine(ahead=3600)
    assert machine.clock() == NOON + timedelta(hours=1)
    machine.ahead = -60
    assert machine.clock() == NOON - timedelta(minutes=1)


@pytest.mark.parametrize("ahead", [3600, -3600, 86400, 0.5, 0])
def test_among_others_the_databases_clock_counts_whatever_the_machines_says(ahead):
    machine = Machine(ahead)
    machine.ask()
    assert machine.clock() == NOON
    machine.ahead += 7200  # somebody sets it
    machine.passed += 300  # the database is gone
    assert machine.clock() == NOON + timedelta(minutes=5)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.floats(0, 600)), min_size=1, max_size=20))
def test_it_is_off_by_half_of_the_shortest_way_at_most_and_by_what_a_steady_clock_drifts(ways):
    machine, doubt = Machine(ahead=50), float("inf")
    for there, back, pause in ways:
        machine.ask(there, back)
        doubt = min(doubt, (there + back) / 2)
        assert machine.off <= doubt + 1e-5
        machine.passed += pause
        doubt += pause * DRIFT + (there + back) * DRIFT


def test_an_answer_that_was_read_long_after_it_came_moves_nothing():
    machine = Machine()
    machine.ask(0.001, 0.001)
    machine.ask(0.001, 30.0)  # frozen in between
    assert machine.off < 0.01


def test_a_database_whose_clock_is_set_is_followed():
    machine = Machine()
    machine.ask(0.001, 0.001)
    machine.passed, machine.theirs = machine.passed + 5, -90
    machine.ask(0.01, 0.01)
    assert machine.off < 0.02


def test_a_machine_whose_clock_is_wrong_is_named_once_and_once_when_it_is_right_again():
    with capture_logs() as said:
        machine = Machine(ahead=3600)
        for _ in range(3):
            machine.ask(0.001, 0.001)
            machine.passed += 5
        machine.ahead = 0
        for _ in range(3):
            machine.ask(0.001, 0.001)
    assert [(one["log_level"], one.get("seconds_ahead")) for one in said] == [("warning", 3600.0), ("info", None)]


def test_a_long_way_to_the_database_is_no_wrong_clock():
    with capture_logs() as said:
        Machine().ask(6.0, 0.0)
    assert said == []
