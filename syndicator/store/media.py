"""Which kept files the public may have: those that a text holds which may be shown now.

Rules, in order:

1. A use is a language version's current revision holding a site-relative address; a new revision replaces its uses.
2. Whether a file may be shown is `catalogue.shown` asked of the releases that hold it: drafts, embargoes, language
   versions that were never let go, withdrawn releases and texts that were replaced show nothing.
3. A file that several releases hold (the same bytes have the same address) is shown as long as one of them may be.
4. Where several machines serve them, the bytes stand here as well (`media_file`); what stands there never changes.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Revision
from syndicator.store.catalogue import OF_RELEASE, shown
from syndicator.store.tables import MEDIA_FILE, MEDIA_USE, RELEASE, VARIANT
from syndicator.store.upsert import insert_for

__all__ = ["KEPT", "file", "files", "has_file", "hold", "keep_file", "public"]

KEPT = "/media/"


async def hold(session: AsyncSession, variant: int, revision: Revision) -> None:
    """These kept files belong to this language version now, and no others."""
    await session.execute(delete(MEDIA_USE).where(MEDIA_USE.c.variant_id == variant))
    urls = dict.fromkeys(one.url for one in revision.attachments if one.url.startswith(KEPT))
    if urls:
        await session.execute(insert(MEDIA_USE), [{"url": url, "variant_id": variant} for url in urls])


async def public(session: AsyncSession, url: str, now: datetime) -> bool:
    """Whether some release that may be shown now holds the file at this address."""
    query = (
        select(RELEASE.c.id)
        .join_from(MEDIA_USE, VARIANT, VARIANT.c.id == MEDIA_USE.c.variant_id)
        .join(RELEASE, OF_RELEASE)
        .where(MEDIA_USE.c.url == url, shown(now, withdrawn=False))
        .limit(1)
    )
    return await session.scalar(query) is not None


async def file(session: AsyncSession, url: str) -> bytes | None:
    """A kept file's bytes (rule 4)."""
    found: bytes | None = await session.scalar(select(MEDIA_FILE.c.data).where(MEDIA_FILE.c.url == url))
    return found


async def has_file(session: AsyncSession, url: str) -> bool:
    """Whether its bytes are there."""
    return await session.scalar(select(MEDIA_FILE.c.url).where(MEDIA_FILE.c.url == url)) is not None


async def files(session: AsyncSession) -> frozenset[str]:
    """The addresses of all whose bytes are there."""
    return frozenset(await session.scalars(select(MEDIA_FILE.c.url)))


async def keep_file(session: AsyncSession, url: str, data: bytes, now: datetime) -> None:
    """Its bytes are there from now on; what stands there stays."""
    row = insert_for(session, MEDIA_FILE).values(url=url, data=data, kept_at=now)
    await session.execute(row.on_conflict_do_nothing())
