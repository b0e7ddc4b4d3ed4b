"""How often a visitor may sign up: sliding windows in memory, time passed in.

What bounds mail-bombing is the limit per address (`pipeline.subscribing`); what stands here keeps one visitor from
asking for addresses without end. It must never be a way to lock others out, hence the rules, in order:

1. A visitor has a short window. None of a day: a whole office, or a whole carrier, may share one address.
2. A turn is counted when it is taken; a refused one is not, so waiting always helps.
3. Nobody is refused because of what others do. When many sign up at once the site is `busy`, and an address that had
   its letter today gets no second one; every other still gets the first. So a crowd that means harm costs each
   stranger at most one letter, and no citizen the sign-up.
4. Memory is bounded: a visitor whose window has passed is forgotten, and when there are too many the one who was
   here longest ago is. Places are never shared: that would let one who holds many addresses fill everybody's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

__all__ = ["ALL", "EACH", "Limits", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """At most `turns` within `span`."""

    turns: int
    span: timedelta


EACH = Window(20, timedelta(minutes=10))
ALL = Window(300, timedelta(minutes=10))
VISITORS = 20_000


class Limits:
    """The turns taken so far: `each` visitor's own, and those of `everybody` together."""

    def __init__(self, each: Window = EACH, everybody: Window = ALL, visitors: int = VISITORS) -> None:
        self._each = each
        self._all = everybody
        self._visitors = visitors
        self._taken: dict[str, deque[datetime]] = {}  # in the order of each one's latest turn
        self._newest: deque[datetime] = deque(maxlen=everybody.turns)

    def take(self, visitor: str, now: datetime) -> int:
        """Take a turn: 0, or the seconds to wait when there is none (nothing is counted then)."""
        self._forget(now)
        turns = self._taken.get(visitor, deque())
        while turns and turns[0] <= now - self._each.span:
            turns.popleft()
        if len(turns) >= self._each.turns:
            return max(1, ceil((turns[0] + self._each.span - now).total_seconds()))
        turns.append(now)
        self._taken.pop(visitor, None)
        self._taken[visitor] = turns
        if len(self._taken) > self._visitors:
            del self._taken[next(iter(self._taken))]
        self._newest.append(now)
        return 0

    def busy(self, now: datetime) -> bool:
        """Whether more sign up than the site expects of honest days."""
        full = len(self._newest) == self._all.turns
        return full and self._newest[0] > now - self._all.span

    def _forget(self, now: datetime) -> None:
        while self._taken:
            visitor, turns = next(iter(self._taken.items()))
            if turns[-1] > now - self._each.span:
                return
            del self._taken[visitor]
