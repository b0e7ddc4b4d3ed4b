"""What is done again and again survives whatever fails, says what the outside does once, and a bug each time."""

from __future__ import annotations

import asyncio

import pytest

from syndicator.engine.trying import Trying, heard

DOWN, BUG = OSError("down"), ZeroDivisionError("a bug")
CASES = {
    "it goes": ([None, None], 0, 0),
    "an outage is one line": ([DOWN, DOWN, DOWN], 1, 0),
    "the next outage is another one": ([DOWN, DOWN, None, DOWN], 2, 0),
    "a bug is said each time, with its trace": ([BUG, BUG], 2, 2),
}


@pytest.mark.parametrize(("turns", "said", "traces"), CASES.values(), ids=CASES)
async def test_a_failure_ends_nothing_and_is_said_as_often_as_somebody_needs_to_hear_it(turns, said, traces, capsys):
    trying, left = Trying("it cannot be done; tried again"), list(turns)

    async def work() -> None:
        if (failure := left.pop(0)) is not None:
            raise failure

    went = [await trying.goes(work) for _ in turns]
    out = capsys.readouterr().out
    assert went == [failure is None for failure in turns]
    assert (out.count("it cannot be done; tried again"), out.count("Traceback")) == (said, traces)


async def test_who_is_told_to_end_ends():
    task = asyncio.create_task(Trying("").goes(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_waits_for_a_word_goes_on_without_one():
    word = asyncio.Event()
    assert not await heard(word, 0.001)
    word.set()
    assert await heard(word, 60)
