"""From rows to the domain's releases: a release comes whole, with every language at its current revision.

1. Many releases cost three queries, not three each.
2. A language version that is still a draft is left out, unless the whole release is one.
3. A withdrawn release that had opened comes as readers last knew it: what was written or let go since is kept, and
   nobody sees so much as its title before the release comes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import RowMapping, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Attachment, Release, Revision, State, Urgency, Variant
from syndicator.domain.text import slugify
from syndicator.store.tables import RELEASE, RELEASE_TOPIC, REVISION, VARIANT

__all__ = ["attachments_json", "get", "get_by_key", "many", "revision_of"]

_TEXTS = [c for c in REVISION.c if c.name not in ("id", "variant_id")]
_CURRENT = and_(REVISION.c.variant_id == VARIANT.c.id, REVISION.c.number == VARIANT.c.revision_number)


async def get(session: AsyncSession, number: int) -> Release | None:
    """By number, whatever its state. Outside faces use `visible`."""
    return (await many(session, [number])).get(number)


async def get_by_key(session: AsyncSession, source: str, key: str) -> Release | None:
    """By its name in its source."""
    number = await session.scalar(select(RELEASE.c.id).where(RELEASE.c.source == source, RELEASE.c.key == key))
    return None if number is None else await get(session, number)


async def many(session: AsyncSession, numbers: Sequence[int]) -> Mapping[int, Release]:
    """Several at once, in the order asked; numbers that do not exist are left out."""
    if not numbers:
        return {}
    rows = (await session.execute(select(RELEASE).where(RELEASE.c.id.in_(numbers)))).mappings()
    releases = {row["id"]: row for row in rows}
    variants = await _variants(session, releases)
    topics = await _topics(session, numbers)
    return {n: _release(releases[n], variants[n], topics[n]) for n in dict.fromkeys(numbers) if n in releases}


async def _variants(session: AsyncSession, releases: Mapping[int, RowMapping]) -> Mapping[int, list[Variant]]:
    query = (
        select(VARIANT, *(c.label(f"r_{c.name}") for c in _TEXTS))
        .join_from(VARIANT, REVISION, _CURRENT)
        .where(VARIANT.c.release_id.in_(list(releases)))
        .order_by(VARIANT.c.release_id, VARIANT.c.position, VARIANT.c.id)
    )
    found: defaultdict[int, list[Variant]] = defaultdict(list)
    for row in (await session.execute(query)).mappings().all():
        number = row["release_id"]
        if row["said_state"] != State.DRAFT or releases[number]["state"] == State.DRAFT:
            variant = await _as_known(session, row, releases[number])
            found[number] += [variant] if variant else []
    return found


async def _as_known(session: AsyncSession, row: RowMapping, release: RowMapping) -> Variant | None:
    """The language version as readers may know it (rule 3); None for one that nobody has seen."""
    variant, opened, withdrawn = _variant(row), release["opened_at"], release["withdrawn_at"]
    if release["state"] != State.WITHDRAWN or opened is None or withdrawn is None or opened >= withdrawn:
        return variant
    if row["opened_at"] is None or row["opened_at"] >= withdrawn:
        return None
    if row["r_created_at"] < withdrawn:
        return variant
    query = (
        select(*_TEXTS)
        .where(REVISION.c.variant_id == row["id"], REVISION.c.created_at < withdrawn)
        .order_by(REVISION.c.number.desc())
        .limit(1)
    )
    known = (await session.execute(query)).mappings().one_or_none()
    if known is None:
        return None
    revision = revision_of(known)
    return replace(variant, slug=slugify(revision.title), revision=revision)


async def _topics(session: AsyncSession, numbers: Sequence[int]) -> Mapping[int, list[str]]:
    query = (
        select(RELEASE_TOPIC.c.release_id, RELEASE_TOPIC.c.topic)
        .where(RELEASE_TOPIC.c.release_id.in_(numbers))
        .order_by(RELEASE_TOPIC.c.release_id, RELEASE_TOPIC.c.position)
    )
    found: defaultdict[int, list[str]] = defaultdict(list)
    for number, topic in await session.execute(query):
        found[number].append(topic)
    return found


def _release(row: RowMapping, variants: Sequence[Variant], topics: Sequence[str]) -> Release:
    return Release(
        number=row["id"],
        uid=row["uid"],
        source=row["source"],
        key=row["key"],
        kind=row["kind"],
        urgency=Urgency(row["urgency"]),
        state=State(row["state"]),
        public_at=row["public_at"],
        opened_at=row["opened_at"],
        topics=tuple(topics),
        variants=tuple(variants),
        major=row["major"],
        change=row["change"],
        updated_at=row["updated_at"],
        withdrawn_at=row["withdrawn_at"],
        reason=row["reason"],
    )


def _variant(row: RowMapping) -> Variant:
    return Variant(
        id=row["id"],
        lang=row["lang"],
        uid=row["uid"],
        slug=row["slug"],
        updated_at=row["updated_at"],
        reason=row["said_reason"],
        revision=revision_of({c.name: row[f"r_{c.name}"] for c in _TEXTS}),
    )


def revision_of(row: Mapping[str, Any] | RowMapping) -> Revision:
    """A revision from its row, whatever else the row holds."""
    values = {c.name: row[c.name] for c in _TEXTS}
    values["attachments"] = tuple(Attachment(**one) for one in row["attachments"])
    return Revision(**values)


def attachments_json(attachments: Sequence[Attachment]) -> list[dict[str, Any]]:
    """Attachments as they are kept; a local path never is."""
    return [{k: v for k, v in asdict(one).items() if k != "path"} for one in attachments]
