"""The small version of the long run in `tests/killing.py`: SIGKILL while it sends mail, and nobody is missed.

That of Telegram, at its limits, is in `test_soak_small.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import killing


@pytest.mark.slow
def test_nobody_is_missed_when_the_process_is_killed_and_at_most_what_stood_sending_is_repeated(
    tmp_path: Path,
) -> None:
    report = killing.run(tmp_path, killing.Mail, subscribers=300, kills=3, seed=20261122)
    assert report.right, report


@pytest.mark.parametrize(
    ("lives", "sending", "missed", "repeated", "unexplained"),
    [
        ([0], [True, False], 0, (0, 0), 0),
        ([], [True, False], 1, (0, 0), 0),
        ([0, 1], [True, False], 0, (1, 0), 0),
        ([0, 2], [True, True], 0, (0, 1), 0),
        ([0, 1, 2], [True, True], 0, (1, 1), 0),
        ([0, 1], [False, True], 0, (0, 0), 1),
        ([0, 0], [True, True], 0, (0, 0), 1),
        ([0, 0, 1], [True, False], 0, (1, 0), 1),
    ],
)
def test_the_judge_lets_a_repeat_pass_only_where_the_row_stood_sending_at_a_kill_between(
    lives: list[int], sending: list[bool], missed: int, repeated: tuple[int, ...], unexplained: int
) -> None:
    copy = ("reader@example.org", 7)
    stood = [{copy} if one else set() for one in sending]
    report = killing.judge([copy], [(copy, life) for life in lives], stood, 1.0)
    assert (report.missed, report.repeated, report.unexplained) == (missed, repeated, unexplained)
    assert report.right == (not missed and not unexplained)
