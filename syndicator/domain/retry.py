"""What becomes of a delivery after its channel has answered: pure rules, as data.

Rules, in order:

1. Sent is sent. Refused fails this message only. Gone fails it and pauses the subscriber.
2. Later is deferred: to the channel's own time if it gave one, else by backoff (1 min doubling to 4 h, with jitter).
   A wait that counts fails after `max_attempts`; one that does not (the channel's pace) never does. A channel with
   `patience` counts by the clock instead: it gives up that long after the row was put off first, with one last attempt
   then (RFC 5321 section 4.5.4.1 asks for days), but not before `FEWEST` attempts: a service that was down for days
   does not give up at the second one. Waits for a pause, a warm-up or the row's own first turn are no part of it. A
   wish to slow down is no failure of the mail: it makes no later wait of the backoff longer.
3. Moved is tried again at once, at the new address.
4. Unknown stays `unknown`, unless the channel's policy sends it once more (`ResendUnknown`), with the same ids.
5. Jitter is a function of (delivery, attempt), so that the rule stays pure and a test can name the second.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from syndicator.domain.bounces import Bounce
from syndicator.domain.letters import Gone, Later, Moved, Outcome, Refused, Sent
from syndicator.domain.model import DeliveryState, Priority

__all__ = ["Fate", "ResendUnknown", "RetryPolicy", "backoff", "fate"]

FIRST_WAIT = 60.0
LONGEST_WAIT = 4 * 3600.0
PACE_WAIT = 30.0
UNKNOWN_WAIT = 120.0
FEWEST = 8  # four hours, by the backoff


class ResendUnknown(StrEnum):
    """What a channel does about an outcome nobody can tell: a repeat, or perhaps a loss."""

    NEVER = "never"
    URGENT = "urgent"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a channel is; with `patience`, from a row's first attempt, `max_attempts` does not matter."""

    max_attempts: int = 12
    resend_unknown: ResendUnknown = ResendUnknown.NEVER
    patience: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """The ledger's next state, and what else follows from the answer.

    `counted` False gives the attempt back; `slowed`: it was told to slow down; `pause` is the reason to pause the
    subscriber; `move_to` a new address; `resolved` what the channel calls the address. `bounce` is what the answer says
    of the mailbox, once it is final: a mail that is only put off has not come back.
    """

    state: DeliveryState
    reason: str = ""
    due_at: datetime | None = None
    counted: bool = True
    resent: bool | None = None
    answer: dict[str, object] | None = None
    pause: str = ""
    move_to: str = ""
    resolved: str = ""
    bounce: Bounce | None = None
    slowed: bool = False


def backoff(delivery: int, attempt: int) -> timedelta:
    """How long to wait after attempt number `attempt` (from 1) failed: 1 min doubling to 4 h, within ±25 %."""
    seconds = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    spread = zlib.crc32(f"{delivery}:{attempt}".encode()) / 0xFFFFFFFF  # 0..1
    return timedelta(seconds=seconds * (0.75 + spread / 2))


def fate(
    outcome: Outcome,
    *,
    delivery: int,
    attempts: int,
    resent: bool,
    priority: Priority,
    policy: RetryPolicy,
    now: datetime,
    slowed: int = 0,
    tried_at: datetime | None = None,
) -> Fate:
    """What the ledger must say next.

    `attempts` counts this one; `slowed` of those before it ended with a wish to slow down. `tried_at` is when the row
    was put off first, None if it never was.
    """
    match outcome:
        case Sent(answer, address):
            return Fate(DeliveryState.SENT, answer=answer, resolved=address)
        case Refused(reason, answer, bounce):
            return Fate(DeliveryState.FAILED, reason, answer=answer or None, bounce=bounce)
        case Gone(reason, answer, bounce):
            return Fate(DeliveryState.FAILED, reason, answer=answer or None, pause=reason, bounce=bounce)
        case Moved(address, answer):
            reason, kept = f"moved to {address}", answer or None
            return Fate(DeliveryState.DEFERRED, reason, due_at=now, counted=False, move_to=address, answer=kept)
        case Later():
            return _later(outcome, delivery, attempts, slowed, policy, now, tried_at or now)
        case _:
            return _unknown(
                outcome.reason, dict(outcome.answer), resent=resent, priority=priority, policy=policy, now=now
            )


def _later(
    outcome: Later, delivery: int, attempts: int, slowed: int, policy: RetryPolicy, now: datetime, since: datetime
) -> Fate:
    answer = outcome.answer or None
    if not outcome.counts:
        due = outcome.not_before or now + timedelta(seconds=PACE_WAIT)
        return Fate(DeliveryState.DEFERRED, outcome.reason, due_at=due, counted=False, answer=answer)
    last = since + policy.patience if policy.patience is not None else None
    over = attempts >= policy.max_attempts if last is None else attempts >= FEWEST and now >= last
    if over:
        said = f"given up after {attempts} attempts: {outcome.reason}"
        return Fate(DeliveryState.FAILED, said, answer=answer, bounce=outcome.bounce)
    if outcome.asked:
        due = outcome.not_before or now + timedelta(seconds=PACE_WAIT)
        return Fate(DeliveryState.DEFERRED, outcome.reason, due_at=due, answer=answer, slowed=True)
    wait = now + backoff(delivery, attempts - slowed)
    if last is not None and now < last:
        wait = min(wait, last)  # the last attempt comes at the end, and no later
    due = max(outcome.not_before or now, wait)
    return Fate(DeliveryState.DEFERRED, outcome.reason, due_at=due, answer=answer)


def _unknown(
    reason: str,
    answer: dict[str, object],
    *,
    resent: bool,
    priority: Priority,
    policy: RetryPolicy,
    now: datetime,
) -> Fate:
    again = policy.resend_unknown is ResendUnknown.ONCE or (
        policy.resend_unknown is ResendUnknown.URGENT and priority <= Priority.URGENT
    )
    if again and not resent:
        due = now + timedelta(seconds=UNKNOWN_WAIT)
        return Fate(
            DeliveryState.DEFERRED, f"outcome unknown: {reason}", due_at=due, resent=True, answer=answer or None
        )
    return Fate(DeliveryState.UNKNOWN, reason, answer=answer or None)
