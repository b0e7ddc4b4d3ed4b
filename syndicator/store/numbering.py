"""The numbers that rows get: where they go on after a move, and a gap in them after a restore.

Rules, in order:

1. A number that links and mails hold (subscriber, message, delivery, subscription) is given once, or an old link would
   open somebody else's page. Where a database goes on from what another has given out, it goes on behind it.
2. A backup does not know what was given out after it. So numbers go on far behind (`GAP`): a row of each kind stands
   there, since SQLite gives out the number behind its greatest row.
3. Releases have no gap: what is found in the sources again is to get the number that it had.
4. Change numbers go on far behind as well, and those of all releases with them: whoever keeps a copy of what is public
   (feeds on disk, partners) looks at everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Integer, Table, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, Priority, SubscriptionState
from syndicator.store.people import ERASED, PAUSED
from syndicator.store.tables import COUNTER, DELIVERY, FILTER, MESSAGE, RELEASE, SUBSCRIBER, SUBSCRIPTION

__all__ = ["GAP", "SEALED", "carry_on", "given", "shift_changes", "skip"]

GAP = 1_000_000  # of numbers with 31 bits: enough for two thousand restores
WIDE = 1_000_000_000  # of deliveries, which have 63
SEALED = "restored from a backup: numbers given out after it are not given again"


def _counted() -> list[Table]:
    """The tables whose rows the database numbers."""
    tables = SQLModel.metadata.sorted_tables
    return [t for t in tables if (n := t.autoincrement_column) is not None and isinstance(n.type, Integer)]


async def given(source: AsyncConnection) -> Mapping[str, int]:
    """The greatest number that each table has given out, whether its row still is there or not."""
    found: dict[str, int] = {}
    for table in _counted():
        found[table.name] = int(await source.scalar(select(func.max(table.c.id))) or 0)
        if source.dialect.name == "postgresql":
            sequence = await source.scalar(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": _name(table)})
            row = (await source.execute(text(f"SELECT last_value, is_called FROM {sequence}"))).one()  # noqa: S608
            found[table.name] = max(found[table.name], row.last_value if row.is_called else 0)
    if source.dialect.name == "sqlite":
        for name, number in await source.execute(text("SELECT name, seq FROM sqlite_sequence")):
            if name in found:
                found[name] = max(found[name], int(number))
    return found


async def carry_on(target: AsyncConnection, last: Mapping[str, int]) -> None:
    """Go on behind these numbers (rule 1)."""
    if target.dialect.name == "postgresql":
        for table in _counted():
            values = {"name": _name(table), "last": max(last.get(table.name, 0), 1), "is": bool(last.get(table.name))}
            await target.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last, :is)"), values)
        return
    release = {"name": RELEASE.name, "last": last.get(RELEASE.name, 0)}  # the one that SQLite remembers
    await target.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": RELEASE.name})
    await target.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), release)


async def skip(target: AsyncConnection, last: Mapping[str, int], now: datetime) -> None:
    """Leave a gap behind what was given out (rule 2), in an SQLite database: a row of each kind marks its end."""
    number = {
        table.name: max(last.get(table.name, 0), int(await target.scalar(select(func.max(table.c.id))) or 0)) + by
        for table, by in ((SUBSCRIBER, GAP), (SUBSCRIPTION, GAP), (MESSAGE, GAP), (DELIVERY, WIDE))
    }
    who, wish, said = number[SUBSCRIBER.name], number[SUBSCRIPTION.name], number[MESSAGE.name]
    reader = {"id": who, "channel": ChannelKind.EMAIL, "address": f"{ERASED}-{who}", "language": "", "timezone": "UTC"}
    nobody = {"state": PAUSED, "state_reason": ERASED, "created_at": now}
    await target.execute(insert(SUBSCRIBER).values(**reader, **nobody))
    any_filter = await target.scalar(select(func.min(FILTER.c.id)))
    if any_filter is not None:
        ended = {"state": SubscriptionState.ENDED, "ended_reason": SEALED, "ended_at": now, "created_at": now}
        await target.execute(insert(SUBSCRIPTION).values(id=wish, subscriber_id=who, filter_id=any_filter, **ended))
    message = {"id": said, "key": f"sealed:{said}", "kind": MessageKind.CONFIRMATION, "priority": Priority.LATER}
    await target.execute(insert(MESSAGE).values(**message, created_at=now, fanned_out_at=now))
    row = {"id": number[DELIVERY.name], "message_id": said, "subscriber_id": who, "reason": SEALED, "answer": {}}
    done = {"state": DeliveryState.SUPPRESSED, "due_at": now, "settled_at": now}
    await target.execute(insert(DELIVERY).values(**row, **done))


async def shift_changes(target: AsyncConnection) -> None:
    """Rule 4."""
    await target.execute(update(RELEASE).where(RELEASE.c.change > 0).values(change=RELEASE.c.change + GAP))
    await target.execute(update(COUNTER).where(COUNTER.c.name == "change").values(value=COUNTER.c.value + GAP))


def _name(table: Table) -> str:
    return f'"{table.name}"'
