"""Fan-out: from a message to one ledger row per person, by set-based SQL, in steps of some 20,000 people.

Rules, in order:

1. One row a person and message, however many of their filters match (the smallest subscription id stands); who has
   a row already gets no second one, so a step may be repeated and a late translation reaches only who lacked it.
2. A release goes to active subscribers with an active, immediate subscription that matches. A filter with `lang` has
   chosen the version; else it is the reader's own language; else, for who takes another one, the site's first.
   The subscription must be older than that version's coming out: nobody gets the past.
3. People are given another language only `settle` after the release came out: an office saves its languages one by one,
   and who got the first would not get their own any more. Until then the message stays open; then only they are
   looked for.
4. A correction goes to who got the text in a language that was corrected, a withdrawal to all who got any.
5. The office's public channels come first, in batches of their own, in the language there is; people follow in the
   order of their ids.
6. A release that may not be shown now gets no row. While its time has not come (again) the message stays open.
7. Each step reads message and release in its own transaction. A release that changed since its matches were written
   (a translation came, a topic was ticked) is matched again, and everybody is looked at from the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, TextClause, bindparam, delete, exists, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import MessageKind, Release, Standing, Urgency
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.store.loading import get
from syndicator.store.matching import write_matches
from syndicator.store.messages import Message, message_of
from syndicator.store.tables import BATCH, DELIVERY, MESSAGE, REVISION, VARIANT, UtcTime

__all__ = ["fan_out"]

# CROSS JOIN keeps SQLite's order of joining: a few thousand people by key, then what belongs to each. Filters first
# would read every subscription again at each step.
MATCHED = """
    SELECT p.id AS subscriber_id, p.channel, s.id AS subscription_id, m.lang,
        ROW_NUMBER() OVER (PARTITION BY p.id ORDER BY s.id) AS choice
    FROM subscriber p CROSS JOIN subscription s CROSS JOIN filter f CROSS JOIN match m CROSS JOIN variant v
    WHERE {people} AND s.subscriber_id = p.id AND s.state = 'active' AND s.cadence = 'immediate'
        AND f.id = s.filter_id AND m.release_id = :release AND m.filter_id = f.id
        AND m.lang = CASE
            WHEN :again AND (f.has_langs OR p.language IN :langs) THEN ''
            WHEN f.has_langs THEN m.lang
            WHEN p.language IN :langs THEN p.language
            WHEN :others AND (p.other_language = 'always' OR (p.other_language = 'urgent' AND :urgent)) THEN :fallback
            ELSE '' END
        AND v.release_id = :release AND v.lang = m.lang
        AND COALESCE(s.confirmed_at, s.created_at) <= CASE
            WHEN v.opened_at > :opened THEN v.opened_at ELSE :opened END
"""

# Corrections and withdrawals: announced by nobody yet, yet part of the ledger's contract and of its tests.
TOLD = """
    SELECT t.subscriber_id, t.channel, t.lang, t.choice, COALESCE(
        (SELECT s.id FROM subscription s WHERE s.id = t.had AND s.state = 'active'),
        (SELECT MIN(s.id) FROM subscription s WHERE s.subscriber_id = t.subscriber_id AND s.state = 'active')
    ) AS subscription_id
    FROM (
        SELECT p.id AS subscriber_id, p.channel, d.lang, d.subscription_id AS had,
            ROW_NUMBER() OVER (PARTITION BY p.id ORDER BY d.id DESC) AS choice
        FROM subscriber p CROSS JOIN message g CROSS JOIN delivery d
        WHERE {people} AND g.release_id = :release AND g.kind IN ('release', 'correction') AND g.id < :message
            AND d.message_id = g.id AND d.subscriber_id = p.id AND d.state IN ('sent', 'unknown', 'sending')
            AND d.lang IN :langs
    ) t
"""

PEOPLE = {
    "person": "p.id > :low AND p.id <= :high AND p.role <> 'channel' AND p.state = 'active'",
    "channel": "p.role = 'channel' AND p.state = 'active'",
}

INSERT = """
INSERT INTO delivery
    (message_id, subscriber_id, subscription_id, batch_id, lang, state, attempts, due_at, resent, reason, answer)
