"""Turns of a rate that several processes share, as one of them holds them. Pure; times only go forward, in seconds.

Rules, in order:

1. Turns come in grants: so many, the first at a time, each other one step after it. One that has come may be used then,
   or a moment (`KEPT`) after the last of its grant; then it is lost. Nothing is given back: a process that has nothing
   more to send costs the others a quarter of a second's worth once.
2. A grant is what is needed now, or twice what the last one was used for, and at most a quarter of a second's worth
   (`QUARTER`): a busy process asks about four times a second, one that is idle never.
3. What may not wait takes a turn where there is one, else it owes one (`owed`). What is owed is asked for with the next
   grant and used by nobody; more than `FORGIVEN` seconds' worth is forgiven.
4. So, of all processes together: in any stretch of time no more bulk goes than the rate gives in it, and a second's
   worth (a quarter at once after a rest, half for what a grant may be late, and a quarter while a chunk's are awaited).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import floor

__all__ = ["Allowance"]

QUARTER = 0.25  # seconds' worth
KEPT = 0.25  # seconds
FORGIVEN = 2.0  # seconds' worth
HAIR = 1e-9


@dataclass(slots=True)
class _Grant:
    """`left` of its turns; the next of them comes at `comes`."""

    comes: float
    left: int
    ends: float


class Allowance:
    """See the module. `rate` is in turns a second."""

    def __init__(self, rate: float) -> None:
        self.step = 1 / rate
        self.most = max(1, int(rate * QUARTER))
        self.owed = 0
        self._longest_owed = max(1, int(rate * FORGIVEN))
        self._grants: deque[_Grant] = deque()
        self._used = 0  # of the newest grant
        self._size = 0  # of the newest grant

    def take(self, number: int, now: float) -> int:
        """Use up to so many; how many there were."""
        self._drop(now)
        taken = 0
        for grant in self._grants:
            come = floor((now - grant.comes) / self.step + HAIR) + 1 if grant.comes <= now else 0
            use = min(number - taken, grant.left, come)
            grant.left -= use
            grant.comes += use * self.step
            taken += use
        self._used += taken
        return taken

    def owe(self, now: float) -> None:
        """One goes, whether there is a turn for it or not."""
        if not self.take(1, now):
            self.owed = min(self.owed + 1, self._longest_owed)

    def give_back(self, number: int, now: float) -> None:
        """So many were taken a moment ago and not used."""
        if number > 0:
            self._used -= number
            self._grants.appendleft(_Grant(now - number * self.step, number, now + KEPT))

    def next_at(self, now: float) -> float | None:
        """When the next turn comes, of those that were granted; None where there is none."""
        self._drop(now)
        return min((grant.comes for grant in self._grants), default=None)

    def wants(self, needed: int) -> int:
        """How many to ask for, where so many are needed."""
        grown = 2 * self._used if self._used >= self._size else self._used
        return max(1, min(max(needed + self.owed, grown), self.most))

    def runs_low(self, now: float) -> bool:
        """Whether most of what was granted is used, or will be lost in a moment, and more is likely to be needed."""
        self._drop(now)
        lasts = [one for one in self._grants if one.ends - now > KEPT / 2]
        return sum(one.left for one in lasts) <= self._size / 2

    def granted(self, number: int, first: float, now: float) -> None:
        """So many were given, the first at `first`; what is owed is paid of them."""
        paid = min(number, self.owed)
        self.owed -= paid
        first += paid * self.step
        self._size, self._used = number, paid
        if number > paid:
            ends = max(now, first + (number - paid) * self.step) + KEPT
            self._grants.append(_Grant(first, number - paid, ends))

    def _drop(self, now: float) -> None:
        self._grants = deque(one for one in self._grants if one.left and one.ends > now)
