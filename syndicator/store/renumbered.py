"""Where a release is whose number nobody has any more: a restore gives what came after the backup other numbers.

Rules, in order:

1. Its old address names it in words as well (its slug, in its language): these say which one was meant.
2. Only what may be seen is found, and only behind the number that was asked for: numbers go on, never back.
3. Where two are so named, nobody knows which: neither is found.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.catalogue import shown
from syndicator.store.tables import RELEASE, VARIANT

__all__ = ["by_slug"]


async def by_slug(session: AsyncSession, lang: str, slug: str, behind: int, now: datetime) -> int | None:
    """The number of the one public release with these words in its address in that language; None without one."""
    named = (
        select(VARIANT.c.release_id)
        .where(VARIANT.c.slug == slug, VARIANT.c.lang == lang, VARIANT.c.opened_at.is_not(None))
        .where(VARIANT.c.release_id > behind)
    )
    query = select(RELEASE.c.id).where(RELEASE.c.id.in_(named), shown(now, withdrawn=False)).limit(2)
    found = list(await session.scalars(query))
    return found[0] if len(found) == 1 else None
