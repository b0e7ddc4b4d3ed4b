"""An alarm in a running service: it stands in the log, in the metrics and in a letter, and is told once each way."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.faulty.dying import ALARMED_AFTER, TRIES_AFTER
from tests.program import MailSink, Program, mail_through, make_program, wait_for

ONCALL = "oncall@press.example.org"
LATE = "release 1 has not reached email"


class Shut(MailSink):
    """A relay that takes letters to the office alone, until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open = False

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: object, session: object, envelope: object, address: str, options: object
    ) -> str:
        if not self.open and address != ONCALL:
            return "451 4.3.2 come back later"
        envelope.rcpt_tos.append(address)
        return "250 ok"


@pytest.fixture
def relay() -> Iterator[Shut]:
    made = Shut()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def program(tmp_path, relay: Shut) -> Iterator[Program]:
    made = mail_through(make_program(tmp_path, warm=True), relay.port)
    made.environ |= {"SYNDICATOR_ALERTS__EMAIL": ONCALL, ALARMED_AFTER: "2.4", TRIES_AFTER: "0.5"}
    made.environ |= {
        "SYNDICATOR_SITE__LANGUAGES": '["en"]',
        "SYNDICATOR_SITE__DEFAULT_LANGUAGE": "en",
    }  # waits for no other
    yield made
    made.stop()


def logged(program: Program, event: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in program.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event and line["alarm"].startswith("late:")]


def told(relay: Shut) -> list[str]:
    """What the office was told of it, line by line; feeds are looked over more seldom than this test has time."""
    lines = [line for letter in relay.to(ONCALL) for line in letter.get_content().splitlines()]
    return [line.partition(" (since")[0] for line in lines if LATE in line]


def test_a_relay_that_refuses_is_an_alarm_in_log_metrics_and_a_letter_once_and_once_when_it_is_over(program, relay):
    program.subscribe("ayla@example.org,email,en,,immediate")
    asked = {row["check"]: row for row in json.loads(program.command("check", "--json", check=False).stdout)}
    assert asked["alerts.email"]["ok"], asked
    assert relay.to(ONCALL) == []
    program.start()
    program.write("fees.en.txt", "Visa fees change\n\nThe fee is 20.\n")
    wait_for(lambda: told(relay), "a letter to the office")
    assert [line["alarm"] for line in logged(program, "alarm")] == ["late:release:1:0:email"]
    wait_for(lambda: program.metric('syndicator_alarms{kind="late"}') == 1, "the alarm in the metrics")
    relay.open = True
    wait_for(lambda: relay.to("ayla@example.org"), "the release")
    wait_for(lambda: len(told(relay)) > 1, "the letter that it is over")
    wait_for(lambda: program.metric('syndicator_alarms{kind="late"}') == 0, "no alarm in the metrics")
    assert program.stop() == 0
    said = f"{LATE} after 0.04 minutes: none of its readers has it"
    assert told(relay) == [f"- {said}", f"- Over: {said}"]
    assert (len(logged(program, "alarm")), len(logged(program, "alarm over"))) == (1, 1)
