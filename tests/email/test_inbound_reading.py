"""What a mail is that came in, and whom it names: by the forms of many servers, and of people who mean no good."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from bots.email.inbound.reading import addressees, read
from syndicator.domain.returns import (
    Action,
    AutoReply,
    Complaint,
    Leave,
    Notice,
    Report,
    Unclear,
    Whom,
)
from syndicator.domain.tokens import Tokens
from tests.domain.test_bounces import BLAMES_US
from tests.email import returned
from tests.email.returned import FAILED, ODD, READER, REPORTS, VACATION, dsn, feedback, mail, ours

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
TOKENS = Tokens(b"a secret of these tests")
OTHERS = Tokens(b"somebody else's secret")
DELIVERY, SUBSCRIBER = 4711, 7
RETURN, LEAVE = TOKENS.mailbox("return", DELIVERY), TOKENS.mailbox("leave", SUBSCRIBER)
LINK = TOKENS.sign("unsubscribe", SUBSCRIBER)
HERE = (f"bounces+{RETURN}@press.example.org",)
PLAIN = ("bounces@press.example.org",)
AWAY = (f"unsubscribe+{LEAVE}@press.example.org",)


def look(data: bytes, recipients=HERE, sender=None):
    return read(data, recipients, TOKENS, NOW, sender=sender)


@pytest.mark.parametrize("server", REPORTS)
def test_a_report_says_who_failed_and_why(server):
    blocks, kind, status, addresses = REPORTS[server]
    found = look(dsn(*blocks))
    assert isinstance(found, Report)
    assert found.whom == Whom(DELIVERY)
    (failure,) = found.failures
    assert (failure.bounce.kind, failure.bounce.status, failure.addresses) == (kind, status, addresses)
    assert "@" not in failure.bounce.said
    assert len(failure.bounce.said) <= 300


@pytest.mark.parametrize("server", ODD)
def test_an_odd_bounce_is_understood_and_our_own_words_in_it_are_not_taken_for_theirs(server):
    data, kind, status = ODD[server]
    found = look(data)
    assert isinstance(found, Report)
    assert (found.source, found.whom) == ("odd", Whom(DELIVERY))
    (failure,) = found.failures
    assert (failure.bounce.kind, failure.bounce.status, failure.addresses) == (kind, status, (READER,))


@pytest.mark.parametrize(
    ("action", "status", "notice"),
    [
        ("delayed", "4.4.1", "delayed"),
        ("Delayed (will be tried again)", "4.4.1", "delayed"),
        ("relayed", "2.0.0", "relayed"),
        ("delivered", "2.0.0", "delivered"),
        ("expanded", "2.0.0", "expanded"),
        ("", "4.4.7", "delayed"),
        ("", "2.1.5", "delivered"),
        ("deliverable", "2.1.5", "delivered"),
    ],
)
def test_what_has_not_failed_is_a_notice(action, status, notice):
    block = f"Final-Recipient: rfc822; {READER}\nAction: {action}\nStatus: {status}"
    assert look(dsn(block)) == Notice(Action(notice))


@pytest.mark.parametrize(("code", "status", "words"), BLAMES_US)
def test_a_report_that_blames_us_pauses_nobody(code, status, words):
    block = (
        f"Final-Recipient: rfc822; {READER}\nAction: failed\nStatus: {status}\nDiagnostic-Code: smtp; {code} {words}"
    )
    assert look(dsn(block)).failures[0].bounce.kind == "policy"


def test_addresses_in_other_scripts_are_read():
    block = "Final-Recipient: utf-8; oxucu@nümunə.example\nAction: failed\nStatus: 5.1.1"
    found = look(dsn(block, kind="message/global-delivery-status"))
    assert found.failures[0].addresses == ("oxucu@nümunə.example",)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_a_report_in_an_encoding_is_read(encoding):
    plain = f"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; {READER}\nAction: failed\nStatus: 5.1.1\n"
    body = base64.b64encode(plain.encode()).decode() if encoding == "base64" else plain.replace("=", "=3D")
    data = mail(
        'Content-Type: multipart/report; boundary="b"',
        "--b",
        "Content-Type: message/delivery-status",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        body,
        "--b--",
    )
    assert look(data).failures[0].bounce.kind == "hard"


# -- whom


@pytest.mark.parametrize(
    ("data", "recipients", "whom"),
    [
        (dsn(FAILED), HERE, Whom(DELIVERY)),
        (dsn(FAILED), (HERE[0].upper(),), Whom(DELIVERY)),
        (dsn(FAILED), (f"prvs=1234567890={HERE[0]}",), Whom(DELIVERY)),
        (dsn(FAILED, envelope_id=RETURN), PLAIN, Whom(DELIVERY)),
        (dsn(FAILED, returned=ours(RETURN)), PLAIN, Whom(DELIVERY)),
        (dsn(FAILED, returned=ours(leave=LEAVE)), PLAIN, Whom(None, SUBSCRIBER, "0123abcd@press.example.org")),
        (dsn(FAILED, returned=ours(link=LINK)), PLAIN, Whom(None, SUBSCRIBER, "0123abcd@press.example.org")),
        (dsn(FAILED, returned=ours(RETURN), returned_as="message/rfc822"), PLAIN, Whom(DELIVERY)),
        (dsn(FAILED, text=f"Your mail from <{HERE[0]}> failed."), PLAIN, Whom(DELIVERY)),
    ],
)
def test_a_token_of_ours_names_the_delivery_wherever_it_stands(data, recipients, whom):
    found = look(data, recipients)
    assert isinstance(found, Report)
    assert found.whom == whom


FORGED = OTHERS.mailbox("return", DELIVERY)
SWAPPED = TOKENS.mailbox("leave", DELIVERY)


@pytest.mark.parametrize("token", [FORGED, SWAPPED, RETURN[:-1], RETURN[:-1] + "a", "a" * 48, ""])
def test_without_a_token_that_we_signed_nobody_is_harmed(token):
    returned_ = ours(token, link=OTHERS.sign("unsubscribe", SUBSCRIBER), leave=OTHERS.mailbox("leave", SUBSCRIBER))
    for data in (dsn(FAILED, envelope_id=token, returned=returned_), feedback("abuse", returned_), returned.QMAIL):
        assert isinstance(look(data, (f"bounces+{token}@press.example.org",)), Unclear)


# -- complaints


@pytest.mark.parametrize("kind", ["abuse", "fraud", "other", "opt-out", ""])
def test_a_complaint_names_whoever_our_mail_in_it_names(kind):
    assert look(feedback(kind, ours(RETURN)), PLAIN) == Complaint(Whom(DELIVERY), kind or "abuse")
    by_link = look(feedback(kind, ours(link=LINK)), PLAIN)
    assert by_link.whom == Whom(None, SUBSCRIBER, "0123abcd@press.example.org")
    by_field = feedback(kind, ours(), fields=f"Original-Mail-From: <{HERE[0]}>")
    assert look(by_field, PLAIN).whom == Whom(DELIVERY)


def test_what_is_no_complaint_ends_nothing():
    assert look(feedback("not-spam", ours(RETURN)), PLAIN) == Notice(Action.DELIVERED)
    assert isinstance(look(feedback("auth-failure", ours(RETURN)), PLAIN), Unclear)


def test_outlook_writes_complaints_in_its_own_form():
    data = mail(
        'From: staff@provider.example\nContent-Type: multipart/mixed; boundary="b"',
        "--b",
        "Content-Type: message/rfc822",
        "",
        f"X-HmXmrOriginalRecipient: {READER}",
        ours(RETURN),
        "",
        "body",
        "--b--",
    )
    assert look(data, PLAIN) == Complaint(Whom(DELIVERY), "abuse")


# -- leaving, and automatic answers


@pytest.mark.parametrize(
    ("subject", "recipients"),
    [
        ("unsubscribe", AWAY),
        ("", (AWAY[0].upper(),)),
        (f"unsubscribe {LEAVE}", ("unsubscribe@press.example.org",)),
        (f"https://press.example.org/unsubscribe/{LINK}", ("unsubscribe@press.example.org",)),
    ],
)
def test_a_mail_to_leave_names_who_leaves(subject, recipients):
    head = f"From: Somebody Else <else@example.org>\nSubject: {subject}"
    assert look(mail(head, "bye"), recipients) == Leave(SUBSCRIBER)
    assert look(mail(f"{head}\nAuto-Submitted: auto-generated", "bye"), recipients) == Leave(SUBSCRIBER)


@pytest.mark.parametrize("kind", VACATION)
def test_whoever_is_away_has_not_left_and_has_not_bounced(kind):
    data = mail(f"From: {READER}\n{VACATION[kind]}", "I am away. The mailbox is full of sun, user unknown.")
    assert look(data) == AutoReply()
    assert look(data, AWAY) == AutoReply()


@pytest.mark.parametrize(
    ("head", "sender"),
    [
        ("From: MAILER-DAEMON@mx.example.net\nSubject: something odd", "mailer@mx.example.net"),
        (f"From: {READER}\nSubject: something odd", ""),
        (f"Return-Path: <>\nFrom: {READER}\nSubject: something odd", None),
        (
            f"From: {READER}\nSubject: Read: unsubscribe {LEAVE}\nContent-Type: multipart/report; boundary=b",
            READER,
        ),
    ],
)
@pytest.mark.parametrize("recipients", [AWAY, HERE, PLAIN])
def test_what_a_machine_writes_is_no_wish_to_leave_and_a_person_looks_at_it(head, sender, recipients):
    found = look(mail(head, "bla"), recipients, sender)
    assert isinstance(found, Unclear)
    assert found.may_matter


@pytest.mark.parametrize("subject", ["Away from home, please stop", "Out of office or not: stop", "Auto reply? No"])
def test_a_person_who_leaves_may_begin_like_a_machine(subject):
    assert look(mail(f"From: {READER}\nSubject: {subject}", ""), AWAY, READER) == Leave(SUBSCRIBER)


@pytest.mark.parametrize(("recipients", "may_matter"), [(PLAIN, False), (HERE, True), (("x@y.example",), False)])
def test_other_peoples_mail_is_told_from_what_names_a_reader(recipients, may_matter):
    found = look(mail("From: somebody@example.org\nSubject: watches", "cheap"), recipients, "somebody@example.org")
    assert found == Unclear("neither a report nor a wish to leave", may_matter)


def test_a_report_to_the_address_for_leaving_is_no_wish_to_leave():
    assert isinstance(look(dsn(FAILED), AWAY), Unclear)


def test_a_person_who_quotes_a_bounce_has_not_bounced():
    data = mail(f"From: {READER}\nSubject: Fwd: failure notice", returned.QMAIL.decode())
    assert isinstance(look(data), Unclear)


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"Subject: hello\r\n\r\nwho are you?", b"\xff\xfe\x00", b": : :\n\n"]
)
def test_what_nobody_can_make_sense_of_is_said_to_be_so(data):
    assert isinstance(look(data), Unclear)


def test_without_an_envelope_the_headers_say_to_whom_it_came():
    data = mail(f"Delivered-To: {HERE[0]}\nTo: Bounces <{PLAIN[0]}>, x\nCc: <a@b.example>")
    assert addressees(data) == [HERE[0], PLAIN[0], "a@b.example"]
