"""Who shares something with whom: processes that say every few seconds that they are here, and for how long it counts.

Rules, in order:

1. It divides a limit, and decides nothing else: who may claim is `domain.ports.Attendance`'s.
2. As with budgets (`rates`) one clock counts: the database's where `now` is None. Rows stand beside budgets, since they
   are the same to the store: a name, and a time until which it says something.
3. Whoever has not said so for `span` counts no more, and must not believe it either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.rates import later, present
from syndicator.store.tables import RATE
from syndicator.store.upsert import insert_for

__all__ = ["here", "leave", "stay"]


async def stay(
    session: AsyncSession, kind: str, who: str, span: timedelta, now: datetime | None = None
) -> Sequence[str]:
    """Say that `who` is here for `span` from now; all who are, in an order that is the same for all.

    Raises:
        DatabaseTrouble: the database fails; nobody was told.
    """
    until = later(session, present(now), span)
    row = insert_for(session, RATE).values(name=_name(kind, who), turn_at=until)
    await session.execute(row.on_conflict_do_update(index_elements=["name"], set_={"turn_at": until}))
    return await here(session, kind, now)


async def here(session: AsyncSession, kind: str, now: datetime | None = None) -> Sequence[str]:
    """All who have said so and are; as `stay` tells them.

    Raises:
        DatabaseTrouble: the database fails.
    """
    first = _name(kind, "")
    query = select(RATE.c.name).where(RATE.c.name.startswith(first, autoescape=True), RATE.c.turn_at > present(now))
    return sorted(name.removeprefix(first) for name in await session.scalars(query))


async def leave(session: AsyncSession, kind: str, who: str) -> None:
    """`who` uses nothing of it any more.

    Raises:
        DatabaseTrouble: the database fails; it is known when the span is over.
    """
    await session.execute(delete(RATE).where(RATE.c.name == _name(kind, who)))


def _name(kind: str, who: str) -> str:
    return f"here:{kind}:{who}"
