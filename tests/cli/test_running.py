"""Commands that run a part of the service: results for scripts, a bar only for people, help for everyone."""

from __future__ import annotations

import io
import json
import sys

import pytest
import typer

from syndicator.cli.app import make_cli
from syndicator.cli.desk import Check
from syndicator.cli.output import working


def commands(root):
    """Every command of the program as words."""
    tree = typer.main.get_command(make_cli(root))

    def walk(command, words):
        if hasattr(command, "commands"):
            yield words
            for name, inner in command.commands.items():
                yield from walk(inner, (*words, name))
        else:
            yield words

    return list(walk(tree, ()))


def test_every_command_tells_what_it_is_for(operator, root):
    listed = commands(root)
    assert ("subscribers", "import") in listed
    assert ("feeds", "build") in listed
    for words in listed:
        said = operator(*words, "--help").stdout
        assert "Usage:" in said
        assert len(said.split("Usage:")[1].split()) > 10, words


def test_a_source_is_read_and_told_for_people_and_for_scripts(operator, root):
    (root.folder / "releases" / "a.en.txt").write_text("Hours change\n\nFrom Monday.\n")
    (root.folder / "releases" / "b.en.txt").write_text("")
    done = operator("harvest", "--json", code=1)
    tally = {"source": "folder", "seen": 2, "changed": 1, "announced": 1, "too_old": 0, "problems": 1}
    assert json.loads(done.stdout) == [tally]
    assert done.stderr == "folder: b.en.txt: the file is empty\n", "what was left out is named"
    assert operator("harvest").stdout.splitlines()[1].split() == ["folder", "0", "0", "0", "0", "0"]
    (root.folder / "releases" / "a.en.txt").unlink()
    (root.folder / "releases" / "b.en.txt").unlink()
    (root.folder / "releases").rmdir()
    done = operator("harvest", code=1)
    assert "releases" in done.stderr


def test_feeds_are_built(operator, tmp_path):
    assert operator("feeds", "build", "--out", tmp_path / "a").stderr == f"7 files written to {tmp_path}/a\n"
    assert operator.json("feeds", "build", "--out", tmp_path / "b") == {"written": 7, "out": str(tmp_path / "b")}


def test_the_doctor_names_what_is_wrong_and_says_so_to_scripts(operator, root):
    async def well():
        return "all is well"

    async def gone():
        raise FileNotFoundError(2, "No such file or directory", "/srv/x")

    root.asked = [Check("one", well)]
    assert operator.json("check") == [{"check": "one", "ok": True, "found": "all is well"}]
    root.asked.append(Check("two", gone))
    assert operator.json("check", code=1)[1] == {
        "check": "two",
        "ok": False,
        "found": "/srv/x: No such file or directory",
    }
    assert "all is well" in operator("check", code=1).stdout


class Screen(io.StringIO):
    """Standard error that is a terminal, or not."""

    def __init__(self, tty):
        super().__init__()
        self.tty = tty

    def isatty(self):
        return self.tty


@pytest.mark.parametrize(("tty", "quiet"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("total", [None, 10])
def test_a_bar_is_shown_only_where_a_person_looks_on(monkeypatch, tty, quiet, total):
    screen, results = Screen(tty), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", results)
    monkeypatch.setenv("TERM", "xterm")
    with working("reading folder", total=total, quiet=quiet) as advance:
        advance(3)
    assert ("reading folder" in screen.getvalue()) is (tty and not quiet)
    assert results.getvalue() == ""


def test_a_reader_who_has_seen_enough_ends_a_command_quietly(operator, monkeypatch):
    def full(_text):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("syndicator.cli.output._Table._write", lambda self, cells: full(cells))
    assert operator("subscribers", "list", code=1).stderr == ""


@pytest.mark.parametrize(
    ("roles", "kind", "started"),
    [
        (None, "embedded", {"web", "scheduler", "worker", "bot"}),
        ("web", "procrastinate", {"web"}),
        ("worker,bot", "procrastinate", {"worker", "bot"}),
        ("web", "embedded", None),
        ("pages", "procrastinate", None),
    ],
)
def test_a_process_takes_the_roles_that_it_is_given_or_says_why_not(operator, root, monkeypatch, roles, kind, started):
    monkeypatch.setenv("SYNDICATOR_ENGINE__KIND", kind)
    monkeypatch.setenv("SYNDICATOR_DATABASE__URL", "postgresql://office@db.example.org/office")
    done = operator("run", *(["--roles", roles] if roles else []), code=0 if started else 1)
    if started is None:
        assert root.served == []
        assert done.stderr.startswith("syndicator: --roles: ")
        assert len(done.stderr.splitlines()) == 1
    else:
        assert root.roles == started
