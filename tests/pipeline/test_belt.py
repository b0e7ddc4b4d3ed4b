"""The belt asks for a number again and again, whatever becomes of one question."""

from __future__ import annotations

import pytest

from syndicator.pipeline.belt import Belt


@pytest.mark.parametrize("trouble", [OSError("away"), ValueError("a bug")])
async def test_a_belt_that_failed_looks_again(trouble):
    answers, moved = [1, trouble, 2], []

    async def read():
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    belt = Belt(read, 60, lambda: moved.append(True))
    for expected in (1, 1, 2):
        await belt.look()
        assert len(moved) == expected


async def test_an_outage_is_said_once_and_so_is_its_end(capsys):
    answers = [1, OSError("away"), OSError("away"), OSError("away"), 1, 1]

    async def read():
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    belt = Belt(read, 60, lambda: None)
    while answers:
        await belt.look()
    said = capsys.readouterr().out
    assert said.count("cannot be seen now") == said.count("is seen again") == 1
