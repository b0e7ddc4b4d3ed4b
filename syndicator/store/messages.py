"""Messages: what is to be said, once each, and how far its recipients are written.

1. A message's key makes it unique; announcing again opens its fan-out again, which reaches only who lacked it.
2. A confirmation, a welcome, the question to a new address and the word to an old one are messages for one; the one
   delivery stands in a batch of its own, before all others.
3. The last two go to another address than their subscriber's; `readdressed` holds it, and the claim puts it in place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.jobs import fanout_job
from syndicator.domain.model import DeliveryState, MessageKind, Priority
from syndicator.store.batching import called
from syndicator.store.known import is_known
from syndicator.store.tables import BATCH, DELIVERY, DIGEST_ITEM, MESSAGE, READDRESSED, SUBSCRIBER, SUBSCRIPTION
from syndicator.store.upsert import insert_for
from syndicator.store.wanted import tell, want

__all__ = [
    "FORGOTTEN",
    "Message",
    "announce",
    "ask_address",
    "confirmation",
    "message_of",
    "open_messages",
    "overtaken",
    "tell_moved",
    "was_told",
    "welcome",
]

FORGOTTEN = "forgotten"  # in `matched`: its deliveries are kept no longer (`retention`)


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said. `fanned_out` is False while recipients are still being written."""

    id: int
    key: str
    kind: MessageKind
    release: int | None
    subscription: int | None
    major: int
    priority: Priority
    cursor: int
    fanned_out: bool
    again_at: datetime | None  # not before then: other languages may still come in
    created_at: datetime
    feed: str = ""  # the name of the feed that has changed
    langs: tuple[str, ...] = ()  # of what follows a release: the languages whose readers it concerns


async def announce(
    session: AsyncSession,
    release: int,
    *,
    kind: MessageKind,
    major: int,
    priority: Priority,
    now: datetime,
    langs: Collection[str] = (),
) -> Message:
    """The message of (release, kind, major), made if new; an existing one is opened for fan-out again.

    Its key is `{kind}:{release}:{major}`; an edit has the release's change number in place of a major revision. What
    follows a release names the languages whose readers it concerns.
    """
    key = f"{kind}:{release}:{major}"
    values: dict[str, Any] = {"key": key, "kind": kind, "release_id": release, "major": major, "priority": priority}
    if langs:
        values["matched"] = {"langs": sorted(langs)}
    insert_new = insert_for(session, MESSAGE).values(**values, cursor=0, created_at=now)
    query = insert_new.on_conflict_do_nothing(index_elements=["key"]).returning(*MESSAGE.c)
    made = (await session.execute(query)).mappings().one_or_none()
    if made is not None:
        want(session, fanout_job(made["id"], priority, now))
        return message_of(made)
    again = {"cursor": 0, "fanned_out_at": None, "again_at": None}
    reopen = update(MESSAGE).where(MESSAGE.c.key == key).values(again).returning(*MESSAGE.c)
    tell(session)  # a job for it may be waiting in the queue, and is the same one
    return message_of((await session.execute(reopen)).mappings().one())


async def confirmation(
    session: AsyncSession, subscription: int, subscriber: int, *, now: datetime, lang: str = ""
) -> Message:
    """A confirmation for a live subscription, each time it is asked for; in `lang`, or else as they read."""
    await session.execute(select(SUBSCRIPTION.c.id).where(SUBSCRIPTION.c.id == subscription).with_for_update())
    key = await _next_key(session, MessageKind.CONFIRMATION, subscription, MESSAGE.c.subscription_id == subscription)
    who = await _reader(session, subscriber)
    return await _to_one(session, MessageKind.CONFIRMATION, key, who, now, subscription=subscription, lang=lang)


async def welcome(session: AsyncSession, subscription: int, subscriber: int, *, now: datetime) -> Message:
    """The welcome of a subscription that was confirmed: one, however often it is asked for."""
    await session.execute(select(SUBSCRIPTION.c.id).where(SUBSCRIPTION.c.id == subscription).with_for_update())
    key = f"{MessageKind.WELCOME}:{subscription}"
    made = (await session.execute(select(MESSAGE).where(MESSAGE.c.key == key))).mappings().one_or_none()
    if made is not None:
        return message_of(made)
    who = await _reader(session, subscriber)
    return await _to_one(session, MessageKind.WELCOME, key, who, now, subscription=subscription)


async def ask_address(session: AsyncSession, subscriber: int, address: str, *, now: datetime) -> Message:
    """The question to the new address of somebody who asks to move there; what was asked before counts no more.

    The address is in its normal form.
    """
    return await _elsewhere(session, MessageKind.ADDRESS, subscriber, address, now)


async def tell_moved(session: AsyncSession, subscriber: int, old_address: str, *, now: datetime) -> Message:
    """A word to the old address of somebody who has moved, in case it was not they who did it."""
    return await _elsewhere(session, MessageKind.MOVED, subscriber, old_address, now)


