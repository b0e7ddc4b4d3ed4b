"""Reading releases the way the outside asks: what is visible, what a filter takes, what has changed.

Rules, in order:

1. `shown` is `domain.visibility.standing` in SQL; every query for the outside starts from it.
2. A listing is a filter's SQL, one way: it gives exactly what `filters.wants` would, for a reader of `lang` who
   takes no other language unless the filter names some.
3. Newest first, by `public_at`; the number decides between equals, so that pages never overlap.
4. For a reader of no language (`lang=None`: a program) a release counts in whichever of its versions fits.
5. What programs follow is cut by place, not by offset: pages hold while releases come and go, deep ones cost no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    case,
    column,
    distinct,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    values,
)
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter
from syndicator.domain.model import Release, Revision, State
from syndicator.domain.topics import Taxonomy
from syndicator.store import words
from syndicator.store.loading import get, many, revision_of
from syndicator.store.tables import RELEASE, RELEASE_TOPIC, REVISION, VARIANT

__all__ = [
    "OF_RELEASE",
    "Place",
    "changed_since",
    "chosen",
    "count",
    "history",
    "kinds",
    "last_change",
    "last_public_change",
    "listing",
    "listing_after",
    "months",
    "newest_ids",
    "public_changes",
    "shown",
    "ticked",
    "topic_totals",
    "visible",
    "withdrawn_listing",
]

Chosen = tuple[tuple[str, str, str], ...]
_UNSEEN = tuple(state for state in State if state not in (State.PUBLIC, State.WITHDRAWN))
_NEWEST = (RELEASE.c.public_at.desc(), RELEASE.c.id.desc())
_RECENT = 1000  # releases whose kinds are worth offering
_MONTHS = 600  # fifty years
OF_RELEASE = and_(VARIANT.c.release_id == RELEASE.c.id, VARIANT.c.said_state != State.DRAFT)
EVERYTHING = "all"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a release stands in a list: its time, and its number among equals."""

    public_at: datetime
    number: int


def shown(now: datetime, *, withdrawn: bool) -> ColumnElement[bool]:
    """A condition on releases: public now; with `withdrawn`, those that had opened and were withdrawn, too."""
    # "none of the others" rather than "one of two": SQLite would take an index on the state for that, and then sort all
    said = RELEASE.c.state.not_in(_UNSEEN) if withdrawn else RELEASE.c.state == State.PUBLIC
    return and_(said, RELEASE.c.opened_at.is_not(None), RELEASE.c.public_at <= now)


def _not_withdrawn_before(since: datetime) -> ColumnElement[bool]:
    return or_(RELEASE.c.withdrawn_at.is_(None), RELEASE.c.withdrawn_at > since)


async def visible(session: AsyncSession, number: int, now: datetime) -> Release | None:
    """By number, if it may be shown now (public, or withdrawn after opening)."""
    query = select(RELEASE.c.id).where(RELEASE.c.id == number, shown(now, withdrawn=True))
    found = await session.scalar(query)
    return None if found is None else await get(session, found)


async def listing(
    session: AsyncSession,
    filter_: Filter,
    taxonomy: Taxonomy,
    *,
    lang: str,
    now: datetime,
    limit: int = 20,
    offset: int = 0,
    withdrawn_since: datetime | None = None,
) -> Sequence[Release]:
    """Releases for a filter, newest first, that exist in `lang` (or in one of filter.langs when given).

    With `withdrawn_since`, those that were withdrawn after that time (and had opened) are among them.
    """
    query = _wanted(session, filter_, taxonomy, lang).where(shown(now, withdrawn=withdrawn_since is not None))
    if withdrawn_since is not None:
        query = query.where(_not_withdrawn_before(withdrawn_since))
    numbers = list(await session.scalars(query.order_by(*_NEWEST).limit(limit).offset(offset)))
    return list((await many(session, numbers)).values())


async def withdrawn_listing(
    session: AsyncSession,
    filter_: Filter,
    taxonomy: Taxonomy,
    *,
    lang: str,
    now: datetime,
    since: datetime,
    limit: int,
) -> Sequence[Release]:
    """Withdrawn releases alone, by the filter without its words, newest first: those withdrawn after `since`.

    The index of words may know texts that were written after a withdrawal: who asks for words compares them with what
    the release comes with, which is what readers last saw.
    """
    query = _wanted(session, replace(filter_, words=()), taxonomy, lang).where(
        shown(now, withdrawn=True), RELEASE.c.state == State.WITHDRAWN, RELEASE.c.withdrawn_at > since
    )
    numbers = list(await session.scalars(query.order_by(*_NEWEST).limit(limit)))
    return list((await many(session, numbers)).values())


