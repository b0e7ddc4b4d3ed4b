"""Some domains behave badly, in every way there is: the others get their mail, nobody is lost, the ledger is true."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from bots.email import smtp
from syndicator.pipeline import flights
from tests.email.fault_road import FaultRoad, lost
from tests.email.faults import DROP, OFFERS, TAKE_AND_DROP, TARPIT, Fault, FaultServer

HEALTHY = ("good.example", "fine.example")
SICK = {
    "busy.example": [Fault("RCPT", "421 4.7.0 Try again later, closing connection", after=5, times=6)],
    "grey.example": [Fault("RCPT", "451 4.7.1 Greylisted, please come back later", times=12)],
    "nobody.example": [Fault("RCPT", "550 5.1.1 no such user")],
    "full.example": [Fault("RCPT", "452 4.2.2 The mailbox is full")],
    "strict.example": [Fault("END", "554 5.7.1 this looks like spam")],
    "odd.example": [
        Fault("END", "451 4.3.0 try again", odds=0.2, times=4),
        Fault("DATA", "450 4.3.2 not just now", odds=0.2, times=4),
        Fault("RCPT", DROP, after=3, times=2),
        Fault("DATA", DROP, after=6, times=1),
        Fault("BODY", DROP, after=6, times=1),
        Fault("END", DROP, after=8, times=1),
    ],
    "vague.example": [Fault("END", TAKE_AND_DROP, after=2, times=3)],
    "tarpit.example": [Fault("RCPT", TARPIT, times=3)],
}
READERS = 15


async def sent(port: int, *pieces: bytes) -> str:
    """Each piece in one write, once the answer to the one before has come; all that was said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = await reader.readline()
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.02)
    with suppress(OSError):  # it may have hung up
        writer.write_eof()
    with suppress(OSError):
        said += await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return said.decode()


MAIL = b"MAIL FROM:<a@example.org>\r\n"
RCPT = b"RCPT TO:<b@good.example>\r\n"
BODY = b"Message-ID: <1@x>\r\n\r\nhello\r\n.\r\n"


async def test_the_server_takes_a_pipelined_mail_and_finds_nothing_wrong_with_it() -> None:
    async with FaultServer() as server:
        await sent(server.port, b"EHLO x\r\n", MAIL + RCPT + b"DATA\r\n", BODY + MAIL + RCPT + b"DATA\r\n", BODY)
    assert [(one.message_id, one.recipient) for one in server.taken] == [("<1@x>", "b@good.example")] * 2
    assert server.violations == []


@pytest.mark.parametrize(
    ("offers", "pieces", "violation"),
    [
        (OFFERS, (b"EHLO x\r\n" + MAIL,), "more was sent before the answer to EHLO"),
        (OFFERS, (b"EHLO x\r\n", MAIL + RCPT + b"DATA\r\n" + BODY), "more was sent before the answer to DATA"),
        (("SIZE",), (b"EHLO x\r\n", MAIL + RCPT), "more was sent before the answer to MAIL"),
        (OFFERS, (b"EHLO x\r\n", MAIL + MAIL), "MAIL within a transaction, or before EHLO"),
        (OFFERS, (b"EHLO x\r\n", MAIL + b"DATA\r\n"), "DATA without RCPT"),
        (("8BITMIME",), (b"EHLO x\r\n", b"MAIL FROM:<a@x> SIZE=5\r\n"), "MAIL with SIZE, which was not offered"),
        (OFFERS, (b"EHLO x\r\n", "MAIL FROM:<ə@x>\r\n".encode()), "octets beyond ASCII in a command without SMTPUTF8"),
        (OFFERS, (b"EHLO x\r\n", MAIL + RCPT + b"DATA\r\n", b"\xc9\r\n.\r\n"), "eight bits without BODY=8BITMIME"),
    ],
)
async def test_the_server_notes_what_a_client_must_not_do(
    offers: tuple[str, ...], pieces: tuple[bytes, ...], violation: str
) -> None:
    async with FaultServer(offers=offers) as server:
        await sent(server.port, *pieces)
    assert violation in server.violations


