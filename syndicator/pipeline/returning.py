"""What comes back, and what follows from it: the one story for a relay's reply, a report, a complaint, a mail to leave.

Rules, in order:

1. Everything about one mail is one transaction: what came back is recorded, and its consequences with it. The same
   report again changes nothing (`store.bounces`).
2. HARD: nothing more is sent to that mailbox, at once; its reader is paused, topics kept, and the address is kept out
   of imports. COMPLAINT: all ends at once, the address is kept out, and what somebody has asked for there and still
   waits goes out no more, neither a question about a move nor one about a sign-up; after a complaint about a question,
   no question goes there again. SOFT: it scores, and pauses above the bar. POLICY: it blames us; it is recorded and
   counted.
3. A mail that came back has not arrived, and its row says so. One whose row is still `sending` is not judged yet
   (`NotYet`): its outcome is about to be written.
4. A report about another address than the one we wrote to (the reader forwards their mail) is no word about theirs:
   what would be HARD is SOFT then.
5. A letter that went to another address than its subscriber's says nothing of them, only of that address. So does one
   that went where they were before they moved: somebody else may read there now.
6. Who has come back since that mail was sent (`store.coming_back`) is there: the report counts for the mail alone.
7. Nothing is done for a token whose delivery or reader is gone: it is counted, and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import FORGOTTEN, Bounce, BounceKind, Suppressed, short_of_the_bar
from syndicator.domain.model import ChannelKind, DeliveryState
from syndicator.domain.returns import AutoReply, CameIn, Complaint, Failure, Leave, Notice, Report, Whom, report_key
from syndicator.domain.tokens import Tokens
from syndicator.metrics import Metrics
from syndicator.pipeline.addresses import BadAddress, email_address
from syndicator.store import applications, bounces, moving, readdressing, subscriptions, suppressions
from syndicator.store.bounces import BOUNCED, Concerned
from syndicator.store.coming_back import has_come_back
from syndicator.store.database import Database

__all__ = ["COMPLAINED", "LEFT_BY_MAIL", "Consequences", "NotYet", "Returning"]

log = structlog.get_logger()

COMPLAINED = "complained"
LEFT_BY_MAIL = "left by mail"
_LONGEST = 300  # characters of a reason
_WORST = (BounceKind.HARD, BounceKind.SOFT, BounceKind.POLICY)


class NotYet(OSError):
    """The mail that it is about is being sent just now: take it in again a little later."""


class Consequences:
    """What follows from a bounce, as part of its caller's transaction (rules 2 to 5)."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def of(
        self, session: AsyncSession, who: Concerned, bounce: Bounce, *, source: str, report: str, now: datetime
    ) -> bool:
        """Record it and do what follows; False if that report was known, and nothing was done."""
        before = await bounces.soft_times(session, who.subscriber, now - FORGOTTEN)
        is_late = who.is_theirs and await has_come_back(session, who)
        if not await bounces.record(session, who, bounce, source=source, report=report, now=now):
            return False
        if bounce.kind is BounceKind.COMPLAINT:
            await self._unwanted(session, who, now)
            return True
        why = f"{BOUNCED}: {bounce.said or bounce.status or bounce.kind}"[:_LONGEST]
        if who.delivery is not None:
            await bounces.never_arrived(session, who.delivery, why)
        if is_late:
            log.info("a report about a mail from before they came back", subscriber=who.subscriber)
            return True
        if bounce.kind is BounceKind.HARD:
            await self._keep_out(session, who, Suppressed.BOUNCED, now)
        too_often = bounce.kind is BounceKind.SOFT and not short_of_the_bar(before, now)
        if who.is_theirs and (too_often or bounce.kind is BounceKind.HARD):
            await subscriptions.pause(session, who.subscriber, why)
            log.info("paused: mail comes back", subscriber=who.subscriber, kind=bounce.kind.value, status=bounce.status)
        return True

    async def of_reply(self, session: AsyncSession, delivery: int, bounce: Bounce, now: datetime) -> bool:
        """What the relay said at once of a delivery that is settled; as `of`, and False where nobody is meant."""
        who = await bounces.of_delivery(session, delivery)
        if who is None:
            return False
        report = report_key(Whom(delivery), bounce.kind)
        return await self.of(session, who, bounce, source="smtp", report=report, now=now)

    async def _unwanted(self, session: AsyncSession, who: Concerned, now: datetime) -> None:
        await self._keep_out(session, who, Suppressed.UNASKED if who.asks else Suppressed.COMPLAINED, now)
        await readdressing.call_off(session, who.address, now)
        if who.is_theirs:
            await subscriptions.end_all(session, who.subscriber, COMPLAINED, now)
        there = await subscriptions.find(session, ChannelKind.EMAIL, who.address) if who.address else None
        if there is not None:
            await subscriptions.end_pending(session, there.id, COMPLAINED, now)

    async def _keep_out(self, session: AsyncSession, who: Concerned, reason: Suppressed, now: datetime) -> None:
        if who.address:
            fingerprint = self._tokens.fingerprint("address", who.address)
            await suppressions.add(session, fingerprint, reason, now)


