"""A timer that is moved often, and mostly to later: it costs little to move.

Rules, in order:

1. Where it is moved to later, the loop's own timer stays, and looks again when it comes too early.
2. Where it is moved to earlier, the loop's timer is set anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["NEVER", "Alarm"]

NEVER = float("inf")


class Alarm:
    """Calls `over` when its time has come. Times are the event loop's seconds."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = over
        self._at = self._looks_at = NEVER
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """It goes off then; what was set before holds no more."""
        self._at = at
        if self._timer is not None and at < self._looks_at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and at < NEVER:
            self._wait(at)

    def stop(self) -> None:
        """It goes off no more."""
        self._at = NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, at: float) -> None:
        self._looks_at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() >= self._at:
            self._at = NEVER
            self._over()
        elif self._at < NEVER:
            self._wait(self._at)
