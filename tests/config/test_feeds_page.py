"""The page on feeds has every point of its checklist."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/feeds.md").read_text(encoding="utf-8")


def test_the_page_has_every_point_of_the_checklist():
    points = {int(n) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for n in row.split(",")}
    assert points == set(range(1, 44))
