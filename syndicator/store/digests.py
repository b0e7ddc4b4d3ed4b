"""Digest runs: which windows were told, of which releases, and what stands in a person's digest.

Rules, in order:

1. A run is a window of one cadence and zone, its message, and the public releases of which a version became news within
   it: it came out, or came back after a withdrawal. It is unique on (cadence, zone, end): two processes that close the
   same window make one. Without releases there is none.
2. A run whose end lies ahead was made while the clock stood wrong. It is struck: it counts as a window no more, and
   what it told stays told, so that nothing is lost and nothing comes twice.
3. A run may be for one reader alone, and be put by for later (`catching_up`): closed, with the time in its message's
   `again_at`, which no other closed message has.
4. To whom a run goes is written by `digesting`.
5. What its channel could not show of a digest, it has not told: the item goes again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.jobs import fanout_job
from syndicator.domain.model import Cadence, MessageKind, Priority, State, SubscriberRole
from syndicator.domain.windows import Window
from syndicator.store.catalogue import shown
from syndicator.store.tables import (
    DIGEST_ITEM,
    DIGEST_RUN,
    MESSAGE,
    RELEASE,
    SUBSCRIBER,
    SUBSCRIPTION,
    VARIANT,
)
from syndicator.store.upsert import insert_for
from syndicator.store.wanted import want

__all__ = [
    "bare",
    "became_news",
    "close",
    "groups",
    "items_of",
    "keep_shown",
    "last_end",
    "newest_subscription",
    "opened",
    "strike",
]

STRUCK = "!"  # stands behind the zone and the key of a run that was struck, and its number behind that
OLDEST = timedelta(days=31)  # a translation of what was published longer ago is no news in a digest either


async def groups(session: AsyncSession, after: int = 0) -> Sequence[tuple[Cadence, str]]:
    """Each cadence and zone in which somebody waits for a digest, by a subscription that is newer than `after`.

    All are read by an index that holds nobody else's; the new ones by their numbers.
    """
    query = (
        select(SUBSCRIPTION.c.cadence, SUBSCRIBER.c.timezone)
        .distinct()
        .join_from(SUBSCRIPTION, SUBSCRIBER, SUBSCRIBER.c.id == SUBSCRIPTION.c.subscriber_id)
        .where(
            # Written out, as the index has it: SQLite takes it for nothing less (`store.indexed`).
            SUBSCRIPTION.c.state == literal_column("'active'"),
            SUBSCRIPTION.c.cadence != literal_column("'immediate'"),
            SUBSCRIPTION.c.id > after if after else true(),
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


async def close(
    session: AsyncSession,
    cadence: Cadence,
    zone: str,
    window: Window,
    now: datetime,
    *,
    subscription: int | None = None,
    put_by: bool = False,
) -> int | None:
    """The run of a closed window, with its message; how many releases, or None: it was told already, or is empty.

    With `subscription` it is for its reader alone; rule 3 says what is put by.
    """
    numbers = await _news(session, window, now)
    if not numbers:
        return None
    message = {
        "key": f"{MessageKind.DIGEST}:{cadence}:{zone}:{window.ends_at.isoformat()}",
        "kind": MessageKind.DIGEST,
        "subscription_id": subscription,
        "major": 0,
        "priority": Priority.DIGEST,
        "cursor": 0,
        "matched": {"releases": numbers},
        "created_at": now,
        "fanned_out_at": now if put_by else None,
        "again_at": now if put_by else None,
    }
    query = insert_for(session, MESSAGE).values(message).on_conflict_do_nothing(index_elements=["key"])
    made = await session.scalar(query.returning(MESSAGE.c.id))
    if made is None:
        return None
    run = {"message_id": made, "cadence": cadence, "zone": zone}
    await session.execute(insert(DIGEST_RUN).values(**run, begins_at=window.begins_at, ends_at=window.ends_at))
    if not put_by:
        want(session, fanout_job(made, Priority.DIGEST, now))
    return len(numbers)


def opened() -> ColumnElement[datetime]:
    """When a version could first be seen; release and variant are joined."""
    return case((VARIANT.c.opened_at > RELEASE.c.opened_at, VARIANT.c.opened_at), else_=RELEASE.c.opened_at)


def became_news() -> ColumnElement[datetime]:
    """The same, or when the release came back after a withdrawal: that is the major revision next to it."""
    gone = MESSAGE.alias()
    withdrawn = exists().where(
        gone.c.release_id == MESSAGE.c.release_id,
        gone.c.kind == MessageKind.WITHDRAWAL,
        gone.c.major == MESSAGE.c.major - 1,
    )
    came_back = (
        select(func.max(MESSAGE.c.created_at))
        .where(MESSAGE.c.release_id == RELEASE.c.id, MESSAGE.c.kind == MessageKind.CORRECTION, withdrawn)
        .correlate(RELEASE)
        .scalar_subquery()
    )
    return case((came_back > opened(), came_back), else_=opened())


async def _news(session: AsyncSession, window: Window, now: datetime) -> list[int]:
    """Announced releases that are public now, of which a version became news within the window, oldest first."""
    came_out = exists().where(
        VARIANT.c.release_id == RELEASE.c.id,
        VARIANT.c.said_state != State.DRAFT,
        became_news() >= window.begins_at,
        became_news() < window.ends_at,
    )
    announced = exists().where(MESSAGE.c.release_id == RELEASE.c.id, MESSAGE.c.kind == MessageKind.RELEASE)
    recent = and_(RELEASE.c.public_at > window.begins_at - OLDEST, RELEASE.c.public_at < window.ends_at)
    query = select(RELEASE.c.id).where(shown(now, withdrawn=False), recent, came_out, announced)
    return list(await session.scalars(query.order_by(RELEASE.c.public_at, RELEASE.c.id)))


async def keep_shown(session: AsyncSession, delivery: int, shown_there: Sequence[int]) -> None:
    """Rule 5: of what that digest was to tell, its reader was shown these releases."""
    others = DIGEST_ITEM.c.release_id.not_in(list(shown_there))
    await session.execute(delete(DIGEST_ITEM).where(DIGEST_ITEM.c.delivery_id == delivery, others))


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
