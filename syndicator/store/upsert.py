"""INSERT ... ON CONFLICT for both databases: each has its own construct for the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

__all__ = ["insert_for", "upsert"]


def insert_for(session: AsyncSession, table: Table) -> postgresql.Insert:
    """An INSERT that knows ON CONFLICT; SQLite's has the same methods as PostgreSQL's."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)  # type: ignore[return-value]  # same methods, no common class
    return postgresql.insert(table)


async def upsert(
    session: AsyncSession,
    table: Table,
    row: Mapping[str, Any],
    values: Mapping[str, Any],
    at_first: Mapping[str, Any] | None = None,
) -> None:
    """Write `values` into the row that the key `row` names, made if new, then with `at_first` too."""
    await session.execute(
        insert_for(session, table)
        .values(**row, **values, **(at_first or {}))
        .on_conflict_do_update(index_elements=list(row), set_=dict(values))
    )
