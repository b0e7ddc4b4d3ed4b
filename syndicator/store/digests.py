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
6. A run keeps which versions it holds, and when each became news. What became news within reach, and no run of its
   group holds, belongs to the next one: a clock that ran ahead had closed a window over what came out after that, or
   one that ran behind said that it came out earlier. What was out before a restore is left to the windows of its time:
   the service that was lost has told it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.jobs import fanout_job
from syndicator.domain.model import Cadence, MessageKind, Priority, State, SubscriberRole
from syndicator.domain.windows import Window
from syndicator.store import restored
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
    "ALONE",
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

ALONE = "#"  # stands behind the zone of a run for one reader, and the number of their subscription behind that
STRUCK = "!"  # stands behind the zone and the key of a run that was struck, and its number behind that
OLDEST = timedelta(days=31)  # a translation of what was published longer ago is no news in a digest either


@dataclass(frozen=True, slots=True)
class _News:
    """A language version, and when it became news."""

    release: int
    lang: str
    news: datetime


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
    since: datetime | None = None,
) -> int | None:
    """The run of a closed window, with its message; how many releases, or None: it was told already, or is empty.

    With `subscription` it is for its reader alone; rule 3 says what is put by. With `since` what no run of its group
    has held from then on is in it as well (rule 6).
    """
    if since is not None and (lost := await restored.of(session)) is not None:
        since = min(window.begins_at, max(since, lost.until))
    news = await _news(session, window, now, since or window.begins_at)
    if since is not None and any(one.news < window.begins_at for one in news):
        held = await _held(session, cadence, zone.partition(ALONE)[0], since, subscription)
        news = [one for one in news if one.news >= window.begins_at or not held(one)]
    if not news:
        return None
    versions: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for one in news:
        versions[str(one.release)][one.lang] = one.news.isoformat()
    message = {
        "key": f"{MessageKind.DIGEST}:{cadence}:{zone}:{window.ends_at.isoformat()}",
        "kind": MessageKind.DIGEST,
        "subscription_id": subscription,
        "major": 0,
        "priority": Priority.DIGEST,
        "cursor": 0,
        "matched": {"releases": [int(number) for number in versions], "versions": versions},
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
    return len(versions)


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


async def _news(session: AsyncSession, window: Window, now: datetime, since: datetime) -> list[_News]:
    """Versions of announced releases that are public now, which became news from `since` to the window's end.

    Oldest release first.
    """
    announced = exists().where(MESSAGE.c.release_id == RELEASE.c.id, MESSAGE.c.kind == MessageKind.RELEASE)
    recent = and_(RELEASE.c.public_at > since - OLDEST, RELEASE.c.public_at < window.ends_at)
    when = became_news()
    query = (
        select(RELEASE.c.id, VARIANT.c.lang, when.label("news"))
        .join_from(RELEASE, VARIANT, VARIANT.c.release_id == RELEASE.c.id)
        .where(shown(now, withdrawn=False), recent, announced, VARIANT.c.said_state != State.DRAFT)
        .where(when >= since, when < window.ends_at)
        .order_by(RELEASE.c.public_at, RELEASE.c.id)
    )
    return [_News(*row) for row in await session.execute(query)]


async def _held(
    session: AsyncSession, cadence: Cadence, zone: str, since: datetime, subscription: int | None
) -> Callable[[_News], bool]:
    """Whether a run of that group, since then, holds a version (rule 6).

    For one reader alone: a run that has reached all of the group, or one of their own.
    """
    of_group = and_(DIGEST_RUN.c.cadence == cadence, DIGEST_RUN.c.zone == zone)
    if subscription is not None:
        reader = select(SUBSCRIPTION.c.subscriber_id).where(SUBSCRIPTION.c.id == subscription).scalar_subquery()
        theirs = select(SUBSCRIPTION.c.id).where(SUBSCRIPTION.c.subscriber_id == reader)
        of_group = or_(of_group & MESSAGE.c.fanned_out_at.is_not(None), MESSAGE.c.subscription_id.in_(theirs))
    query = (
        select(MESSAGE.c.matched)
        .join_from(DIGEST_RUN, MESSAGE, MESSAGE.c.id == DIGEST_RUN.c.message_id)
        .where(DIGEST_RUN.c.ends_at > since, of_group)
    )
    versions: set[tuple[int, str, str]] = set()
    whole: set[int] = set()  # of runs of an older program, which did not keep versions
    for matched in await session.scalars(query):
        kept = (matched or {}).get("versions")
        if kept is None:
            whole.update((matched or {}).get("releases", ()))
        for number, by_lang in (kept or {}).items():
            versions.update((int(number), lang, moment) for lang, moment in by_lang.items())
    return lambda one: one.release in whole or (one.release, one.lang, one.news.isoformat()) in versions


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