async def listing_after(
    session: AsyncSession,
    filter_: Filter,
    taxonomy: Taxonomy,
    *,
    lang: str | None,
    now: datetime,
    limit: int,
    after: Place | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    by_update: bool = False,
    found_in: Sequence[str] = (),
) -> Sequence[Release]:
    """Public releases for a filter that stand behind `after`, newest first.

    `since` (included) and `until` (not included) bound the time of publication, or with `by_update` that of the last
    correction. Left out is what has the filter's words in one of the languages `found_in`.
    """
    # Of two upper bounds SQLite takes any one for the index: so both are the nearest, or deep parts would cost more.
    newest = min([now, *([until] if until else []), *([after.public_at] if after else [])])
    query = _wanted(session, filter_, taxonomy, lang).where(shown(newest, withdrawn=False))
    query = query.where(_within(since, until, by_update=by_update))
    if found_in:
        other = VARIANT.alias()
        theirs = (other.c.release_id == RELEASE.c.id, other.c.said_state != State.DRAFT, other.c.lang.in_(found_in))
        query = query.where(~exists().where(*theirs, words.fits(session, other.c.id, filter_.words)))
    if after is not None:
        here = tuple_(literal(after.public_at, RELEASE.c.public_at.type), literal(after.number, Integer))
        query = query.where(tuple_(RELEASE.c.public_at, RELEASE.c.id) < here)
    numbers = list(await session.scalars(query.order_by(*_NEWEST).limit(limit)))
    return list((await many(session, numbers)).values())


async def count(
    session: AsyncSession,
    filter_: Filter,
    taxonomy: Taxonomy,
    *,
    lang: str | None,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    by_update: bool = False,
) -> int:
    """How many `listing` or `listing_after` would give in all."""
    query = _wanted(session, filter_, taxonomy, lang).where(shown(now, withdrawn=False))
    query = query.where(_within(since, until, by_update=by_update))
    return int(await session.scalar(select(func.count()).select_from(query.subquery())) or 0)


async def newest_ids(
    session: AsyncSession,
    lang: str,
    topics: Sequence[str] | None,
    *,
    now: datetime,
    limit: int,
    withdrawn: bool = False,
) -> Sequence[int]:
    """Numbers of the newest visible releases in a language with any of the topics (None: all), newest first.

    With `withdrawn`, those that had opened and were withdrawn are among them: a feed says so in their place. The
    topics are taken as they are, without their children.
    """
    query = _in_language(VARIANT.c.lang == lang).where(shown(now, withdrawn=withdrawn))
    if topics is not None:
        query = query.where(_about(topics))
    return list(await session.scalars(query.order_by(*_NEWEST).limit(limit)))


async def changed_since(session: AsyncSession, change: int, limit: int = 1000) -> Sequence[Release]:
    """Releases with a greater change number, in order of change, whatever their state; for feeds."""
    query = select(RELEASE.c.id).where(RELEASE.c.change > change).order_by(RELEASE.c.change).limit(limit)
    return list((await many(session, list(await session.scalars(query)))).values())


async def public_changes(session: AsyncSession, change: int, *, now: datetime, limit: int) -> Sequence[Release]:
    """Releases that may be shown, as withdrawn where they are, with a greater change number; in order of change."""
    query = (
        select(RELEASE.c.id)
        .where(RELEASE.c.change > change, shown(now, withdrawn=True))
        .order_by(RELEASE.c.change)
        .limit(limit)
    )
    return list((await many(session, list(await session.scalars(query)))).values())


async def last_public_change(session: AsyncSession, now: datetime) -> int:
    """The greatest change number of a release that may be shown; 0 while there is none."""
    query = select(RELEASE.c.change).where(shown(now, withdrawn=True)).order_by(RELEASE.c.change.desc()).limit(1)
    return int(await session.scalar(query) or 0)


async def last_change(session: AsyncSession) -> int:
    """The greatest change number so far; 0 while there is no release."""
    return int(await session.scalar(select(func.max(RELEASE.c.change))) or 0)


async def history(session: AsyncSession, number: int, lang: str) -> Sequence[Revision]:
    """All revisions of a language version that could be seen, newest first; not what was replaced before it opened."""
    older = REVISION.alias()
    first = (
        select(func.max(older.c.number))
        .where(older.c.variant_id == VARIANT.c.id, older.c.created_at <= VARIANT.c.opened_at)
        .scalar_subquery()
    )
    query = (
        select(REVISION)
        .join_from(REVISION, VARIANT, REVISION.c.variant_id == VARIANT.c.id)
        .where(VARIANT.c.release_id == number, VARIANT.c.lang == lang, VARIANT.c.said_state != State.DRAFT)
        .where(REVISION.c.number >= first)
        .order_by(REVISION.c.number.desc())
    )
    return [revision_of(row) for row in (await session.execute(query)).mappings()]


async def ticked(session: AsyncSession, number: int) -> Chosen | None:
    """The topics that an editor chose, as `Draft.topics`; None where the rules found them, or there are none."""
    return tuple(one for one in await chosen(session, number) if one[1] == "source") or None


async def chosen(session: AsyncSession, number: int) -> Chosen:
    """A release's topics as they stand, with who chose each (`source` or `rule`) and why."""
    query = (
        select(RELEASE_TOPIC.c.topic, RELEASE_TOPIC.c.chosen_by, RELEASE_TOPIC.c.reason)
        .where(RELEASE_TOPIC.c.release_id == number)
        .order_by(RELEASE_TOPIC.c.position)
    )
    return tuple((topic, by, reason) for topic, by, reason in await session.execute(query))


