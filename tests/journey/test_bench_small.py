"""The benchmark's own parts in small: its sections run and say what they should; no figure is judged.

The programs that they start are copies of a loaded one: how long a real start takes is for the benchmark itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.bench import arrival, cold, email, fanout, feeds, newsroom, readers, rendering, serving, telegram, urgent
from tests.bench.figures import Figure, spread, table
from tests.program import ROOT, make_program

POSTFIX = shutil.which("smtp-source") is not None


@pytest.fixture(autouse=True)
def _copied(monkeypatch: pytest.MonkeyPatch) -> None:
    for section in (cold, newsroom, readers, serving):
        monkeypatch.setattr(section, "make_program", partial(make_program, warm=True))


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
    assert found["SQLite: 3,000, peak memory"].ratio < 1
    assert "SQLite: 3,000 deliveries written, matches included" in found


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "database"), [("embedded", "sqlite_url"), ("cluster", "postgresql_url")])
def test_an_urgent_release_passes_a_backlog(engine: str, database: str, request: pytest.FixtureRequest) -> None:
    url = str(request.getfixturevalue(database))
    found = measured(urgent.figures(engine, url, people=4000, warm=40))
    for kind in ("email", "telegram"):
        assert found[f"{engine}: urgent behind 4,000 pending, first by {kind}"].ratio < 1


@pytest.mark.slow
def test_a_changed_release_costs_less_than_building_every_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIZES": (60,), "CHANGES": 2, "WITHDRAWALS": 1}.items():
        monkeypatch.setattr(feeds, name, value)
    found = measured(feeds.measure(tmp_path))
    what = "CPU, 60 releases x 3 languages x 20 topics:"
    whole = float(found[f"{what} full build"].measured.split()[0])
    for kind in feeds.KINDS.values():
        assert float(found[f"{what} {kind}, median of 2"].measured.split()[0]) < whole / 2
    assert found[f"{what} none changed"].ratio < 0.1
    best, whole = (  # a reading that nothing disturbed: of some months; all of them would be over 1
        float(re.findall(r"[\d.]+", said)[-1])
        for said in (
            found["archives, CPU: one change in an old month"].measured,
            found["archives, CPU: one change in an old month"].beside,
        )
    )
    assert best < 0.9 * whole
    assert any("until its archive says so" in one for one in found)


@pytest.mark.slow
def test_a_feed_is_served_beside_a_bare_handler_and_nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REQUESTS": 40, "CONNECTIONS": 4, "ROUNDS": 1, "QUIET": 0.5}.items():
        monkeypatch.setattr(serving, name, value)
    found = list(serving.measure(tmp_path))
    assert sum("requests a second" in one.what and "bare" in one.beside for one in found) == 2
    assert any("nginx" in one.what + one.beside for one in found)


@pytest.mark.slow
def test_a_cold_start_comes_to_a_first_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RELEASES": 20, "ROUNDS": 1, "KINDS": ("cold",)}.items():
        monkeypatch.setattr(cold, name, value)
    found = measured(cold.measure(tmp_path))
    assert found["cold start, 20 releases, until the first feed"].ratio > 0
    assert "cold start, 20 releases, until /readyz" in found


@pytest.mark.slow
def test_an_entry_that_changed_costs_less_than_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "ROUNDS", 3)
    cold_ones, changed = [one for one in rendering.measure(tmp_path) if "django" in one.beside]
    assert changed.ratio < cold_ones.ratio


@pytest.mark.slow
def test_a_small_crowd_of_readers_polls_without_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"READERS": 60, "ROUNDS": 6, "WARM": 3, "CHANGE_EVERY": 2}.items():
        monkeypatch.setattr(readers, name, value)
    errors, _, memory, files = readers.measure(tmp_path)
    assert errors.measured == "0", errors
    assert "180 whole, 180 unchanged" in errors.what
    assert memory.ratio < 1.2
    assert files.ratio < 1.6  # a file left open by each of 60 readers and 3 rounds would be over 3; some lines linger


@pytest.mark.slow
def test_both_telegram_senders_and_the_whole_road_are_measured_in_one_run(tmp_path: Path) -> None:
    found = measured(telegram.measure(tmp_path, people=30, rounds=1, each=20))
    assert [one.ratio > 0 for one in found.values()] == [True] * 4
    assert "CPU a message" in found


@pytest.mark.slow
def test_the_pipeline_of_mail_and_its_peers_are_measured_in_one_run(tmp_path: Path) -> None:
    amounts = email.Amounts(near=40, near_plain=20)
    found = measured(email.measure(tmp_path, amounts, rounds=1, away=False))
    assert found["loopback: whole pipeline / plain, messages a second"].ratio > 0
    assert f"loopback: {'whole pipeline / smtp-source, CPU a message' if POSTFIX else 'beside smtp-source'}" in found
