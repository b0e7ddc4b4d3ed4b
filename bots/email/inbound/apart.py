"""Blocking work in a thread that nobody has to wait for: at the end a server that says nothing is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

__all__ = ["apart"]

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """What `work` gives, or raises. Cancelled, it leaves the thread to itself: the process may end without it.

    `asyncio.to_thread` is not used, since the loop waits for its threads when it ends.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def give(result: T) -> None:
        if not done.done():
            done.set_result(result)

    def refuse(error: BaseException) -> None:
        if not done.done():
            done.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(refuse, error)
        else:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(give, result)

    Thread(target=run, name="mailbox", daemon=True).start()
    return await done
