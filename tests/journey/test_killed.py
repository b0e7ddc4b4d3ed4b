"""The small version of the long run in `tests/killing.py`: SIGKILL while it sends, and nobody is missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import killing


@pytest.mark.slow
def test_nobody_is_missed_when_the_process_is_killed_and_at_most_what_stood_sending_is_repeated(tmp_path: Path) -> None:
    report = killing.run(tmp_path, subscribers=150, kills=4, seed=20261122)
    assert report.missed == 0, report
    assert report.repeats <= sum(report.in_flight), report
