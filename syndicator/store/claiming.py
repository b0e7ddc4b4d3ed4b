"""Claiming: which rows are ours to send now.

Rules, in order:

1. A claim is committed before the network is touched. Two workers never claim the same row: SQLite has one writer,
   PostgreSQL skips rows that another one holds.
2. What may not be sent any more is suppressed by the claim itself, and what must wait is deferred (`holding`): an
   unsubscribing counts from its commit on. What another subscription of the same person still wants goes out by that
   one (`heirs`).
3. What follows a release is claimed knowing all that the ledger has about it and this reader (`told`).
4. A claim says at which change its release stands, and whether nobody can have changed it before the claim is
   committed: with SQLite's one writer. What is changed after that finds the row `sending`, and follows it
   (`following`). With several writers whoever sends looks again once it is committed (`pipeline.delivery`).
5. A row says by which process it was claimed, where there are several: what a dead one held is found by that. Who was
   struck off claims nothing (`registered`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, TextClause, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Cadence, ChannelKind, DeliveryState, MessageKind, SubscriptionState
from syndicator.store import digests, registered
from syndicator.store.batching import close_idle
from syndicator.store.heirs import inherit
from syndicator.store.holding import held_back, is_hushed, nothing_left
from syndicator.store.known import CLAIMABLE
from syndicator.store.messages import Message, message_of, overtaken
from syndicator.store.sending import Settlement, settle
from syndicator.store.tables import (
    DELIVERY,
    FILTER,
    HUB_LEASE,
    HUB_TOPIC,
    MESSAGE,
    READDRESSED,
    RELEASE,
    SUBSCRIBER,
    SUBSCRIPTION,
    UtcTime,
)
from syndicator.store.told import Told, look

__all__ = ["Claimed", "Wish", "claim", "claim_each"]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours to send now, with its subscriber's facts."""

    id: int
    message: Message
    subscriber: int
    subscription: int | None
    channel: ChannelKind
    address: str
    resolved: str
    role: str
    language: str
    timezone: str
    lang: str  # the language version chosen at fan-out
    filter: str  # canonical text of the subscription's filter
    cadence: Cadence  # the subscription's; at once where there is none
    attempts: int  # this one counted
    resent: bool  # an earlier attempt may have arrived
    answer: Mapping[str, Any]
    text_only: bool = False
    hushed: bool = False  # they have left, or asked for a pause: their copies follow without a word
    told: Sequence[Told] = ()  # what they have of the release, of what follows one; oldest first
    change: int | None = None  # of its release when it was claimed (rule 4); None: no release
    certain: bool = False  # whether it still was so when the claim was committed
    slowed: int = 0  # attempts that ended with a wish to slow down
    tried_at: datetime | None = None  # when it was put off first
    claimed_by: int | None = None  # rule 5

    def settled(self, state: DeliveryState, **values: Any) -> Settlement:
        """What became of it, as whoever made this claim says."""
        return Settlement(self.id, state, attempts=self.attempts, claimed_by=self.claimed_by, **values)


UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Wish:
    """Up to `limit` rows of a batch. `edits` says that its channel can change what it sent; `zone` is the office's."""

    batch: int
    limit: int
    edits: bool = False
    zone: ZoneInfo = UTC


# One part for each batch, so that several are claimed at once and each as far as it is wanted.
_PICKED = f"""SELECT id FROM (
    SELECT id FROM delivery WHERE batch_id = :batch{{n}} AND state = 'due' AND {CLAIMABLE}
    ORDER BY id LIMIT :limit{{n}}{{lock}}
) AS picked{{n}}"""  # noqa: S608  # a constant
_CLAIM = """
WITH picked (chosen) AS MATERIALIZED ({parts})
UPDATE delivery SET state = 'sending', attempts = attempts + 1, claimed_at = :now, claimed_by = :by
FROM picked WHERE delivery.id = picked.chosen{alive} RETURNING delivery.id, delivery.batch_id
"""
_ALIVE = " AND EXISTS (SELECT FROM procrastinate_workers WHERE id = :by)"
LOCKS = {"sqlite": "", "postgresql": " FOR UPDATE SKIP LOCKED"}

