"""Digest runs: which windows were told, of which releases, and what stands in a person's digest.

Rules, in order:

1. A run is a window of one cadence and zone, its message, and the public releases of which a version came out within
   it. It is unique on (cadence, zone, end): two processes that close the same window make one. Without releases there
   is none.
2. A run whose end lies ahead was made while the clock stood wrong. It is struck: it counts as a window no more, and
   what it told stays told, so that nothing is lost and nothing comes twice.
3. Who leaves a digest's pace or zone is not left between two windows: what is outstanding for them is told by a run of
   their own, at once. Its zone has the number of the subscription that it is made for behind it.
4. To whom a run goes is written by `digesting`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import String, and_, case, cast, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Cadence, MessageKind, Priority, State, SubscriberRole, SubscriptionState
from syndicator.domain.windows import Window
from syndicator.store.catalogue import shown
from syndicator.store.tables import DIGEST_ITEM, DIGEST_RUN, MESSAGE, RELEASE, SUBSCRIBER, SUBSCRIPTION, VARIANT
from syndicator.store.upsert import insert_for

__all__ = ["bare", "catch_up", "close", "groups", "items_of", "last_end", "newest_subscription", "strike"]

MOMENT = timedelta(microseconds=1)  # what comes out in the moment of leaving is within
STRUCK = "!"  # stands behind the zone and the key of a run that was struck, and its number behind that
OLDEST = timedelta(days=31)  # a translation of what was published longer ago is no news in a digest either


async def groups(session: AsyncSession) -> Sequence[tuple[Cadence, str]]:
    """Each cadence and zone in which somebody waits for a digest."""
    query = (
        select(SUBSCRIPTION.c.cadence, SUBSCRIBER.c.timezone)
        .distinct()
        .join_from(SUBSCRIPTION, SUBSCRIBER, SUBSCRIBER.c.id == SUBSCRIPTION.c.subscriber_id)
        .where(
            SUBSCRIPTION.c.state == SubscriptionState.ACTIVE,
            SUBSCRIPTION.c.cadence != Cadence.IMMEDIATE,
            SUBSCRIBER.c.role != SubscriberRole.CHANNEL,
        )
        .order_by(SUBSCRIPTION.c.cadence, SUBSCRIBER.c.timezone)
    )
    return [(Cadence(cadence), zone) for cadence, zone in await session.execute(query)]


async def newest_subscription(session: AsyncSession) -> int:
    """The last subscription there is: quickly asked, and another one whenever somebody's cadence has changed."""
    return int(await session.scalar(select(func.max(SUBSCRIPTION.c.id))) or 0)


async def last_end(session: AsyncSession, cadence: Cadence, zone: str) -> datetime | None:
    """When the last window that was told there ended."""
    query = select(func.max(DIGEST_RUN.c.ends_at)).where(DIGEST_RUN.c.cadence == cadence, DIGEST_RUN.c.zone == zone)
    found: datetime | None = await session.scalar(query)
    return found


async def strike(session: AsyncSession, now: datetime) -> int:
    """Rule 2; returns how many runs were struck."""
    ahead = select(DIGEST_RUN.c.message_id).where(DIGEST_RUN.c.ends_at > now, ~DIGEST_RUN.c.zone.contains(STRUCK))
    of_a_group = MESSAGE.c.id.in_(ahead) & MESSAGE.c.subscription_id.is_(None)
    values = {
        "key": MESSAGE.c.key + STRUCK + cast(MESSAGE.c.id, String),
        "fanned_out_at": func.coalesce(MESSAGE.c.fanned_out_at, now),
    }
    query = update(MESSAGE).where(of_a_group).values(values).returning(MESSAGE.c.id)
    found = list(await session.scalars(query))
    marked = DIGEST_RUN.c.zone + STRUCK + cast(DIGEST_RUN.c.message_id, String)
    await session.execute(update(DIGEST_RUN).where(DIGEST_RUN.c.message_id.in_(found)).values(zone=marked))
    return len(found)


async def close(session: AsyncSession, cadence: Cadence, zone: str, window: Window, now: datetime) -> int | None:
    """The run of a closed window, with its message; how many releases, or None: it was told already, or is empty."""
    return await _run(session, cadence, zone, window, now)


