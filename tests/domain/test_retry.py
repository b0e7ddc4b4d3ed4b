"""What becomes of a delivery is a table: the channel's answer on the left, the ledger's next state on the right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syndicator.domain.letters import Gone, Later, Moved, Outcome, Refused, Sent, Unknown
from syndicator.domain.model import DeliveryState, Priority
from syndicator.domain.retry import Fate, ResendUnknown, RetryPolicy, backoff, fate

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PATIENT = RetryPolicy(max_attempts=3, resend_unknown=ResendUnknown.NEVER)
IN_AN_HOUR = NOW + timedelta(hours=1)


def judge(
    outcome: Outcome,
    *,
    attempts: int = 1,
    resent: bool = False,
    priority: Priority = Priority.NORMAL,
    policy: RetryPolicy = PATIENT,
) -> Fate:
    return fate(outcome, delivery=7, attempts=attempts, resent=resent, priority=priority, policy=policy, now=NOW)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Sent({"message_id": "a@b"}), DeliveryState.SENT),
        (Refused("too long"), DeliveryState.FAILED),
        (Gone("blocked"), DeliveryState.FAILED),
        (Later("452 mailbox full"), DeliveryState.DEFERRED),
        (Moved("-100123"), DeliveryState.DEFERRED),
        (Unknown("dropped after the dot"), DeliveryState.UNKNOWN),
    ],
)
def test_each_answer_has_its_state(outcome: Outcome, state: DeliveryState) -> None:
    assert judge(outcome).state is state


def test_a_dead_address_is_paused_and_a_refused_message_is_not_held_against_it() -> None:
    assert judge(Gone("bot was blocked by the user")).pause == "bot was blocked by the user"
    assert judge(Refused("message is too long")).pause == ""


def test_a_wait_that_counts_ends_after_the_last_attempt_and_says_why() -> None:
    assert judge(Later("greylisted"), attempts=2).state is DeliveryState.DEFERRED
    last = judge(Later("greylisted"), attempts=3)
    assert (last.state, last.reason) == (DeliveryState.FAILED, "given up after 3 attempts: greylisted")


def test_the_channels_own_pace_uses_up_no_attempt_however_often_it_asks_to_wait() -> None:
    paced = judge(Later("429", not_before=IN_AN_HOUR, counts=False), attempts=99)
    assert (paced.state, paced.due_at, paced.counted) == (DeliveryState.DEFERRED, IN_AN_HOUR, False)


def test_a_retry_never_comes_before_the_time_the_channel_named() -> None:
    assert judge(Later("retry after", not_before=IN_AN_HOUR)).due_at == IN_AN_HOUR


def test_a_moved_address_is_tried_again_at_once() -> None:
    moved = judge(Moved("-100123"))
    assert (moved.move_to, moved.due_at, moved.counted) == ("-100123", NOW, False)


@pytest.mark.parametrize(
    ("policy", "priority", "resent", "state"),
    [
        (ResendUnknown.NEVER, Priority.URGENT, False, DeliveryState.UNKNOWN),
        (ResendUnknown.URGENT, Priority.NORMAL, False, DeliveryState.UNKNOWN),
        (ResendUnknown.URGENT, Priority.URGENT, False, DeliveryState.DEFERRED),
        (ResendUnknown.URGENT, Priority.URGENT, True, DeliveryState.UNKNOWN),
        (ResendUnknown.ONCE, Priority.NORMAL, False, DeliveryState.DEFERRED),
        (ResendUnknown.ONCE, Priority.NORMAL, True, DeliveryState.UNKNOWN),
    ],
)
def test_an_unknown_outcome_follows_the_stated_policy_and_is_repeated_at_most_once(
    policy: ResendUnknown, priority: Priority, resent: bool, state: DeliveryState
) -> None:
    found = judge(Unknown("?"), priority=priority, resent=resent, policy=RetryPolicy(3, policy))
    assert found.state is state
    assert found.resent is (True if state is DeliveryState.DEFERRED else None)


def test_parts_that_were_already_accepted_are_remembered_for_the_next_attempt() -> None:
    assert judge(Later("429", answer={"messages": [1, 2]})).answer == {"messages": [1, 2]}


@given(delivery=st.integers(1, 10**9), attempt=st.integers(1, 500))
def test_backoff_doubles_from_a_minute_to_four_hours_within_a_quarter_and_is_the_same_when_asked_again(
    delivery: int, attempt: int
) -> None:
    plain = min(60 * 2 ** (attempt - 1), 4 * 3600)
    wait = backoff(delivery, attempt).total_seconds()
    assert plain * 0.75 <= wait <= plain * 1.25
    assert backoff(delivery, attempt) == backoff(delivery, attempt)


def test_two_deliveries_that_fail_together_do_not_come_back_together() -> None:
    assert len({backoff(delivery, 1) for delivery in range(100)}) > 90


LASTING = RetryPolicy(max_attempts=3, patience=timedelta(hours=48))


def lasting(outcome: Outcome, *, attempts: int, hours: float, slowed: int = 0) -> Fate:
    """Of a row that was put off first so many hours ago."""
    return fate(
        outcome,
        delivery=7,
        attempts=attempts,
        resent=False,
        priority=Priority.NORMAL,
        policy=LASTING,
        now=NOW,
        slowed=slowed,
        tried_at=NOW - timedelta(hours=hours),
    )


@pytest.mark.parametrize(
    ("attempts", "hours", "state"),
    [
        (1, 0, DeliveryState.DEFERRED),
        (19, 47.9, DeliveryState.DEFERRED),  # the number does not matter
        (19, 48, DeliveryState.FAILED),
        (1, 200, DeliveryState.DEFERRED),  # nobody was there to try again
        (7, 200, DeliveryState.DEFERRED),
        (8, 200, DeliveryState.FAILED),
    ],
)
def test_a_channel_with_patience_counts_by_the_clock(attempts: int, hours: float, state: DeliveryState) -> None:
    assert lasting(Later("451 not now"), attempts=attempts, hours=hours).state is state


def test_the_last_attempt_comes_when_patience_ends() -> None:
    assert lasting(Later("451"), attempts=18, hours=47).due_at == NOW + timedelta(hours=1)


def test_what_a_receiver_asked_for_is_waited_for_and_no_longer_and_ends_as_well() -> None:
    asked = lasting(Later("421", not_before=NOW + timedelta(seconds=30), asked=True), attempts=9, hours=1)
    assert (asked.due_at, asked.counted, asked.slowed) == (NOW + timedelta(seconds=30), True, True)
    assert lasting(Later("421", asked=True), attempts=9, hours=49).state is DeliveryState.FAILED


def test_wishes_to_slow_down_make_no_later_wait_longer() -> None:
    greylisted = lasting(Later("451 greylisted"), attempts=13, slowed=12, hours=1)
    assert greylisted.due_at is not None
    assert greylisted.due_at - NOW <= timedelta(seconds=75)
    assert not greylisted.slowed


def test_patience_begins_with_the_first_attempt() -> None:
    first = fate(
        Later("451 greylisted"),
        delivery=7,
        attempts=8,
        resent=False,
        priority=Priority.NORMAL,
        policy=LASTING,
        now=NOW,
        tried_at=None,
    )
    assert first.state is DeliveryState.DEFERRED


def test_the_channels_own_pace_is_never_given_up() -> None:
    paced = lasting(Later("its turn comes later", not_before=IN_AN_HOUR, counts=False), attempts=30, hours=400)
    assert (paced.state, paced.due_at) == (DeliveryState.DEFERRED, IN_AN_HOUR)
