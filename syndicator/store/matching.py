"""Which filters a release matches: the filter's SQL the other way round, one release against every filter at once.

Rules, in order:

1. One row per (filter, language version): with `lang` in the filter only the version it chooses, else every
   version whose words fit. Fan-out then picks the reader's own.
2. Topics are compared with the release's topics and all their ancestors.
3. Words are judged in Python, once per distinct word and language, by the same `filters.hits` that `wants` uses.
4. What no longer fits is taken out: the rows always say what holds now. Writing them twice changes nothing.
5. For one reader's sake only their filters are matched: one person's tap costs no look at everybody's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Facts, hits
from syndicator.domain.model import Release, SubscriptionState
from syndicator.domain.topics import Taxonomy
from syndicator.store.tables import FILTER, FILTER_TERM, MATCH, SUBSCRIPTION, UtcTime
from syndicator.store.upsert import insert_for

__all__ = ["write_matches"]


async def write_matches(
    session: AsyncSession,
    release: Release,
    taxonomy: Taxonomy,
    now: datetime,
    *,
    filters: Collection[int] | None = None,
) -> list[str]:
    """`match` rows of this release for every live filter, or for `filters`; idempotent.

    Returns its topics and those above them.
    """
    about = sorted(taxonomy.closure(release.topics))
    words = select(FILTER_TERM.c.value).where(FILTER_TERM.c.field == "q").distinct()
    asked = list(await session.scalars(words if filters is None else words.where(FILTER_TERM.c.filter_id.in_(filters))))
    texts = Facts.of(release).tokens if asked else dict.fromkeys(release.langs, frozenset[str]())
    for lang, tokens in texts.items():
        fit = and_(
            _kind(release.kind), _topics(about), _language(lang, texts.keys()), _words(session, hits(asked, tokens))
        )
        await _replace(session, release.number, lang, fit, filters, now)
    return about


async def _replace(
    session: AsyncSession,
    number: int,
    lang: str,
    fit: ColumnElement[bool],
    filters: Collection[int] | None,
    now: datetime,
) -> None:
    here = and_(MATCH.c.release_id == number, MATCH.c.lang == lang)
    live: ColumnElement[bool] = exists().where(
        SUBSCRIPTION.c.filter_id == FILTER.c.id, SUBSCRIPTION.c.state != SubscriptionState.ENDED
    )
    if filters is not None:
        here = and_(here, MATCH.c.filter_id.in_(filters))
        fit, live = and_(FILTER.c.id.in_(filters), fit), true()
    await session.execute(delete(MATCH).where(here, MATCH.c.filter_id.not_in(select(FILTER.c.id).where(fit))))
    rows = select(literal(number), FILTER.c.id, literal(lang), literal(now, UtcTime)).where(live, fit)
    insert = insert_for(session, MATCH).from_select(["release_id", "filter_id", "lang", "created_at"], rows)
    await session.execute(insert.on_conflict_do_nothing(index_elements=["release_id", "filter_id", "lang"]))


def _has(field: str, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(FILTER_TERM.c.filter_id == FILTER.c.id, FILTER_TERM.c.field == field, *conditions)


def _kind(kind: str) -> ColumnElement[bool]:
    return or_(~FILTER.c.has_kinds, _has("kind", FILTER_TERM.c.value == kind))


def _topics(about: Collection[str]) -> ColumnElement[bool]:
    wanted = or_(~FILTER.c.has_topics, _has("topic", FILTER_TERM.c.value.in_(about)))
    return and_(wanted, ~_has("not", FILTER_TERM.c.value.in_(about)))


def _language(lang: str, available: Iterable[str]) -> ColumnElement[bool]:
    """The filter names no language, or this is the first of its list that the release has."""
    better = FILTER_TERM.alias()
    is_better = exists().where(
        better.c.filter_id == FILTER_TERM.c.filter_id,
        better.c.field == "lang",
        better.c.value.in_(list(available)),
        better.c.position < FILTER_TERM.c.position,
    )
    return or_(~FILTER.c.has_langs, _has("lang", FILTER_TERM.c.value == lang, ~is_better))


def _words(session: AsyncSession, found: Collection[str]) -> ColumnElement[bool]:
    """Every word of the filter is among those found; they go in as one parameter, however many there are."""
    return or_(~FILTER.c.has_words, ~_has("q", FILTER_TERM.c.value.not_in(_array(session, found))))


def _array(session: AsyncSession, values: Collection[str]) -> Select[Any]:
    text = literal(json.dumps(sorted(values), ensure_ascii=False), String)
    if session.get_bind().dialect.name == "sqlite":
        return select(func.json_each(text).table_valued("value").c.value)
    return select(func.jsonb_array_elements_text(cast(text, JSONB)).table_valued("value").c.value)