async def catch_up(
    session: AsyncSession, subscription: int, cadence: Cadence, zone: str, now: datetime, reach: timedelta
) -> int | None:
    """Rule 3, for a subscription that was `cadence` in `zone` until now; releases that may be outstanding, if any."""
    query = (
        select(DIGEST_RUN.c.begins_at, DIGEST_RUN.c.ends_at, MESSAGE.c.fanned_out_at)
        .join_from(DIGEST_RUN, MESSAGE, MESSAGE.c.id == DIGEST_RUN.c.message_id)
        .where(DIGEST_RUN.c.cadence == cadence, DIGEST_RUN.c.zone == zone, DIGEST_RUN.c.ends_at <= now)
        .order_by(DIGEST_RUN.c.ends_at.desc())
        .limit(1)
    )
    last = (await session.execute(query)).one_or_none()
    begins = now - reach
    if last is not None:  # while its people are still being written, this one may not have been reached
        begins = max(begins, last.begins_at if last.fanned_out_at is None else last.ends_at)
    return await _run(session, cadence, f"{zone}#{subscription}", Window(begins, now + MOMENT), now, subscription)


async def _run(
    session: AsyncSession, cadence: Cadence, zone: str, window: Window, now: datetime, subscription: int | None = None
) -> int | None:
    numbers = await _news(session, window, now)
    if not numbers:
        return None
    message = {
        "key": f"{MessageKind.DIGEST}:{cadence}:{zone}:{window.ends_at.isoformat()}",
        "kind": MessageKind.DIGEST,
        "subscription_id": subscription,
        "major": 0,
        "priority": Priority.NORMAL,
        "cursor": 0,
        "matched": {"releases": numbers},
        "created_at": now,
    }
    query = insert_for(session, MESSAGE).values(message).on_conflict_do_nothing(index_elements=["key"])
    made = await session.scalar(query.returning(MESSAGE.c.id))
    if made is None:
        return None
    run = {"message_id": made, "cadence": cadence, "zone": zone}
    await session.execute(insert(DIGEST_RUN).values(**run, begins_at=window.begins_at, ends_at=window.ends_at))
    return len(numbers)


async def _news(session: AsyncSession, window: Window, now: datetime) -> list[int]:
    """Announced releases that are public now, of which a version came out within the window, oldest first."""
    opened = case((VARIANT.c.opened_at > RELEASE.c.opened_at, VARIANT.c.opened_at), else_=RELEASE.c.opened_at)
    came_out = exists().where(
        VARIANT.c.release_id == RELEASE.c.id,
        VARIANT.c.said_state != State.DRAFT,
        opened >= window.begins_at,
        opened < window.ends_at,
    )
    announced = exists().where(MESSAGE.c.release_id == RELEASE.c.id, MESSAGE.c.kind == MessageKind.RELEASE)
    recent = and_(RELEASE.c.public_at > window.begins_at - OLDEST, RELEASE.c.public_at < window.ends_at)
    query = select(RELEASE.c.id).where(shown(now, withdrawn=False), recent, came_out, announced)
    return list(await session.scalars(query.order_by(RELEASE.c.public_at, RELEASE.c.id)))


async def items_of(session: AsyncSession, deliveries: Sequence[int]) -> Mapping[int, Sequence[tuple[int, str]]]:
    """What each digest tells: (release, language version), oldest first. A delivery that is no digest is left out."""
    query = (
        select(DIGEST_ITEM.c.delivery_id, DIGEST_ITEM.c.release_id, DIGEST_ITEM.c.lang)
        .join_from(DIGEST_ITEM, RELEASE, RELEASE.c.id == DIGEST_ITEM.c.release_id)
        .where(DIGEST_ITEM.c.delivery_id.in_(list(deliveries)))
        .order_by(DIGEST_ITEM.c.delivery_id, RELEASE.c.public_at, RELEASE.c.id)
    )
    found: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for delivery, release, lang in await session.execute(query):
        found[delivery].append((release, lang))
    return found


async def bare(session: AsyncSession, deliveries: Sequence[int], now: datetime) -> Mapping[int, datetime | None]:
    """Of digests with nothing to show now, when one of their releases is public again; None: none will be.

    Those with something to show are left out. The clock may have been set back behind what they tell of.
    """
    if not deliveries:
        return {}
    ahead = case(
        (shown(now, withdrawn=False), now),
        (and_(RELEASE.c.state == State.PUBLIC, RELEASE.c.opened_at.is_not(None)), RELEASE.c.public_at),
        else_=None,
    )
    query = (
        select(DIGEST_ITEM.c.delivery_id, func.min(ahead))
        .join_from(DIGEST_ITEM, RELEASE, RELEASE.c.id == DIGEST_ITEM.c.release_id)
        .where(DIGEST_ITEM.c.delivery_id.in_(list(deliveries)))
        .group_by(DIGEST_ITEM.c.delivery_id)
    )
    first = dict.fromkeys(deliveries, None) | dict(tuple(row) for row in await session.execute(query))
    return {delivery: when for delivery, when in first.items() if when is None or when > now}
