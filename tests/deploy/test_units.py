"""The systemd units: systemd takes them, judges them well shut in, and the program lives under what they allow."""

from __future__ import annotations

import ctypes.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from syndicator.pipeline.service import GRACE
from tests.deploy.confined import service
from tests.needing import absent, missing
from tests.program import PATIENCE, ROOT, Program, free_port, wait_for

DEPLOY = ROOT / "deploy"
UNITS = ("syndicator.service", "syndicator@.service")
MOST_EXPOSED = 1.5  # of 10, by systemd's own scale; measured 1.1


@pytest.fixture
def analyze(tmp_path):
    """Asks systemd-analyze about a unit, with a program that is there in place of the installed one."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze", "Debian: apt install systemd")

    def ask(unit, *verb):
        text = (DEPLOY / unit).read_text().replace("/opt/syndicator/bin/syndicator", sys.executable)
        (tmp_path / unit).write_text(text)
        return subprocess.run(
            ["systemd-analyze", *verb, str(tmp_path / unit)], capture_output=True, text=True, timeout=60, check=False
        )

    return ask


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_unit_without_a_word(analyze, unit):
    done = analyze(unit, "verify")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_it_well_shut_in_and_the_manual_says_how_well(analyze, unit):
    done = analyze(unit, "security", "--offline=true")
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= MOST_EXPOSED
    assert f"{found[1]} of 10" in (ROOT / "docs/operating.md").read_text()


@pytest.mark.parametrize("unit", UNITS)
def test_it_is_let_end_by_itself_and_started_again_whatever_ended_it(unit):
    said = service(DEPLOY / unit)
    assert float(said["TimeoutStopSec"][0]) > GRACE
    assert (said["KillSignal"], said["Restart"]) == (["SIGTERM"], ["always"])


def test_the_unit_of_a_role_differs_in_what_it_runs_alone():
    one, role = (service(DEPLOY / unit) for unit in UNITS)
    different = {name for name in one.keys() | role.keys() if one.get(name) != role.get(name)}
    assert different == {"ExecStart", "Environment", "EnvironmentFile", "WorkingDirectory", "StateDirectory"}


def test_the_program_lives_under_what_the_unit_allows(tmp_path):
    """Seccomp, no memory both writable and executable, no capability, a file system read-only but for its own."""
    if os.geteuid() != 0:
        absent("only root can shut a program in")
    if ctypes.util.find_library("seccomp") is None or shutil.which("systemd-analyze") is None:
        missing("libseccomp or systemd-analyze", "Debian: apt install systemd libseccomp2")
    port, home = free_port(), tmp_path / "home"
    home.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNDICATOR_")} | {
        "SYNDICATOR_WEB__PORT": str(port),
        "SYNDICATOR_SITE__BASE_URL": f"http://127.0.0.1:{port}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = tmp_path / "log"
    shut = [sys.executable, str(Path(__file__).with_name("confined.py")), str(DEPLOY / UNITS[0]), str(home), "0", "--"]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*shut, sys.executable, str(ROOT / "main.py"), "run", "--demo"],
            cwd=home,
            env=environ,
            stdout=said,
            stderr=said,
        )
    program = Program(home, environ, port, process=process)
    try:
        wait_for(lambda: program.ready() or program.dead(), "the service to be ready")
        assert not program.dead(), log.read_text()[-2000:]
        held = set(re.search(r"^confined: (.+)$", log.read_text(), re.MULTILINE)[1].split())
        assert {"calls", "user"} <= held
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        wait_for(program.titles, "releases in a feed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, log.read_text()[-2000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
    assert "Operation not permitted" not in log.read_text()
