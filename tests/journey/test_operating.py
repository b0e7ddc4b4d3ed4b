"""What an operator meets: clear lines for every mistake, one running service, a stop that is clean."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("environ", "arguments", "code", "words"),
    [
        ({"SYNDICATOR_WEB__PRT": "1"}, ("run",), 1, "unknown key; allowed here: host, port"),
        ({"SYNDICATOR_CONFIG": "missing.toml"}, ("run",), 1, "missing.toml: cannot be read"),
        ({}, ("harvest",), 1, "database"),
        ({}, ("subscribers", "list"), 1, "database"),
        ({}, ("deliveries", "retry", "--state", "sent"), 1, "is not one of failed, unknown"),
        ({}, ("correct", "1"), 2, "Missing"),
        ({"SYNDICATOR_DATABASE__URL": "sqlite:////nowhere/at/all.db"}, ("harvest",), 1, "/nowhere/at/all.db"),
        ({"SYNDICATOR_DATABASE__URL": "mysql://x"}, ("run",), 1, "sqlite:///PATH or postgresql://"),
        ({"SYNDICATOR_TOPICS__FILE": "missing.toml"}, ("run",), 1, "missing.toml: cannot be read"),
        (
            {"SYNDICATOR_TELEGRAM__CHANNELS": '[{"chat": "@a", "filter": "topic=nonsense"}]'},
            ("run",),
            1,
            "telegram.channels: @a: filter",
        ),
    ],
)
def test_a_mistake_gets_one_clear_line_and_an_exit_code(
    program: Any, environ: dict[str, str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    program.environ |= environ
    done = program.command(*arguments, check=False)
    assert done.returncode == code, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    if code == 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("syndicator:")]
        assert len(lines) == 1, done.stderr


def test_a_folder_that_is_missing_is_told_and_the_rest_goes_on(program: Any, until: Any) -> None:
    program.releases.rmdir()
    program.command("migrate")
    done = program.command("harvest", check=False)
    assert done.returncode == 1
    assert str(program.releases) in done.stderr
    program.start()
    assert program.get("/en/")[0] == 200
    program.releases.mkdir()
    program.write("a.en.txt", "A notice about visas\n\nText.\n")
    until(lambda: program.titles() == ["A notice about visas"], "the release of the folder that came back")


def test_a_second_run_on_the_same_database_refuses_with_one_line_and_disturbs_nothing(program: Any) -> None:
    program.start()
    second = program.command("run", check=False)
    assert second.returncode == 1
    (line,) = [line for line in second.stderr.splitlines() if line.startswith("syndicator:")]
    assert "syndicator.db" in line
    assert program.get("/readyz")[0] == 200


def test_the_lock_dies_with_its_process(program: Any) -> None:
    program.start()
    program.kill()
    program.start()
    assert program.get("/readyz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_within_thirty_seconds_and_leaves_nothing_in_flight(
    mailing: Any, sink: Any, until: Any, number: signal.Signals
) -> None:
    mailing.subscribe(*(f"r{n}@example.org,email,en,,immediate" for n in range(120)))
    mailing.start()
    mailing.write("fees.en.txt", "Visa fees change\n\nText.\n")
    until(lambda: sink.taken, "the first mail")
    mailing.process.send_signal(number)
    assert mailing.process.wait(30) == 0
    assert mailing.count("sending") == 0
    mailing.start()
    until(lambda: len(sink.taken) >= 120 and mailing.count("sent") == 120, "the rest")
    assert len(sink.taken) == 120, "a clean stop repeats nothing"
    assert "Traceback" not in mailing.log()


def test_a_taken_port_is_named(program: Any) -> None:
    program.start()
    program.environ["SYNDICATOR_DATABASE__URL"] = f"sqlite:///{program.folder}/other.db"
    second = program.command("run", check=False)
    assert second.returncode == 1
    assert str(program.port) in second.stderr
    assert "Traceback" not in second.stderr


def test_people_come_in_by_csv_with_their_consent_and_bad_rows_are_named(program: Any) -> None:
    program.command("migrate")
    table = Path(program.folder) / "people.csv"
    table.write_text(
        "address,channel,language,filter,cadence,consent_at,consent_source,consent_text\n"
        "good@example.org,email,az,topic=visas,immediate,2026-11-01T10:00:00+04:00,desk,yes\n"
        "not-an-address,email,az,,immediate,2026-11-01T10:00:00+04:00,desk,yes\n"
        "x@example.org,email,fr,,immediate,2026-11-01T10:00:00+04:00,desk,yes\n"
        "y@example.org,email,az,topic=nonsense,immediate,2026-11-01T10:00:00+04:00,desk,yes\n"
        "z@example.org,email,az,,immediate,,desk,yes\n",
        encoding="utf-8",
    )
    for _ in range(2):
        done = program.command("subscribers", "import", str(table), check=False)
        assert done.returncode == 1
        for words in ("line 3: address", "line 4: language: 'fr'", "line 5: filter", "line 6: consent_at"):
            assert words in done.stderr
    listed = program.command("subscribers", "list", "--json").stdout
    assert listed.count("good@example.org") == 1
    assert "not-an-address" not in listed


def test_the_doctor_finds_nothing_wrong_with_a_good_configuration_and_changes_nothing(program: Any) -> None:
    program.command("migrate")
    before = sorted(str(path) for path in program.folder.rglob("*"))
    done = program.command("check")
    assert "can be read" in done.stdout
    assert sorted(str(path) for path in program.folder.rglob("*")) == before
    program.releases.rmdir()
    assert program.command("check", check=False).returncode == 1


def test_feeds_can_be_built_into_a_folder_for_another_server(program: Any) -> None:
    program.write("a.en.txt", "A notice about visas\n\nText.\n")
    program.command("migrate")
    program.command("harvest")
    program.command("feeds", "build", "--out", str(program.folder / "tree"))
    for name in ("en/all.rss", "en/visas.atom", "az/all.json", "ru/students.rss"):
        assert (list((program.folder / "tree").rglob(name)) or [None])[0], name
