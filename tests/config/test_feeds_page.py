"""The page on feeds names tests: each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/feeds.md").read_text(encoding="utf-8")


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


def test_the_page_has_every_point_of_the_checklist():
    points = {int(n) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for n in row.split(",")}
    assert points == set(range(1, 44))
