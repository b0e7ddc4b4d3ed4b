"""A loop that is told to end has ended, also where its first word got lost."""

from __future__ import annotations

import asyncio

import pytest

from syndicator.ending import ended


@pytest.mark.parametrize("deaf_to", [0, 1, 3])
async def test_a_loop_that_a_cancellation_was_lost_in_is_told_again_until_it_has_ended(deaf_to: int) -> None:
    heard = 0

    async def loop() -> None:
        nonlocal heard
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard += 1
                if heard > deaf_to:
                    raise

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended(task, again=0.01)
    assert task.cancelled()
    assert heard == deaf_to + 1


async def test_what_has_ended_or_failed_already_keeps_nobody_waiting() -> None:
    async def fails() -> None:
        raise RuntimeError("it was logged where it failed")

    done, failed = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(fails())
    await asyncio.wait([done, failed])
    async with asyncio.timeout(5):
        await ended(done, failed)
        await ended()
