"""The whole circle with a real Postfix: our mail goes out through it, and what it cannot deliver comes back to us."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from bots.email.dkim import SigningTransport
from bots.email.opening import open_relay
from bots.email.verp import which_delivery
from config.email import EmailSettings
from syndicator.domain.letters import Sent
from syndicator.domain.tokens import Tokens
from tests.email.conftest import NOW
from tests.email.postfix import PATIENCE, Postfix, by_smtp, postfix
from tests.email.signing import DOMAIN, signer, verified

TOKENS = Tokens(b"a secret of sixteen bytes")
READERS, NOBODY = ("ayla@readers.example", "bahar@readers.example"), "nobody@readers.example"
BOUNCES = f"bounces@returns.{DOMAIN}"


@dataclass
class Mailboxes:
    """Where Postfix delivers: readers' mailboxes, and ours for what comes back."""

    port: int
    got: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ):
        if address == NOBODY:
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope):  # noqa: N802  # its name
        self.got += [(envelope.mail_from, to, envelope.content) for to in envelope.rcpt_tos]
        return "250 ok"

    async def until(self, count: int) -> list[tuple[str, str, bytes]]:
        async with asyncio.timeout(PATIENCE):
            while len(self.got) < count:
                await asyncio.sleep(0.02)
        return self.got


@pytest.fixture(scope="module")
def mailboxes() -> Iterator[Mailboxes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    found = Mailboxes(port)
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    yield found
    controller.stop()


@pytest.fixture(scope="module")
def relay(mailboxes: Mailboxes) -> Iterator[Postfix]:
    way = by_smtp(mailboxes.port)
    with postfix({"readers.example": way, f"returns.{DOMAIN}": way}) as running:
        yield running


def part(report: Message, content_type: str) -> Message:
    return next(p for p in report.walk() if p.get_content_type() == content_type)


async def test_mails_arrive_signed_and_one_bad_address_comes_back_to_its_own_return_path(
    relay, mailboxes, site, make_compiler, letter
):
    compiler = make_compiler(bounce_address=BOUNCES, sender=f"news@{DOMAIN}")
    settings = EmailSettings(transport="smtp", host="127.0.0.1", port=relay.port, tls="none")
    way = SigningTransport(signer("rsa"), open_relay(settings, site))
    mails = []
    for delivery, to in enumerate((*READERS, NOBODY), start=1):
        token = TOKENS.mailbox("return", delivery)
        mail = compiler.mail(letter(delivery=delivery, subscriber=delivery, address=to, return_token=token), NOW)
        mails.append(mail)
    outcomes = await way.send(mails, NOW)
    await way.close()
    assert all(isinstance(outcome, Sent) for outcome in outcomes), outcomes
    got = {to: (sender, data) for sender, to, data in await mailboxes.until(3)}
    for mail in mails[:2]:
        sender, data = got[mail.recipient.text]
        assert sender == mail.sender
        assert verified(data)
    sender, report = got[mails[2].sender]
    assert sender in ("", "<>", None)
    assert which_delivery(TOKENS, mails[2].sender, NOW) == 3
    told = message_from_bytes(report)
    status = part(told, "message/delivery-status").get_payload()
    assert status[0]["Original-Envelope-Id"] == mails[2].envelope_id
    assert status[1]["Original-Recipient"].replace(" ", "") == f"rfc822;{NOBODY}"
    assert (status[1]["Action"], status[1]["Status"]) == ("failed", "5.1.1")
