"""Mails that come in from people who mean no good, or that were damaged: read in bounded time, and nobody is harmed."""

from __future__ import annotations

import base64
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.email.inbound.parts import parts_of
from bots.email.verdicts import without_addresses
from syndicator.domain.bounces import classify
from syndicator.domain.returns import AutoReply, Complaint, Report, Unclear
from tests.email import returned
from tests.email.returned import FAILED, dsn, feedback, ours
from tests.email.test_inbound_reading import DELIVERY, PLAIN, RETURN, look

SECONDS = 2.0  # of the processor; each takes a tenth of that, and minutes where a pattern goes back over a line
SYSTEM = b"From: mailer-daemon\n"


def _nested(depth: int) -> bytes:
    return b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth))


HOSTILE = {
    "parts in parts in parts": _nested(5000),
    "mails in mails in mails": b"Content-Type: message/rfc822\n\n" * 30_000,
    "many parts": b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 60_000,
    "many recipients": dsn(*[FAILED] * 2000),
    "a long line": b"Subject: " + b"x" * 3_000_000,
    "long tokens": b"From: mailer-daemon\n\n" + b"+" + RETURN.encode()[:-1] * 60_000,
    "many addresses": b"To: " + b"a+b@c.example, " * 60_000 + b"\n\n",
    "an unknown charset": b'From: mailer-daemon\nContent-Type: text/plain; charset="no such"\n\nx',
    "a broken encoding": b'Content-Type: multipart/report; boundary="b"\n\n--b\nContent-Transfer-Encoding: base64\n'
    b"Content-Type: message/delivery-status\n\n=!=!\n--b--",
    "a strange boundary": 'Content-Type: multipart/mixed; boundary="\udcffə"\n\n--x'.encode("utf-8", "surrogateescape"),
    "encoded words without end": b"Subject: " + b"=?utf-8?b?" * 400 + b"\nFrom: =?x-unknown?q?mailer-daemon?=\n\n",
}


def _encoded(line: bytes) -> bytes:
    """A text whose lines are longer than any that may be sent."""
    head = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"
    return head + base64.encodebytes(line + b"\n")


PIECES = (b"-", b"=", b"-=", b" ", b"<", b"a@", b"a", b"+", b"<a@b.c", b"a ")
LINES = {one: one * (60_000 // len(one)) for one in PIECES}
HOSTILE |= {f"a line of {one!r}": b"\n" + line for one, line in LINES.items()}
HOSTILE |= {f"a line of {one!r} in base64": _encoded(line) for one, line in LINES.items()}
HOSTILE |= {
    "lines of dashes": b"\n" + (b"-" * 998 + b"\n") * 900,
    "empty lines": b"\n" + b"\r\n" * 400_000,
    "parameters without end": b"Content-Type: multipart/mixed" + b";" * 60_000 + b"\n\n",
    "parameters without end, folded": b"Content-Type: multipart/mixed" + b";;;;;;;;\n " * 7_000 + b"\n\n",
    "words of a failure without end": dsn(*[FAILED.replace("User", "a" * 3_900)] * 20),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("sender", [b"", SYSTEM], ids=["from anybody", "from a system"])
def test_a_hostile_mail_is_read_within_bounds(name, sender):
    data = sender + HOSTILE[name]
    began = time.thread_time()
    assert look(data, PLAIN) is not None
    assert time.thread_time() - began < SECONDS
    assert len(parts_of(data)) <= 40


@pytest.mark.parametrize("piece", ["a", "a@", "@", "-", "user ", "mailbox a b c ", "sender ", "5.1", "<"])
def test_a_reply_without_end_is_judged_and_cleared_of_addresses_within_bounds(piece):
    words = piece * (200_000 // len(piece))
    began = time.thread_time()
    classify(words=words)
    without_addresses(words)
    assert time.thread_time() - began < SECONDS


SAMPLES = [dsn(FAILED, envelope_id=RETURN, returned=ours(RETURN)), feedback("abuse", ours(RETURN)), returned.QMAIL]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 2**32))
def test_however_a_report_is_damaged_it_names_its_own_delivery_or_nobody(sample, seed):
    chance = random.Random(seed)
    data = bytearray(sample)
    for _ in range(chance.randrange(30)):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
    found = look(bytes(data), PLAIN)
    if isinstance(found, Report | Complaint):
        assert found.whom.delivery == DELIVERY


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.lists(st.text(max_size=80), max_size=3))
def test_anything_at_all_can_be_read(data, recipients):
    assert isinstance(look(data, recipients), Unclear | AutoReply)
