"""The numbers that rows get: where they go on after a move, and a gap in them after a restore.

Rules, in order:

1. A number that links and mails hold (release, subscriber, message, delivery, subscription) is given once, or an old
   link would show another release, or open somebody else's page. Where a database goes on from what another has given
   out, it goes on behind it.
2. A backup does not know what was given out after it. So numbers go on far behind (`gap`): further, the older it is,
   for the office may have been restored from it, or from a later one, before. Of the database that is replaced is
   known how far it came. SQLite gives out the number behind its greatest row, so a row of each kind stands there; the
   last number of a release it remembers by itself.
3. So a release that is found in the sources again gets another number than it had: an old link finds it
   by the words in it, or nothing (`renumbered`), and never another release.
4. Change numbers go on far behind as well, and those of all releases with them: whoever keeps a copy of what is public
   (feeds on disk, partners) looks at everything anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Integer, Table, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, Priority, SubscriptionState
from syndicator.store.people import ERASED, PAUSED
from syndicator.store.tables import COUNTER, DELIVERY, FILTER, MESSAGE, RELEASE, SUBSCRIBER, SUBSCRIPTION

__all__ = ["GAP", "GAPS", "SEALED", "carry_on", "gap", "given", "shift_changes", "skip"]

GAP = 1_000_000  # of change numbers


@dataclass(frozen=True, slots=True)
class Gap:
    """How many numbers are left out: `at_once`, and more for each second since the backup; none is beyond `last`."""

    at_once: int
    a_second: int
    last: int


_PEOPLE = Gap(1_000_000, 10, 2**31 - 1)
GAPS = {  # more than are given out meanwhile
    RELEASE: Gap(100_000, 1, 999_999_999),  # addresses of pages have nine digits
    SUBSCRIBER: _PEOPLE,
    SUBSCRIPTION: _PEOPLE,
    MESSAGE: _PEOPLE,
    DELIVERY: Gap(1_000_000_000, 100_000, 2**63 - 1),
}
SEALED = "restored from a backup: numbers given out after it are not given again"


def _counted() -> list[Table]:
    """The tables whose rows the database numbers."""
    tables = SQLModel.metadata.sorted_tables
    return [t for t in tables if (n := t.autoincrement_column) is not None and isinstance(n.type, Integer)]


async def given(source: AsyncConnection, there: Collection[str] | None = None) -> Mapping[str, int]:
    """The greatest number that each table has given out, whether its row still is there or not.

    `there`: only of these tables, since an older version's database lacks others.
    """
    found: dict[str, int] = {}
    for table in _counted():
        if there is not None and table.name not in there:
            continue
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
    await _remember(target, last.get(RELEASE.name, 0))


async def _remember(target: AsyncConnection, last: int) -> None:
    """The last number of a release, which SQLite keeps."""
    release = {"name": RELEASE.name, "last": last}
    await target.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": RELEASE.name})
    await target.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), release)


def gap(table: Table, last: int, age: timedelta) -> int:
    """The last number that is left out behind `last`, in a backup that is that old."""
    of = GAPS[table]
    far = last + of.at_once + int(age.total_seconds()) * of.a_second
    return far if far <= of.last else min(last + of.at_once, of.last - 1)


async def skip(target: AsyncConnection, last: Mapping[str, int], now: datetime, age: timedelta = timedelta()) -> int:
    """Leave a gap behind what was given out (rule 2), in an SQLite database; the last number that no release gets."""
    number: dict[str, int] = {}
    for table in GAPS:
        highest = int(await target.scalar(select(func.max(table.c.id))) or 0)
        number[table.name] = gap(table, max(last.get(table.name, 0), highest), age)
    await _remember(target, number[RELEASE.name])
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
    return number[RELEASE.name]


async def shift_changes(target: AsyncConnection) -> None:
    """Rule 4."""
    await target.execute(update(RELEASE).where(RELEASE.c.change > 0).values(change=RELEASE.c.change + GAP))
    await target.execute(update(COUNTER).where(COUNTER.c.name == "change").values(value=COUNTER.c.value + GAP))


def _name(table: Table) -> str:
    return f'"{table.name}"'
