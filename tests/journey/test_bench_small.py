"""The benchmark's own parts in small: its sections run and say what they should; no figure is judged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import arrival, delivery, fanout, feeds
from tests.bench.figures import Figure, spread, table
from tests.program import ROOT


def measured(figures: Any) -> dict[str, Figure]:
    return {one.what: one for one in figures}


def test_a_table_shows_each_figure_beside_its_limit_and_their_ratio() -> None:
    lines = list(table("arrival", [spread("file until feed", [0.5, 0.25, 1.0], 2)]))
    assert lines[0] == "arrival"
    for part in ("min/median/max of 3", "0.25 / 0.50 / 1.00 s", "limit 2 s", "0.500"):
        assert part in lines[1]


def test_an_unknown_section_is_refused_with_those_that_exist() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "arival"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no section 'arival'; there are arrival, embargo" in done.stderr


@pytest.mark.slow
def test_a_release_reaches_feed_channel_and_mail_in_a_newsroom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "RELEASES", 1)
    found = measured(arrival.measure(tmp_path))
    assert [what.rpartition(" the ")[2].split()[0] for what in found] == ["feed", "channel", "mail"]


@pytest.mark.slow
def test_a_small_crowd_is_told_in_full_and_within_the_limit_of_memory(sqlite_url: str) -> None:
    found = measured(fanout.figures("SQLite", sqlite_url, people=3000, filters=50))
    assert found["SQLite: peak memory"].ratio < 1
    assert "SQLite: 3,000 deliveries written, matches included" in found


@pytest.mark.slow
def test_every_reader_of_a_small_crowd_gets_a_mail_through_the_pipeline(tmp_path: Path) -> None:
    found = measured(delivery.measure(tmp_path, people=100))
    assert found["whole pipeline"].ratio > 0


@pytest.mark.slow
def test_a_changed_release_costs_less_than_building_every_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RELEASES": 20, "REQUESTS": 20, "ROUNDS": 1}.items():
        monkeypatch.setattr(feeds, name, value)
    found = measured(feeds.measure(tmp_path))
    assert 0 < found["CPU of a refresh after one changed release"].ratio < 1
    assert found["CPU of a refresh after none"].ratio < 1
    assert sum("requests/s" in what for what in found) == 2
