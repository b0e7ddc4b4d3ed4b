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
