"""Figures: what was measured, beside a limit or a peer of the same run, and the ratio. Nothing passes or fails."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.program import ROOT

__all__ = ["Figure", "child", "spread", "table"]

CHILD_SECONDS = 240


@dataclass(frozen=True)
class Figure:
    """`ratio` is measured / beside; 0 where there is nothing to compare with."""

    what: str
    measured: str
    beside: str = ""
    ratio: float = 0.0


def spread(what: str, seconds: Sequence[float], limit: float) -> Figure:
    """Several runs against a limit in seconds; the ratio is that of the slowest."""
    worst = max(seconds)
    said = f"{min(seconds):.2f} / {statistics.median(seconds):.2f} / {worst:.2f} s"
    return Figure(f"{what} (min/median/max of {len(seconds)})", said, f"limit {limit:g} s", worst / limit)


def child(module: str, *arguments: str) -> dict[str, Any]:
    """Measure in a process that does only this: run a module of this folder and read the JSON it prints last."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=CHILD_SECONDS,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(section: str, figures: Iterable[Figure]) -> Iterable[str]:
    """Lines of text, as they come."""
    yield section
    for one in figures:
        ratio = f"{one.ratio:8.3f}" if one.ratio else " " * 8
        yield f"  {one.what:<62} {one.measured:>24}  {one.beside:<30} {ratio}"
