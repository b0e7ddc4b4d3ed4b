"""What is done again and again for as long as a process runs: how it fails, and how its loop waits for a word.

Rules, in order:

1. A failure ends no loop. What the outside does (an `OSError`) is said once, until it goes again; a bug each time, with
   its trace.
2. Whoever waits for a word goes on without one after a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

__all__ = ["Trying", "heard"]

log = structlog.get_logger()


class Trying:
    """Rule 1; `trouble` is said of a failure."""

    def __init__(self, trouble: str) -> None:
        self._trouble = trouble
        self._failing = False

    async def goes(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Do it; whether it went."""
        try:
            await work()
        except OSError as error:
            if not self._failing:
                log.warning(self._trouble, reason=str(error))
            self._failing = True
        except Exception:
            log.exception(self._trouble)
            self._failing = True
        else:
            self._failing = False
        return not self._failing


async def heard(word: asyncio.Event, seconds: float) -> bool:
    """Rule 2: whether there was a word within so many seconds."""
    try:
        await asyncio.wait_for(word.wait(), seconds)
    except TimeoutError:
        return False
    return True
