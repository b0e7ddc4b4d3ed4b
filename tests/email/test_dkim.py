"""Signatures of ours: dkimpy verifies them, nothing that they cover can be changed, and a bad key stops the start."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.email.dkim import COVERED, Signer, SigningTransport
from config.email import DkimSettings
from config.section import BadSettings
from syndicator.domain.letters import Later, Sent
from syndicator.domain.model import MessageKind
from tests.email.conftest import NOW
from tests.email.signing import DOMAIN, elliptic_pem, pem, rsa, signer, verified

SIGNER = signer("rsa")


@pytest.fixture
def signed(make_compiler, letter, now):
    def make(**changes):
        compiler = make_compiler(unsubscribe_address="leave@press.example.org", contact="press@press.example.org")
        given = {"leave_token": "a" * 48, "return_token": "b" * 48}
        return SIGNER.signed(compiler.mail(letter(**(given | changes)), now).data, now)

    return make


@pytest.mark.parametrize("kind", [MessageKind.RELEASE, MessageKind.CONFIRMATION])
def test_dkimpy_verifies_each_kind_of_mail(signed, kind):
    assert verified(signed(kind=kind))


def test_a_signature_covers_who_writes_what_to_whom_and_how_to_leave(signed, read):
    mail = read(signed())
    covered = re.sub(r"\s", "", re.search(r"\bh=([^;]*)", mail["DKIM-Signature"])[1]).split(":")
    present = {name.lower() for name in mail} & COVERED
    assert present <= set(covered)
    assert {"list-unsubscribe", "list-unsubscribe-post", "from", "feedback-id"} <= present
    assert covered.count("from") == covered.count("subject") == covered.count("list-unsubscribe") == 2


def test_a_signature_is_the_first_header_and_its_lines_are_short(signed):
    head = signed().partition(b"\r\n\r\n")[0]
    assert head.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;")
    assert max(map(len, head.split(b"\r\n"))) <= 140  # List-Unsubscribe cannot be folded
    assert max(map(len, head.partition(b"\r\nFrom:")[0].split(b"\r\n"))) <= 78


@pytest.mark.parametrize("header", ["From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Id"])
def test_a_changed_header_is_noticed(signed, header):
    data = signed()
    changed = re.sub(rf"(\r\n{header}: .*?)(\r\n(?! ))".encode(), rb"\1x\2", data, count=1, flags=re.DOTALL)
    assert changed != data
    assert not verified(changed)


@pytest.mark.parametrize("added", [b"From: someone@else.example", b"Subject: Other", b"Reply-To: a@else.example"])
def test_nobody_can_add_a_second_one_of_what_leads_people(signed, added):
    assert not verified(added + b"\r\n" + signed())


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_changed_letter_of_a_body_is_noticed(data):
    body = b"<p>Passports =C9=99 are ready</p>\r\nCome  and\tfetch them.\r\n" * 3
    mail = SIGNER.signed(b"From: a@press.example.org\r\nSubject: x\r\n\r\n" + body, NOW)
    start = mail.index(b"\r\n\r\n") + 4
    place = data.draw(st.integers(start, len(mail) - 1).filter(lambda i: mail[i : i + 1] not in b" \t\r\n"))
    assert verified(mail)
    assert not verified(mail[:place] + bytes([mail[place] ^ 1 or 65]) + mail[place + 1 :])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n\r\n",
        b"a",
        b"a\r\n",
        b"a \t \r\n \t\r\n\r\n",
        b" a  b\t\tc \r\n\r\n\r\nd\r\n\r\n",
        b"\tx" * 99 + b"\r\n",
    ],
)
def test_spaces_and_empty_lines_are_counted_as_others_count_them(body):
    assert verified(SIGNER.signed(b"From: a@press.example.org\r\nSubject:  a\r\n  b \t c \r\n\r\n" + body, NOW))


def test_what_a_relay_does_to_folds_and_spaces_breaks_nothing(signed):
    data = signed()
    assert verified(data.replace(b",\r\n <mailto", b", <mailto"))
    assert verified(data.replace(b"\r\nDate: ", b"\r\nDATE:   "))
    assert verified(b"Received: from a by b; today\r\n" + data)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"key": "no key"}, "email.dkim.key: a private key in PEM without a passphrase is allowed"),
        ({"key": pem(rsa(), b"secret")}, "email.dkim.key: a private key in PEM without a passphrase is allowed"),
        ({"key": pem(rsa(1024))}, "email.dkim.key: an RSA key of 1024 bits; 2048 or more are allowed"),
        ({"key": elliptic_pem()}, "email.dkim.key: an RSA or an Ed25519 key is allowed"),
        ({"key_file": "/nowhere/key.pem"}, "email.dkim.key_file: /nowhere/key.pem: No such file or directory"),
    ],
)
def test_a_key_that_cannot_sign_stops_the_start_with_one_line(given, says):
    with pytest.raises(BadSettings) as caught:
        Signer.of(DkimSettings(domain=DOMAIN, selector="s1", **given))
    assert str(caught.value) == says


def test_a_key_may_lie_in_a_file(tmp_path, signed):
    (tmp_path / "key.pem").write_text(pem(rsa()))
    found = Signer.of(DkimSettings(domain=DOMAIN, selector="rsa", key_file=str(tmp_path / "key.pem")))
    assert found.record == SIGNER.record


class Way:
    """A way out that keeps what it is given."""

    connections = 4
    steady = True

    def __init__(self):
        self.mails, self.closed = [], False

    def ready_at(self, now):
        return None

    async def send(self, mails, now, answered=None):
        self.mails += mails
        outcomes = [Sent({"place": place}) for place, _ in enumerate(mails)]
        for place, outcome in enumerate(outcomes if answered is not None else ()):
            answered(place, outcome)
        return outcomes

    async def close(self):
        self.closed = True


async def test_every_mail_of_a_chunk_is_signed_and_answered_for(make_compiler, letter, now):
    way, compiler = Way(), make_compiler()
    transport = SigningTransport(SIGNER, way)
    mails = [compiler.mail(letter(address=f"r{i}@example.org", subscriber=i), now) for i in range(3)]
    assert await transport.send(mails, now) == [Sent({"place": i}) for i in range(3)]
    assert all(verified(mail.data) for mail in way.mails)
    assert [mail.message_id for mail in way.mails] == [mail.message_id for mail in mails]
    await transport.close()
    assert way.closed


async def test_a_mail_that_cannot_be_signed_waits_and_the_others_go(make_compiler, letter, now):
    way, compiler = Way(), make_compiler()
    transport = SigningTransport(SIGNER, way)
    mails = [compiler.mail(letter(address=f"r{i}@example.org", subscriber=i), now) for i in range(3)]
    mails[1] = replace(mails[1], data="X-\u018f: y\r\n\r\n".encode())
    told = {}
    first, bad, last = await transport.send(mails, now, told.__setitem__)
    assert (first, last) == (Sent({"place": 0}), Sent({"place": 1}))
    assert bad == Later("the mail cannot be signed: UnicodeDecodeError")
    assert told == {0: first, 2: last}
    assert [mail.message_id for mail in way.mails] == [mails[0].message_id, mails[2].message_id]
    assert await transport.send(mails[1:2], now) == [bad]
    await transport.close()


async def test_told_to_stop_while_it_signs_it_says_that_nothing_left(make_compiler, letter, now):
    way = Way()
    transport = SigningTransport(SIGNER, way)
    mails = [make_compiler().mail(letter(), now)] * 40
    task = asyncio.create_task(transport.send(mails, now))
    await asyncio.sleep(0)
    task.cancel()
    outcomes = await task
    assert len(outcomes) == 40
    assert all(isinstance(o, Later) and not o.counts for o in outcomes)
    assert way.mails == []
    await transport.close()
