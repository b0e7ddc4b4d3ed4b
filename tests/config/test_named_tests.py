"""Pages that say what is done name the tests that show it: each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def named(page: str) -> list[tuple[str, str]]:
    """(file, test) of every test that a page names; a name without a file is of the file named before it."""
    found, file = [], ""
    for here, test in re.findall(r"`([\w/]+\.py)?::(\w+)`", (TESTS.parent / "docs" / page).read_text(encoding="utf-8")):
        file = here or file
        found.append((file, test))
    return found


PAGES = ("feeds.md", "telegram.md", "email.md", "reliability.md")


@pytest.mark.parametrize(("file", "test"), [one for page in PAGES for one in named(page)])
def test_each_test_that_a_page_names_is_there(file, test):
    assert f"def {test}(" in (TESTS / file).read_text(encoding="utf-8")
