"""One step of a fan-out: rows of the ledger for some 20,000 people, in batches of their channels, by one INSERT.

Rules, in order:

1. Who is owed the message is a query of its own (`fanout`, `following`, `digesting`); here its rows become deliveries.
   It yields `subscriber_id`, `channel`, `lang`, `subscription_id` (perhaps none) and `choice`; of several rows for one
   person only the one whose `choice` is 1 becomes a delivery.
2. Who has a row of the message gets no second one, so that a step may be repeated.
3. Batches are made for as many as there may be; those left empty go again. Those of the office's own channels come
   before all others (`batching.priority_of`).
4. Only channels that have words for the message (`Channel.tells`) get rows of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, TextClause, bindparam, delete, exists, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, MessageKind, SubscriberRole
from syndicator.store.batching import LEAST, PARTS, batch_of, batches_for, called, priority_of
from syndicator.store.messages import Message
from syndicator.store.tables import BATCH, DELIVERY, MESSAGE, UtcTime
from syndicator.store.wanted import has_others

__all__ = ["PEOPLE", "Step", "Tells", "advance", "bounds", "join_as_written", "next_high", "typed", "write_step"]

Tells = Mapping[ChannelKind, Collection[MessageKind]]
"""What each channel has words for."""

# The double NOT keeps SQLite from its index on (channel, address), by which each step would look at everybody of a
# channel; PostgreSQL takes it away, and knows how many there are.
PEOPLE = {
    SubscriberRole.PERSON: """p.id > :low AND p.id <= :high AND p.role <> 'channel' AND p.state = 'active'
        AND NOT (p.channel NOT IN :channels)""",
    SubscriberRole.CHANNEL: "p.role = 'channel' AND p.state = 'active' AND NOT (p.channel NOT IN :channels)",
}

INSERT = """
INSERT INTO delivery
    (message_id, subscriber_id, subscription_id, batch_id, lang, state, attempts, due_at, resent, reason, answer)
SELECT :message, r.subscriber_id, r.subscription_id, b.id, r.lang, 'due', 0, :now, :fresh, '', '{{}}'
FROM (
    SELECT q.subscriber_id, q.subscription_id, q.channel, q.lang,
        (ROW_NUMBER() OVER (PARTITION BY q.channel ORDER BY q.subscriber_id) - 1)
            / CASE WHEN q.channel = 'telegram' THEN :chats {mail}ELSE :size END AS bucket
    FROM ({recipients}) q
    WHERE q.choice = 1 AND NOT EXISTS
        (SELECT 1 FROM delivery had WHERE had.message_id = :message AND had.subscriber_id = q.subscriber_id)
) r
JOIN (
    SELECT id, channel, ROW_NUMBER() OVER (PARTITION BY channel ORDER BY id) - 1 AS bucket
    FROM batch WHERE id IN :batches
) b ON b.channel = r.channel AND b.bucket = r.bucket
WHERE true
ON CONFLICT (message_id, subscriber_id) DO NOTHING
"""

# `batching.size_of`, where several processes send
MAIL = """WHEN q.channel = 'email' AND COUNT(*) OVER (PARTITION BY q.channel) < :few THEN :least
            WHEN q.channel = 'email' AND COUNT(*) OVER (PARTITION BY q.channel) < :many
                THEN (COUNT(*) OVER (PARTITION BY q.channel) + :parts - 1) / :parts """

# For this transaction: people first, by key, then what belongs to each, as SQLite's CROSS JOIN has it. Left to itself
# PostgreSQL begins with the filters, and reads every subscription there is at each step; it takes batches for few, and
# compares each person with all of them; and after some steps it plans no more for the people of this one.
AS_WRITTEN = """SELECT set_config('join_collapse_limit', '1', true), set_config('enable_mergejoin', 'off', true),
    set_config('plan_cache_mode', 'force_custom_plan', true)"""
ALL = 2**62  # more than any number of a subscriber

COUNT = "SELECT p.channel, COUNT(*) FROM subscriber p WHERE {people} GROUP BY p.channel ORDER BY p.channel"
NAMES = re.compile(r":(\w+)")
HIGH = text("SELECT MAX(id) FROM (SELECT id FROM subscriber WHERE id > :low ORDER BY id LIMIT :limit) step")


@dataclass(frozen=True, slots=True)
class Step:
    """What a fan-out writes now: its message, and the people after `low` up to `high` (None: nobody is left).

    `channels` have words for it; those of them in `edits` can change what they sent.
    """

    message: Message
    now: datetime
    low: int
    high: int | None
    batch_size: int
    channels: Sequence[str]
    edits: Sequence[str]

    @property
    def roles(self) -> Sequence[SubscriberRole]:
        """Who is looked at, in order: the first step begins with the office's public channels."""
        return (SubscriberRole.CHANNEL, SubscriberRole.PERSON) if self.low == 0 else (SubscriberRole.PERSON,)


