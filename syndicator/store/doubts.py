"""What became of a transaction whose last answer was lost: was it committed, or not?

Rules, in order:

1. PostgreSQL keeps what became of every transaction (`pg_xact_status`, PostgreSQL 13 or newer), under the number that
   the transaction itself asked for. SQLite answers in this process: there is nothing to doubt.
2. One that is neither committed nor aborted belongs to a session that has lost us, or will be told to commit by what
   the network still holds. That session is ended; what became of it is asked again.
3. A number that the server has not come to yet was given by one before it, which is gone with its last transactions.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.database import DatabaseTrouble

__all__ = ["Doubt", "mark", "was_committed"]

MARK = text("SELECT pg_current_xact_id()::text, pg_backend_pid()")
STATUS = text("""
    SELECT CASE WHEN CAST(:number AS xid8) > pg_current_xact_id() THEN 'aborted'
    ELSE pg_xact_status(CAST(:number AS xid8)) END
""")
END = text("SELECT pg_terminate_backend(:session)")


@dataclass(frozen=True, slots=True)
class Doubt:
    """A transaction by its number and its server process."""

    number: str
    session: int


async def mark(session: AsyncSession) -> Doubt | None:
    """By what this transaction can be asked about later; None where there is nothing to doubt."""
    if session.get_bind().dialect.name == "sqlite":
        return None
    number, process = (await session.execute(MARK)).one()
    return Doubt(number, process)


async def was_committed(session: AsyncSession, doubt: Doubt) -> bool:
    """Whether what it wrote is there.

    Raises:
        DatabaseTrouble: it is not decided yet; ask again in another transaction.
    """
    status = await session.scalar(STATUS, {"number": doubt.number})
    if status == "in progress":
        await session.execute(END, {"session": doubt.session})
        raise DatabaseTrouble("a transaction whose answer was lost is not decided yet")
    return bool(status == "committed")
