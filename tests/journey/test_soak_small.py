"""The small version of the long broadcast in `tests/soak.py`; its rate is judged in virtual time (test_limits)."""

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
    assert found.answers > 1
    assert found.slowest_answer < float("inf"), "whoever wrote to the bot meanwhile was answered"
