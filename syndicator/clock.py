"""The one clock of the program: the database's, where several machines share one.

Rules, in order:

1. A process that has the database to itself goes by its machine's clock.
2. Among others the database's clock counts: an embargo ends, a window closes and a token expires at the same moment on
   every machine, whoever has set its own clock wrong, or sets it meanwhile. Between two answers of the database, and
   while it is gone, time goes on by a clock that nobody sets.
3. An answer is as exact as the way to the database was short: its doubt is half of what the way took. A newer answer
   counts where it is more exact than what the last one has become, or where both cannot be right.
4. That the machine's own clock stands elsewhere is said once, and once when it is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

__all__ = ["OneClock", "machine_clock", "steady"]

log = structlog.get_logger()

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
DRIFT = 1e-4  # seconds that a second of a steady clock may be off; quartz is within a tenth of it
APART = 2.0  # seconds between two clocks that are worth a word; half of it ends it


def steady() -> float:
    """Seconds by a clock that nobody sets and that goes on while the machine is suspended (clock_gettime(2))."""
    return time.clock_gettime(CLOCK)


def machine_clock() -> datetime:
    """What this machine's clock says, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Answer:
    """`said` was right at `at`, by the steady clock, within `doubt` seconds."""

    said: datetime
    at: float
    doubt: float

    def now(self, at: float) -> datetime:
        return self.said + timedelta(seconds=at - self.at)

    def doubt_at(self, at: float) -> float:
        return self.doubt + DRIFT * (at - self.at)


class OneClock:
    """See the module's rules; a `domain.ports.Clock`. `own` and `steady` are the machine's, others in tests."""

    def __init__(self, own: Callable[[], datetime] = machine_clock, steady: Callable[[], float] = steady) -> None:
        self._own = own
        self._steady = steady
        self._answer: _Answer | None = None
        self._said = False

    def __call__(self) -> datetime:
        """Now, in UTC."""
        return self._own() if self._answer is None else self._answer.now(self._steady())

    def agree(self, theirs: datetime, asked: float) -> None:
        """The database, asked at `asked` of the steady clock, has answered that it is `theirs`."""
        at = self._steady()
        doubt = max(0.0, at - asked) / 2
        answer = _Answer(theirs.astimezone(UTC) + timedelta(seconds=doubt), at, doubt)
        kept = self._answer
        if kept is None or doubt < kept.doubt_at(at) or _cannot_both_be_right(answer, kept):
            self._answer = answer
        self._compare(doubt)

    @property
    def apart(self) -> float:
        """Seconds by which the machine's own clock is ahead of this one."""
        return (self._own() - self()).total_seconds()

    def _compare(self, doubt: float) -> None:
        """Rule 4."""
        apart = self.apart
        if not self._said and abs(apart) - doubt > APART:
            self._said = True
            log.warning("this machine's clock is not the database's, which counts", seconds_ahead=round(apart, 1))
        elif self._said and abs(apart) < APART / 2:
            self._said = False
            log.info("this machine's clock is the database's again")


def _cannot_both_be_right(one: _Answer, kept: _Answer) -> bool:
    between = abs((one.said - kept.now(one.at)).total_seconds())
    return between > one.doubt + kept.doubt_at(one.at)