# What a row says of its reader, and what all rows of a message have in common.
_READERS = (
    select(
        DELIVERY.c.id.label("delivery"),
        *(DELIVERY.c[name] for name in ("message_id", "subscriber_id", "lang", "attempts", "slowed", "tried_at")),
        DELIVERY.c.claimed_by,
        *(DELIVERY.c[name] for name in ("resent", "answer")),
        DELIVERY.c.subscription_id.label("delivery_subscription"),
        *(SUBSCRIBER.c[name] for name in ("channel", "resolved", "role", "language", "timezone", "text_only")),
        *(SUBSCRIBER.c[name] for name in ("address", "other_language", "state_reason", "quiet")),
        SUBSCRIBER.c.state.label("subscriber_state"),
        SUBSCRIPTION.c.state.label("subscription_state"),
        SUBSCRIPTION.c.confirmed_at,
        SUBSCRIPTION.c.cadence,
        FILTER.c.canonical,
        HUB_LEASE.c.until.label("lease_until"),
        HUB_LEASE.c.ended_at.label("lease_ended"),
    )
    .select_from(DELIVERY)
    .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
    .outerjoin(SUBSCRIPTION, SUBSCRIPTION.c.id == DELIVERY.c.subscription_id)
    .outerjoin(FILTER, FILTER.c.id == SUBSCRIPTION.c.filter_id)
    .outerjoin(HUB_LEASE, HUB_LEASE.c.subscriber_id == DELIVERY.c.subscriber_id)
    .where(DELIVERY.c.id.in_(bindparam("numbers", expanding=True)))
    .order_by(DELIVERY.c.id)
)
_MESSAGES = (
    select(
        READDRESSED.c.address.label("instead"),
        READDRESSED.c.done_at.label("moved_at"),
        RELEASE.c.state.label("release_state"),
        RELEASE.c.public_at,
        RELEASE.c.opened_at,
        RELEASE.c.change,
        HUB_TOPIC.c.number.label("newest"),
        *MESSAGE.c,
    )
    .select_from(MESSAGE)
    .outerjoin(READDRESSED, READDRESSED.c.message_id == MESSAGE.c.id)
    .outerjoin(RELEASE, RELEASE.c.id == MESSAGE.c.release_id)
    .outerjoin(HUB_TOPIC, HUB_TOPIC.c.name == MESSAGE.c.feed)
    .where(MESSAGE.c.id.in_(bindparam("numbers", expanding=True)))
)

Facts = dict[str, Any]


async def claim(
    session: AsyncSession,
    batch: int,
    now: datetime,
    limit: int,
    *,
    edits: bool = False,
    zone: ZoneInfo = UTC,
    by: int | None = None,
) -> Sequence[Claimed]:
    """As `claim_each`, of one batch."""
    [found] = await claim_each(session, [Wish(batch, limit, edits, zone)], now, by=by)
    return found


async def claim_each(
    session: AsyncSession, wishes: Sequence[Wish], now: datetime, *, by: int | None = None
) -> Sequence[Sequence[Claimed]]:
    """For each wish, move rows of its batch from due to sending, oldest first, attempts + 1; `by` whom: rule 5.

    Rows that may not be sent any more become `suppressed`, those that must wait `deferred`, and others take their
    places. Empty: nothing was due; the batch is closed then, unless rows of it are still being sent.

    Raises:
        StruckOff: whoever claims is registered no more.
    """
    found: list[list[Claimed]] = [[] for _ in wishes]
    open_ = dict(enumerate(wishes))
    while open_:
        asked = {wish.batch: place for place, wish in reversed(open_.items())}  # a batch once: whoever asked first
        picked = await _pick(session, [wishes[place] for place in asked.values()], now, by)
        for batch in sorted(asked.keys() - set(picked.values())):  # as all do, or two would wait for each other
            await close_idle(session, now, batch)
            del open_[asked[batch]]
        for one, batch in await _sendable(session, picked, {b: wishes[place] for b, place in asked.items()}, now):
            place = asked[batch]
            open_.pop(place, None)
            found[place].append(one)
    return found


async def _pick(session: AsyncSession, wishes: Sequence[Wish], now: datetime, by: int | None) -> Mapping[int, int]:
    """The rows that are `sending` now, by id, each with its batch."""
    values: Facts = {"now": now, "by": by}
    for n, wish in enumerate(wishes):
        values |= {f"batch{n}": wish.batch, f"limit{n}": wish.limit}
    connection = await session.connection()
    asked = registered.is_asked(session, by)
    rows = await connection.execute(_claim(len(wishes), session.get_bind().dialect.name, asked=asked), values)
    found: Mapping[int, int] = dict(tuple(row) for row in rows)
    if not found:
        await registered.check(session, by)
    return found


