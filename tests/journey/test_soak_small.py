"""Small versions of the long broadcasts in `tests/soak.py`, at the double's limits.

How near to its budget a broadcast comes is judged in virtual time (`telegram/test_limits.py`): here any machine that
others use as well may be slow, and the bound only finds a broadcast that goes out one by one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import soak


@pytest.mark.slow
def test_a_broadcast_at_telegrams_own_limits_misses_nobody_doubles_nothing_and_is_never_told_to_wait(
    tmp_path: Path,
) -> None:
    found = soak.steady(tmp_path, 60, ask_every=1.0)
    assert (found.missed, found.doubled, found.floods) == (0, 0, 0), found
    assert found.rate > soak.BUDGET / 5, found
    assert found.answers > 1
    assert found.slowest_answer < float("inf"), "whoever wrote to the bot meanwhile was answered"


@pytest.mark.slow
def test_a_broadcast_that_is_killed_again_and_again_keeps_telegrams_limits_and_repeats_only_what_stood_sending(
    tmp_path: Path,
) -> None:
    found = soak.killed(tmp_path, 60, seed=20261122, lives=(1.0, 1.8))
    assert found.right, found
    assert found.kills > 1
