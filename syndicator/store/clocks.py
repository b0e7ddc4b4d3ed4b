"""What the database's clock says, for `syndicator.clock`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select

from syndicator.clock import steady
from syndicator.store.database import Database

__all__ = ["ask_clock"]


async def ask_clock(database: Database, agreed: Callable[[datetime, float], None]) -> None:
    """Ask PostgreSQL once, over a line that is open already: what opening takes would be doubt.

    Raises:
        DatabaseTrouble: it gives no answer.
    """
    async with database.reading() as session:
        await session.connection()
        asked = steady()
        agreed((await session.execute(select(func.clock_timestamp()))).scalar_one(), asked)