async def overtaken(session: AsyncSession, questions: Collection[int]) -> Collection[int]:
    """Those of these address questions after which the same person asked for another address."""
    if not questions:
        return set()
    later, its = READDRESSED.alias(), MESSAGE.alias()
    newer = (
        exists()
        .where(later.c.subscriber_id == READDRESSED.c.subscriber_id, later.c.message_id > READDRESSED.c.message_id)
        .where(its.c.id == later.c.message_id, its.c.kind == MessageKind.ADDRESS)
    )
    query = select(READDRESSED.c.message_id).where(READDRESSED.c.message_id.in_(list(questions)), newer)
    return set(await session.scalars(query))


async def _elsewhere(session: AsyncSession, kind: MessageKind, subscriber: int, address: str, now: datetime) -> Message:
    """A message that goes to another address than its subscriber's own."""
    who = await _reader(session, subscriber, held=True)
    theirs = MESSAGE.c.id.in_(select(READDRESSED.c.message_id).where(READDRESSED.c.subscriber_id == subscriber))
    made = await _to_one(session, kind, await _next_key(session, kind, subscriber, theirs), who, now)
    values = {"message_id": made.id, "subscriber_id": subscriber, "address": address, "asked_at": now}
    await session.execute(insert(READDRESSED).values(values))
    return made


async def _reader(session: AsyncSession, subscriber: int, *, held: bool = False) -> RowMapping:
    query = select(SUBSCRIBER).where(SUBSCRIBER.c.id == subscriber)
    return (await session.execute(query.with_for_update() if held else query)).mappings().one()


async def _next_key(session: AsyncSession, kind: MessageKind, owner: int, among: ColumnElement[bool]) -> str:
    """`kind:owner:N`, N after the last one that is kept: older ones may have been deleted."""
    keys = await session.scalars(select(MESSAGE.c.key).where(among, MESSAGE.c.kind == kind))
    numbers = [int(number) for key in keys if (number := key.rpartition(":")[2]).isdigit()]
    return f"{kind}:{owner}:{max(numbers, default=0) + 1}"


async def _to_one(
    session: AsyncSession,
    kind: MessageKind,
    key: str,
    who: RowMapping,
    now: datetime,
    *,
    subscription: int | None = None,
    lang: str = "",
) -> Message:
    """A message for one, with its one delivery in a batch of its own, at top priority (rule 2)."""
    message = {
        "key": key,
        "kind": kind,
        "subscription_id": subscription,
        "major": 0,
        "priority": Priority.CONFIRMATION,
        "cursor": 0,
        "created_at": now,
        "fanned_out_at": now,
    }
    made = (await session.execute(insert(MESSAGE).values(message).returning(*MESSAGE.c))).mappings().one()
    values = {"channel": who["channel"], "priority": Priority.CONFIRMATION, "created_at": now}
    batch = (await session.execute(insert(BATCH).values(values).returning(BATCH.c.id))).scalar_one()
    called(session, [batch], who["channel"], Priority.CONFIRMATION, now)
    delivery: dict[str, Any] = {
        "message_id": made["id"],
        "subscriber_id": who["id"],
        "subscription_id": subscription,
        "batch_id": batch,
        "lang": lang or who["language"],
        "state": DeliveryState.DUE,
        "attempts": 0,
        "due_at": now,
        "reason": "",
        "answer": {},
    }
    await session.execute(insert(DELIVERY).values(delivery))
    return message_of(made)


async def was_told(session: AsyncSession, release: int) -> bool:
    """Whether anything was ever said of that release, by itself or in a digest."""
    announced = exists().where(MESSAGE.c.release_id == release)
    digested = exists().where(DIGEST_ITEM.c.release_id == release)
    return bool(await session.scalar(select(or_(announced, digested))))


async def open_messages(session: AsyncSession) -> Sequence[Message]:
    """Messages whose recipients are not all written yet, most important first."""
    query = select(MESSAGE).where(MESSAGE.c.fanned_out_at.is_(None), is_known())
    query = query.order_by(MESSAGE.c.priority, MESSAGE.c.id)
    return [message_of(row) for row in (await session.execute(query)).mappings()]


def message_of(row: Mapping[str, Any] | RowMapping) -> Message:
    """A message from its row."""
    return Message(
        id=row["id"],
        key=row["key"],
        kind=MessageKind(row["kind"]),
        release=row["release_id"],
        subscription=row["subscription_id"],
        major=row["major"],
        priority=Priority(row["priority"]),
        cursor=row["cursor"],
        fanned_out=row["fanned_out_at"] is not None,
        again_at=row["again_at"],
        created_at=row["created_at"],
        feed=row["feed"],
        langs=tuple((row["matched"] or {}).get("langs", ())),
    )
