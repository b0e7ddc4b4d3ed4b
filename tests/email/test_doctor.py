"""The doctor asks the relay in, all the way to the login, and says goodbye: no mail is begun, no secret is told."""

from __future__ import annotations

import re
import socket
import ssl

import pytest

from bots.email import doctor
from bots.email.dkim import Signer
from bots.email.smtp import SmtpTransport
from config.email import DkimSettings, EmailSettings, InboundSettings
from tests.email.conftest import NOW
from tests.email.mailbox_double import Box
from tests.email.signing import KEYS, pem

PASSWORD = "hush-hush"


@pytest.fixture
def ask(relay, now):
    async def asked(**changes):
        given = {"local_hostname": "press.example.org", "tls": "none"}
        port = changes.pop("port", relay.port)
        return await doctor.ask_relay(SmtpTransport("127.0.0.1", port, **(given | changes)), now)

    return asked


def trusting(certificate):
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    return context


async def test_a_good_relay_is_greeted_and_left(ask, relay):
    said = (
        f"127.0.0.1:{relay.port}: greets in the clear, offers PIPELINING, SIZE, takes mails of up to 10,240,000 bytes"
    )
    assert await ask() == said
    assert [line.split()[0] for line in relay.commands] == ["EHLO", "QUIT"]
    assert relay.open == 0


async def test_the_way_is_secured_and_the_login_tried_as_mails_would(ask, relay, certificate):
    relay.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    relay.tls.load_cert_chain(certificate)
    relay.offers = ["STARTTLS", "AUTH PLAIN"]
    relay.script["AUTH"] = ["235 2.7.0 welcome"]
    said = await ask(tls="starttls", tls_context=trusting(certificate), user="press", password=PASSWORD)
    assert said == f"127.0.0.1:{relay.port}: greets over TLSv1.3, login accepted"
    assert [line.split()[0] for line in relay.commands] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"]


@pytest.mark.parametrize(
    ("script", "offers", "settings", "says"),
    [
        ({"CONNECT": ["554 5.7.1 you are blocked"]}, (), {}, "554 5.7.1 you are blocked"),
        ({"CONNECT": ["drop"]}, (), {}, "EOF"),
        ({}, (), {"tls": "starttls"}, "STARTTLS"),
        ({}, (), {"tls": "tls"}, "SSL"),
        (
            {"AUTH": ["535 5.7.8 bad credentials"] * 3},
            ("AUTH PLAIN",),
            {"user": "press", "password": PASSWORD},
            "535 5.7.8 bad credentials",
        ),
        ({}, (), {"user": "press", "password": PASSWORD}, "AUTH"),
    ],
)
async def test_what_would_stop_our_mail_is_one_line(ask, relay, script, offers, settings, says):
    relay.script = script
    relay.offers = list(offers)
    with pytest.raises(OSError, match=r"^127\.0\.0\.1:\d+: ") as found:
        await ask(**settings)
    assert says in str(found.value)
    assert PASSWORD not in str(found.value)
    assert "\n" not in str(found.value)
    assert not any(line.startswith("MAIL") for line in relay.commands)


async def test_a_certificate_nobody_vouches_for_is_not_trusted(ask, relay, certificate):
    relay.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    relay.tls.load_cert_chain(certificate)
    relay.offers = ["STARTTLS"]
    with pytest.raises(OSError, match="certificate"):
        await ask(tls="starttls", user="press", password=PASSWORD)
    assert not any(line.startswith("AUTH") for line in relay.commands)


async def test_a_closed_port_and_a_silent_relay_are_named(ask, relay, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"^127\.0\.0\.1:\d+: "):
            await ask(port=closed.getsockname()[1])
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    relay.script["CONNECT"] = ["hang"]
    with pytest.raises(OSError, match=r"^127\.0\.0\.1:\d+: "):
        await ask()


def office(**changes):
    given = {"transport": "smtp", "host": "mx.example.org", "from": "news@press.example.org"}
    return EmailSettings(**(given | changes))


async def answered(site, email, name):
    questions = dict(doctor.email_questions(email, site, lambda: NOW))
    return await questions[name]()


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({}, "email SPF", 'to publish: press.example.org. TXT "v=spf1 a:mx.example.org -all"'),
        ({"host": "192.0.2.7"}, "email SPF", 'to publish: press.example.org. TXT "v=spf1 ip4:192.0.2.7 -all"'),
        ({"host": "2001:db8::7"}, "email SPF", 'to publish: press.example.org. TXT "v=spf1 ip6:2001:db8::7 -all"'),
        ({"host": "localhost"}, "email SPF", 'to publish: press.example.org. TXT "v=spf1 a:press.example.org -all"'),
        ({"host": "127.0.0.1"}, "email SPF", 'to publish: press.example.org. TXT "v=spf1 a:press.example.org -all"'),
        (
            {"bounce_address": "b@bounces.press.example.org"},
            "email SPF",
            'to publish: bounces.press.example.org. TXT "v=spf1 a:mx.example.org -all"',
        ),
        (
            {"bounce_address": "b@else.example"},
            "email SPF",
            (
                'to publish: else.example. TXT "v=spf1 a:mx.example.org -all"; else.example is another domain than '
                "press.example.org, so that DMARC goes by the signature alone"
            ),
        ),
        (
            {},
            "email DMARC",
            'to publish: _dmarc.press.example.org. TXT "v=DMARC1; p=none; rua=mailto:postmaster@press.example.org"',
        ),
    ],
)
async def test_what_dns_must_say_is_told_ready_to_paste(site, changes, name, says):
    assert await answered(site, office(**changes), name) == says


@pytest.mark.parametrize("kind", KEYS)
async def test_the_public_key_is_told_in_strings_that_a_zone_takes(site, kind):
    dkim = DkimSettings(domain="example.org", selector="s1", key=pem(KEYS[kind]()))
    told = await answered(site, office(transport="file", dkim=dkim), "email DKIM")
    name, _, strings = told.removeprefix("to publish: ").partition(" TXT ")
    assert name == "s1._domainkey.example.org."
    parts = re.findall(r'"([^"]*)"', strings)
    assert all(len(part) <= 255 for part in parts)
    assert "".join(parts) == Signer.of(dkim).record


async def test_a_signature_of_another_domain_than_the_senders_is_trouble(site):
    dkim = DkimSettings(domain="else.example", selector="s1", key=pem(KEYS["ed25519"]()))
    with pytest.raises(ValueError, match=r"mail from press\.example\.org is signed as else\.example"):
        await answered(site, office(dkim=dkim), "email DKIM")


async def test_mail_that_goes_into_a_folder_asks_nobody(site):
    assert doctor.email_questions(EmailSettings(), site, lambda: NOW) == []


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_the_mailbox_for_what_comes_back_is_counted_and_left_as_it_is(site, kind):
    box = Box(dict.fromkeys("12", b"Subject: x\r\n\r\ny\r\n"))
    await box.start(kind)
    inbound = InboundSettings(kind=kind, port=box.port, tls="none", user="b", password=PASSWORD)
    try:
        assert await answered(site, EmailSettings(inbound=inbound), "email inbound") == (
            "127.0.0.1: login accepted, 2 mails wait"
        )
    finally:
        await box.stop()
    assert len(box.mails) == 2


@pytest.mark.parametrize(
    ("kind", "says"),
    [("none", "nobody reads what comes back"), ("lmtp", "lmtp on 127.0.0.1 while the service runs")],
)
async def test_it_is_said_who_reads_what_comes_back(site, kind, says):
    email = office(inbound={"kind": kind}, bounce_address="b@press.example.org")
    assert (await answered(site, email, "email inbound")).startswith(says)
