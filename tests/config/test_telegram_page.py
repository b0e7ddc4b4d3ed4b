"""The page on Telegram has every behaviour, each done and tested, or with its reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/telegram.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE))


def test_the_page_has_every_behaviour_once():
    assert sorted(map(int, re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE))) == list(range(1, 38))


@pytest.mark.parametrize("number", ROWS)
def test_each_behaviour_is_done_and_tested_or_it_is_said_why_not(number):
    _, said, tests = ROWS[number].rsplit("|", 2)
    if said.strip().startswith("no"):
        assert len(said) > 30
    else:
        assert said.strip().startswith(("yes", "in part: "))
        assert "::" in tests
