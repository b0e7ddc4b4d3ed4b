"""Ending a task that goes on for ever: a cancellation can get lost, and whoever waited for its end would wait for ever.

1. psycopg turns a cancellation that comes while it waits for the server into an error of its own where the server is
   in trouble as well; a loop that goes on after errors then goes on. So it is asked again until it has ended.
2. Only for loops: a job that is ended cleans up, and is cancelled once.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["ended"]

AGAIN = 3.0  # seconds, more than psycopg takes to give a statement up (`patience`)


async def ended(*tasks: asyncio.Task[Any], again: float = AGAIN) -> None:
    """Cancel them, and wait until all have ended, in whatever way; those that have ended already are no trouble."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=again)
    await asyncio.gather(*tasks, return_exceptions=True)  # what they failed with is looked at, and was logged by them