async def next_high(session: AsyncSession, low: int, limit: int) -> int | None:
    """The last of the next `limit` subscribers after `low`; None if there are none."""
    found: int | None = await session.scalar(HIGH, {"low": low, "limit": limit})
    return found


async def advance(session: AsyncSession, message: int, **values: object) -> None:
    """Say how far the message is."""
    await session.execute(update(MESSAGE).where(MESSAGE.c.id == message).values(values))


async def write_step(
    session: AsyncSession,
    step: Step,
    recipients: str,
    people: str,
    values: Mapping[str, Any],
    *,
    role: SubscriberRole = SubscriberRole.PERSON,
) -> int:
    """Rows for those that the query `recipients` finds; `{people}` in it stands for who is looked at, all of that role.

    Returns how many.

    Both texts are constants of their modules; every value goes in as a parameter.
    """
    given = {
        **values,
        "message": step.message.id,
        "now": step.now,
        "fresh": False,
        "size": step.batch_size,
        "chats": batch_of(ChannelKind.TELEGRAM, step.batch_size),
        "least": min(LEAST, step.batch_size),
        "parts": PARTS,
        "few": PARTS * min(LEAST, step.batch_size),
        "many": PARTS * step.batch_size,
        **bounds(step.low, step.high, role),
        "channels": list(step.channels),
        "edits": list(step.edits),
    }
    counts = (await session.execute(typed(COUNT.format(people=people), given))).all()
    priority, others = int(priority_of(step.message.priority, role)), has_others(session)
    rows = [
        {"channel": channel, "priority": priority, "created_at": step.now}
        for channel, number in counts
        for _ in range(batches_for(channel, step.batch_size, number, others=others))
    ]
    if not rows:
        return 0
    made = list(await session.scalars(insert(BATCH).returning(BATCH.c.id, sort_by_parameter_order=True), rows))
    insertion = INSERT.format(recipients=recipients.format(people=people), mail=MAIL if others else "")
    statement = typed(insertion, {**given, "batches": made})
    await join_as_written(session)
    written = await session.execute(statement)
    empty = ~exists().where(DELIVERY.c.batch_id == BATCH.c.id)
    query = delete(BATCH).where(BATCH.c.id.in_(made), empty).returning(BATCH.c.id)
    filled = set(made) - set(await session.scalars(query))
    for channel, _ in counts:
        ours = [number for number, row in zip(made, rows, strict=True) if row["channel"] == channel]
        called(session, [number for number in ours if number in filled], channel, priority, step.now)
    return int(written.rowcount)  # type: ignore[attr-defined]  # an INSERT has one


async def join_as_written(session: AsyncSession) -> None:
    """From now on in this transaction; see `AS_WRITTEN`."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text(AS_WRITTEN))


def bounds(low: int, high: int | None, role: SubscriberRole = SubscriberRole.PERSON) -> dict[str, int | None]:
    """Who is looked at: people after `low`, up to `high`. `first` and `last` say so of what belongs to them.

    PostgreSQL does not conclude one from the other. Of channels all are looked at.
    """
    here = {"first": low + 1, "last": high} if role is SubscriberRole.PERSON else {"first": 0, "last": ALL}
    return {"low": low, "high": high, **here}


def typed(statement: str, values: Mapping[str, Any]) -> TextClause:
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
