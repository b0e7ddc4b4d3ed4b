"""Addresses that change: a person or a channel goes on under another one, with all that is theirs.

Rules, in order:

1. A chat that moves takes subscriptions and deliveries along, also to an address that we know already (`move`).
2. A configured channel keeps its address as written, and only `resolved` follows; a new address is the configuration's
   to write (`respell`).
3. Moving twice, or one who is gone or was erased, changes nothing.
4. Who asks for it themselves (`relocate`) keeps their row, so that links and history stay theirs. Who was at the new
   address already is merged into them: every subscription and delivery of theirs goes along, and what is left is a
   shell that says who it became, and when (`became`), for the links in its old mails: `now_known_as` follows it.
5. Of one release each gets one message: where both have a row of it, the one that went out counts, or else the one
   that is still to go out. A digest that has not gone out takes what the other would have told along; where it has,
   that is told by a run of its own (`catching_up.make_up`).
   Nothing is judged while a claim is under way: rows that wait are held first.
6. What came back goes along, and so do questions to new addresses: the newest of both counts. Each row keeps whose
   address it went to, for what comes back later (`handed_at`, `left_at`, `bounces`); moves that came along are told
   apart from who stays' own.
7. Messages that are still being fanned out begin again: the merged person may stand behind where they are by now. Who
   has a row already gets no second one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, case, delete, exists, false, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState, MessageKind, SubscriberRole, SubscriptionState
from syndicator.store.catching_up import make_up
from syndicator.store.people import LIVE, PAUSED, by_id, find, put, resolve, spelling
from syndicator.store.tables import (
    APPLICATION,
    BOUNCE,
    DELIVERY,
    DIGEST_ITEM,
    MESSAGE,
    READDRESSED,
    SUBSCRIBER,
    SUBSCRIPTION,
)

__all__ = ["Became", "became", "has_left", "is_shell", "last_theirs", "move", "now_known_as", "relocate", "respell"]

MERGED = "merged"
_SHELL = "moved to subscriber "  # how the reason of a row begins whose owner goes on in another one
_BECAME = re.compile(_SHELL + r"(\d+)(?: on (\S+))?")
_STEPS = 20  # how often one may have been merged and merged again
WAITING = (DeliveryState.DUE, DeliveryState.DEFERRED)
NEVER = (DeliveryState.SUPPRESSED, DeliveryState.FAILED)


@dataclass(frozen=True, slots=True)
class Became:
    """Who the owner of a shell is now, and since when where that is known."""

    subscriber: int
    since: datetime | None


def became(state_reason: str) -> Became | None:
    """Of a row's reason; None: it is no shell."""
    found = _BECAME.match(state_reason)
    return None if found is None else Became(int(found[1]), datetime.fromisoformat(found[2]) if found[2] else None)


def is_shell() -> ColumnElement[bool]:
    """The same question, asked of `SUBSCRIBER` in a query."""
    return SUBSCRIBER.c.state_reason.startswith(_SHELL)


def last_theirs() -> ColumnElement[datetime]:
    """Since when a row of `DELIVERY` is about an address only if its subscriber has not moved: sent, or handed over."""
    sent_at = func.coalesce(DELIVERY.c.settled_at, DELIVERY.c.claimed_at, DELIVERY.c.due_at)
    return case((DELIVERY.c.handed_at > sent_at, DELIVERY.c.handed_at), else_=sent_at)


def has_left() -> ColumnElement[bool]:
    """Whether a row of `DELIVERY` came along by a merge from who had already left the address that it went to."""
    return func.coalesce(DELIVERY.c.left_at > last_theirs(), false())


async def move(session: AsyncSession, subscriber: int, address: str) -> None:
    """The channel says the address changed: a person's is replaced, merging if taken; a channel keeps it as `resolved`.

    Moving twice, or a subscriber that is gone or was erased, changes nothing.
    """
    mover = await by_id(session, subscriber)
    if mover is None or mover.is_erased or spelling(mover.channel, address) in (mover.address, mover.resolved):
        return
    if mover.role is SubscriberRole.CHANNEL:
        await resolve(session, subscriber, address)
        return
    taken = await find(session, mover.channel, address)
    if taken is None:
        await put(session, subscriber, address=spelling(mover.channel, address), resolved="")
        return
    await _hand_over(session, subscriber, taken.id)
    await put(session, subscriber, state=PAUSED, state_reason=f"{_SHELL}{taken.id}", resume_at=None)


async def respell(session: AsyncSession, channel: int, address: str) -> None:
    """The configuration writes a channel otherwise: it goes on under that address, with whoever had it before."""
    known = await by_id(session, channel)
    taken = None if known is None else await find(session, known.channel, address)
    if taken is None:
        await put(session, channel, address=address)
    elif taken.id != channel:
        await _hand_over(session, channel, taken.id)