async def test_a_cap_on_mails_under_way_is_kept_with_421() -> None:
    async with FaultServer(most={"good.example": 1}, costs=0.2) as server:
        mail = (b"EHLO x\r\n", MAIL + RCPT + b"DATA\r\n", BODY)
        said = await asyncio.gather(*(sent(server.port, *mail) for _ in range(3)))
    assert sorted("421" in one for one in said) == [False, True, True]


async def test_nobody_is_lost_and_every_outcome_is_true(sqlite_url, tmp_path) -> None:
    async with (
        FaultServer(SICK, pace=0.05, most={"fine.example": 4}) as server,
        FaultRoad(sqlite_url, tmp_path, server.port) as road,
    ):
        await road.people([*HEALTHY, *SICK], READERS)
        await road.run(patience=60)
        rows = await road.rows()
    assert server.violations == []
    assert lost(rows) == []
    took = {row["address"]: server.to(row["address"]) for row in rows}
    for row in rows:
        domain, mails = row["address"].partition("@")[2], took[row["address"]]
        answered = [mail for mail in mails if mail.answered]
        assert (row["state"] == "sent") == bool(answered), row
        assert len(answered) <= 1, "no mail was taken twice where the server said so"
        assert len({mail.message_id for mail in mails}) <= 1, "what is sent again has the same Message-ID"
        if domain in (*HEALTHY, "busy.example", "grey.example", "odd.example", "tarpit.example"):
            assert row["state"] == "sent", row
        if domain == "vague.example":
            assert row["state"] == "sent"
            assert len(mails) == 1 + row["resent"]
        if domain == "nobody.example":
            assert (row["state"], row["person"]) == ("failed", "paused"), row
        if domain == "strict.example":
            assert (row["state"], row["person"]) == ("failed", "active"), row
        if domain == "full.example":
            assert (row["state"], row["reason"][:8]) == ("failed", "given up"), row


async def test_healthy_domains_have_their_mail_before_a_tarpit_has_answered(sqlite_url, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(flights, "GRACE", 0.01)
    monkeypatch.setattr(smtp, "DRAIN", 0.01)
    tarpit = {"tarpit.example": [Fault("RCPT", TARPIT)]}
    async with (
        FaultServer(tarpit, pace=60) as server,
        FaultRoad(sqlite_url, tmp_path, server.port, connections=4, timeout=60) as road,
    ):
        await road.people([*HEALTHY, "tarpit.example"], 40)
        await road.engine.start()
        async with asyncio.timeout(30):
            while sum(row["state"] == "sent" for row in await road.rows()) < 80:
                await asyncio.sleep(0.02)
        waiting = [row["state"] for row in await road.rows() if row["address"].endswith("@tarpit.example")]
        assert "sending" in waiting
        await road.engine.stop(5)
        await road.delivery.finish()
        states = Counter(row["state"] for row in await road.rows())
        await road.channel.close()
    assert states["sent"] == 80
    assert states["sending"] == 0, "what was on its way at the stop is settled"


async def test_a_relay_that_dies_and_comes_back_loses_nobody(sqlite_url, tmp_path) -> None:
    faults = {
        "*": [
            Fault("CONNECT", "421 4.3.2 going down", after=2, times=3),
            Fault("MAIL", "421 4.3.2 going down", after=10, times=1),
            Fault("CONNECT", DROP, after=6, times=1),
        ]
    }
    async with FaultServer(faults) as server, FaultRoad(sqlite_url, tmp_path, server.port) as road:
        await road.people(HEALTHY, 30)
        await road.run(patience=30)
        rows = await road.rows()
    assert {row["state"] for row in rows} == {"sent"}
    assert len(server.taken) == len(rows)
    assert server.violations == []
