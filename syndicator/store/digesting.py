"""To whom a digest goes, and what it tells each: one message a person, by set-based SQL in steps of 5,000 people.

Rules, in order:

1. Active people whose subscription of that cadence, in that zone, takes a release of the window get it, once, in the
   version that `fanout` would choose; another language too where they take one: by then languages have settled. It is
   that version which became news within the window: a late translation is news to none of another language's readers.
2. Nobody gets the past: the subscription is older than that version, or took the place of one ("changed") that was
   older and took it too. So whoever ticks one more topic, or goes over from daily to weekly, loses nothing.
3. What the ledger says they were told is left out: as a release by itself (sent, on its way, unknown, or waiting:
   what was promised at once goes out at once, `heirs`), or in another digest, since it first came out.
4. Before the first step every release of the window is matched with the filters of today, in a run for one person with
   theirs alone. That waits for the release's own fan-out, though not for ever.
5. Rows and what they tell are one transaction; who has a row of the run gets no second one.
6. What of the last run still waits for people of this one goes along with it (`carrying`).
7. A run for somebody who rests is put by until they do no more (`digests`).
8. By a clock that stands before a release's time it cannot be told: the run waits, or another process goes on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, and_, exists, func, or_, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import MessageKind, Standing, State, SubscriberRole, Urgency
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.store.carrying import carry
from syndicator.store.catalogue import shown
from syndicator.store.digests import became_news, opened
from syndicator.store.loading import many
from syndicator.store.matching import write_matches
from syndicator.store.messages import Message
from syndicator.store.resting import rests
from syndicator.store.stepping import PEOPLE, Step, advance, bounds, next_high, typed, write_step
from syndicator.store.tables import DELIVERY, DIGEST_RUN, MESSAGE, RELEASE, SUBSCRIBER, SUBSCRIPTION, VARIANT

__all__ = ["runs_about", "write_digest"]

AT_A_TIME = 5_000  # people a transaction: on SQLite nobody else writes meanwhile
MATCHED_AT_A_TIME = 25  # releases a transaction
PATIENCE = timedelta(minutes=10)  # how long a run waits for fan-outs of its releases
PAUSE = timedelta(seconds=5)

# What each kind of reader may be told: a row a release and language read, "*" for languages that we do not write, and
# "" for filters that choose the version themselves.
NEWS = {
    "sqlite": """
        SELECT json_extract(j.value, '$[0]') AS number, json_extract(j.value, '$[1]') AS message,
            json_extract(j.value, '$[2]') AS reader, json_extract(j.value, '$[3]') AS lang,
            json_extract(j.value, '$[4]') AS other, json_extract(j.value, '$[5]') AS urgent,
            json_extract(j.value, '$[6]') AS opened
        FROM json_each(:news) j""",
    "postgresql": """
        SELECT CAST(j.value ->> 0 AS integer) AS number, CAST(j.value ->> 1 AS integer) AS message,
            j.value ->> 2 AS reader, j.value ->> 3 AS lang,
            CAST(j.value ->> 4 AS integer) AS other, CAST(j.value ->> 5 AS integer) AS urgent,
            CAST(j.value ->> 6 AS timestamptz) AS opened
        FROM jsonb_array_elements(CAST(:news AS jsonb)) j""",
}

# CROSS JOIN keeps SQLite's order of joining: people by key, then their subscriptions. Both databases make readers and
# offers first and join them by equal filters: PostgreSQL would else multiply people with filters.
ITEMS = """
    WITH news AS MATERIALIZED (@news),
    offers AS MATERIALIZED (
        SELECT n.number, n.message, n.reader, n.lang, n.other, n.urgent, n.opened, m.filter_id
        FROM news n CROSS JOIN match m WHERE m.release_id = n.number AND m.lang = n.lang
    ),
    readers AS MATERIALIZED (
        SELECT p.id AS subscriber_id, p.channel, p.language, p.other_language, s.id AS subscription_id, s.filter_id,
            COALESCE(s.confirmed_at, s.created_at) AS since,
            CASE WHEN f.has_langs THEN '' WHEN p.language IN :known THEN p.language ELSE '*' END AS reader
        FROM subscriber p CROSS JOIN subscription s CROSS JOIN filter f
        WHERE {people} AND s.subscriber_id = p.id AND s.subscriber_id BETWEEN :first AND :last AND @wanted
            AND f.id = s.filter_id
    ),
    told AS MATERIALIZED (
        SELECT d.subscriber_id, i.release_id FROM delivery d CROSS JOIN digest_item i
        WHERE d.message_id IN :runs AND d.subscriber_id > :low AND d.subscriber_id <= :high AND i.delivery_id = d.id
            AND (d.state NOT IN ('suppressed', 'failed') OR CAST(d.answer AS TEXT) <> :nothing)
    ),
    alone AS MATERIALIZED (
        SELECT d.subscriber_id, d.message_id FROM delivery d
        WHERE d.message_id IN :messages AND d.subscriber_id > :low AND d.subscriber_id <= :high
            AND (d.state NOT IN ('suppressed', 'failed') OR CAST(d.answer AS TEXT) <> :nothing)
    )
    SELECT r.subscriber_id, r.channel, r.language, r.subscription_id, n.number, n.lang
    FROM readers r CROSS JOIN offers n
    WHERE n.filter_id = r.filter_id AND n.reader = r.reader
        AND (n.other = 0 OR r.other_language = 'always' OR (r.other_language = 'urgent' AND n.urgent = 1))
        AND (r.since <= n.opened OR EXISTS (
            SELECT 1 FROM subscription w CROSS JOIN match b
            WHERE w.subscriber_id = r.subscriber_id AND w.state = 'ended' AND w.ended_reason = 'changed'
                AND w.confirmed_at <= n.opened AND w.ended_at > n.opened
                AND b.release_id = n.number AND b.filter_id = w.filter_id))
        AND (r.subscriber_id, n.number) NOT IN (SELECT t.subscriber_id, t.release_id FROM told t)
        AND (r.subscriber_id, n.message) NOT IN (SELECT t.subscriber_id, t.message_id FROM alone t)
