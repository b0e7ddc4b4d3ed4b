"""Pauses of subscribers: ours, where a channel does not reach them, and theirs, which they asked for.

Rules, in order:

1. A pause that was asked for (`rest`) ends at its time or by a word of theirs (`resume`); any other one as soon as they
   show that they are there (`back`).
2. Who is blocked while they rest, or rests while they are blocked, and comes back, rests on; when only the rest ends,
   ours stays.
3. Nothing here makes one who was erased somebody again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.people import ACTIVE, ASKED, ERASED, PAUSED, put
from syndicator.store.tables import SUBSCRIBER
from syndicator.store.wanted import tell

__all__ = ["back", "next_resume", "pause", "rest", "rests", "resume", "resume_due"]

WHILE_RESTING = "; had asked for a pause"  # ends the reason of another pause that came while they rested


async def pause(session: AsyncSession, subscriber: int, reason: str) -> None:
    """Blocked or bounced: nothing more is sent; subscriptions stay. A rest that was asked for is remembered."""
    rested = (SUBSCRIBER.c.state_reason == ASKED) | SUBSCRIBER.c.state_reason.endswith(WHILE_RESTING)
    why = case((rested, reason + WHILE_RESTING), else_=reason)
    await put(session, subscriber, state=PAUSED, state_reason=why)


def rests() -> ColumnElement[bool]:
    """Whether a subscriber is paused by their own wish, and perhaps by ours besides."""
    asked = or_(SUBSCRIBER.c.state_reason == ASKED, SUBSCRIBER.c.state_reason.endswith(WHILE_RESTING))
    return and_(SUBSCRIBER.c.state == PAUSED, asked)


async def rest(session: AsyncSession, subscriber: int, until: datetime | None) -> None:
    """They want nothing until then (None: until they say so). Asked again, the new time counts.

    A pause of ours is remembered: to ask for another one shows nothing of their mailbox.
    """
    reason = SUBSCRIBER.c.state_reason
    ours = (SUBSCRIBER.c.state == PAUSED) & reason.not_in(("", ASKED))
    why = case((ours & reason.endswith(WHILE_RESTING), reason), (ours, reason + WHILE_RESTING), else_=ASKED)
    await put(session, subscriber, state=PAUSED, state_reason=why, resume_at=until)
    tell(session)


async def resume(session: AsyncSession, subscriber: int) -> None:
    """Whatever paused them ends: they said so."""
    await put(session, subscriber, state=ACTIVE, state_reason="", resume_at=None)


async def back(session: AsyncSession, subscriber: int, now: datetime) -> None:
    """They show that they are there: a pause of ours ends, one that they asked for goes on to its time."""
    ours = SUBSCRIBER.c.state_reason.not_in((ASKED, ERASED))
    blocked = (SUBSCRIBER.c.id == subscriber) & (SUBSCRIBER.c.state == PAUSED) & ours
    rests = SUBSCRIBER.c.state_reason.endswith(WHILE_RESTING)
    holds = rests & (SUBSCRIBER.c.resume_at.is_(None) | (SUBSCRIBER.c.resume_at > now))
    await session.execute(update(SUBSCRIBER).where(blocked, holds).values(state_reason=ASKED))
    active = {"state": ACTIVE, "state_reason": "", "resume_at": None}
    await session.execute(update(SUBSCRIBER).where(blocked).values(active))


async def resume_due(session: AsyncSession, now: datetime) -> Sequence[int]:
    """End every rest whose time has come; who was blocked meanwhile stays so. Returns who rests no more."""
    due = SUBSCRIBER.c.resume_at.is_not(None) & (SUBSCRIBER.c.resume_at <= now)
    rested = due & (SUBSCRIBER.c.state_reason == ASKED)
    active = {"state": ACTIVE, "state_reason": "", "resume_at": None}
    ended = list(await session.scalars(update(SUBSCRIBER).where(rested).values(active).returning(SUBSCRIBER.c.id)))
    why = func.replace(SUBSCRIBER.c.state_reason, WHILE_RESTING, "")
    await session.execute(update(SUBSCRIBER).where(due).values(state_reason=why, resume_at=None))
    return ended


async def next_resume(session: AsyncSession) -> datetime | None:
    """When the next rest ends."""
    query = select(func.min(SUBSCRIBER.c.resume_at)).where(SUBSCRIBER.c.resume_at.is_not(None))
    found: datetime | None = await session.scalar(query)
    return found