async def relocate(session: AsyncSession, subscriber: int, address: str, now: datetime) -> None:
    """A person goes on under an address that said yes; who was there already is merged into them (rules 4 to 7)."""
    mover = await by_id(session, subscriber)
    if mover is None or mover.is_erased or mover.address == spelling(mover.channel, address):
        return
    there = await find(session, mover.channel, address)
    if there is not None:
        await _merge(session, there.id, into=subscriber, now=now)
    await put(session, subscriber, address=spelling(mover.channel, address), resolved="")


async def now_known_as(session: AsyncSession, subscriber: int) -> int:
    """Who that subscriber is now: themselves, or whom they were merged into."""
    seen = {subscriber}
    for _ in range(_STEPS):
        found = await by_id(session, subscriber)
        now = None if found is None else became(found.state_reason)
        if now is None or now.subscriber in seen:
            break
        subscriber = now.subscriber
        seen.add(subscriber)
    return subscriber


async def _merge(session: AsyncSession, one: int, *, into: int, now: datetime) -> None:
    """Rules 4 to 7, in that order."""
    both = DELIVERY.c.subscriber_id.in_((one, into)) & DELIVERY.c.state.in_(WAITING)
    await session.execute(select(DELIVERY.c.id).where(both).order_by(DELIVERY.c.id).with_for_update())
    await _one_of_each(session, one, into, now)
    theirs = update(SUBSCRIPTION).where(SUBSCRIPTION.c.subscriber_id == one).values(subscriber_id=into)
    brought = list(await session.scalars(theirs.returning(SUBSCRIPTION.c.id)))
    await _join_digests(session, one, into)
    for message, outstanding in (await _only_theirs(session, one, into)).items():
        await make_up(session, message, outstanding, brought, now)
    await _keep_the_best(session, one, into)
    await _keep_whose(session, one, now)
    await _hand_over(session, one, into)
    rest = update(DELIVERY).where(DELIVERY.c.subscriber_id == one, DELIVERY.c.state != DeliveryState.SENDING)
    await session.execute(rest.values(reason="", answer={}))  # of the shell's own nobody asks
    theirs = update(READDRESSED).where(READDRESSED.c.subscriber_id == one)
    await session.execute(theirs.values(subscriber_id=into, handed_at=now))
    for table in (BOUNCE, APPLICATION):
        await session.execute(update(table).where(table.c.subscriber_id == one).values(subscriber_id=into))
    shell = {
        "address": f"{MERGED}-{one}",
        "resolved": "",
        "state": PAUSED,
        "state_reason": f"{_SHELL}{into} on {now.isoformat()}",
        "quiet": "",
        "resume_at": None,
    }
    await put(session, one, **shell)
    unfinished = MESSAGE.c.fanned_out_at.is_(None)
    await session.execute(update(MESSAGE).where(unfinished).values(cursor=0))


async def _one_of_each(session: AsyncSession, one: int, into: int, now: datetime) -> None:
    """Of two live subscriptions of a filter one ends: the one that only waits, else the newcomer's."""
    theirs, kept = SUBSCRIPTION.alias("theirs"), SUBSCRIPTION.alias("kept")
    ended = SubscriptionState.ENDED
    both = (
        select(theirs.c.id, theirs.c.state, kept.c.id.label("kept"), kept.c.state.label("kept_state"))
        .where(theirs.c.subscriber_id == one, kept.c.subscriber_id == into, theirs.c.filter_id == kept.c.filter_id)
        .where(theirs.c.state != ended, kept.c.state != ended)
    )
    for row in (await session.execute(both)).mappings().all():
        waits = row["kept_state"] == SubscriptionState.PENDING and row["state"] == SubscriptionState.ACTIVE
        values = {"state": ended, "ended_at": now, "ended_reason": MERGED}
        which = SUBSCRIPTION.c.id == (row["kept"] if waits else row["id"])
        await session.execute(update(SUBSCRIPTION).where(which).values(values))


