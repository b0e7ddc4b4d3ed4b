"""What is said to a relay and heard from it, as pure rules: envelopes, dots, replies."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.email.addresses import Address
from bots.email.mails import Mail
from bots.email.relay.envelope import Envelope, NotCarried, Offers, stuffed
from bots.email.relay.replies import BadReply, Replies

ALL = Offers(pipelining=True, size=True, eightbit=True, utf8=True, dsn=True)
PLAIN = Mail(
    "b+abc@example.org", Address("a+b=c@example.org", utf8=False), "m@x", b"Subject: x\r\n\r\nhello\r\n", "tok3n"
)


def as_utf8(mail):
    return replace(mail, recipient=Address("aygün@example.org", utf8=True))


@pytest.mark.parametrize(
    ("mail", "offers", "first", "second"),
    [
        (PLAIN, Offers(), "MAIL FROM:<b+abc@example.org>", "RCPT TO:<a+b=c@example.org>"),
        (PLAIN, Offers(size=True), "MAIL FROM:<b+abc@example.org> SIZE=21", "RCPT TO:<a+b=c@example.org>"),
        (
            PLAIN,
            ALL,
            "MAIL FROM:<b+abc@example.org> SIZE=21 RET=HDRS ENVID=tok3n",
            "RCPT TO:<a+b=c@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@example.org",
        ),
        (
            replace(PLAIN, envelope_id=""),
            Offers(dsn=True),
            "MAIL FROM:<b+abc@example.org> RET=HDRS",
            "RCPT TO:<a+b=c@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@example.org",
        ),
        (
            replace(PLAIN, data="é".encode() + b"\r\n"),
            ALL,
            "MAIL FROM:<b+abc@example.org> BODY=8BITMIME SIZE=4 RET=HDRS ENVID=tok3n",
            "RCPT TO:<a+b=c@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@example.org",
        ),
        (
            as_utf8(PLAIN),
            ALL,
            "MAIL FROM:<b+abc@example.org> BODY=8BITMIME SMTPUTF8 SIZE=21 RET=HDRS ENVID=tok3n",
            r"RCPT TO:<aygün@example.org> NOTIFY=FAILURE,DELAY ORCPT=utf-8;ayg\x{FC}n@example.org",
        ),
    ],
)
def test_an_envelope_uses_what_is_offered_and_nothing_else(mail, offers, first, second):
    made = Envelope.of(mail, offers)
    assert made.mail.decode() == first + "\r\n"
    assert made.rcpt.decode() == second + "\r\n"


@pytest.mark.parametrize(
    ("mail", "offers", "says"),
    [
        (as_utf8(PLAIN), Offers(eightbit=True), "SMTPUTF8"),
        (replace(PLAIN, data=b"\xc3\xa9\r\n"), Offers(), "8BITMIME"),
        (replace(PLAIN, data=b"x" * 2000), Offers(size=True, largest=1999), "2000 bytes; the relay takes 1999"),
        (replace(PLAIN, sender="a@x>\r\nRCPT TO:<b@y"), ALL, "no command may hold"),
        (replace(PLAIN, recipient=Address("a b@x", utf8=False)), ALL, "no command may hold"),
        (replace(PLAIN, sender="ü@x"), ALL, "no command may hold"),
    ],
)
def test_a_mail_that_this_relay_cannot_carry_is_refused_in_words(mail, offers, says):
    with pytest.raises(NotCarried, match=says) as found:
        Envelope.of(mail, offers)
    assert "@" not in str(found.value)


@pytest.mark.parametrize(
    ("said", "offers", "words"),
    [
        ({}, Offers(), ""),
        ({"size": ""}, Offers(size=True), "SIZE"),
        ({"size": "none", "dsn": ""}, Offers(size=True, dsn=True), "DSN, SIZE"),
        ({"size": "²"}, Offers(size=True), "SIZE"),
        ({"size": "9" * 5000}, Offers(size=True), "SIZE"),
        (
            {"pipelining": "", "smtputf8": "", "size": "10"},
            Offers(True, True, 10, utf8=True),
            "PIPELINING, SMTPUTF8, SIZE",
        ),
    ],
)
def test_what_a_relay_offers_is_read_from_its_ehlo(said, offers, words):
    assert Offers.of(said) == offers
    assert offers.words == words


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b".a", b" "]), max_size=30).map(b"".join))
@settings(max_examples=60, deadline=None)
def test_what_a_receiver_takes_the_dots_from_is_what_we_had(data):
    sent = stuffed(replace(PLAIN, data=data))
    lines = sent.removesuffix(b".\r\n").split(b"\r\n")
    assert sent.endswith(b".\r\n")
    assert b"\r\n.\r\n" not in sent[:-3]
    got = b"\r\n".join(line.removeprefix(b".") for line in lines)
    assert got == (data if data.endswith(b"\r\n") else data + b"\r\n")


REPLIES = [(250, b"2.1.0 ok"), (354, b""), (421, b"4.3.2 bye"), (550, b"5.1.1 a b c"), (220, b"hi")]
WRITTEN = [b"250 2.1.0 ok\r\n", b"354\r\n", b"421 4.3.2 bye\n", b"550-5.1.1 a\r\n550-b\r\n550 c\r\n", b"220 hi \r\n"]


@given(st.lists(st.integers(0, 4), max_size=8), st.lists(st.integers(0, 200), max_size=12))
@settings(max_examples=60, deadline=None)
def test_replies_are_the_same_however_they_are_cut(chosen, cuts):
    whole = b"".join(WRITTEN[i] for i in chosen)
    edges = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    replies = Replies()
    got = [reply for a, b in pairwise(edges) for reply in replies.feed(whole[a:b])]
    assert got == [REPLIES[i] for i in chosen]


@pytest.mark.parametrize(
    "said",
    [
        b"what is SMTP\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"199 no\r\n",
        b"600 no\r\n",
        b"\xb2\xb250 ok\r\n",
        b"\r\n",
        b"250-a\r\n251 b\r\n",
        b"2" * 5000,
        b"250 " + b"x" * 5000 + b"\r\n",
        b"250-x\r\n" * 200,
    ],
)
def test_what_is_no_reply_is_an_error_after_the_replies_before_it(said):
    heard = []

    def listen():
        feed = Replies().feed(b"250 ok\r\n" + said)
        while True:
            heard.append(next(feed))

    with pytest.raises(BadReply):
        listen()
    assert heard == [(250, b"ok")]
