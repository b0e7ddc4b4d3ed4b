"""What replies of real life mean: to the mail, to its reader, and to whom it is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.email.pace.heard import Heard
from bots.email.verdicts import Stage, Whom, verdict
from syndicator.domain.bounces import BounceKind
from syndicator.domain.letters import Gone, Later, Refused

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RCPT, END, MAIL, CONNECT = Stage.RCPT, Stage.END, Stage.MAIL, Stage.CONNECT
HARD, SOFT, POLICY = BounceKind.HARD, BounceKind.SOFT, BounceKind.POLICY


@pytest.mark.parametrize(
    ("stage", "code", "text", "outcome", "whom", "heard", "bounce"),
    [
        # Gmail
        (RCPT, 550, "5.1.1 The account does not exist. NoSuchUser", Gone, Whom.MAILBOX, Heard.REFUSED, HARD),
        (RCPT, 550, "5.1.1 User a.reader not listed in the directory", Gone, Whom.MAILBOX, Heard.REFUSED, HARD),
        (RCPT, 550, "5.2.1 The account is disabled", Gone, Whom.MAILBOX, Heard.REFUSED, HARD),
        (RCPT, 452, "4.2.2 The recipient's inbox is out of storage", Later, Whom.MAILBOX, Heard.LATER, SOFT),
        (RCPT, 552, "5.2.2 The recipient's inbox is out of storage", Later, Whom.MAILBOX, Heard.LATER, SOFT),
        (RCPT, 450, "4.2.1 The user is receiving mail too quickly", Later, Whom.MAILBOX, Heard.LATER, None),
        (END, 421, "4.7.0 Try again later, closing connection", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        (END, 421, "4.7.28 unusual rate of unsolicited mail", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        (END, 550, "5.7.26 unauthenticated: SPF and DKIM failed", Refused, Whom.US, Heard.REFUSED, POLICY),
        (END, 550, "5.7.1 likely unsolicited mail", Refused, Whom.US, Heard.REFUSED, POLICY),
        (RCPT, 550, "5.2.1 receiving mail at a rate that prevents more", Later, Whom.MAILBOX, Heard.LATER, SOFT),
        # Outlook, Hotmail
        (RCPT, 550, "5.5.0 Requested action not taken: mailbox unavailable", Gone, Whom.MAILBOX, Heard.REFUSED, HARD),
        (END, 550, "5.7.515 Access denied, authentication level not met", Refused, Whom.US, Heard.REFUSED, POLICY),
        (RCPT, 451, "4.7.500 Server busy. Please try again later", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        (RCPT, 451, "4.7.650 rate limited due to IP reputation", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        # Yahoo
        (END, 421, "4.7.0 [TSS04] temporarily deferred: user complaints", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        (RCPT, 554, "5.7.9 not accepted for policy reasons", Refused, Whom.US, Heard.REFUSED, POLICY),
        # mail.ru
        (RCPT, 550, "invalid mailbox. User not found", Gone, Whom.MAILBOX, Heard.REFUSED, HARD),
        (END, 550, "spam message rejected", Refused, Whom.MESSAGE, Heard.REFUSED, POLICY),
        # Amazon SES and other relays of their own
        (END, 454, "Throttling failure: Maximum sending rate exceeded.", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        (END, 454, "Throttling failure: Daily message quota exceeded.", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        (MAIL, 421, "4.7.0 too many connections", Later, Whom.RELAY, Heard.NOTHING, None),
        (CONNECT, 421, "4.7.0 too many connections", Later, Whom.RELAY, Heard.NOTHING, None),
        (RCPT, 421, "4.3.2 Service shutting down", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
        (MAIL, 530, "5.7.0 Authentication required", Later, Whom.US, Heard.NOTHING, None),
        (RCPT, 554, "5.7.1 Relay access denied", Later, Whom.US, Heard.REFUSED, None),
        # Postfix, Exim, greylisters
        (RCPT, 450, "4.2.0 Recipient address rejected: Greylisted", Later, Whom.MAILBOX, Heard.LATER, None),
        (RCPT, 451, "4.7.1 Greylisting in action", Later, Whom.MESSAGE, Heard.LATER, None),
        (RCPT, 554, "5.7.1 blocked using zen.spamhaus.org", Later, Whom.US, Heard.SLOW_DOWN, None),
        (END, 451, "4.3.0 local problem", Later, Whom.MESSAGE, Heard.LATER, None),
        (RCPT, 550, "5.1.2 Sender domain does not exist", Later, Whom.US, Heard.REFUSED, None),
        (END, 550, "Verification failed: no such user. Sender verify failed", Refused, Whom.US, Heard.REFUSED, POLICY),
        (RCPT, 556, "this domain accepts no mail", Gone, Whom.MAILBOX, Heard.REFUSED, HARD),
        (RCPT, 421, "Service not available", Later, Whom.DOMAIN, Heard.SLOW_DOWN, None),
    ],
)
def test_replies_of_real_life(stage, code, text, outcome, whom, heard, bounce) -> None:
    found = verdict(stage, code, text, NOW)
    assert (type(found.outcome), found.whom, found.heard) == (outcome, whom, heard), found
    said = getattr(found.outcome, "bounce", None)
    assert (said.kind if said else None) is bounce
    assert found.closes_relay is (whom is Whom.RELAY or code == 530)
    assert found.hangs_up is (code in (421, 530))
    assert bool(found.complaint) is (whom is Whom.US)


@pytest.mark.parametrize(
    ("stage", "code", "text", "closes"),
    [
        (END, 454, "Throttling failure: Daily message quota exceeded.", True),
        (RCPT, 421, "4.3.2 Service shutting down", True),
        (RCPT, 421, "server is going down", True),
        (RCPT, 452, "4.7.0 hourly limit exceeded for this domain", True),
        (END, 550, "5.4.5 Daily user sending limit exceeded", True),
        (RCPT, 530, "5.7.1 Client was not authenticated", True),
        (RCPT, 554, "5.7.1 Relay access denied", False),
        (RCPT, 550, "we do not relay", False),
    ],
)
def test_what_a_relay_says_of_itself_is_one_domains_word_at_first(stage, code, text, closes) -> None:
    found = verdict(stage, code, text, NOW)
    assert isinstance(found.outcome, Later)
    assert found.outcome.counts  # by its patience it ends some day
    assert not found.closes_relay
    assert found.if_relay is not None
    assert isinstance(found.if_relay.outcome, Later)
    assert (found.if_relay.outcome.counts, found.if_relay.closes_relay) == (False, closes)


def test_before_a_recipient_was_named_it_is_the_relay_that_speaks() -> None:
    for stage in (CONNECT, MAIL):
        found = verdict(stage, 421, "4.3.2 going down", NOW)
        assert (found.closes_relay, found.if_relay) == (True, None)


def test_what_a_domain_asks_for_is_kept_and_uses_the_backoff_no_more() -> None:
    found = verdict(RCPT, 421, "4.7.0 slow down, try again in 15 minutes", NOW)
    assert found.wait == timedelta(minutes=15)
    assert isinstance(found.outcome, Later)
    assert (found.outcome.not_before, found.outcome.asked) == (NOW + timedelta(minutes=15), True)


def test_a_relays_rate_is_waited_for_shortly_and_its_days_quota_long() -> None:
    rate = verdict(END, 550, "5.4.5 Maximum sending rate exceeded", NOW).wait
    quota = verdict(END, 550, "5.4.5 Daily user sending limit exceeded", NOW).wait
    assert (rate, quota) == (timedelta(seconds=10), timedelta(hours=1))


def test_no_address_is_told_to_the_log_or_kept_with_a_bounce() -> None:
    found = verdict(RCPT, 550, "5.1.1 <reader@example.com> no such user", NOW)
    assert isinstance(found.outcome, Gone)
    assert found.outcome.bounce is not None
    assert "reader" not in found.outcome.bounce.said


@settings(max_examples=60)
@given(stage=st.sampled_from(list(Stage)), code=st.integers(300, 599), text=st.text(max_size=300))
def test_any_reply_has_a_meaning_and_nobody_is_gone_without_a_word_of_it(stage: Stage, code: int, text: str) -> None:
    found = verdict(stage, code, text, NOW)
    assert isinstance(found.outcome, Later | Refused | Gone)
    if code < 500:
        assert isinstance(found.outcome, Later)
    if isinstance(found.outcome, Gone):
        assert found.outcome.bounce is not None
        assert found.outcome.bounce.kind is HARD
