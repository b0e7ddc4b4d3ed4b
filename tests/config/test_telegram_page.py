"""The page on Telegram has every behaviour, and names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/telegram.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE))


def named() -> list[tuple[str, str]]:
    """(file, test) of every test that the page names; a name without a file is of the file named before it."""
    found, file = [], ""
    for here, test in re.findall(r"`([\w/]+\.py)?::(\w+)`", PAGE):
        file = here or file
        found.append((file, test))
    return found


@pytest.mark.parametrize(("file", "test"), named())
def test_each_test_that_the_page_names_is_there(file, test):
    assert f"def {test}(" in (TESTS / file).read_text(encoding="utf-8")


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
