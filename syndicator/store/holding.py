"""What is held back at the claim: pure checks on a claimed row, each a reason to suppress it or to let it wait.

Rules, in order:

1. A confirmation is sent while its subscription waits for it, or was asked for after it had been confirmed: to
   somebody who lost the link or was paused, and needs a way back in.
2. A welcome is sent while its subscription lives and no pause of ours holds, the question to a new address until it
   was answered or another one was asked, the word to the old one always; none of them to somebody who was erased.
3. News of a feed is sent while its lease lives, and only the newest: what is sent is always what stands now.
4. A release is sent while its reader listens, and while it may be shown.
5. What follows a release goes also to who listens no more, where the channel can change what it sent: their copies
   follow, `hushed`. It goes in order: an older one gives way to a newer one of its kind, and an edit to whatever is
   newer. It waits while something else about the same release is on its way to the same reader, or has begun and is
   still to go on; of what has not begun nothing needs to follow, since texts are read at send.
6. In a reader's quiet hours what is not urgent waits for their end, if it has not begun: releases and digests. What
   follows a release comes without a sound and is never held. Where this machine does not know the reader's time zone,
   the office's counts.
7. A digest of which everything was withdrawn says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from syndicator.domain.model import (
    DeliveryState,
    MessageKind,
    Priority,
    Standing,
    State,
    SubscriberRole,
    SubscriptionState,
)
from syndicator.domain.quiet import Quiet
from syndicator.domain.visibility import standing
from syndicator.store.people import ACTIVE, ASKED, ERASED
from syndicator.store.sending import QUIET, Settlement
from syndicator.store.told import FOLLOWING, Told

__all__ = ["OVERTAKEN", "held_back", "is_hushed", "nothing_left"]

log = structlog.get_logger()

OVERTAKEN = "a newer version of the feed is on its way"
SHORTLY = timedelta(seconds=2)
AT_MOST = timedelta(minutes=1)  # until it looks again
TO_ONE = (MessageKind.WELCOME, MessageKind.ADDRESS, MessageKind.MOVED)
UNSENT = (DeliveryState.SUPPRESSED, DeliveryState.FAILED)

Row = Mapping[str, Any]


def held_back(
    row: Row, now: datetime, told: Sequence[Told], *, edits: bool, zone: ZoneInfo, overtaken: bool = False
) -> Settlement | None:
    """What becomes of a claimed row that may not be sent now; None if it may.

    `told` is what else the ledger has about the release and its reader, of what follows one; `zone` is the office's.
    A question to a new address is `overtaken` where another one was asked after it.
    """
    kind = MessageKind(row["kind"])
    if kind is MessageKind.CONFIRMATION:
        return None if _is_wanted(row) else _suppressed(row, "the subscription no longer waits for a confirmation")
    if kind in TO_ONE:
        return _unasked(row, kind, overtaken=overtaken)
    if kind is MessageKind.FEED:
        return _unwanted_news(row, now)
    if kind in FOLLOWING:
        return _unheard(row, edits=edits) or _hidden(row, kind, now) or _out_of_turn(row, kind, told, now)
    hidden = None if row["release_state"] is None else _hidden(row, kind, now)
    return _unheard(row, edits=False) or hidden or _kept_quiet(row, now, zone)


def nothing_left(row: Row, bare: Mapping[int, datetime | None]) -> Settlement | None:
    """Rule 7. `bare` are digests with nothing to show now, by delivery, and when there will be something again."""
    if row["delivery"] not in bare:
        return None
    until = bare[row["delivery"]]
    if until is None:
        return _suppressed(row, "all that it tells of was withdrawn")
    reason = "the time of its releases has not come"  # the clock was set back
    return Settlement(row["delivery"], DeliveryState.DEFERRED, reason=reason, due_at=until, counted=False)


def _kept_quiet(row: Row, now: datetime, zone: ZoneInfo) -> Settlement | None:
    if row["priority"] <= Priority.URGENT or row["answer"] or row["resent"]:
        return None
    quiet = Quiet.parse(row["quiet"])
    until = None if quiet is None else quiet.until(now, _zone_of(row, zone))
    if until is None:
        return None
    return Settlement(row["delivery"], DeliveryState.DEFERRED, reason=QUIET, due_at=until, counted=False)


def _zone_of(row: Row, zone: ZoneInfo) -> ZoneInfo:
    try:
        return ZoneInfo(row["timezone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        log.warning(
            "no such time zone here: the office's counts", subscriber=row["subscriber_id"], zone=row["timezone"]
        )
        return zone


def is_hushed(row: Row) -> bool:
    """Whether a row that follows a release is for somebody who listens no more."""
    return MessageKind(row["kind"]) in FOLLOWING and not _listens(row)


def _listens(row: Row) -> bool:
    return bool(row["subscription_state"] == SubscriptionState.ACTIVE and row["subscriber_state"] == ACTIVE)


def _unheard(row: Row, *, edits: bool) -> Settlement | None:
    """Who listens no more, or is paused; with `edits` the copies of those who chose that follow."""
    if _listens(row):
        return None
    active = row["subscriber_state"] == ACTIVE
    if edits and (active or row["state_reason"] == ASKED):
        return None
    return _suppressed(row, "the subscription has ended" if active else "the subscriber is paused")


def _out_of_turn(row: Row, kind: MessageKind, told: Sequence[Told], now: datetime) -> Settlement | None:
    """Whether it was overtaken, must wait for something earlier, or finds nothing that it could follow."""
    gives_way = FOLLOWING if kind is MessageKind.EDIT else (kind,)
    if any(one.kind in gives_way and one.message > row["id"] and one.state not in UNSENT for one in told):
        return _suppressed(row, "a newer one is on its way")
    if (until := _waits_until(row, kind, told, now)) is not None:
        reason = "waits for what is on its way to the same reader"
        return Settlement(row["delivery"], DeliveryState.DEFERRED, reason=reason, due_at=until, counted=False)
    if not any(one.brings and not one.waits for one in told):
        return _suppressed(row, "nothing of the old text was sent")
    return None


def _waits_until(row: Row, kind: MessageKind, told: Sequence[Told], now: datetime) -> datetime | None:
    times: list[datetime] = []
    for one in told:
        if one.state is DeliveryState.SENDING and not (one.is_here and one.message > row["id"]):
            times.append(now + SHORTLY)
        elif one.waits and one.has_begun and one.message < row["id"] and kind is not MessageKind.WITHDRAWAL:
            times.append(min(max(one.due_at, now) + SHORTLY, now + AT_MOST))
    return max(times, default=None)


def _unwanted_news(row: Row, now: datetime) -> Settlement | None:
    """News of a feed that its subscriber has left, or that newer news has overtaken; hubs hold no lease."""
    if row["subscriber_state"] != "active":
        return _suppressed(row, "the callback is gone")
    leased = row["lease_until"] is not None and row["lease_ended"] is None and row["lease_until"] > now
    if not leased and row["role"] != SubscriberRole.CHANNEL:
        return _suppressed(row, "the lease has ended")
    return _suppressed(row, OVERTAKEN) if (row["newest"] or 0) > row["major"] else None


def _unasked(row: Row, kind: MessageKind, *, overtaken: bool) -> Settlement | None:
    """Rule 2: a welcome, a question to a new address, a word to the old one."""
    if row["state_reason"] == ERASED:
        return _suppressed(row, "the subscriber was erased")
    if kind is MessageKind.WELCOME and row["subscription_state"] != SubscriptionState.ACTIVE:
        return _suppressed(row, "the subscription has ended")
    if kind is MessageKind.WELCOME and row["subscriber_state"] != ACTIVE and row["state_reason"] != ASKED:
        return _suppressed(row, "the subscriber is paused")
    if kind is not MessageKind.WELCOME and not row["instead"]:
        return _suppressed(row, "the address is kept no longer")
    if kind is MessageKind.ADDRESS and (row["moved_at"] is not None or overtaken):
        return _suppressed(row, "another address was asked for" if overtaken else "the address was confirmed already")
    return None


def _is_wanted(row: Row) -> bool:
    """Whether a confirmation still serves: not one that an earlier letter has made superfluous."""
    if row["subscription_state"] == SubscriptionState.PENDING:
        return True
    confirmed: datetime | None = row["confirmed_at"]
    active = row["subscription_state"] == SubscriptionState.ACTIVE
    return active and (confirmed is None or row["created_at"] > confirmed)


def _hidden(row: Row, kind: MessageKind, now: datetime) -> Settlement | None:
    shown = standing(State(row["release_state"]), row["public_at"], row["opened_at"], now)
    if shown is (Standing.WITHDRAWN if kind is MessageKind.WITHDRAWAL else Standing.PUBLIC):
        return None
    if shown is Standing.HIDDEN and row["opened_at"] is not None and row["public_at"] > now:
        # The clock was set back. It opened once and will be seen again: wait, do not lose it.
        reason = "the release's time has not come"
        return Settlement(
            row["delivery"], DeliveryState.DEFERRED, reason=reason, due_at=row["public_at"], counted=False
        )
    return _suppressed(row, f"the release is {shown}")


def _suppressed(row: Row, reason: str) -> Settlement:
    return Settlement(row["delivery"], DeliveryState.SUPPRESSED, reason=reason, counted=False)