"""

RECIPIENTS = """
    SELECT g.subscriber_id, g.channel, g.language AS lang, MIN(g.subscription_id) AS subscription_id, 1 AS choice
    FROM (@items) g GROUP BY g.subscriber_id, g.channel, g.language
"""

WRITE_ITEMS = """
    INSERT INTO digest_item (delivery_id, release_id, lang)
    SELECT d.id, c.number, c.lang FROM (
        SELECT g.subscriber_id, g.number, g.lang,
            ROW_NUMBER() OVER (PARTITION BY g.subscriber_id, g.number ORDER BY g.subscription_id) AS place
        FROM (@items) g
    ) c
    CROSS JOIN delivery d
    WHERE c.place = 1 AND d.message_id = :message AND d.subscriber_id = c.subscriber_id
        AND d.state = 'due' AND d.attempts = 0
    ON CONFLICT (delivery_id, release_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class _Whom:
    """Which people are looked at, beside the step's, and which of their subscriptions."""

    people: str
    wanted: str


EVERYBODY = _Whom(" AND p.timezone = :zone", "s.state = 'active' AND s.cadence = :cadence")
ONE = _Whom("", "s.id = :subscription")


async def write_digest(
    session: AsyncSession, step: Step, matched: Mapping[str, Any], *, taxonomy: Taxonomy, order: Sequence[str]
) -> int | None:
    """A step of a run, whose message is locked: its rows, or None when nobody was left (or it has to wait).

    `matched` is what the message keeps: the `releases` of its window, and how many of them are `ready`. `order` is
    the site's languages, best first.
    """
    message = step.message
    query = select(DIGEST_RUN).where(DIGEST_RUN.c.message_id == message.id)
    run = (await session.execute(query)).mappings().one_or_none()
    numbers = list(matched.get("releases", ()))
    ready = int(matched.get("ready", 0))
    if ready == 0 and (until := await _busy(session, message, numbers, step.now)) is not None:
        await advance(session, message.id, again_at=until)
        return None
    if (until := await _ahead(session, numbers, step.now)) is not None:
        await advance(session, message.id, again_at=until)
        return None
    if ready < len(numbers):
        filters = await _filters_of(session, message.subscription)
        await _match(session, numbers[ready : ready + MATCHED_AT_A_TIME], taxonomy, filters, step.now)
        said = {**matched, "releases": numbers, "ready": min(ready + MATCHED_AT_A_TIME, len(numbers))}
        await advance(session, message.id, matched=said, again_at=None)
        return 0
    if run is None or step.high is None:
        await advance(session, message.id, fanned_out_at=step.now)
        return None
    if message.subscription is not None:
        return await _to_one(session, step, run, matched, order)
    high = min(step.high, await next_high(session, step.low, AT_A_TIME) or step.high)
    written = await _write(session, replace(step, high=high), run, EVERYBODY, matched, order)
    await advance(session, message.id, cursor=high)
    return written


async def _to_one(
    session: AsyncSession, step: Step, run: RowMapping, matched: Mapping[str, Any], order: Sequence[str]
) -> int:
    """A run of somebody's own: one row at most."""
    query = (
        select(SUBSCRIBER.c.id, rests().label("rests"))
        .join_from(SUBSCRIPTION, SUBSCRIBER, SUBSCRIBER.c.id == SUBSCRIPTION.c.subscriber_id)
        .where(SUBSCRIPTION.c.id == step.message.subscription)
    )
    who = (await session.execute(query)).one_or_none()
    if who is None or who.rests:
        await advance(session, step.message.id, fanned_out_at=step.now, again_at=step.now)
        return 0
    written = await _write(session, replace(step, low=who.id - 1, high=who.id), run, ONE, matched, order)
    await advance(session, step.message.id, fanned_out_at=step.now, again_at=None)
    return written


async def _busy(session: AsyncSession, message: Message, numbers: Sequence[int], now: datetime) -> datetime | None:
    """When to look again while recipients of these releases are still being written; None: no need to wait."""
    if now >= message.created_at + PATIENCE:
        return None
    of_them = MESSAGE.c.release_id.in_(numbers) & (MESSAGE.c.kind == MessageKind.RELEASE)
    query = select(func.count(), func.max(MESSAGE.c.again_at)).where(of_them, MESSAGE.c.fanned_out_at.is_(None))
    waiting, settled = (await session.execute(query)).one()
    return max(now + PAUSE, settled or now) if waiting else None


async def _ahead(session: AsyncSession, numbers: Sequence[int], now: datetime) -> datetime | None:
    """When the last of these releases is public by this clock; None: all are by now, or never will be (rule 8)."""
    query = select(func.max(RELEASE.c.public_at)).where(RELEASE.c.id.in_(numbers), RELEASE.c.state == State.PUBLIC)
    found: datetime | None = await session.scalar(query.where(RELEASE.c.public_at > now))
    return found


async def _filters_of(session: AsyncSession, subscription: int | None) -> list[int] | None:
    """Of a run for one person, the filters that count: the subscription's, and of those whose place it took."""
    if subscription is None:
        return None
    reader = select(SUBSCRIPTION.c.subscriber_id).where(SUBSCRIPTION.c.id == subscription).scalar_subquery()
    replaced = and_(SUBSCRIPTION.c.subscriber_id == reader, SUBSCRIPTION.c.ended_reason == "changed")
    query = select(SUBSCRIPTION.c.filter_id).where(or_(SUBSCRIPTION.c.id == subscription, replaced)).distinct()
    return list(await session.scalars(query))


async def _match(
    session: AsyncSession, numbers: Sequence[int], taxonomy: Taxonomy, filters: Sequence[int] | None, now: datetime
) -> None:
    for release in (await many(session, numbers)).values():
        if standing(release.state, release.public_at, release.opened_at, now) is Standing.PUBLIC:
            await write_matches(session, release, taxonomy, now, filters=filters)


async def _write(
    session: AsyncSession, step: Step, run: RowMapping, whom: _Whom, matched: Mapping[str, Any], order: Sequence[str]
) -> int:
    """Rows of this step, and what each of them tells."""
    dialect = session.get_bind().dialect.name
    numbers = list(matched["releases"])
    news = await _news(session, run, matched, order, step.now)
    if not news or step.high is None:
        return 0
    values: dict[str, Any] = {
        "news": json.dumps(news),
        "messages": sorted({row[1] for row in news}),
        "runs": [one for one in await runs_about(session, numbers, step.low, step.high) if one != run["message_id"]],
        "known": list(order),
        "nothing": "{}",
        "zone": run["zone"],
        "cadence": run["cadence"],
        "subscription": step.message.subscription,
    }
    if dialect == "postgresql":  # for this transaction: it expects few readers and offers, and loops over their product
        await session.execute(sql("SET LOCAL enable_nestloop = off"))
    people = f"{PEOPLE[SubscriberRole.PERSON]}{whom.people}"
    recipients, items = (
        text.replace("@items", ITEMS).replace("@news", NEWS[dialect]).replace("@wanted", whom.wanted)
        for text in (RECIPIENTS, WRITE_ITEMS)
    )
    written = await write_step(session, step, recipients, people, values)
    if written:
        given = {**values, "message": run["message_id"], **bounds(step.low, step.high)}
        given["channels"] = list(step.channels)
        await session.execute(typed(items.format(people=people), given))
        await carry(session, step, run)
    return written


async def runs_about(session: AsyncSession, numbers: Sequence[int], low: int, high: int) -> list[int]:
    """Messages of all digests that may have told somebody after `low`, up to `high`, of these releases."""
    first = select(func.min(RELEASE.c.opened_at)).where(RELEASE.c.id.in_(numbers)).scalar_subquery()
    of_them = exists().where(
        DELIVERY.c.message_id == DIGEST_RUN.c.message_id,
        DELIVERY.c.subscriber_id > low,
        DELIVERY.c.subscriber_id <= high,
    )
    query = select(DIGEST_RUN.c.message_id).where(DIGEST_RUN.c.ends_at > first, of_them)
    return list(await session.scalars(query))


async def _news(
    session: AsyncSession, run: RowMapping, matched: Mapping[str, Any], order: Sequence[str], now: datetime
) -> list[tuple[Any, ...]]:
    """The rows of `NEWS`: releases that may be shown now, and who may be told which version of them (rule 1)."""
    dialect = session.get_bind().dialect.name
    columns = [RELEASE.c.id, RELEASE.c.urgency, VARIANT.c.lang, MESSAGE.c.id.label("message")]
    query = (
        select(*columns, opened().label("opened"), became_news().label("news"))
        .join_from(RELEASE, VARIANT, VARIANT.c.release_id == RELEASE.c.id)
        .join(MESSAGE, and_(MESSAGE.c.release_id == RELEASE.c.id, MESSAGE.c.kind == MessageKind.RELEASE))
        .where(
            RELEASE.c.id.in_(list(matched["releases"])),
            shown(now, withdrawn=False),
            VARIANT.c.said_state != State.DRAFT,
        )
        .order_by(RELEASE.c.id, VARIANT.c.position)
    )
    versions: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for row in await session.execute(query):
        versions[row.id].setdefault(row.lang, row)
    found: list[tuple[Any, ...]] = []
    held = matched.get("versions", {})  # some became news before the window began (`digests`, rule 6)
    for number, by_lang in versions.items():
        fallback = next((lang for lang in order if lang in by_lang), "")
        asked = [("", lang) for lang in by_lang] + [(lang, lang if lang in by_lang else fallback) for lang in order]
        for reader, lang in [*asked, ("*", fallback)]:
            if lang and (by_lang[lang].news >= run["begins_at"] or lang in held.get(str(number), ())):
                row = by_lang[lang]
                other, urgent = int(reader not in ("", lang)), int(row.urgency == Urgency.URGENT)
                found.append((number, row.message, reader, lang, other, urgent, _moment(row.opened, dialect)))
    return found


def _moment(when: datetime, dialect: str) -> str:
    """A time as the database compares it: SQLite by its text (`columns.UtcTime`)."""
    text = when.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return text if dialect == "sqlite" else f"{text}+00"