SELECT :message, r.subscriber_id, r.subscription_id, b.id, r.lang, 'due', 0, :now, :fresh, '', '{{}}'
FROM (
    SELECT q.subscriber_id, q.subscription_id, q.channel, q.lang,
        (ROW_NUMBER() OVER (PARTITION BY q.channel ORDER BY q.subscriber_id) - 1) / :size AS bucket
    FROM ({recipients}) q
    WHERE q.choice = 1 AND q.subscription_id IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM delivery had WHERE had.message_id = :message AND had.subscriber_id = q.subscriber_id)
) r
JOIN (
    SELECT id, channel, ROW_NUMBER() OVER (PARTITION BY channel ORDER BY id) - 1 AS bucket
    FROM batch WHERE id IN :batches
) b ON b.channel = r.channel AND b.bucket = r.bucket
WHERE true
ON CONFLICT (message_id, subscriber_id) DO NOTHING
"""

COUNT = "SELECT p.channel, COUNT(*) FROM subscriber p WHERE {people} GROUP BY p.channel ORDER BY p.channel"
NAMES = re.compile(r":(\w+)")
HIGH = text("SELECT MAX(id) FROM (SELECT id FROM subscriber WHERE id > :low ORDER BY id LIMIT :limit) step")


async def fan_out(
    session: AsyncSession,
    number: int,
    *,
    taxonomy: Taxonomy,
    order: Sequence[str],
    now: datetime,
    limit: int = 20_000,
    batch_size: int = 500,
    settle: timedelta = timedelta(0),
) -> int | None:
    """Write deliveries of that message for the next `limit` subscribers by id; returns the rows of this step.

    None when nobody was left: the message is then closed, or waits until the languages have settled (rule 3). `order`
    is the site's languages, best first.
    """
    query = select(MESSAGE).where(MESSAGE.c.id == number, MESSAGE.c.fanned_out_at.is_(None)).with_for_update()
    row = (await session.execute(query)).mappings().one_or_none()
    # Read after the lock: what was announced before it is seen here, what comes later opens the message again.
    release = None if row is None or row["release_id"] is None else await get(session, row["release_id"])
    if row is None or release is None:
        return None
    message = message_of(row)
    shown = standing(release.state, release.public_at, release.opened_at, now)
    if shown is not (Standing.WITHDRAWN if message.kind is MessageKind.WITHDRAWAL else Standing.PUBLIC):
        if shown is not Standing.HIDDEN:
            await _set(session, number, fanned_out_at=now)
        return None
    cursor, again = message.cursor, message.again_at is not None
    if row["matched"].get("change") != release.change:
        cursor, again = 0, False
        await _set(session, number, again_at=None)
    if cursor == 0:
        about = await write_matches(session, release, taxonomy, now)
        await _set(session, number, matched={"change": release.change, "about": about, "order": list(order)})
    settled = _settled(message, release, order, settle)
    high = await session.scalar(HIGH, {"low": cursor, "limit": limit})
    if high is None:
        waits = settled is not None and settled > now
        await _set(session, number, **({"cursor": 0, "again_at": settled} if waits else {"fanned_out_at": now}))
        return None
    recipients, values = await _recipients(session, message, release, order)
    values |= {"message": number, "now": now, "fresh": False, "size": batch_size, "low": cursor, "high": high}
    written = 0
    for role in ("channel", "person") if cursor == 0 else ("person",):
        values["again"] = again
        values["others"] = role == "channel" or settled is None or settled <= now
        written += await _write(session, recipients, role, values, int(message.priority))
    await _set(session, number, cursor=high)
    return written


def _settled(message: Message, release: Release, order: Sequence[str], settle: timedelta) -> datetime | None:
    """When people are given another language than theirs; None where no language is missing."""
    if message.kind is not MessageKind.RELEASE or set(order) <= set(release.langs):
        return None
    return (release.opened_at or release.public_at) + settle


async def _set(session: AsyncSession, number: int, **values: object) -> None:
    await session.execute(update(MESSAGE).where(MESSAGE.c.id == number).values(values))


async def _recipients(
    session: AsyncSession, message: Message, release: Release, order: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """The query for who gets it, and its values."""
    values: dict[str, Any] = {"release": release.number, "langs": list(release.langs)}
    if message.kind is MessageKind.RELEASE:
        values["urgent"] = release.urgency is Urgency.URGENT
        values["opened"] = release.opened_at or release.public_at
        values["fallback"] = next((lang for lang in order if lang in release.langs), "")
        return MATCHED, values
    if message.kind is MessageKind.CORRECTION and not await _came_back(session, message):
        values["langs"] = await _corrected(session, message)
    return TOLD, values


async def _corrected(session: AsyncSession, message: Message) -> list[str]:
    query = (
        select(VARIANT.c.lang)
        .join_from(VARIANT, REVISION, REVISION.c.variant_id == VARIANT.c.id)
        .where(VARIANT.c.release_id == message.release, REVISION.c.major == message.major, REVISION.c.number > 1)
        .distinct()
    )
    return list(await session.scalars(query))


async def _came_back(session: AsyncSession, message: Message) -> bool:
    """Whether this major revision ended a withdrawal that people were told of: then all of them hear of it."""
    told = exists().where(
        MESSAGE.c.release_id == message.release,
        MESSAGE.c.kind == MessageKind.WITHDRAWAL,
        MESSAGE.c.major == message.major - 1,
    )
    return bool(await session.scalar(select(told)))


async def _write(session: AsyncSession, recipients: str, role: str, values: dict[str, Any], priority: int) -> int:
    """The rows of one step and role. Batches are made for as many as there may be; those left empty go again."""
    people = PEOPLE[role]
    step = {name: values[name] for name in ("low", "high")} if role == "person" else {}
    counts = (await session.execute(text(COUNT.format(people=people)), step)).all()
    rows = [
        {"channel": channel, "priority": priority, "created_at": values["now"]}
        for channel, number in counts
        for _ in range(-(-number // values["size"]))
    ]
    if not rows:
        return 0
    made = list(await session.scalars(insert(BATCH).returning(BATCH.c.id, sort_by_parameter_order=True), rows))
    # The texts put together here are constants of this module; every value goes in as a parameter.
    statement = _typed(INSERT.format(recipients=recipients.format(people=people)), {**values, **step, "batches": made})
    written = await session.execute(statement)
    empty = ~exists().where(DELIVERY.c.batch_id == BATCH.c.id)
    await session.execute(delete(BATCH).where(BATCH.c.id.in_(made), empty))
    return int(written.rowcount)  # type: ignore[attr-defined]  # an INSERT has one


def _typed(statement: str, values: dict[str, Any]) -> TextClause:
    """The statement with those of the values that it names."""
    binds: list[BindParameter[Any]] = []
    for name in set(NAMES.findall(statement)):
        value = values[name]
        if isinstance(value, list):
            binds.append(bindparam(name, value, expanding=True))
        elif isinstance(value, datetime):
            binds.append(bindparam(name, value, type_=UtcTime))
        else:
            binds.append(bindparam(name, value))
    return text(statement).bindparams(*binds)