async def kinds(session: AsyncSession, now: datetime) -> Sequence[str]:
    """The kinds among the newest public releases, sorted: what a form may offer."""
    newest = select(RELEASE.c.kind).where(shown(now, withdrawn=False)).order_by(*_NEWEST).limit(_RECENT).subquery()
    return sorted(await session.scalars(select(newest.c.kind).distinct()))


async def months(
    session: AsyncSession, wanted: Filter, taxonomy: Taxonomy, *, lang: str, zone: ZoneInfo, now: datetime
) -> Sequence[str]:
    """Months of the office's calendar (`YYYY-MM` in `zone`) in which `listing` has a release, newest first.

    Each step looks for the newest release before the month found last, so its cost goes by months, not releases.
    """
    query = _wanted(session, wanted, taxonomy, lang).with_only_columns(RELEASE.c.public_at)
    newest = query.where(shown(now, withdrawn=False)).order_by(RELEASE.c.public_at.desc()).limit(1)
    found: list[str] = []
    latest = await session.scalar(newest)
    while latest is not None and len(found) < _MONTHS:
        month = latest.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
        found.append(f"{month:%Y-%m}")
        latest = await session.scalar(newest.where(RELEASE.c.public_at < month.astimezone(UTC)))
    return found


async def topic_totals(session: AsyncSession, taxonomy: Taxonomy, now: datetime) -> Mapping[tuple[str, str], int]:
    """How many public releases there are by (language, topic), its children's among them; `all` for every release."""
    pairs = [(member, slug) for slug in taxonomy.slugs for member in sorted(taxonomy.descendants(slug))]
    every = _in_language(VARIANT.c.lang.is_not(None)).where(shown(now, withdrawn=False))
    query = every.with_only_columns(VARIANT.c.lang, func.count()).group_by(VARIANT.c.lang)
    found = {(lang, EVERYTHING): number for lang, number in await session.execute(query)}
    if not pairs:
        return found
    family = values(column("slug", String), column("above", String), name="family").data(pairs).cte()
    query = (
        every.join(RELEASE_TOPIC, RELEASE_TOPIC.c.release_id == RELEASE.c.id)
        .join(family, family.c.slug == RELEASE_TOPIC.c.topic)
        .with_only_columns(VARIANT.c.lang, family.c.above, func.count(distinct(RELEASE.c.id)))
        .group_by(VARIANT.c.lang, family.c.above)
    )
    return found | {(lang, topic): number for lang, topic, number in await session.execute(query)}


def _in_language(language: ColumnElement[bool]) -> Select[Any]:
    return select(RELEASE.c.id).join_from(RELEASE, VARIANT, OF_RELEASE).where(language)


def _wanted(session: AsyncSession, wanted: Filter, taxonomy: Taxonomy, lang: str | None) -> Select[Any]:
    """The filter as a query for release numbers, one row each, visible or not."""
    fit = words.fits(session, VARIANT.c.id, wanted.words)
    if lang is None and not wanted.langs:
        query = select(RELEASE.c.id).where(exists().where(OF_RELEASE, fit))
    else:
        query = _in_language(_chosen(wanted.langs, lang)).where(fit)
    if wanted.kinds:
        query = query.where(RELEASE.c.kind.in_(wanted.kinds))
    if wanted.topics:
        query = query.where(_about(_below(taxonomy, wanted.topics)))
    if wanted.without:
        query = query.where(~_about(_below(taxonomy, wanted.without)))
    return query


def _within(since: datetime | None, until: datetime | None, *, by_update: bool) -> ColumnElement[bool]:
    """The time asked for. What was updated before a time was published before it: so a list may begin there."""
    moment = RELEASE.c.updated_at if by_update else RELEASE.c.public_at
    bounds = [moment >= since] if since is not None else []
    if until is not None:
        bounds += [moment < until, RELEASE.c.public_at < until]
    return and_(true(), *bounds)


def _chosen(langs: Sequence[str], lang: str | None) -> ColumnElement[bool]:
    """The one version a reader gets: their own language's, or the first of the filter's that the release has."""
    if not langs:
        return VARIANT.c.lang == lang
    other = VARIANT.alias()
    rank = {code: place for place, code in enumerate(langs)}
    better = exists().where(
        other.c.release_id == RELEASE.c.id,
        other.c.said_state != State.DRAFT,
        other.c.lang.in_(langs),
        case(rank, value=other.c.lang) < case(rank, value=VARIANT.c.lang),
    )
    return and_(VARIANT.c.lang.in_(langs), ~better)


def _about(topics: Sequence[str]) -> ColumnElement[bool]:
    return exists().where(RELEASE_TOPIC.c.release_id == RELEASE.c.id, RELEASE_TOPIC.c.topic.in_(topics))


def _below(taxonomy: Taxonomy, topics: Sequence[str]) -> Sequence[str]:
    return sorted({slug for topic in topics for slug in taxonomy.descendants(topic)})
