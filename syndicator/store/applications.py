"""Sign-ups and wishes to move that nobody has looked at yet.

Rules, in order:

1. Writing one down is one INSERT, whoever's the address is: what the page answers, and when, says nothing of that.
   Where several processes share the work, its job goes into the queue with it (`wanted`): nobody need plan it.
2. `claim` puts a row off before it is looked at, so that two workers look at different ones, and one that cannot be
   dealt with keeps none behind it waiting.
3. A row goes in the transaction in which it is dealt with: after a crash it was, or it was not.
4. Of one person's wishes to move the newest alone waits (`only_newest`).
5. Who deals with one holds its row first (`hold`): where it is gone (somebody was erased, or left), nothing is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, func, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.jobs import applications_job
from syndicator.domain.model import Cadence
from syndicator.store.tables import APPLICATION
from syndicator.store.wanted import tell, want

__all__ = ["Application", "claim", "done", "forget", "hold", "next_due", "of", "only_newest", "put_off", "write"]

AGAIN = timedelta(minutes=1)
MOST = 1000  # of one person's that are told


@dataclass(frozen=True, slots=True)
class Application:
    """What somebody asked for; `subscriber` is who wants to move to `address`, None for a sign-up.

    `due_at`: it is not looked at before then; None: at once.
    """

    address: str
    asked_at: datetime
    subscriber: int | None = None
    filter: str = ""
    language: str = ""
    cadence: Cadence = Cadence.IMMEDIATE
    text_only: bool = False
    consent_source: str = ""
    consent_text: str = ""
    is_busy: bool = False
    has_turn: bool = False
    id: int = 0
    due_at: datetime | None = None


async def write(session: AsyncSession, application: Application) -> None:
    """Write it down; it is due at once, or when it says."""
    due = application.due_at or application.asked_at
    values: dict[str, Any] = {
        "address": application.address,
        "subscriber_id": application.subscriber,
        "filter": application.filter,
        "language": application.language,
        "cadence": application.cadence,
        "text_only": application.text_only,
        "consent_source": application.consent_source,
        "consent_text": application.consent_text,
        "is_busy": application.is_busy,
        "has_turn": application.has_turn,
        "asked_at": application.asked_at,
        "due_at": due,
    }
    await session.execute(insert(APPLICATION).values(values))
    want(session, applications_job(due))


async def only_newest(session: AsyncSession, subscriber: int) -> None:
    """They wish to move elsewhere: what waits of their earlier wishes to move counts no more."""
    await session.execute(delete(APPLICATION).where(APPLICATION.c.subscriber_id == subscriber))


async def claim(session: AsyncSession, now: datetime) -> Application | None:
    """The one that is due longest, put off by a minute; None where none is due."""
    oldest = (
        select(APPLICATION.c.id)
        .where(APPLICATION.c.due_at <= now)
        .order_by(APPLICATION.c.due_at, APPLICATION.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    number = await session.scalar(oldest)
    if number is None:
        return None
    ours = update(APPLICATION).where(APPLICATION.c.id == number).values(due_at=now + AGAIN)
    return _application((await session.execute(ours.returning(*APPLICATION.c))).mappings().one())


async def hold(session: AsyncSession, claimed: Application) -> Application | None:
    """Keep the claimed one to ourselves until this transaction ends, as it is now; None: it is gone, or another's."""
    ours = (APPLICATION.c.id == claimed.id) & (APPLICATION.c.due_at == claimed.due_at)
    row = (await session.execute(select(APPLICATION).where(ours).with_for_update())).mappings().one_or_none()
    return None if row is None else _application(row)


async def put_off(session: AsyncSession, number: int, until: datetime) -> None:
    """Its turn comes then."""
    tell(session)
    await session.execute(update(APPLICATION).where(APPLICATION.c.id == number).values(due_at=until, has_turn=True))


async def done(session: AsyncSession, number: int) -> None:
    """It was dealt with."""
    await session.execute(delete(APPLICATION).where(APPLICATION.c.id == number))


async def forget(session: AsyncSession, subscriber: int, address: str, until: datetime | None = None) -> None:
    """Whatever waits of somebody who is erased; or who leaves, then what was asked for `until` that moment."""
    theirs = or_(APPLICATION.c.subscriber_id == subscriber, APPLICATION.c.address == address)
    then = true() if until is None else APPLICATION.c.asked_at <= until
    await session.execute(delete(APPLICATION).where(theirs, then))


async def of(session: AsyncSession, subscriber: int, address: str) -> Sequence[Application]:
    """What waits of somebody, oldest first: what they asked for, and what anybody asked for at their address."""
    theirs = or_(APPLICATION.c.subscriber_id == subscriber, APPLICATION.c.address == address)
    rows = await session.execute(select(APPLICATION).where(theirs).order_by(APPLICATION.c.id).limit(MOST))
    return [_application(row) for row in rows.mappings()]


async def next_due(session: AsyncSession) -> datetime | None:
    """When the next one is due; None where none waits."""
    found: datetime | None = await session.scalar(select(func.min(APPLICATION.c.due_at)))
    return found


def _application(row: RowMapping) -> Application:
    return Application(
        id=row["id"],
        address=row["address"],
        subscriber=row["subscriber_id"],
        filter=row["filter"],
        language=row["language"],
        cadence=Cadence(row["cadence"]),
        text_only=row["text_only"],
        consent_source=row["consent_source"],
        consent_text=row["consent_text"],
        is_busy=row["is_busy"],
        has_turn=row["has_turn"],
        asked_at=row["asked_at"],
        due_at=row["due_at"],
    )
