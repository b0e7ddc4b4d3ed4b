"""Which processes count as alive with all others: those that the queue has a row for (`domain.ports.Attendance`).

Rules, in order:

1. The rows are the queue's own; a judge strikes off whose signs of life have stopped (`engine.judge`). Where one
   process has the database to itself there are none, and it has no number.
2. Nothing is claimed under a number that was struck off, whatever that process still believes: one that was suspended
   wakes up with clocks that have stood still.
"""

from __future__ import annotations

from sqlalchemy import column, exists, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.database import DatabaseTrouble

__all__ = ["WORKERS", "StruckOff", "check", "is_asked"]

WORKERS = table("procrastinate_workers", column("id"))


class StruckOff(DatabaseTrouble):
    """This process was taken for dead; it may claim again once it is registered anew."""


def is_asked(session: AsyncSession, by: int | None) -> bool:
    """Whether that number must be registered."""
    return by is not None and session.get_bind().dialect.name != "sqlite"


async def check(session: AsyncSession, by: int | None) -> None:
    """See that it is.

    Raises:
        StruckOff: it is not; nothing of the transaction is to be written.
    """
    if is_asked(session, by) and not await session.scalar(select(exists().where(WORKERS.c.id == by))):
        raise StruckOff("this process was taken for dead, and claims nothing until it is registered anew")
