"""Heirs: by which other subscription a promised delivery is still wanted, when the one it was written for has ended.

Rules, in order:

1. A person has one row a message, so what ends with one subscription may still be owed by another: a second that
   matches too, or the one that took its place ("changed", one more topic ticked).
2. A release goes by an active subscription whose filter takes it, in the version this reader then gets. It is judged by
   `filters.takes`, like any reader: a new filter has no `match` rows yet. What was promised at once goes out at once,
   also to who has gone over to a digest since: `digesting` counts it as told.
3. What may have arrived in part keeps its language: nobody gets the same news in two.
4. Other news of a release goes to who has the old text and still listens at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Facts, parse, takes
from syndicator.domain.model import MessageKind, OtherLanguage, Reader, SubscriptionState
from syndicator.store.loading import many
from syndicator.store.tables import DELIVERY, FILTER, SUBSCRIPTION

__all__ = ["Heir", "inherit"]


@dataclass(frozen=True, slots=True)
class Heir:
    """The subscription by which a delivery goes out now, its filter and the language version."""

    subscription: int
    filter: str
    lang: str


async def inherit(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> Mapping[int, Heir]:
    """Heirs by delivery, written into the ledger; a row that has none is left out.

    A row is what `claiming` reads of a delivery, its message and its subscriber.
    """
    if not rows:
        return {}
    people = {row["subscriber_id"] for row in rows}
    query = (
        select(SUBSCRIPTION.c.id, SUBSCRIPTION.c.subscriber_id, FILTER.c.canonical)
        .join_from(SUBSCRIPTION, FILTER, FILTER.c.id == SUBSCRIPTION.c.filter_id)
        .where(SUBSCRIPTION.c.subscriber_id.in_(people), SUBSCRIPTION.c.state == SubscriptionState.ACTIVE)
        .order_by(SUBSCRIPTION.c.id)
    )
    live = (await session.execute(query)).mappings().all()
    if not live:
        return {}
    releases = await many(session, sorted({row["release_id"] for row in rows if row["release_id"]}))
    facts = {number: Facts.of(release) for number, release in releases.items()}
    found: dict[int, Heir] = {}
    for row in rows:
        theirs = [one for one in live if one["subscriber_id"] == row["subscriber_id"]]
        heir = _heir(row, theirs, facts.get(row["release_id"]))
        if heir is not None:
            found[row["delivery"]] = heir
    await _write(session, found)
    return found


def _heir(row: Mapping[str, Any], theirs: Sequence[RowMapping], facts: Facts | None) -> Heir | None:
    told = MessageKind(row["kind"]) is not MessageKind.RELEASE
    reader = Reader(row["language"], OtherLanguage(row["other_language"]))
    matched, begun = row["matched"], bool(row["answer"]) or row["resent"]
    for one in theirs:
        if told:
            return Heir(one["id"], one["canonical"], row["lang"])
        if facts is None:
            continue
        lang = takes(parse(one["canonical"]), facts, reader, matched.get("about", ()), matched.get("order", ()))
        if lang is not None and not (begun and lang != row["lang"]):
            return Heir(one["id"], one["canonical"], lang)
    return None


async def _write(session: AsyncSession, heirs: Mapping[int, Heir]) -> None:
    if not heirs:
        return
    query = (
        update(DELIVERY)
        .where(DELIVERY.c.id == bindparam("delivery"))
        .values(subscription_id=bindparam("heir"), lang=bindparam("version"))
    )
    connection = await session.connection()
    values: list[dict[str, Any]] = [
        {"delivery": number, "heir": heir.subscription, "version": heir.lang} for number, heir in heirs.items()
    ]
    await connection.execute(query, values)