async def _join_digests(session: AsyncSession, one: int, into: int) -> None:
    """A digest that waits for who stays takes along what the other's would tell, and leaves out what that has told."""
    theirs, kept = DELIVERY.alias("theirs"), DELIVERY.alias("kept")
    both = (
        select(theirs.c.id, theirs.c.state, kept.c.id.label("kept"))
        .join_from(theirs, kept, kept.c.message_id == theirs.c.message_id)
        .join(MESSAGE, MESSAGE.c.id == theirs.c.message_id)
        .where(theirs.c.subscriber_id == one, kept.c.subscriber_id == into)
        .where(MESSAGE.c.kind == MessageKind.DIGEST, kept.c.state.in_(WAITING))
    )
    for row in (await session.execute(both)).mappings().all():
        items = select(DIGEST_ITEM.c.release_id, DIGEST_ITEM.c.lang)
        told = dict((await session.execute(items.where(DIGEST_ITEM.c.delivery_id == row["id"]))).tuples().all())
        its_own = dict((await session.execute(items.where(DIGEST_ITEM.c.delivery_id == row["kept"]))).tuples().all())
        if row["state"] in WAITING:
            more = [
                {"delivery_id": row["kept"], "release_id": number, "lang": lang}
                for number, lang in told.items()
                if number not in its_own
            ]
            if more:
                await session.execute(insert(DIGEST_ITEM), more)
        elif row["state"] not in NEVER:
            again = (DIGEST_ITEM.c.delivery_id == row["kept"]) & DIGEST_ITEM.c.release_id.in_(list(told))
            await session.execute(delete(DIGEST_ITEM).where(again))
            if not set(its_own) - set(told):
                await session.execute(delete(DELIVERY).where(DELIVERY.c.id == row["kept"]))


async def _only_theirs(session: AsyncSession, one: int, into: int) -> dict[int, list[int]]:
    """By message, releases of digests that wait for the other, which who stays has had without those."""
    theirs, kept, told = DELIVERY.alias("theirs"), DELIVERY.alias("kept"), DIGEST_ITEM.alias("told")
    had = exists().where(told.c.delivery_id == kept.c.id, told.c.release_id == DIGEST_ITEM.c.release_id)
    query = (
        select(theirs.c.message_id, DIGEST_ITEM.c.release_id)
        .join_from(theirs, kept, kept.c.message_id == theirs.c.message_id)
        .join(DIGEST_ITEM, DIGEST_ITEM.c.delivery_id == theirs.c.id)
        .where(theirs.c.subscriber_id == one, theirs.c.state.in_(WAITING), ~had)
        .where(kept.c.subscriber_id == into, kept.c.state.not_in((*WAITING, *NEVER)))
    )
    found: dict[int, list[int]] = {}
    for message, release in await session.execute(query):
        found.setdefault(message, []).append(release)
    return found


async def _keep_the_best(session: AsyncSession, one: int, into: int) -> None:
    """Rule 5: rows of who stays that did less than the other's of the same message give way to those.

    A digest that waits does not: it tells of more than the other's.
    """
    theirs = DELIVERY.alias()
    better = exists().where(
        theirs.c.subscriber_id == one,
        theirs.c.message_id == DELIVERY.c.message_id,
        _done(theirs.c.state) > _done(DELIVERY.c.state),
    )
    digests = select(MESSAGE.c.id).where(MESSAGE.c.kind == MessageKind.DIGEST, MESSAGE.c.id == DELIVERY.c.message_id)
    waits = DELIVERY.c.state.in_(WAITING) & exists(digests)
    await session.execute(delete(DELIVERY).where(DELIVERY.c.subscriber_id == into, better, ~waits))


def _done(state: ColumnElement[str]) -> ColumnElement[int]:
    """How much a row in that state did: 2 went out or is on its way, 1 is still to go, 0 never went."""
    return case((state.in_(NEVER), 0), (state.in_(WAITING), 1), else_=2)


async def _keep_whose(session: AsyncSession, one: int, now: datetime) -> None:
    """Rows that went to the address which is handed over, or will go there; what went elsewhere is known as that."""
    their_own = (READDRESSED.c.subscriber_id == one) & READDRESSED.c.handed_at.is_(None)
    since = select(func.min(READDRESSED.c.done_at)).where(their_own, READDRESSED.c.done_at > last_theirs())
    gone_out = (DELIVERY.c.subscriber_id == one) & DELIVERY.c.state.not_in(WAITING)
    left = update(DELIVERY).where(gone_out, ~has_left()).values(left_at=since.scalar_subquery())
    await session.execute(left)
    theirs = update(DELIVERY).where(DELIVERY.c.subscriber_id == one, ~has_left())
    await session.execute(theirs.values(handed_at=now))


async def _hand_over(session: AsyncSession, old: int, new: int) -> None:
    """Subscriptions and deliveries go along, but for those that the other has: what was sent is followed, too."""
    held = SUBSCRIPTION.alias()
    has_it = exists().where(
        held.c.subscriber_id == new,
        held.c.filter_id == SUBSCRIPTION.c.filter_id,
        held.c.state != SubscriptionState.ENDED,
    )
    here = update(SUBSCRIPTION).where(SUBSCRIPTION.c.subscriber_id == old, LIVE)
    await session.execute(here.where(~has_it).values(subscriber_id=new))
    told = DELIVERY.alias()
    gets_it = exists().where(told.c.subscriber_id == new, told.c.message_id == DELIVERY.c.message_id)
    theirs = update(DELIVERY).where(DELIVERY.c.subscriber_id == old)
    await session.execute(theirs.where(~gets_it).values(subscriber_id=new))
