"""What came back about subscribers' mailboxes, and what of the ledger it is about.

Rules, in order:

1. Nothing counts twice: `report` is unique (a digest of what it is about), so that a report taken in again, or one that
   says what the relay said already, finds its row and changes nothing.
2. A mail that came back has not arrived: its row, which said `sent`, says `failed` and why, and what it answered is
   gone; so nothing follows to somebody who never had the old text. Only `sent` and `unknown` rows are told otherwise:
   one that is still to go out has its own end.
3. A letter that went to another address than its subscriber's own (`readdressed`, or before they moved) says nothing of
   them: `is_theirs` is False. One that came to them by a merge went to the address where they were merged, or to one
   that was left before (`left_at`): moves of who was merged and of who they are now are not mistaken for each other.
4. Where only the reader is known, and they have moved lately, nobody can tell which of their addresses is meant: it
   says nothing of them. Who was merged away is who they became.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, case, cast, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Bounce, BounceKind
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind
from syndicator.store.known import is_known
from syndicator.store.moving import became, has_left, last_theirs
from syndicator.store.people import ERASED
from syndicator.store.tables import BOUNCE, DELIVERY, MESSAGE, READDRESSED, SUBSCRIBER
from syndicator.store.upsert import insert_for

__all__ = ["BOUNCED", "Concerned", "counts", "never_arrived", "of_delivery", "of_subscriber", "record", "soft_times"]

BOUNCED = "bounced"  # how the reason of a pause begins that a mailbox has brought
_ASKING = (MessageKind.CONFIRMATION, MessageKind.ADDRESS)
_ELSEWHERE = (MessageKind.ADDRESS, MessageKind.MOVED)
_MERGES = 20  # how often one may have been merged and merged again
_ARRIVED = (DeliveryState.SENT, DeliveryState.UNKNOWN)
_LOOKED_AT = 200  # of a reader's newest rows, for one with that Message-ID


@dataclass(frozen=True, slots=True)
class Concerned:
    """Whom something that came back is about. `delivery` is None where only the reader is known.

    `address` is where the letter went, "" if that cannot be told any more; `asks` says that it was a question which
    they had perhaps never asked for.
    """

    subscriber: int
    address: str
    delivery: int | None = None
    state: DeliveryState | None = None
    asks: bool = False
    is_theirs: bool = True


async def of_delivery(session: AsyncSession, delivery: int) -> Concerned | None:
    """Whom a delivery went to; their row is held until the transaction ends. None: nobody by mail, or erased."""
    whose = select(DELIVERY.c.subscriber_id).where(DELIVERY.c.id == delivery)
    owner = await _owner(session, await session.scalar(whose))
    if owner is None:
        return None
    query = (
        select(DELIVERY.c.state, last_theirs().label("since"), MESSAGE.c.kind)
        .add_columns(case((has_left(), DELIVERY.c.left_at)).label("left_at"))
        .add_columns(READDRESSED.c.address.label("instead"))
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .outerjoin(READDRESSED, READDRESSED.c.message_id == DELIVERY.c.message_id)
        .where(DELIVERY.c.id == delivery, is_known())
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    kind = MessageKind(row.kind)
    if kind in _ELSEWHERE:
        address = row.instead or ""
    else:
        left = await _left(session, owner.subscriber, row.since, row.left_at)
        address = owner.address if left is None else left
    return Concerned(
        owner.subscriber,
        address,
        delivery,
        DeliveryState(row.state),
        asks=kind in _ASKING,
        is_theirs=address == owner.address,
    )


async def of_subscriber(session: AsyncSession, subscriber: int, message_id: str = "") -> Concerned | None:
    """A reader, and which of the newest mails to them had that Message-ID (without brackets), if any (rule 4)."""
    owner = await _owner(session, subscriber)
    if owner is None:
        return None
    if message_id:
        newest = (
            select(DELIVERY.c.id, DELIVERY.c.answer)
            .where(DELIVERY.c.subscriber_id.in_({subscriber, owner.subscriber}))
            .where(cast(DELIVERY.c.answer, Text) != "{}")
            .order_by(DELIVERY.c.id.desc())
            .limit(_LOOKED_AT)
        )
        for number, answer in (await session.execute(newest)).all():
            if str((answer or {}).get("message_id", "")).strip("<>") == message_id:
                return await of_delivery(session, number)
    moved = exists().where(READDRESSED.c.subscriber_id == owner.subscriber, READDRESSED.c.done_at.is_not(None))
    if owner.since is None:
        moved = moved.where(READDRESSED.c.address != "")
    else:
        moved = moved.where(READDRESSED.c.done_at > owner.since)
    left = bool(await session.scalar(select(moved)))
    return Concerned(owner.subscriber, "" if left else owner.address, is_theirs=not left)


async def record(
    session: AsyncSession, who: Concerned, bounce: Bounce, *, source: str, report: str, now: datetime
) -> bool:
    """Keep what came back; False if that very report is known (rule 1). `source` is smtp, dsn, arf or odd."""
    values: dict[str, Any] = {
        "subscriber_id": who.subscriber,
        "delivery_id": who.delivery,
        "kind": bounce.kind.value,
        "status": bounce.status,
        "said": bounce.said,
        "source": source,
        "report": report,
        "at": now,
    }
    new = insert_for(session, BOUNCE).values(values).on_conflict_do_nothing(index_elements=["report"])
    return (await session.scalar(new.returning(BOUNCE.c.id))) is not None


async def never_arrived(session: AsyncSession, delivery: int, reason: str) -> bool:
    """Rule 2. Returns whether the row said otherwise; when it was sent stays as it is."""
    said = (DELIVERY.c.id == delivery) & DELIVERY.c.state.in_(_ARRIVED)
    values = {"state": DeliveryState.FAILED, "reason": reason, "answer": {}, "resent": False}
    changed = await session.execute(update(DELIVERY).where(said).values(values).returning(DELIVERY.c.id))
    return changed.first() is not None


async def soft_times(session: AsyncSession, subscriber: int, since: datetime) -> Sequence[datetime]:
    """When soft bounces of theirs were taken in since then, oldest first."""
    query = (
        select(BOUNCE.c.at)
        .where(BOUNCE.c.subscriber_id == subscriber, BOUNCE.c.at >= since, BOUNCE.c.kind == BounceKind.SOFT.value)
        .order_by(BOUNCE.c.at)
    )
    return list(await session.scalars(query))


async def counts(session: AsyncSession, since: datetime) -> Mapping[BounceKind, int]:
    """How much came back since then, by kind."""
    query = select(BOUNCE.c.kind, func.count()).where(BOUNCE.c.at >= since).group_by(BOUNCE.c.kind)
    return {BounceKind(kind): number for kind, number in await session.execute(query)}


@dataclass(frozen=True, slots=True)
class _Owner:
    """Who a subscriber is now; `since`: when they were merged into that one, None where they are themselves."""

    subscriber: int
    address: str
    since: datetime | None


async def _owner(session: AsyncSession, subscriber: int | None) -> _Owner | None:
    """By mail and not erased; the row is held. A merge is waited for, and then followed."""
    since = None
    for _ in range(_MERGES):
        held = select(SUBSCRIBER.c.channel, SUBSCRIBER.c.address, SUBSCRIBER.c.state_reason)
        row = (await session.execute(held.where(SUBSCRIBER.c.id == subscriber).with_for_update())).one_or_none()
        if row is None or subscriber is None or row.channel != ChannelKind.EMAIL or row.state_reason == ERASED:
            return None
        now = became(row.state_reason)
        if now is None:
            return _Owner(subscriber, row.address, since)
        subscriber, since = now.subscriber, now.since
    return None


async def _left(session: AsyncSession, subscriber: int, since: datetime, left_at: datetime | None) -> str | None:
    """The address that they had then, if they have moved since: "" where it is kept no longer. None: they have not.

    `left_at`: it had been left before a merge made the mail theirs.
    """
    theirs = READDRESSED.c.subscriber_id == subscriber
    own = theirs & READDRESSED.c.handed_at.is_(None)
    first = select(func.min(READDRESSED.c.done_at)).where(own, READDRESSED.c.done_at > since)
    moved_at = left_at or await session.scalar(first)
    if moved_at is None:
        return None
    told = select(READDRESSED.c.address).join(MESSAGE, MESSAGE.c.id == READDRESSED.c.message_id)
    told = told.where(theirs if left_at else own, MESSAGE.c.kind == MessageKind.MOVED)
    told = told.where(READDRESSED.c.asked_at == moved_at)
    return await session.scalar(told.limit(1)) or ""
