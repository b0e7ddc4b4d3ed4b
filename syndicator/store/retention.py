"""What is no longer kept: people who have left, what was sent long ago, what came back long ago. In small steps.

Rules, in order:

1. Who has left is a person without any live subscription whose last one ended before a given time (or who never had
   one, and came before it), with nothing still to go out. They are looked for in pages, by reading; each is asked
   about again in the transaction that erases them (`erasing`): they may have come back.
2. A mailbox that came back for as long as that is one that nobody reads: its subscriptions end, and its owner has left.
3. A row that was merged into another (`moving`) holds nothing of anybody, and leads links in old mails to its owner. It
   goes when they have gone.
4. Of a message that is as old as the ledger is kept, its settled deliveries go, with what its digests told; then the
   message. One about a release stays, marked: it is never fanned out again (`forgotten`, asked by `fanout`), or it
   would go to everybody once more. What has not settled stays, and its message with it.
5. The newest delivery and message always stay, or their numbers would be given again, and links and return addresses
   with them.
6. No step changes more than some thousand rows: on SQLite nobody else writes meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, SubscriberRole, SubscriptionState
from syndicator.store.bounces import BOUNCED
from syndicator.store.erasing import erase
from syndicator.store.known import is_known
from syndicator.store.messages import FORGOTTEN
from syndicator.store.moving import became, is_shell
from syndicator.store.people import ERASED, LIVE, PAUSED
from syndicator.store.stepping import next_high
from syndicator.store.tables import (
    BOUNCE,
    DELIVERY,
    DIGEST_ITEM,
    MATCH,
    MESSAGE,
    READDRESSED,
    SUBSCRIBER,
    SUBSCRIPTION,
)

__all__ = [
    "Gone",
    "Old",
    "bounced",
    "end_bounced",
    "erase_left",
    "forget_addresses",
    "forget_bounces",
    "forget_deliveries",
    "forget_matches",
    "forget_message",
    "left",
    "old_messages",
    "was_forgotten",
]

STEP = 2_000  # rows that one transaction deletes
ITEMS = 500  # digests; each tells of several releases
_OPEN = (DeliveryState.DUE, DeliveryState.SENDING, DeliveryState.DEFERRED)


@dataclass(frozen=True, slots=True)
class Gone:
    """Somebody who has left. `address` is theirs while they are not erased; `agreed`: they had once said yes."""

    subscriber: int
    channel: ChannelKind
    address: str
    agreed: bool


@dataclass(frozen=True, slots=True)
class Old:
    """A message that is older than the ledger is kept."""

    id: int
    kind: MessageKind
    release: int | None


def _has_left(before: datetime) -> ColumnElement[bool]:
    """Rule 1, but for what is still to go out."""
    live = exists().where(SUBSCRIPTION.c.subscriber_id == SUBSCRIBER.c.id, LIVE)
    last = select(func.max(SUBSCRIPTION.c.ended_at)).where(SUBSCRIPTION.c.subscriber_id == SUBSCRIBER.c.id)
    since = func.coalesce(last.correlate(SUBSCRIBER).scalar_subquery(), SUBSCRIBER.c.created_at)
    return and_(
        SUBSCRIBER.c.role == SubscriberRole.PERSON,
        SUBSCRIBER.c.channel != ChannelKind.WEBSUB,  # not IN: SQLite would look at everybody of a channel for a page
        SUBSCRIBER.c.state_reason != ERASED,
        ~is_shell(),
        ~live,
        since < before,
        ~_is_owed(),
    )


def _is_owed() -> ColumnElement[bool]:
    return exists().where(DELIVERY.c.subscriber_id == SUBSCRIBER.c.id, DELIVERY.c.state.in_(_OPEN))


async def left(session: AsyncSession, before: datetime, low: int, page: int) -> tuple[Sequence[int], int | None]:
    """Who of the next `page` people after `low` is to be erased (rules 1 and 3), and the last looked at.

    None: nobody follows.
    """
    high = await next_high(session, low, page)
    if high is None:
        return (), None
    here = and_(SUBSCRIBER.c.id > low, SUBSCRIBER.c.id <= high)
    found = list(await session.scalars(select(SUBSCRIBER.c.id).where(here, _has_left(before))))
    merged = select(SUBSCRIBER.c.id, SUBSCRIBER.c.state_reason).where(here, SUBSCRIBER.c.state == PAUSED, is_shell())
    said = {row.id: became(row.state_reason) for row in await session.execute(merged)}
    owners = {shell: now.subscriber for shell, now in said.items() if now is not None}
    if owners:
        erased = SUBSCRIBER.c.id.in_(set(owners.values())) & (SUBSCRIBER.c.state_reason == ERASED)
        nobody = set(await session.scalars(select(SUBSCRIBER.c.id).where(erased)))
        found += [shell for shell, owner in owners.items() if owner in nobody]
    return sorted(found), high


async def erase_left(
    session: AsyncSession, subscriber: int, before: datetime, now: datetime, *, language: str, timezone: str
) -> Gone | None:
    """Erase them if they still have left; who they were, for what is to be remembered of their address.

    `language` and `timezone` are the office's own.
    """
    await session.execute(select(SUBSCRIBER.c.id).where(SUBSCRIBER.c.id == subscriber).with_for_update())
    agreed = exists().where(SUBSCRIPTION.c.subscriber_id == SUBSCRIBER.c.id, SUBSCRIPTION.c.confirmed_at.is_not(None))
    query = select(SUBSCRIBER.c.channel, SUBSCRIBER.c.address, and_(agreed, ~is_shell()).label("agreed"))
    to_go = or_(_has_left(before), is_shell())
    row = (await session.execute(query.where(SUBSCRIBER.c.id == subscriber, to_go))).one_or_none()
    if row is None:
        return None
    await erase(session, subscriber, now, language=language, timezone=timezone)
    return Gone(subscriber, ChannelKind(row.channel), row.address, agreed=bool(row.agreed))


async def bounced(session: AsyncSession, before: datetime, low: int, high: int) -> Sequence[int]:
    """Live subscriptions of people up to `high` whose mailbox has come back, and was not heard of since (rule 2)."""
    lately = exists().where(BOUNCE.c.subscriber_id == SUBSCRIBER.c.id, BOUNCE.c.at >= before)
    query = (
        select(SUBSCRIPTION.c.id)
        .join_from(SUBSCRIBER, SUBSCRIPTION, SUBSCRIPTION.c.subscriber_id == SUBSCRIBER.c.id)
        .where(SUBSCRIBER.c.id > low, SUBSCRIBER.c.id <= high, SUBSCRIBER.c.state == PAUSED)
        .where(SUBSCRIBER.c.state_reason.startswith(f"{BOUNCED}:"), SUBSCRIBER.c.created_at < before, ~lately, LIVE)
    )
    return list(await session.scalars(query))


async def end_bounced(session: AsyncSession, numbers: Sequence[int], before: datetime, now: datetime) -> int:
    """End these, unless their readers have come back meanwhile; how many."""
    silent = (
        select(SUBSCRIBER.c.id)
        .where(SUBSCRIBER.c.id == SUBSCRIPTION.c.subscriber_id, SUBSCRIBER.c.state == PAUSED)
        .where(SUBSCRIBER.c.state_reason.startswith(f"{BOUNCED}:"), SUBSCRIBER.c.created_at < before)
    )
    values = {"state": SubscriptionState.ENDED, "ended_at": now, "ended_reason": BOUNCED}
    ending = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id.in_(list(numbers)), LIVE, exists(silent)).values(values)
    return len((await session.execute(ending.returning(SUBSCRIPTION.c.id))).all())


async def old_messages(
    session: AsyncSession, before: datetime, after: int, page: int
) -> tuple[Sequence[Old], int | None]:
    """Of the next `page` messages after that one those of which something is to go (rule 4), and the last looked at.

    None: no older ones follow. Messages are numbered as time goes, so that only the beginning is looked at.
    """
    rows = (
        await session.execute(
            select(MESSAGE.c.id, MESSAGE.c.created_at).where(MESSAGE.c.id > after).order_by(MESSAGE.c.id).limit(page)
        )
    ).all()
    if not rows or all(row.created_at >= before for row in rows):
        return (), None
    settled = exists().where(DELIVERY.c.message_id == MESSAGE.c.id, DELIVERY.c.state.not_in(_OPEN))
    matched = exists().where(MATCH.c.release_id == MESSAGE.c.release_id)
    query = (
        select(MESSAGE.c.id, MESSAGE.c.kind, MESSAGE.c.release_id)
        .where(
            MESSAGE.c.id > after,
            MESSAGE.c.id <= rows[-1].id,
            MESSAGE.c.created_at < before,
            MESSAGE.c.fanned_out_at.is_not(None),
            is_known(),
            MESSAGE.c.kind != MessageKind.FEED,  # the hub's own, which it forgets itself
            or_(MESSAGE.c.release_id.is_(None), settled, and_(MESSAGE.c.kind == MessageKind.RELEASE, matched)),
        )
        .order_by(MESSAGE.c.id)
    )
    found = [Old(row.id, MessageKind(row.kind), row.release_id) for row in await session.execute(query)]
    return found, rows[-1].id


async def forget_message(session: AsyncSession, old: Old) -> bool:
    """One about a release is marked, and stays; another goes, if no delivery of it is left. Whether it went.

    To be called before the deliveries of a message go, and after.
    """
    if old.release is not None:
        row = (await session.execute(select(MESSAGE.c.matched).where(MESSAGE.c.id == old.id).with_for_update())).one()
        marked: Mapping[str, Any] = {**(row.matched or {}), FORGOTTEN: True}
        await session.execute(update(MESSAGE).where(MESSAGE.c.id == old.id).values(matched=marked))
        return False
    told = exists().where(DELIVERY.c.message_id == MESSAGE.c.id)
    newest = select(func.max(MESSAGE.alias().c.id)).scalar_subquery()
    query = delete(MESSAGE).where(MESSAGE.c.id == old.id, ~told, MESSAGE.c.id < newest)
    return bool((await session.execute(query.returning(MESSAGE.c.id))).all())


async def forget_deliveries(session: AsyncSession, old: Old) -> int:
    """Delete a step of its settled deliveries, and what they told; returns how many, 0 at the end."""
    newest = select(func.max(DELIVERY.alias().c.id)).scalar_subquery()
    some = (
        select(DELIVERY.c.id)
        .where(DELIVERY.c.message_id == old.id, DELIVERY.c.state.not_in(_OPEN), DELIVERY.c.id < newest)
        .limit(ITEMS if old.kind is MessageKind.DIGEST else STEP)
    )
    numbers = list(await session.scalars(some))
    if not numbers:
        return 0
    low, high = min(numbers), max(numbers)
    its_own = and_(DELIVERY.c.message_id == old.id, DELIVERY.c.id >= low, DELIVERY.c.id <= high)
    settled = and_(its_own, DELIVERY.c.state.not_in(_OPEN), DELIVERY.c.id < newest)
    if old.kind is MessageKind.DIGEST:
        await session.execute(
            delete(DIGEST_ITEM).where(DIGEST_ITEM.c.delivery_id.in_(select(DELIVERY.c.id).where(settled)))
        )
    return int((await session.execute(delete(DELIVERY).where(settled))).rowcount)  # type: ignore[attr-defined]


async def forget_matches(session: AsyncSession, release: int) -> int:
    """Delete a step of what filters took that release; returns how many, 0 at the end."""
    key = tuple_(MATCH.c.release_id, MATCH.c.filter_id, MATCH.c.lang)
    some = select(MATCH.c.release_id, MATCH.c.filter_id, MATCH.c.lang).where(MATCH.c.release_id == release).limit(STEP)
    return int((await session.execute(delete(MATCH).where(key.in_(some)))).rowcount)  # type: ignore[attr-defined]


async def forget_bounces(session: AsyncSession, before: datetime) -> int:
    """Delete a step of what came back before that time; returns how many."""
    some = select(BOUNCE.c.id).where(BOUNCE.c.at < before).limit(STEP)
    return int((await session.execute(delete(BOUNCE).where(BOUNCE.c.id.in_(some)))).rowcount)  # type: ignore[attr-defined]


async def forget_addresses(session: AsyncSession, before: datetime) -> int:
    """Forget a step of the addresses that letters were sent to instead of their subscribers'; returns how many.

    A letter that has not gone out keeps its address. That there was one, and when somebody moved, stays as long as the
    message: what came back late is judged by it (`bounces`).
    """
    owed = exists().where(DELIVERY.c.message_id == READDRESSED.c.message_id, DELIVERY.c.state.in_(_OPEN))
    old = and_(READDRESSED.c.address > "", READDRESSED.c.asked_at < before)
    some = select(READDRESSED.c.message_id).where(old, ~owed).limit(STEP)
    gone = await session.execute(update(READDRESSED).where(READDRESSED.c.message_id.in_(some)).values(address=""))
    return int(gone.rowcount)  # type: ignore[attr-defined]  # an UPDATE has one


async def was_forgotten(session: AsyncSession, release: int) -> bool:
    """Whether something that was said of that release is kept no longer."""
    query = select(MESSAGE.c.matched).where(MESSAGE.c.release_id == release)
    return any((said or {}).get(FORGOTTEN) for said in await session.scalars(query))
