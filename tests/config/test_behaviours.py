"""The pages on Telegram and on mail have every behaviour, each done and tested, or with its reason.

That the tests which they name are there is asked by `test_named_tests`, which reads names of this form alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NAMED = re.compile(r"`(?:\w+/)*test_\w+\.py::test_\w+`(?:, `(?:(?:\w+/)*test_\w+\.py)?::test_\w+`)*")
DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"telegram.md": 37, "email.md": 46}


def rows(page: str) -> list[tuple[int, str]]:
    """Number and the rest of each row of its table."""
    found = re.findall(r"^\| (\d+) \|(.*)\|$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return [(int(number), rest) for number, rest in found]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_every_behaviour_once(page):
    assert sorted(number for number, _ in rows(page)) == list(range(1, PAGES[page] + 1))


@pytest.mark.parametrize(("page", "number", "row"), [(page, *row) for page in PAGES for row in rows(page)])
def test_each_behaviour_is_done_and_tested_or_it_is_said_why_not(page, number, row):
    _, said, tests = row.rsplit("|", 2)
    if said.strip().startswith("no"):
        assert len(said) > 30
    else:
        assert said.strip().startswith(("yes", "in part: "))
        assert NAMED.fullmatch(tests.strip()), "such a cell is: `file.py::test_name`, `::test_of_the_same_file`, ..."
