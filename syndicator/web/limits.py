"""How often a visitor may sign up: sliding windows in memory, time passed in.

1. A turn is counted when it is taken; a refused one is not, so waiting always helps.
2. Every window must have room, the visitor's own and everybody's together.
3. Memory is bounded: keys that fell out of their window are swept, and past the bound new keys share one place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

__all__ = ["SIGN_UP", "Limits", "Window"]

_KEYS = 20_000
_CROWD = "*crowd*"


@dataclass(frozen=True, slots=True)
class Window:
    """At most `turns` within `span`; for each visitor, or for all together."""

    turns: int
    span: timedelta
    each: bool


SIGN_UP = (
    Window(10, timedelta(minutes=10), each=True),
    Window(50, timedelta(days=1), each=True),
    Window(300, timedelta(minutes=10), each=False),
)


class Limits:
    """The turns taken so far."""

    def __init__(self, windows: Sequence[Window] = SIGN_UP) -> None:
        self._windows = tuple(windows)
        self._taken: tuple[dict[str, deque[datetime]], ...] = tuple({} for _ in windows)

    def take(self, visitor: str, now: datetime) -> int:
        """Take a turn: 0, or the seconds to wait when there is none (nothing is counted then)."""
        places = [
            self._place(window, taken, visitor, now) for window, taken in zip(self._windows, self._taken, strict=True)
        ]
        waits = [
            ceil((place[0] + window.span - now).total_seconds())
            for window, place in zip(self._windows, places, strict=True)
            if len(place) >= window.turns
        ]
        if waits:
            return max(1, *waits)
        for place in places:
            place.append(now)
        return 0

    def _place(self, window: Window, taken: dict[str, deque[datetime]], visitor: str, now: datetime) -> deque[datetime]:
        key = visitor if window.each else ""
        if key not in taken and len(taken) >= _KEYS:
            _sweep(taken, now - window.span)
            key = key if len(taken) < _KEYS else _CROWD
        place = taken.setdefault(key, deque())
        _forget(place, now - window.span)
        return place


def _forget(place: deque[datetime], before: datetime) -> None:
    while place and place[0] <= before:
        place.popleft()


def _sweep(taken: dict[str, deque[datetime]], before: datetime) -> None:
    for key in [key for key, place in taken.items() if not place or place[-1] <= before]:
        del taken[key]
