"""What was read of each source: how far, which document had which fingerprint, and what was wrong with it.

1. The cursor moves in the transaction that stores what was read up to it.
2. A bad document keeps its reason and its fingerprint, so it is not read again until it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Problem
from syndicator.store.tables import SOURCE_CURSOR, SOURCE_ITEM
from syndicator.store.upsert import upsert

__all__ = ["advance", "cursor", "known", "newest", "passed", "problems", "remember", "remember_problem"]


async def cursor(session: AsyncSession, source: str) -> str:
    """How far that source was read; "" at first."""
    found = await session.scalar(select(SOURCE_CURSOR.c.cursor).where(SOURCE_CURSOR.c.source == source))
    return found or ""


async def advance(session: AsyncSession, source: str, cursor: str, now: datetime) -> None:
    """Everything up to `cursor` is stored; `passed_at` says that the source answers."""
    await _cursor_row(session, source, cursor=cursor, passed_at=now)


async def passed(session: AsyncSession, source: str, now: datetime, problem: str = "") -> None:
    """The end of a pass, or why it could not be made; a failed one leaves the time of the last good one."""
    values: dict[str, Any] = {"problem": problem}
    if not problem:
        values["passed_at"] = now
    await _cursor_row(session, source, **values)


async def known(session: AsyncSession, source: str) -> dict[str, str]:
    """Each document's origin and the fingerprint taken last."""
    query = select(SOURCE_ITEM.c.origin, SOURCE_ITEM.c.fingerprint).where(SOURCE_ITEM.c.source == source)
    return {row[0]: row[1] for row in await session.execute(query)}


async def newest(session: AsyncSession, source: str, number: int, until: datetime) -> set[str]:
    """The origins of that many documents taken last until then; none that could never be taken, or is known as gone."""
    item = SOURCE_ITEM.c
    there = (item.source == source, item.key != "", item.fingerprint.not_like("-gone%"), item.seen_at <= until)
    query = select(item.origin).where(*there).order_by(item.seen_at.desc(), item.origin.desc()).limit(number)
    return set(await session.scalars(query))


async def remember(
    session: AsyncSession, source: str, origin: str, key: str, lang: str, fingerprint: str, now: datetime
) -> None:
    """This document was taken as it is; what was wrong with it before is forgotten."""
    row = {"source": source, "origin": origin}
    values = {"key": key, "lang": lang, "fingerprint": fingerprint, "problem": "", "seen_at": now}
    await upsert(session, SOURCE_ITEM, row, values)


async def remember_problem(session: AsyncSession, problem: Problem, now: datetime) -> None:
    """This document could not be taken; what it was taken for before stays."""
    row = {"source": problem.source, "origin": problem.origin}
    values = {"fingerprint": problem.fingerprint, "problem": problem.reason, "seen_at": now}
    await upsert(session, SOURCE_ITEM, row, values, {"key": "", "lang": ""})


async def problem_of(session: AsyncSession, source: str, origin: str) -> str:
    """What is known to be wrong with a document; "" where nothing is."""
    query = select(SOURCE_ITEM.c.problem).where(SOURCE_ITEM.c.source == source, SOURCE_ITEM.c.origin == origin)
    return await session.scalar(query) or ""


async def problems(session: AsyncSession) -> Sequence[Problem]:
    """Every document that could not be taken, and every source that could not be read."""
    items = select(SOURCE_ITEM).where(SOURCE_ITEM.c.problem != "").order_by(SOURCE_ITEM.c.source, SOURCE_ITEM.c.origin)
    stores = select(SOURCE_CURSOR).where(SOURCE_CURSOR.c.problem != "").order_by(SOURCE_CURSOR.c.source)
    found = [Problem(r.source, r.source, r.problem) for r in await session.execute(stores)]
    found += [Problem(r.source, r.origin, r.problem, r.fingerprint) for r in await session.execute(items)]
    return found


async def _cursor_row(session: AsyncSession, source: str, **values: Any) -> None:
    await upsert(session, SOURCE_CURSOR, {"source": source}, values)
