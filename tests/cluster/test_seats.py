"""The hub's seat, and that of who fetches mail, are taken over after a kill: real processes, in the middle of both."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cluster.outside import FIRST, Outside
from tests.email.returned import FAILED, READER, dsn
from tests.faulty.dying import QUICK, RHYTHM
from tests.program import MailSink, wait_for

FEED = "/feeds/en/all.atom"
OPEN = ("due", "sending", "deferred")
READERS = [f"r{number}@example.org" for number in range(FIRST + 2)]


class Kept(MailSink):
    """It keeps by which address each mail comes back, too."""

    def __init__(self) -> None:
        super().__init__()
        self.returns: dict[str, str] = {}

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.returns[envelope.rcpt_tos[0]] = envelope.mail_from
        return await super().handle_DATA(server, session, envelope)

    def report(self, reader: str) -> bytes:
        """What a server says of the mail that this reader was sent."""
        gone = dsn(FAILED).replace(READER.encode(), reader.encode())
        return re.sub(rb"(?m)^To: .*$", f"To: {self.returns[reader]}\r".encode(), gone, count=1)


@pytest.fixture
def kept():
    found = Kept()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def outside():
    with Outside() as found:
        yield found


@pytest.fixture
def office(cluster, kept, outside):
    """It tells callbacks of ours, and fetches what comes back."""
    cluster.mail_through(kept.port).environ |= {
        RHYTHM: QUICK,
        "SYNDICATOR_OUTGOING__ALLOW": json.dumps(["127.0.0.0/8"]),
        "SYNDICATOR_EMAIL__BOUNCE_ADDRESS": "bounces@press.example.org",
        "SYNDICATOR_EMAIL__INBOUND__KIND": "pop3",
        "SYNDICATOR_EMAIL__INBOUND__PORT": str(outside.box.port),
        "SYNDICATOR_EMAIL__INBOUND__TLS": "none",
        "SYNDICATOR_EMAIL__INBOUND__USER": "press",
        "SYNDICATOR_EMAIL__INBOUND__PASSWORD": "right",
    }
    cluster.subscribe(*(f"{reader},email,en,,immediate" for reader in READERS))
    return cluster


def asks(machine, callback: str) -> None:
    """A subscriber wants to be told of the feed."""
    fields = {"hub.mode": "subscribe", "hub.topic": f"http://127.0.0.1{FEED}", "hub.callback": callback}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, said, _ = machine.ask("POST", "/hub", body=urlencode(fields).encode(), headers=headers)
    assert status == 202, said


def sits(machine) -> bool:
    return {"hub", "inbound"} <= set(machine.state["seats"])


def test_who_tells_callbacks_and_fetches_mail_is_killed_and_another_goes_on_with_nothing_twice_or_lost(
    office, kept, outside
):
    first = office.start("web,worker")
    wait_for(lambda: sits(first), "both seats to be taken")
    office.start("scheduler")
    office.write("n0.en.txt", "Notice number 0\n\nText.\n")
    wait_for(lambda: kept.returns.keys() == set(READERS), "the mails that will come back")
    wait_for(lambda: b"number 0<" in first.get(FEED)[1], "the feed")
    for name in ("told", "held"):
        asks(first, f"{outside.base}/{name}")
    wait_for(lambda: office.sql("SELECT count(*) FROM hub_lease WHERE ended_at IS NULL") == [(2,)], "both callbacks")
    wait_for(lambda: office.count("sent") == len(READERS), "the mails to be settled")
    second = office.spawn("web,worker")
    office.write("n1.en.txt", "Notice number 1\n\nText.\n")
    wait_for(
        lambda: outside.heard(b"number 1<") and not office.count(*OPEN, channel="websub"), "both to have been told"
    )

    outside.hold()
    outside.put(*map(kept.report, READERS))
    office.write("n2.en.txt", "Notice number 2\n\nText.\n")
    wait_for(lambda: outside.heard(b"number 2<"), "both to be told")
    wait_for(outside.box.reached.is_set, "the first mails to be fetched")
    second.wait()
    first.kill()
    standing = office.count("sending", channel="websub")
    in_flight = outside.brought["/held"][-1]
    office.write("n3.en.txt", "Notice number 3\n\nText.\n")
    outside.go_on()

    wait_for(lambda: sits(second), "the other one to take both seats")
    wait_for(lambda: outside.heard(b"number 3<"), "the news")
    wait_for(lambda: not outside.box.mails, "an empty mailbox")
    wait_for(lambda: not office.count(*OPEN, channel="websub"), "all to be settled")
    times = Counter((name, body) for name, bodies in outside.brought.items() for body in bodies)
    again = [body for (_, body), number in times.items() for _ in range(number - 1)]
    assert set(again) <= {in_flight}, "nothing is told twice but what was on its way"
    assert len(again) <= standing
    assert office.sql(
        "SELECT s.address, count(*) FROM bounce b JOIN subscriber s ON s.id = b.subscriber_id GROUP BY 1 ORDER BY 1"
    ) == [(reader, 1) for reader in READERS]
    assert office.sql("SELECT count(*) FROM subscriber WHERE channel = 'email' AND state = 'paused'") == [
        (len(READERS),)
    ]
    counted = [second.metric(f'syndicator_mail_returned_total{{kind="{kind}"}}') for kind in ("known", "hard")]
    assert counted == [FIRST, len(READERS) - FIRST], "what had been taken in is known again"
