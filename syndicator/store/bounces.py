"""What came back about subscribers' mailboxes, and what of the ledger it is about.

Rules, in order:

1. Nothing counts twice: `report` is unique (a digest of what it is about), so that a report taken in again, or one that
   says what the relay said already, finds its row and changes nothing.
2. A mail that came back has not arrived: its row, which said `sent`, says `failed` and why, and what it answered is
   gone; so nothing follows to somebody who never had the old text. Only `sent` and `unknown` rows are told otherwise:
   one that is still to go out has its own end.
3. A letter that went to another address than its subscriber's own (`readdressed`, or before they moved) says nothing of
   them: `is_theirs` is False.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Text, cast, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Bounce, BounceKind
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind
from syndicator.store.people import ERASED
from syndicator.store.tables import BOUNCE, DELIVERY, MESSAGE, READDRESSED, SUBSCRIBER
from syndicator.store.upsert import insert_for

__all__ = ["BOUNCED", "Concerned", "counts", "never_arrived", "of_delivery", "of_subscriber", "record", "soft_times"]

BOUNCED = "bounced"  # how the reason of a pause begins that a mailbox has brought
_ASKING = (MessageKind.CONFIRMATION, MessageKind.ADDRESS)
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
    later = READDRESSED.alias()
    sent_at = func.coalesce(DELIVERY.c.settled_at, DELIVERY.c.claimed_at, DELIVERY.c.due_at)
    moved = exists().where(later.c.subscriber_id == SUBSCRIBER.c.id, later.c.done_at > sent_at)
    query = (
        select(DELIVERY.c.id, DELIVERY.c.state, SUBSCRIBER.c.id.label("who"), SUBSCRIBER.c.address, MESSAGE.c.kind)
        .add_columns(READDRESSED.c.address.label("instead"), moved.label("moved"))
        .join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .outerjoin(READDRESSED, READDRESSED.c.message_id == DELIVERY.c.message_id)
        .where(DELIVERY.c.id == delivery, *_somebody())
        .with_for_update(of=SUBSCRIBER)
    )
    row = (await session.execute(query)).mappings().one_or_none()
    return None if row is None else _concerned(row)


async def of_subscriber(session: AsyncSession, subscriber: int, message_id: str = "") -> Concerned | None:
    """A reader, and which of the newest mails to them had that Message-ID (without brackets), if any."""
    query = select(SUBSCRIBER.c.address).where(SUBSCRIBER.c.id == subscriber, *_somebody())
    address = await session.scalar(query.with_for_update())
    if address is None:
        return None
    if message_id:
        newest = (
            select(DELIVERY.c.id, DELIVERY.c.answer)
            .where(DELIVERY.c.subscriber_id == subscriber, cast(DELIVERY.c.answer, Text) != "{}")
            .order_by(DELIVERY.c.id.desc())
            .limit(_LOOKED_AT)
        )
        for number, answer in await session.execute(newest):
            if str((answer or {}).get("message_id", "")).strip("<>") == message_id:
                return await of_delivery(session, number)
    return Concerned(subscriber, address)


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


def _somebody() -> tuple[Any, Any]:
    return SUBSCRIBER.c.channel == ChannelKind.EMAIL, SUBSCRIBER.c.state_reason != ERASED


def _concerned(row: RowMapping) -> Concerned:
    moved = bool(row["moved"]) and row["instead"] is None
    return Concerned(
        subscriber=row["who"],
        address="" if moved else row["instead"] or row["address"],
        delivery=row["id"],
        state=DeliveryState(row["state"]),
        asks=MessageKind(row["kind"]) in _ASKING,
        is_theirs=row["instead"] in (None, row["address"]) and not moved,
    )
