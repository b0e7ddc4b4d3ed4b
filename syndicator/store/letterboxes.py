"""How often each mailbox was asked something within the last day, by its fingerprint: the limit against mail-bombing.

Rules, in order:

1. `held` keeps the mailbox to the one who looks until their transaction ends, so that of two who ask at once the second
   sees what the first has written.
2. It counts questions, whatever became of who was asked: whoever was erased since has had that letter all the same.
3. A row that is older than a day says nothing any more; `forget` deletes it, once an hour
   (`pipeline.retention`), whether or not anybody signs up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.tables import LETTERBOX
from syndicator.store.upsert import insert_for

__all__ = ["DAY", "count", "forget", "held"]

DAY = timedelta(days=1)
STEP = 500


async def held(session: AsyncSession, mailbox: str, now: datetime) -> Sequence[datetime]:
    """When it was asked within the last day, oldest first."""
    first = insert_for(session, LETTERBOX).values(mailbox=mailbox, asked={}, newest_at=now)
    again = first.on_conflict_do_update(index_elements=["mailbox"], set_={"mailbox": mailbox})
    asked = (await session.execute(again.returning(LETTERBOX.c.asked))).scalar_one()
    times = (datetime.fromisoformat(one) for one in asked.get("at", ()))
    return sorted(one for one in times if one > now - DAY)


async def count(session: AsyncSession, mailbox: str, asked: Sequence[datetime], now: datetime) -> None:
    """One more question is written to it now, after those that `held` has given."""
    said = {"at": [one.isoformat() for one in (*asked, now)]}
    here = LETTERBOX.c.mailbox == mailbox
    await session.execute(update(LETTERBOX).where(here).values(asked=said, newest_at=now))


async def forget(session: AsyncSession, now: datetime) -> int:
    """Rule 3, some at a time; how many."""
    old = select(LETTERBOX.c.mailbox).where(LETTERBOX.c.newest_at <= now - DAY).limit(STEP)
    which = old.with_for_update(skip_locked=True)
    gone = delete(LETTERBOX).where(LETTERBOX.c.mailbox.in_(which)).returning(LETTERBOX.c.mailbox)
    return len((await session.execute(gone)).all())