class Returning:
    """Takes in what was made of a mail. Every call is one transaction; `wake` says that work may follow."""

    def __init__(self, database: Database, tokens: Tokens, *, metrics: Metrics, wake: Callable[[], None]) -> None:
        self._database = database
        self._consequences = Consequences(tokens)
        self._metrics = metrics
        self._wake = wake

    async def take(self, came: CameIn, now: datetime, *, also: str = "") -> str:
        """Do what follows from it; what it was, in one word, as metrics count it.

        `also` tells one mail from another where a report names no delivery: its Message-ID, or a digest of its bytes.

        Raises:
            NotYet: the delivery that it is about is being sent (rule 3).
            DatabaseTrouble: it could not be written; nothing has happened.
        """
        match came:
            case Report() | Complaint():
                word = await self._returned(came, now, also)
            case Leave(subscriber):
                word = await self._left(subscriber, now)
            case Notice(action):
                word = action.value
            case AutoReply():
                word = "auto_reply"
            case _:
                word = "unclear"
        self._metrics.returned.labels(word).inc()
        return word

    async def _returned(self, came: Report | Complaint, now: datetime, also: str) -> str:
        async with self._database.writing() as session:
            who = await _whom(session, came.whom)
            if who is None:
                return "nobody"
            if who.state is DeliveryState.SENDING:
                raise NotYet("the mail that it is about is being sent just now")
            bounce = _complaint(came) if isinstance(came, Complaint) else _worst(came.failures, who.address)
            source = "arf" if isinstance(came, Complaint) else came.source
            named = Whom(who.delivery, who.subscriber)
            report = report_key(named, bounce.kind, came.whom.message_id or also)
            new = await self._consequences.of(session, who, bounce, source=source, report=report, now=now)
        if new and bounce.kind is BounceKind.POLICY:
            log.warning("a receiver wants no mail from us", delivery=who.delivery, status=bounce.status)
        self._wake()
        return bounce.kind.value if new else "known"

    async def _left(self, subscriber: int, now: datetime) -> str:
        async def leave(session: AsyncSession) -> str:
            found = await subscriptions.by_id(session, await moving.now_known_as(session, subscriber))
            if found is None or found.is_erased:
                return "nobody"
            await applications.forget(session, found.id, found.address, now)  # asked for before they left
            await subscriptions.end_all(session, found.id, LEFT_BY_MAIL, now)
            return "leave"

        return await self._database.again(leave)


async def _whom(session: AsyncSession, whom: Whom) -> Concerned | None:
    if whom.delivery is not None:
        return await bounces.of_delivery(session, whom.delivery)
    if whom.subscriber is None:
        return None
    return await bounces.of_subscriber(session, whom.subscriber, whom.message_id)


def _complaint(came: Complaint) -> Bounce:
    return Bounce(BounceKind.COMPLAINT, "", came.feedback)


def _worst(failures: Sequence[Failure], address: str) -> Bounce:
    """What the report says of our reader; of another address (rule 4), softened, where it does not name theirs."""
    theirs = [one.bounce for one in failures if any(_normal(name) == address for name in one.addresses)]
    nameless = [one.bounce for one in failures if not one.addresses]
    if found := theirs or nameless:
        return min(found, key=lambda one: _WORST.index(one.kind))
    worst = min((one.bounce for one in failures), key=lambda one: _WORST.index(one.kind))
    return Bounce(BounceKind.SOFT, worst.status, worst.said) if worst.kind is BounceKind.HARD else worst


def _normal(address: str) -> str:
    try:
        return email_address(address)
    except BadAddress:
        return address.strip().lower()
