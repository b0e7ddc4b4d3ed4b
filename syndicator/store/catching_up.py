"""Digest runs for one reader alone: what is outstanding for who leaves a digest's pace or zone, or rests.

Rules, in order:

1. Who leaves a digest's pace or zone is not left between two windows: what is outstanding for them is told by a run of
   their own, at once. Its zone has the number of the subscription that it is made for behind it. It begins where the
   last one of their own ended, so that leaving again costs nothing.
2. Who asks for a pause gets such a run too, but it is put by (`digests.close`). It is opened again when the pause has
   ended, unless it is too old by then.
3. Of two who become one, with a run that has reached only one of them, the other's part is told by runs of their own,
   over the same window (and as far back as what had been carried into it).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Cadence, DeliveryState, MessageKind, SubscriptionState
from syndicator.domain.windows import Window
from syndicator.store.digests import ALONE, close, opened
from syndicator.store.tables import DELIVERY, DIGEST_RUN, MESSAGE, RELEASE, SUBSCRIPTION, VARIANT
from syndicator.store.wanted import tell

__all__ = ["catch_up", "make_up", "reopen"]

MOMENT = timedelta(microseconds=1)  # what comes out in the moment of leaving is within
PAGE = 500  # people whose runs are opened again by one statement


async def catch_up(
    session: AsyncSession,
    subscription: int,
    cadence: Cadence,
    zone: str,
    now: datetime,
    reach: timedelta,
    *,
    rests: bool = False,
) -> int | None:
    """Rule 1, for a subscription that was `cadence` in `zone` until now; releases that may be outstanding, if any.

    With `rests` its reader wants nothing for a while: the run is put by (rule 2), and holds as well what was written
    for them and has not gone out, since that will not.
    """
    reader = select(SUBSCRIPTION.c.subscriber_id).where(SUBSCRIPTION.c.id == subscription)
    who = int(await session.scalar(reader) or 0)
    told = await _told_until(session, who, cadence, zone, now)
    begins = now - reach if told is None else max(told, now - reach)
    if rests:
        begins = min(begins, await _first_waiting(session, who) or begins)
    window = Window(begins, now + MOMENT)
    own = f"{zone}{ALONE}{subscription}"
    return await close(
        session, cadence, own, window, now, subscription=subscription, put_by=rests, since=min(begins, now - reach)
    )


async def _told_until(session: AsyncSession, who: int, cadence: Cadence, zone: str, now: datetime) -> datetime | None:
    """Until when they were told: by the last run of their group, or by one of their own."""
    runs = select(DIGEST_RUN.c.begins_at, DIGEST_RUN.c.ends_at, MESSAGE.c.fanned_out_at).join_from(
        DIGEST_RUN, MESSAGE, MESSAGE.c.id == DIGEST_RUN.c.message_id
    )
    of_group = runs.where(DIGEST_RUN.c.cadence == cadence, DIGEST_RUN.c.zone == zone, DIGEST_RUN.c.ends_at <= now)
    theirs = select(SUBSCRIPTION.c.id).where(SUBSCRIPTION.c.subscriber_id == who)
    own = runs.where(MESSAGE.c.subscription_id.in_(theirs), DIGEST_RUN.c.ends_at <= now)
    ends = []
    for query, is_own in ((of_group, False), (own, True)):
        last = (await session.execute(query.order_by(DIGEST_RUN.c.ends_at.desc()).limit(1))).one_or_none()
        if last is not None:  # while people of a group are still being written, this one may not have been reached
            ends.append(last.ends_at if is_own or last.fanned_out_at is not None else last.begins_at)
    return max(ends, default=None)


async def _first_waiting(session: AsyncSession, who: int) -> datetime | None:
    """Where the oldest window begins of which a digest waits to go out to them."""
    query = (
        select(func.min(DIGEST_RUN.c.begins_at))
        .join_from(DELIVERY, DIGEST_RUN, DIGEST_RUN.c.message_id == DELIVERY.c.message_id)
        .where(DELIVERY.c.subscriber_id == who, DELIVERY.c.state.in_((DeliveryState.DUE, DeliveryState.DEFERRED)))
    )
    found: datetime | None = await session.scalar(query)
    return found


async def make_up(
    session: AsyncSession, run: int, releases: Sequence[int], subscriptions: Sequence[int], now: datetime
) -> None:
    """Rule 3: these releases, which that run had for others of these subscriptions' reader, are told by their own."""
    told = (await session.execute(select(DIGEST_RUN).where(DIGEST_RUN.c.message_id == run))).mappings().one()
    news = select(func.min(opened())).join_from(RELEASE, VARIANT, VARIANT.c.release_id == RELEASE.c.id)
    first = await session.scalar(news.where(RELEASE.c.id.in_(list(releases))))
    window = Window(min(told["begins_at"], first or told["begins_at"]), told["ends_at"])
    theirs = select(SUBSCRIPTION.c.id).where(
        SUBSCRIPTION.c.id.in_(list(subscriptions)),
        SUBSCRIPTION.c.state == SubscriptionState.ACTIVE,
        SUBSCRIPTION.c.cadence == told["cadence"],
    )
    for subscription in (await session.scalars(theirs)).all():
        own = f"{told['zone']}{ALONE}{subscription}"
        await close(session, Cadence(told["cadence"]), own, window, now, subscription=subscription)


async def reopen(session: AsyncSession, people: Sequence[int], now: datetime, reach: timedelta) -> int:
    """What was put by for these people, who rest no more, is told now (rule 2); how many runs."""
    young = select(DIGEST_RUN.c.message_id).where(DIGEST_RUN.c.ends_at > now - reach)
    opened = 0
    for start in range(0, len(people), PAGE):
        theirs = select(SUBSCRIPTION.c.id).where(SUBSCRIPTION.c.subscriber_id.in_(people[start : start + PAGE]))
        put_by = (
            update(MESSAGE)
            .where(MESSAGE.c.subscription_id.in_(theirs), MESSAGE.c.kind == MessageKind.DIGEST)
            .where(MESSAGE.c.again_at.is_not(None), MESSAGE.c.fanned_out_at.is_not(None), MESSAGE.c.id.in_(young))
            .values(fanned_out_at=None, again_at=None)
        )
        opened += len((await session.execute(put_by.returning(MESSAGE.c.id))).all())
    if opened:
        tell(session)
    return opened
