"""What a machine gets that installs the runtime's lock and nothing else: no tool of the developers stands in for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import feedparser
import pytest

from tests.needing import absent
from tests.program import ROOT, Program, free_port, wait_for

LOCK = ROOT / "requirements.lock"
TOOLS = ("pytest", "hypothesis", "feedparser", "psycopg", "dkim")


def clean_environ() -> dict[str, str]:
    """Nothing that could point back at the developers' libraries."""
    hidden = ("SYNDICATOR_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def has_uv() -> bool:
    return subprocess.run([sys.executable, "-m", "uv", "--version"], capture_output=True, check=False).returncode == 0


def install(folder: Path) -> str:
    """A new venv with the locked runtime; returns its Python."""
    python = str(folder / "bin" / "python")
    if has_uv():
        uv = [sys.executable, "-m", "uv", "--quiet"]
        steps = [
            [*uv, "venv", "--python", sys.executable, str(folder)],
            [*uv, "pip", "sync", "--python", python, "--require-hashes", str(LOCK)],
        ]
    else:
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [*pip, "install", "--require-hashes", "-r", str(LOCK)],
        ]
    for step in steps:
        done = subprocess.run(step, env=clean_environ(), capture_output=True, text=True, check=False, timeout=240)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-500:]
            absent(f"the runtime cannot be installed here: {said}")
    return python


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return install(tmp_path_factory.mktemp("installed") / "venv")


@pytest.fixture
def program(python: str, tmp_path: Path) -> Iterator[Program]:
    port = free_port()
    environ = clean_environ() | {
        "SYNDICATOR_SITE__BASE_URL": f"http://127.0.0.1:{port}",
        "SYNDICATOR_WEB__PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    found = Program(tmp_path, environ, port, python=python)
    yield found
    if found.process is not None and not found.dead():
        found.process.kill()
        found.process.wait(10)


def ask(python: str, code: str) -> str:
    done = subprocess.run(
        [python, "-c", code], env=clean_environ(), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_the_lock_brings_all_that_is_needed_and_none_of_the_tools(python: str) -> None:
    code = f"import importlib.util as u, json; print(json.dumps([n for n in {TOOLS} if u.find_spec(n)]))"
    assert json.loads(ask(python, code)) == []
    if has_uv():
        check = [sys.executable, "-m", "uv", "pip", "check", "--python", python]
    else:
        check = [python, "-m", "pip", "check"]
    done = subprocess.run(check, env=clean_environ(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_runtime_alone_migrates_checks_and_serves_the_demo(program: Program) -> None:
    program.command("migrate")
    program.command("check")
    program.start("--demo")
    for fmt in ("rss", "atom"):
        wait_for(lambda fmt=fmt: program.get(f"/feeds/en/all.{fmt}")[0] == 200, "the feeds")
        wait_for(
            lambda fmt=fmt: b"<item" in (found := program.get(f"/feeds/en/all.{fmt}")[1]) or b"<entry" in found, ""
        )
        feed = feedparser.parse(program.get(f"/feeds/en/all.{fmt}")[1])
        assert not feed.bozo, feed.get("bozo_exception")
        assert feed.entries
    assert program.get("/en/")[0] == 200
    assert program.get("/metrics")[0] == 200
    assert program.stop() == 0
