"""What a relay does, and what becomes of the mail: every fault by a relay that does as it is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import uvloop
from aiosmtpd.smtp import SMTP as RealServer  # noqa: N811 - a class beside a client of the same name

from bots.email.addresses import Address
from bots.email.channel import EmailChannel
from bots.email.relay import session as line
from bots.email.smtp import SmtpTransport
from syndicator.domain.letters import Gone, Later, Refused, Sent, Unknown


async def one(transport, mail, now):
    """What becomes of one mail."""
    (outcome,) = await transport.send([mail], now)
    return outcome


@pytest.mark.parametrize(
    ("stage", "action", "outcome", "counts"),
    [
        # the relay's own trouble uses up no attempt
        ("CONNECT", "421 4.3.2 try later", Later, False),
        ("CONNECT", "554 5.7.1 you are blocked", Later, False),
        ("CONNECT", "drop", Later, False),
        ("CONNECT", "hang", Later, False),
        ("EHLO", "drop", Later, False),
        ("MAIL", "421 4.7.0 too many connections", Later, False),
        ("MAIL", "454 4.7.0 Throttling failure: Maximum sending rate exceeded", Later, False),
        ("MAIL", "530 5.7.0 authentication required", Later, False),
        ("RCPT", "421 4.3.0 shutting down", Later, False),
        ("END", "454 4.7.0 Throttling failure", Later, False),
        ("END", "421 4.3.2 shutting down", Later, False),
        # this mail must wait
        ("MAIL", "451 4.3.0 local error", Later, True),
        ("MAIL", "550 5.7.1 sender not allowed", Later, True),
        ("RCPT", "450 4.2.0 greylisted", Later, True),
        ("RCPT", "452 4.2.2 mailbox full", Later, True),
        ("RCPT", "552 5.2.2 over quota", Later, True),
        ("RCPT", "552 mailbox full", Later, True),
        ("END", "552 Requested mail action aborted: exceeded storage allocation", Later, True),
        # it blames us: an operator must act, and no reader is lost meanwhile
        ("RCPT", "550 relay not permitted", Later, False),
        ("RCPT", "550 5.4.1 Relay Access Denied", Later, False),
        ("RCPT", "554 5.7.1 Relay access denied", Later, False),
        ("RCPT", "554 5.7.1 <reader@example.com>: Relay access denied", Later, False),
        ("RCPT", "550 5.7.1 Unable to relay", Later, False),
        ("RCPT", "550 we do not relay", Later, False),
        ("RCPT", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Later, False),
        ("MAIL", "550 relaying denied", Later, False),
        ("RCPT", "550 Administrative prohibition", Later, True),
        ("RCPT", "550 SPF check failed", Later, True),
        ("RCPT", "550 blocked using zen.spamhaus.org", Later, True),
        ("RCPT", "550 Service unavailable; client host [192.0.2.1] blocked", Later, True),
        ("RCPT", "550 unknown sender", Later, True),
        ("RCPT", "550 5.1.0 Sender rejected", Later, True),
        ("RCPT", "550 5.1.8 bad sender", Later, True),
        ("MAIL", "550 5.1.0 Sender rejected", Later, True),
        ("MAIL", "550 5.1.1 user unknown", Later, True),
        ("DATA", "451 4.3.0 try again", Later, True),
        ("END", "451 4.7.1 greylisted", Later, True),
        # nobody is there
        ("RCPT", "550 5.1.1 no such user", Gone, None),
        ("RCPT", "550 5.1.1 user unknown", Gone, None),
        ("RCPT", "550 5.1.1 User unknown in relay recipient table", Gone, None),
        ("RCPT", "550 user unknown", Gone, None),
        ("RCPT", "550 User unknown in relay recipient table", Gone, None),
        ("RCPT", "550 No such user here", Gone, None),
        ("RCPT", "550 Requested action not taken: mailbox unavailable", Gone, None),
        ("RCPT", "551 this address does not exist", Gone, None),
        ("RCPT", "554 user unknown", Gone, None),
        ("RCPT", "553 mailbox not found", Gone, None),
        ("RCPT", "550 5.1.2 no such host", Gone, None),
        ("RCPT", "550 5.1.10 null MX", Gone, None),
        ("RCPT", "550 5.2.1 mailbox disabled", Gone, None),
        ("RCPT", "550 5.1.6 mailbox has moved", Gone, None),
        ("END", "550 5.1.1 no such user", Gone, None),
        # this message will never be taken, and the address is not to blame
        ("MAIL", "552 5.3.4 message too big", Refused, None),
        ("RCPT", "550 5.7.1 blocked by policy", Refused, None),
        ("RCPT", "550 5.4.1 recipient rejected", Refused, None),
        ("RCPT", "553 mailbox name not allowed", Refused, None),
        ("RCPT", "550 go away", Refused, None),
        ("RCPT", "550 looks like spam", Refused, None),
        ("END", "550 Requested action not taken: mailbox unavailable", Refused, None),
        ("END", "552 message size exceeds fixed limit", Refused, None),
        ("DATA", "554 5.5.1 no valid recipients", Refused, None),
        ("END", "554 5.7.1 looks like spam", Refused, None),
        ("END", "550 content rejected", Refused, None),
        ("END", "552 5.3.4 message too big", Refused, None),
        # the line breaks: before the last byte left nothing was accepted, after it nobody can tell
        ("MAIL", "drop", Later, True),
        ("MAIL", "hang", Later, True),
        ("RCPT", "drop", Later, True),
        ("RCPT", "hang", Later, True),
        ("DATA", "drop", Later, True),
        ("DATA", "hang", Later, True),
        ("END", "drop", Unknown, None),
        ("END", "hang", Unknown, None),
        ("END", "what is SMTP", Unknown, None),
    ],
)
async def test_each_trouble_has_its_outcome_and_the_next_mail_goes_out(
    relay, sender, mail, now, stage, action, outcome, counts
):
    transport = sender()
    relay.script = {stage: [action]}
    got = await one(transport, mail(), now)
    assert type(got) is outcome, got
    if counts is not None:
        assert got.counts is counts
    if not isinstance(got, Unknown):
        assert relay.mails == [] or stage == "END"
    later = now + timedelta(minutes=6)  # past any pause
    if stage == "EHLO":
        relay.script = {}
    assert isinstance(await one(transport, mail(), later), Sent)


async def test_a_sent_mail_says_its_message_id_and_what_the_relay_said(relay, sender, mail, now):
    got = await one(sender(), mail(), now)
    assert got == Sent({"message_id": f"<{mail().message_id}>", "said": "END: 250 2.0.0 queued as X1"})


async def test_a_large_body_that_never_left_is_later_not_unknown(relay, sender, mail, now):
    relay.script, relay.offers = {"BODY": ["hang"]}, ["PIPELINING"]
    large = replace(mail(), data=b"x" * 70 + b"\r\n" + (b"y" * 900 + b"\r\n") * 20_000)
    got = await one(sender(), large, now)
    assert isinstance(got, Later)
    assert "had not left" in got.reason


async def test_a_mail_that_had_not_left_never_leaves_after_all(mail, now):
    """The relay stops reading, we give up, and it reads on: it must not find a whole mail."""
    go_on, got, over = asyncio.Event(), bytearray(), asyncio.Event()

    async def serve(reader, writer):
        writer.write(b"220 slow\r\n")
        for _ in ("EHLO", "MAIL", "RCPT"):
            await reader.readline()
            writer.write(b"250 ok\r\n")
        await reader.readline()
        writer.write(b"354 go on\r\n")
        writer.transport.pause_reading()
        await go_on.wait()
        writer.transport.resume_reading()
        try:
            while data := await reader.read(65536):
                got.extend(data)
        except ConnectionError:
            pass
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = SmtpTransport("127.0.0.1", port, local_hostname="x.example", tls="none", timeout=0.3)
    large = replace(mail(), data=(b"y" * 900 + b"\r\n") * 20_000)
    outcome = await one(transport, large, now)
    assert isinstance(outcome, Later)
    assert "had not left" in outcome.reason
    go_on.set()
    await asyncio.wait_for(over.wait(), 10)
    assert not got.endswith(b"\r\n.\r\n")
    await transport.close()
    server.close()
    await server.wait_closed()


async def test_an_answer_that_comes_early_is_heard(relay, sender, mail, now):
    relay.script = {"BODY": ["552 5.3.4 too big, stop"]}
    got = await one(sender(), mail(), now)
    assert isinstance(got, Refused)


async def test_envelope_and_greeting_name_us_and_one_recipient(relay, sender, mail, now):
    ours = replace(mail(), sender="bounces@example.org")
    await one(sender(), ours, now)
    assert relay.commands[0] == "EHLO press.example.org"
    assert f"MAIL FROM:<bounces@example.org> SIZE={len(ours.data)}" in relay.commands
    assert "RCPT TO:<reader@example.com>" in relay.commands


async def test_dots_at_line_starts_are_doubled_on_the_wire_and_nothing_else_changes(relay, sender, mail, now):
    body = b".first\r\nplain\r\n..two\r\n.\r\nlast without end"
    await one(sender(), replace(mail(), data=body, dotless=False), now)
    assert relay.mails == [b"..first\r\nplain\r\n...two\r\n..\r\nlast without end\r\n.\r\n"]


async def test_a_connection_is_used_again_and_remade_after_a_long_wait(relay, sender, mail, now):
    transport = sender()
    for wait in (0, 1, 2):
        await one(transport, mail(), now + timedelta(seconds=wait))
    assert relay.connections == 1
    await one(transport, mail(), now + timedelta(minutes=5))
    assert relay.connections == 2
    assert len(relay.mails) == 4


async def test_a_connection_is_given_up_after_many_mails(relay, sender, mail, now, monkeypatch):
    monkeypatch.setattr(line, "MAILS_A_LINE", 2)
    transport = sender()
    for _ in range(5):
        assert isinstance(await one(transport, mail(), now), Sent)
    assert relay.connections == 3
    assert [c for c in relay.commands if c == "QUIT"] == ["QUIT"] * 2


async def test_a_connection_that_died_while_waiting_costs_nothing(relay, sender, mail, now):
    transport = sender()
    await one(transport, mail(), now)
    relay.script = {"MAIL": ["drop"]}
    assert isinstance(await one(transport, mail(), now), Sent)
    relay.hang_up()
    await asyncio.sleep(0)
    assert isinstance(await one(transport, mail(), now), Sent)


async def test_many_mails_share_few_connections(relay, sender, mail, now):
    transport = sender(connections=3)
    got = await asyncio.gather(*(one(transport, mail(subscriber=n), now) for n in range(30)))
    assert all(isinstance(outcome, Sent) for outcome in got)
    assert len(relay.mails) == 30
    assert relay.most_open == relay.connections == 3


async def test_a_closed_relay_is_asked_once_not_once_a_mail(relay, sender, mail, now):
    transport = sender()
    relay.script = {"CONNECT": ["421 4.3.2 closed"] * 30}
    got = await asyncio.gather(*(one(transport, mail(), now) for _ in range(10)))
    assert relay.connections == 1
    assert all(isinstance(o, Later) and not o.counts and o.not_before and o.not_before > now for o in got)


@pytest.mark.parametrize(
    ("stage", "reply", "wait"),
    [
        ("MAIL", "421 4.7.0 too many connections", 60),
        ("MAIL", "454 4.7.0 slow down", 60),
        ("MAIL", "530 5.7.0 authentication required", 300),
        ("RCPT", "535 5.7.8 your login has ended", 300),
        ("END", "421 4.3.2 shutting down", 60),
    ],
)
async def test_a_relay_that_closes_in_mid_session_is_left_alone_and_tried_with_one_mail(
    relay, sender, mail, now, stage, reply, wait
):
    transport = sender(connections=4, timeout=10)
    assert isinstance(await one(transport, mail(), now), Sent)
    relay.script = {stage: [reply] * 600}
    got = await asyncio.gather(*(one(transport, mail(subscriber=n), now) for n in range(500)))
    assert all(isinstance(o, Later) and not o.counts for o in got)
    async with asyncio.timeout(5):
        while relay.connections < 4:  # a relay takes up a connection when it likes, maybe after it said all this
            await asyncio.sleep(0.001)
    then = now + timedelta(seconds=wait)
    assert transport.ready_at(now) == then
    assert transport.ready_at(then) is None
    asked, made = len(relay.commands), relay.connections
    got = await asyncio.gather(*(one(transport, mail(subscriber=n), then) for n in range(20)))
    assert all(isinstance(o, Later) and not o.counts for o in got)
    assert relay.connections == made + 1
    assert len([c for c in relay.commands[asked:] if c.startswith("MAIL")]) == 1
    relay.script = {}
    later, sent = then + timedelta(seconds=wait), len(relay.mails)
    got = await asyncio.gather(*(one(transport, mail(subscriber=n), later) for n in range(20)))
    assert all(isinstance(o, Sent) for o in got)
    assert len(relay.mails) == sent + 20


async def test_of_two_reasons_to_wait_the_longer_holds(relay, sender, mail, now):
    transport = sender(connections=2, timeout=10)
    assert isinstance(await one(transport, mail(), now), Sent)
    relay.script = {"MAIL": ["530 5.7.0 authentication required", "421 4.3.2 closed"]}
    await asyncio.gather(one(transport, mail(subscriber=1), now), one(transport, mail(subscriber=2), now))
    assert transport.ready_at(now) == now + timedelta(minutes=5)


async def test_an_answer_to_what_was_asked_before_it_closed_opens_nothing(relay, sender, mail, now):
    transport = sender(connections=2, timeout=5)
    assert isinstance(await one(transport, mail(), now), Sent)
    relay.script = {"MAIL": ["250 ok", "421 4.3.2 closed"]}
    await asyncio.gather(one(transport, mail(subscriber=1), now), one(transport, mail(subscriber=2), now))
    assert transport.ready_at(now) is not None
    assert not transport.steady


async def test_one_readers_trouble_closes_nothing(relay, sender, mail, now):
    transport = sender()
    relay.script = {"RCPT": ["550 5.1.1 no such user", "450 4.2.0 greylisted", "550 relay not permitted"]}
    for number in range(3):
        await one(transport, mail(subscriber=number), now)
        assert transport.ready_at(now) is None
        assert transport.steady
    assert isinstance(await one(transport, mail(), now), Sent)


async def test_what_the_relay_holds_against_us_is_said_once_and_names_nobody(relay, sender, mail, now, capsys):
    transport = sender()
    relay.script = {"RCPT": ["554 5.7.1 <reader@example.com>: Relay access denied"] * 3}
    for second in range(3):
        await one(transport, mail(), now + timedelta(seconds=second))
    out = capsys.readouterr().out
    assert out.count("does not take our mail") == 1
    assert "reader@" not in out


async def test_no_relay_at_all_is_later(mail, now):
    transport = SmtpTransport("127.0.0.1", 1, local_hostname="x.example", tls="none", timeout=0.3)
    got = await one(transport, mail(), now)
    assert isinstance(got, Later)
    assert not got.counts


async def test_one_mails_trouble_is_no_other_mails(relay, sender, compiler, letter, now):
    relay.script = {"RCPT": ["250 ok", "550 5.1.1 no such user", "450 4.2.0 greylisted"], "END": ["250 ok", "drop"]}
    channel = EmailChannel(compiler, sender())
    letters = [letter(subscriber=n) for n in range(6)]
    letters[5] = letter(address="no address")
    got = await channel.send(letters, now)
    assert [type(outcome) for outcome in got] == [Sent, Gone, Later, Unknown, Sent, Gone]
    await channel.close()
    await channel.close()


@pytest.mark.parametrize("offered", [True, False])
async def test_an_address_beyond_ascii_needs_a_relay_that_takes_it(relay, sender, mail, now, offered):
    if offered:
        relay.offers.append("SMTPUTF8")
    got = await one(sender(), mail(address="aygün@example.com"), now)
    if offered:
        assert isinstance(got, Sent)
        assert "RCPT TO:<aygün@example.com>" in relay.commands
        assert any(c.startswith("MAIL FROM:<news@example.org> BODY=8BITMIME SMTPUTF8") for c in relay.commands)
    else:
        assert isinstance(got, Refused)
        assert "SMTPUTF8" in got.reason
        assert not any(c.startswith("MAIL") for c in relay.commands)


def contexts(certificate):
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    return server, ssl.create_default_context(cafile=str(certificate))


async def test_starttls_is_used_when_asked_for(relay, sender, mail, now, certificate):
    relay.tls, trusting = contexts(certificate)
    relay.offers.append("STARTTLS")
    got = await one(sender(tls="starttls", tls_context=trusting, timeout=3), mail(), now)
    assert isinstance(got, Sent)
    assert [c.split()[0] for c in relay.commands[:4]] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


async def test_a_stripped_starttls_gets_no_mail_and_no_password(relay, sender, mail, now):
    relay.offers.append("AUTH PLAIN")
    got = await one(sender(tls="starttls", user="press", password="hush-hush"), mail(), now)
    assert isinstance(got, Later)
    assert not got.counts
    assert "STARTTLS" in got.reason
    assert not any(c.startswith(("MAIL", "AUTH")) for c in relay.commands)


async def test_a_certificate_that_does_not_hold_gets_no_mail(relay, sender, mail, now, certificate):
    relay.tls, _ = contexts(certificate)
    relay.offers.append("STARTTLS")
    got = await one(sender(tls="starttls", tls_context=ssl.create_default_context(), timeout=3), mail(), now)
    assert isinstance(got, Later)
    assert not got.counts
    assert "certificate" in got.reason.lower()
    assert relay.mails == []


async def test_the_password_goes_to_a_relay_that_is_who_it_says(relay, sender, mail, now, certificate):
    relay.tls, trusting = contexts(certificate)
    relay.offers += ["STARTTLS", "AUTH PLAIN"]
    relay.script = {"AUTH": ["235 2.7.0 welcome"]}
    safe = sender(tls="starttls", tls_context=trusting, timeout=3, user="press", password="hush-hush")
    assert isinstance(await one(safe, mail(), now), Sent)
    assert [c.split()[0] for c in relay.commands[:5]] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL"]


async def test_a_wrong_password_waits_for_the_operator_and_is_never_told(relay, sender, mail, now):
    relay.offers.append("AUTH PLAIN")
    relay.script = {"AUTH": ["535 5.7.8 authentication failed"]}
    got = await one(sender(user="press", password="hush-hush"), mail(), now)
    assert isinstance(got, Later)
    assert not got.counts
    assert "535" in got.reason
    assert "hush" not in got.reason


def answer_at_once(listener, replies):
    """A relay in a thread of its own, quicker than any event loop; `replies` by the beginning of what it reads."""
    with listener, listener.accept()[0] as wire, wire.makefile("rb") as lines:
        wire.sendall(b"220 quick\r\n")
        in_body = False
        for read in lines:
            if in_body and read != b".\r\n":
                continue
            verb = "END" if in_body else read[:4].decode()
            in_body = verb == "DATA"
            wire.sendall(replies.get(verb, "250 ok").encode() + b"\r\n")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_on_either_event_loop_an_answer_that_comes_at_once_is_heard(mail, now, run):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    replies = {"DATA": "354 go", "QUIT": "221 bye"}
    relay = threading.Thread(target=answer_at_once, args=(listener, replies), daemon=True)
    relay.start()

    async def send_some():
        transport = SmtpTransport("127.0.0.1", port, local_hostname="x.example", tls="none", connections=1, timeout=2)
        got = [await one(transport, mail(), now) for _ in range(10)]
        await transport.close()
        return got

    assert all(isinstance(outcome, Sent) for outcome in run(send_some()))
    relay.join(5)
    assert not relay.is_alive()


class Box:
    """What a real server hands on."""

    def __init__(self) -> None:
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's own name
        self.envelopes.append(envelope)
        return "250 2.0.0 stored"


@pytest.mark.parametrize("tls", ["none", "tls"])
async def test_a_real_server_stores_the_very_bytes(mail, now, certificate, tls):
    box, (serving, trusting) = Box(), contexts(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: RealServer(box, enable_SMTPUTF8=True, loop=loop),
        "127.0.0.1",
        0,
        ssl=serving if tls == "tls" else None,
    )
    port = server.sockets[0].getsockname()[1]
    transport = SmtpTransport(
        "127.0.0.1", port, local_hostname="press.example.org", tls=tls, tls_context=trusting, connections=2, timeout=5
    )
    mails = [mail({"lang": "az", "title": "Viza qaydaları dəyişir"}, subscriber=n) for n in range(5)]
    mails.append(replace(mails[0], recipient=Address("aygün@example.com", utf8=True)))
    try:
        got = await asyncio.gather(*(one(transport, each, now) for each in mails))
        assert [type(outcome) for outcome in got] == [Sent] * 6
        assert sorted(e.content for e in box.envelopes) == sorted(each.data for each in mails)
    finally:
        await transport.close()
        server.close()
        await server.wait_closed()
