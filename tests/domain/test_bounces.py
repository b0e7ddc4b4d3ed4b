"""What a failure says of a mailbox, and when a reader is paused for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syndicator.domain.bounces import (
    BAR,
    HALF_LIFE,
    BounceKind,
    Suppressed,
    classify,
    enhanced_status,
    score,
    short_of_the_bar,
)

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("code", "status", "words", "kind"),
    [
        # nobody is there, by a code that says so
        (550, "5.1.1", "User unknown", "hard"),
        (550, "5.1.2", "Host unknown", "hard"),
        (553, "5.1.3", "bad address syntax", "hard"),
        (551, "5.1.6", "moved away", "hard"),
        (550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; not found", "hard"),
        (550, "5.2.1", "mailbox disabled", "hard"),
        (550, "", "550-5.1.1 The email account that you tried to reach does not exist.", "hard"),
        # nobody is there, by words beside a code that could be anything
        (550, "5.7.1", "No such user!", "hard"),
        (550, "5.0.0", "unknown user", "hard"),
        (550, "", "Message was not accepted -- invalid mailbox. Local mailbox is unavailable: user not found", "hard"),
        (554, "", "delivery error: dd This user doesn't have a yahoo.example account (a@b.example)", "hard"),
        (0, "", "Sorry, no mailbox here by that name. (#5.1.1)", "hard"),
        (0, "", "all relevant MX records point to non-existent hosts: Unrouteable address", "hard"),
        # somebody is there, not now
        (552, "5.2.2", "mailbox full", "soft"),
        (552, "", "mailbox is full", "soft"),
        (452, "4.2.2", "over quota", "soft"),
        (552, "5.0.0", "Quota exceeded (mailbox for user is full)", "soft"),
        (0, "4.4.1", "connection timed out", "soft"),
        (0, "5.4.7", "delivery time expired", "soft"),
        (0, "5.4.4", "unable to route", "soft"),
        (450, "4.1.1", "user unknown", "soft"),  # a server that is not sure
        (550, "5.4.1", "Recipient address rejected: Access denied", "soft"),
        (550, "", "rejected", "soft"),
        (0, "", "", "soft"),
        # it is about us
        (554, "5.7.1", "Client host [192.0.2.1] blocked using zen.spamhaus.example", "policy"),
        (550, "5.1.1", "listed in the block list of our provider", "policy"),
        (550, "", "this message looks like spam", "policy"),
        (550, "5.7.26", "unauthenticated, SPF and DKIM did not pass", "policy"),
        (550, "5.7.515", "Access denied, sending domain does not meet the required authentication level", "policy"),
        (552, "5.7.0", "This message was blocked because its content presents a potential security issue", "policy"),
        (554, "5.6.0", "bad content", "policy"),
        (552, "5.3.4", "message too large", "policy"),
        (552, "", "message size exceeds limit", "policy"),
        (550, "5.1.8", "sender's domain does not resolve", "policy"),
        (451, "4.7.1", "Greylisted, try again", "policy"),
        # an address is no word about anybody
        (550, "5.1.1", "<spf.spamhaus@example.org>: User unknown", "hard"),
        (550, "", "<unknown-user@example.org> rejected", "soft"),
    ],
)
def test_only_what_is_said_plainly_counts_against_a_reader(code, status, words, kind):
    assert classify(code=code, status=status, words=words) == kind


BLAMES_US = [
    (550, "5.0.0", "Verification failed for <b+abc@bounces.example> No Such User Here Sender verify failed"),
    (550, "5.0.0", "Verification failed for <b+abc@bounces.example> Unrouteable address"),
    (550, "5.1.1", "<b+abc@bounces.example>: Sender address rejected: User unknown in virtual mailbox table"),
    (550, "", "Sender domain does not exist"),
    (550, "5.1.2", "Sender domain does not exist"),
    (501, "5.1.3", "Bad sender address syntax"),
    (550, "5.0.0", "mailbox unavailable Reject due to policy restrictions. For explanation visit https://x.example"),
    (550, "5.1.1", "HELO name rejected: Host not found"),
    (550, "", "Mailbox unavailable. Your IP has been blocked"),
]


@pytest.mark.parametrize(("code", "status", "words"), BLAMES_US)
def test_what_a_receiver_found_out_about_our_own_address_is_not_charged_to_the_reader(code, status, words):
    assert classify(code=code, status=status, words=words) is BounceKind.POLICY


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("5.2.1", "The account that you tried to reach is receiving mail at a rate that prevents additional messages"),
        ("5.2.1", "The user you are trying to contact is receiving mail too quickly"),
        ("5.0.0", "Callout verification failed: 550 no such user"),  # of the reader, or of us
    ],
)
def test_who_gets_too_much_and_what_may_be_said_of_either_is_in_doubt(status, words):
    assert classify(code=550, status=status, words=words) is BounceKind.SOFT


def test_a_mail_that_is_returned_to_its_sender_blames_the_reader_still():
    assert classify(status="5.1.1", words="no such user; mail is returned to sender") is BounceKind.HARD


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("550 5.1.1 no", "5.1.1"),
        ("smtp; 550-5.7.26 no", "5.7.26"),
        ("[192.5.1.1] says no", ""),
        ("(#4.2.2)", "4.2.2"),
        ("version 5.1.1.7", ""),
        ("", ""),
    ],
)
def test_an_enhanced_code_is_found_and_no_ip_address_taken_for_one(text, status):
    assert enhanced_status(text) == status


@given(st.integers(0, 999), st.text(max_size=12), st.text(max_size=200))
def test_whatever_is_said_has_a_kind_and_never_is_a_complaint(code, status, words):
    assert classify(code=code, status=status, words=words) in set(BounceKind) - {BounceKind.COMPLAINT}


def paused_after(step: timedelta, most: int = 40) -> int | None:
    """At which bounce of a steady row of them the reader is paused."""
    times: list[datetime] = []
    for number in range(1, most):
        moment = NOW + step * number
        if not short_of_the_bar(times, moment):
            return number
        times.append(moment)
    return None


@pytest.mark.parametrize(
    ("step", "bounces"),
    [
        (timedelta(hours=1), None),  # forty in two days: two points
        (DAY, 6),
        (2 * DAY, 6),
        (7 * DAY, 9),  # a weekly digest
        (14 * DAY, None),  # now and then
    ],
)
def test_soft_bounces_pause_after_days_and_not_after_many(step, bounces):
    assert paused_after(step) == bounces


def test_a_point_is_halved_in_its_time_and_a_day_has_one():
    assert score([NOW], NOW) == 1
    assert score([NOW, NOW + timedelta(hours=2)], NOW) == 1
    assert score([NOW], NOW + HALF_LIFE) == pytest.approx(0.5)
    assert score([], NOW) == 0


def test_what_led_to_a_pause_is_spent():
    before = [NOW + DAY * number for number in range(6)]
    assert score(before, before[-1]) == 0
    assert short_of_the_bar(before, before[-1] + DAY)


@given(st.lists(st.integers(0, 300), max_size=30))
def test_the_score_never_stands_above_the_bar_and_does_not_ask_in_which_order_bounces_came(days):
    times = [NOW + DAY * day for day in days]
    found = score(times, NOW + 300 * DAY)
    assert 0 <= found <= BAR
    assert score(reversed(times), NOW + 300 * DAY) == found


def test_the_stronger_the_reason_the_higher_and_the_strongest_may_not_even_be_asked():
    assert sorted(Suppressed, key=lambda one: one.rank)[:2] == [Suppressed.MOVED, Suppressed.BOUNCED]
    assert [one.value for one in Suppressed if not one.may_be_asked] == ["unasked", "blocked"]