@cache
def _claim(parts: int, dialect: str, *, asked: bool) -> TextClause:
    picked = " UNION ALL ".join(_PICKED.format(n=n, lock=LOCKS[dialect]) for n in range(parts))
    return text(_CLAIM.format(parts=picked, alive=_ALIVE if asked else "")).bindparams(
        bindparam("now", type_=UtcTime), bindparam("by", type_=BigInteger)
    )


async def _sendable(
    session: AsyncSession, picked: Mapping[int, int], wishes: Mapping[int, Wish], now: datetime
) -> Sequence[tuple[Claimed, int]]:
    """Of the rows that were picked, those that may go, each with its batch; the others are settled."""
    if not picked:
        return []
    rows = await _inherited(session, await _facts(session, picked))
    told = await look(session, rows, now)
    bare = await digests.bare(session, [row["delivery"] for row in rows if row["kind"] == MessageKind.DIGEST], now)
    late = await overtaken(session, [row["id"] for row in rows if row["kind"] == MessageKind.ADDRESS])
    going, held = [], []
    for row in rows:
        number = row["delivery"]
        wish, passed = wishes[picked[number]], row["id"] in late
        kept = nothing_left(row, bare) or held_back(
            row, now, told.get(number, ()), edits=wish.edits, zone=wish.zone, overtaken=passed
        )
        if kept is None:
            going.append(row)
        else:
            held.append(kept)
    await settle(session, held, now)
    certain = session.get_bind().dialect.name == "sqlite"
    messages = {row["id"]: row for row in going}
    said = {number: message_of(row) for number, row in messages.items()}
    return [
        (_claimed(row, said[row["id"]], told.get(row["delivery"], ()), certain=certain), picked[row["delivery"]])
        for row in going
    ]


async def _facts(session: AsyncSession, numbers: Iterable[int]) -> Sequence[Facts]:
    """What the rules look at, by delivery; a message is read once, however many rows it has."""
    connection = await session.connection()
    found = await connection.execute(_READERS, {"numbers": list(numbers)})
    names = tuple(found.keys())
    readers = [dict(zip(names, row, strict=True)) for row in found.all()]
    wanted = sorted({row["message_id"] for row in readers})
    messages = {row["id"]: dict(row) for row in (await connection.execute(_MESSAGES, {"numbers": wanted})).mappings()}
    for row in readers:
        row.update(messages[row["message_id"]])
        if row["instead"] is not None:
            row["address"] = row["instead"]
    return readers


async def _inherited(session: AsyncSession, rows: Sequence[Facts]) -> Sequence[Facts]:
    """The rows, those whose subscription has ended by the one that they are still wanted by, if any."""
    heirs = await inherit(session, [row for row in rows if _has_ended(row)])
    for row in rows:
        if (heir := heirs.get(row["delivery"])) is not None:
            row.update(subscription_state=SubscriptionState.ACTIVE, delivery_subscription=heir.subscription)
            row.update(canonical=heir.filter, lang=heir.lang)
    return rows


def _has_ended(row: Facts) -> bool:
    kind = MessageKind(row["kind"])
    inherited = kind is MessageKind.DIGEST or (kind is not MessageKind.CONFIRMATION and row["release_id"] is not None)
    return inherited and row["subscription_state"] != SubscriptionState.ACTIVE


def _claimed(row: Facts, message: Message, told: Sequence[Told], *, certain: bool) -> Claimed:
    return Claimed(
        id=row["delivery"],
        message=message,
        subscriber=row["subscriber_id"],
        subscription=row["delivery_subscription"],
        channel=ChannelKind(row["channel"]),
        address=row["address"],
        resolved=row["resolved"],
        role=row["role"],
        language=row["language"],
        timezone=row["timezone"],
        lang=row["lang"],
        filter=row["canonical"] or "",
        cadence=Cadence(row["cadence"] or Cadence.IMMEDIATE),
        attempts=row["attempts"],
        resent=row["resent"],
        answer=row["answer"],
        text_only=row["text_only"],
        hushed=is_hushed(row),
        told=[one for one in told if one.is_answered],
        change=row["change"],
        certain=certain,
        slowed=row["slowed"],
        tried_at=row["tried_at"],
        claimed_by=row["claimed_by"],
    )
