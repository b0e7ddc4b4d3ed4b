"""What had not come yet: who leaves a digest's pace, its time zone, or rests, loses nothing between two windows.

Rules, in order:

1. Who leaves a digest's pace (for one at once, or from weekly to daily) or its time zone is told at once, in a digest,
   what had not come yet. A weekly window holds what a daily one does, so who goes over to it waits for that.
2. Who asks for a pause is told it when that ends. What comes meanwhile is not made up.
3. Nobody who is paused now is told anything; it is asked before what they leave has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Cadence, SubscriptionState
from syndicator.store import catching_up, subscriptions
from syndicator.store.subscriptions import Subscription

__all__ = ["CatchUp"]


class CatchUp:
    """See the module's rules. `reach` is how far back a digest goes; each step is part of its caller's transaction."""

    def __init__(self, reach: timedelta) -> None:
        self._reach = reach

    async def leave_pace(self, session: AsyncSession, old: Subscription, cadence: Cadence, now: datetime) -> None:
        """This subscription ends, and one of that cadence takes its place."""
        quicker = old.cadence is Cadence.WEEKLY if cadence is Cadence.DAILY else old.cadence is not Cadence.IMMEDIATE
        if quicker and cadence is not Cadence.WEEKLY and old.state is SubscriptionState.ACTIVE:
            await self._tell(session, old, now)

    async def leave_zone(self, session: AsyncSession, number: int, timezone: str, now: datetime) -> None:
        """The subscriber goes over to that zone."""
        subscriber = await subscriptions.by_id(session, number)
        if subscriber is None or subscriber.timezone == timezone:
            return
        for one in await _digested(session, number):
            await self._tell(session, one, now)

    async def before_rest(self, session: AsyncSession, number: int, now: datetime) -> None:
        """The subscriber begins a pause: what had not come yet is put by."""
        for one in await _digested(session, number):
            await self._tell(session, one, now, rests=True)

    async def after_rest(self, session: AsyncSession, number: int, now: datetime) -> None:
        """The pause is over: what was put by goes out."""
        await catching_up.reopen(session, [number], now, self._reach)

    async def back(self, session: AsyncSession, number: int, now: datetime) -> None:
        """They show that they are there; if they rest no more, what was put by for them is told."""
        await subscriptions.back(session, number, now)
        subscriber = await subscriptions.by_id(session, number)
        if subscriber is not None and not subscriber.is_paused:
            await self.after_rest(session, number, now)

    async def _tell(self, session: AsyncSession, old: Subscription, now: datetime, *, rests: bool = False) -> None:
        subscriber = await subscriptions.by_id(session, old.subscriber)
        if subscriber is not None and not subscriber.is_paused:
            zone = subscriber.timezone
            await catching_up.catch_up(session, old.id, old.cadence, zone, now, self._reach, rests=rests)


async def _digested(session: AsyncSession, number: int) -> Sequence[Subscription]:
    """Their subscriptions that are told in digests."""
    live = await subscriptions.of(session, number)
    return [one for one in live if one.state is SubscriptionState.ACTIVE and one.cadence is not Cadence.IMMEDIATE]
