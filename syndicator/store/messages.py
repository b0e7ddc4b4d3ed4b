"""Messages: what is to be said, once each, and how far its recipients are written.

1. A message's key makes it unique; announcing again opens its fan-out again, which reaches only who lacked it.
2. A confirmation is a message for one; its delivery stands in a batch of its own, before all others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, exists, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState, MessageKind, Priority
from syndicator.store.tables import BATCH, DELIVERY, DIGEST_ITEM, MESSAGE, SUBSCRIBER, SUBSCRIPTION
from syndicator.store.upsert import insert_for

__all__ = ["Message", "announce", "confirmation", "message_of", "open_messages", "was_told"]


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
    again = {"cursor": 0, "fanned_out_at": None, "again_at": None}
    query = insert_new.on_conflict_do_update(index_elements=["key"], set_=again).returning(*MESSAGE.c)
    return message_of((await session.execute(query)).mappings().one())


async def confirmation(session: AsyncSession, subscription: int, subscriber: int, *, now: datetime) -> Message:
    """A confirmation for a live subscription, with its one delivery in a batch of its own, at top priority."""
    await session.execute(select(SUBSCRIPTION.c.id).where(SUBSCRIPTION.c.id == subscription).with_for_update())
    who = (await session.execute(select(SUBSCRIBER).where(SUBSCRIBER.c.id == subscriber))).mappings().one()
    earlier = select(func.count()).select_from(MESSAGE).where(MESSAGE.c.subscription_id == subscription)
    number = int(await session.scalar(earlier) or 0) + 1
    message = {
        "key": f"{MessageKind.CONFIRMATION}:{subscription}:{number}",
        "kind": MessageKind.CONFIRMATION,
        "subscription_id": subscription,
        "major": 0,
        "priority": Priority.CONFIRMATION,
        "cursor": 0,
        "created_at": now,
        "fanned_out_at": now,
    }
    made = (await session.execute(insert(MESSAGE).values(message).returning(*MESSAGE.c))).mappings().one()
    batch = {"channel": who["channel"], "priority": Priority.CONFIRMATION, "created_at": now}
    delivery: dict[str, Any] = {
        "message_id": made["id"],
        "subscriber_id": subscriber,
        "subscription_id": subscription,
        "batch_id": (await session.execute(insert(BATCH).values(batch).returning(BATCH.c.id))).scalar_one(),
        "lang": who["language"],
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
    query = select(MESSAGE).where(MESSAGE.c.fanned_out_at.is_(None)).order_by(MESSAGE.c.priority, MESSAGE.c.id)
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
