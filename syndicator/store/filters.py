"""Filters as they are kept. Equal ones share one row, so that matching costs the number of distinct filters."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter, canonical
from syndicator.store.tables import FILTER, FILTER_TERM
from syndicator.store.upsert import insert_for

__all__ = ["share_filter"]


async def share_filter(session: AsyncSession, filter_: Filter) -> int:
    """The id of the row of that filter, made if new, with its terms."""
    made = await session.scalar(
        insert_for(session, FILTER)
        .values(
            canonical=canonical(filter_),
            has_langs=bool(filter_.langs),
            has_topics=bool(filter_.topics),
            has_kinds=bool(filter_.kinds),
            has_words=bool(filter_.words),
        )
        .on_conflict_do_nothing(index_elements=["canonical"])
        .returning(FILTER.c.id)
    )
    if made is None:
        return int(await session.scalar(select(FILTER.c.id).where(FILTER.c.canonical == canonical(filter_))) or 0)
    fields = {
        "lang": filter_.langs,
        "topic": filter_.topics,
        "not": filter_.without,
        "kind": filter_.kinds,
        "q": filter_.words,
    }
    terms = [
        {"filter_id": made, "field": field, "value": value, "position": place}
        for field, values in fields.items()
        for place, value in enumerate(values)
    ]
    if terms:
        await session.execute(insert(FILTER_TERM), terms)
    return int(made)
