"""Carrying a whole database over into another one, of either kind: what `migrate --to`, `backup` and `restore` share.

Rules, in order:

1. What is read is one snapshot, whatever else is written meanwhile; what is written is the caller's one transaction:
   all of it is there, or nothing.
2. Tables go in the order of their references, as the code knows them (`SQLModel.metadata`). What the code does not
   know, because a newer version made it, is refused: it would be lost.
3. Memory is bounded: rows go in groups, and each kept file by itself. PostgreSQL takes them by COPY.
4. Nothing is believed: what arrived is read back, and counts and checksums are compared, table by table.
5. What each database has in a form of its own (the full-text index) is not copied but made anew (`words`).
6. Numbers go on where they were: no number that was given out before, to whatever row, is given again (`numbering`).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import LargeBinary, Table, func, insert, inspect, select, text, true
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlmodel import SQLModel

from syndicator.domain.model import Revision
from syndicator.store import meta, words
from syndicator.store.database import DatabaseTrouble, MissingDatabase, engine_for, shown, sqlite_path
from syndicator.store.tables import COUNTER, META, REVISION, VARIANT

__all__ = ["Copied", "copy", "empty", "filled", "snapshot", "tables", "total", "transaction"]

ROWS = 2_000  # of a table that go at a time
LONG = 50  # of one with texts or files of any length
BULKY = frozenset({"revision"})
FRESH = (COUNTER, META)  # in which a fresh database has rows
OTHERS = ("variant_words", "alembic_version", "procrastinate_", "sqlite_")  # the index, Alembic's note, the queue
SPAN = 2**64


@dataclass(frozen=True, slots=True)
class Copied:
    """What was carried over: rows by table, in the order in which they went."""

    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True)
class _Sum:
    """How many rows there are, and a sum of what they say; the order in which they come does not matter."""

    rows: int = 0
    said: int = 0

    def plus(self, rows: Sequence[tuple[Any, ...]]) -> _Sum:
        said = self.said
        for row in rows:
            digest = hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=8).digest()
            said += int.from_bytes(digest, "big")
        return _Sum(self.rows + len(rows), said % SPAN)


@asynccontextmanager
async def snapshot(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that reads one moment of that database, for as long as it takes, and cannot write.

    Raises:
        MissingDatabase: it cannot be opened.
        DatabaseTrouble: it fails.
    """
    is_sqlite = sqlite_path(url) is not None
    engine = engine_for(url, "read" if is_sqlite else "create")
    if not is_sqlite:
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    try:
        async with _plainly(url), engine.connect() as connection:
            await connection.execute(text("SELECT 1 FROM sqlite_master" if is_sqlite else "SELECT 1"))  # fixes it
            yield connection
            await connection.rollback()
    finally:
        await engine.dispose()


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection in one transaction that may take as long as it takes; committed at the end of the block.

    Raises:
        MissingDatabase: it cannot be opened.
        DatabaseTrouble: it fails; nothing of the block is written.
    """
    engine = engine_for(url, "create")
    try:
        async with _plainly(url), engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def filled(connection: AsyncConnection) -> Sequence[str]:
    """The tables that hold anything beside what a fresh database has: none of them is lost by accident."""
    there = await _columns(connection)
    fresh = {COUNTER: COUNTER.c.value != 0, META: META.c.name.not_in([meta.BESIDE, meta.AWAITED])}
    found = []
    for table in SQLModel.metadata.sorted_tables:
        if table.name in there:
            query = select(table.c[0]).where(fresh.get(table, true())).limit(1)
            if (await connection.execute(query)).first() is not None:
                found.append(table.name)
    return found


async def empty(connection: AsyncConnection) -> None:
    """Take everything out."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(_quoted(connection, table) for table in SQLModel.metadata.sorted_tables)
        await connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        return
    for table in reversed(SQLModel.metadata.sorted_tables):
        await connection.execute(table.delete())


async def total(source: AsyncConnection) -> int:
    """How many rows there are, for a bar."""
    counts = [select(func.count()).select_from(table) for table in SQLModel.metadata.sorted_tables]
    return sum([int(await source.scalar(count) or 0) for count in counts])


async def copy(source: AsyncConnection, target: AsyncConnection, advance: Callable[[float], None]) -> Copied:
    """Carry all rows over into `target`, which holds none, and look whether they arrived (rules 2 to 5).

    `advance` is told of each group of rows, how many: once when it is written, once when it was read back.

    Raises:
        DatabaseTrouble: a table did not arrive as it was, or a row of it cannot be kept there.
    """
    await _agree(source)
    await _agree(target)
    rows: dict[str, int] = {}
    for table in SQLModel.metadata.sorted_tables:
        if table in FRESH:
            await target.execute(table.delete())
        went = await _carry(source, target, table, advance)
        came = await _read(target, table, advance)
        if went != came:
            raise DatabaseTrouble(f"{table.name}: {went.rows} rows went and {came.rows} came, or not as they were")
        rows[table.name] = went.rows
    await _index(target)
    return Copied(rows)


async def _agree(connection: AsyncConnection) -> None:
    """Whether the schema is the one that the code knows (rule 2).

    Raises:
        DatabaseTrouble: it is not.
    """
    found = await _columns(connection)
    ours = {table.name: {column.name for column in table.c} for table in SQLModel.metadata.sorted_tables}
    strange = [name for name in found if name not in ours and not name.startswith(OTHERS)]
    strange += [f"{name}.{one}" for name in ours for one in found.get(name, ()) if one not in ours[name]]
    missing = [f"{name}.{one}" for name, all_ in ours.items() for one in all_ if one not in found.get(name, ())]
    if strange or missing:
        named = ", ".join(sorted([*strange, *missing])[:3])
        raise DatabaseTrouble(f"the schema is not this version's ({named}): upgrade, or use the version that made it")


async def _carry(
    source: AsyncConnection, target: AsyncConnection, table: Table, advance: Callable[[float], None]
) -> _Sum:
    so_far = _Sum()
    drivers: Any = target.dialect.loaded_dbapi  # COPY goes by the driver itself
    async with aclosing(_groups(source, table)) as groups:
        async for group in groups:
            so_far = so_far.plus(group)
            try:
                await _write(target, table, group)
            except (DBAPIError, drivers.Error) as error:
                said = str(getattr(error, "orig", error)).strip().splitlines()[0]
                raise DatabaseTrouble(f"{table.name}: a row cannot be kept there: {said}") from None
            advance(len(group))
    return so_far


async def _read(target: AsyncConnection, table: Table, advance: Callable[[float], None]) -> _Sum:
    so_far = _Sum()
    async with aclosing(_groups(target, table)) as groups:
        async for group in groups:
            so_far = so_far.plus(group)
            advance(len(group))
    return so_far


async def _groups(connection: AsyncConnection, table: Table) -> AsyncGenerator[Sequence[tuple[Any, ...]], None]:
    """The rows, as many at a time as memory is meant for (rule 3)."""
    many = LONG if table.name in BULKY else ROWS
    if any(isinstance(column.type, LargeBinary) for column in table.c):
        many = 1
    found = await connection.stream(select(*table.c).execution_options(yield_per=many))
    try:
        async for group in found.partitions():
            yield [tuple(row) for row in group]
    finally:
        await found.close()


async def _write(target: AsyncConnection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    if target.dialect.name != "postgresql":
        names = [column.name for column in table.c]
        await target.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        return
    ready = [column.type.dialect_impl(target.dialect).bind_processor(target.dialect) for column in table.c]
    listed = ", ".join(target.dialect.identifier_preparer.format_column(column) for column in table.c)
    driver: Any = (await target.get_raw_connection()).driver_connection
    statement = f"COPY {_quoted(target, table)} ({listed}) FROM STDIN"
    async with driver.cursor() as cursor, cursor.copy(statement) as copying:
        for row in rows:
            values = zip(ready, row, strict=True)
            await copying.write_row([value if make is None else make(value) for make, value in values])


async def _index(target: AsyncConnection) -> None:
    """Rule 5: the words of each variant's current text."""
    current = (REVISION.c.variant_id == VARIANT.c.id) & (REVISION.c.number == VARIANT.c.revision_number)
    last = 0
    session = AsyncSession(target, expire_on_commit=False, autoflush=False)
    columns = (VARIANT.c.id, REVISION.c.title, REVISION.c.summary, REVISION.c.text)
    query = select(*columns).join_from(VARIANT, REVISION, current).order_by(VARIANT.c.id).limit(LONG)
    while rows := (await target.execute(query.where(VARIANT.c.id > last))).all():
        for row in rows:
            await words.index(session, row.id, Revision(0, 0, row.title, row.summary, "", row.text))
        last = rows[-1].id


async def tables(connection: AsyncConnection) -> Collection[str]:
    """The names of all tables there are."""
    return (await _columns(connection)).keys()


async def _columns(connection: AsyncConnection) -> Mapping[str, Sequence[str]]:
    """The tables there are, with their columns."""

    def look(sync: Any) -> dict[str, list[str]]:
        inspector = inspect(sync)
        return {name: [c["name"] for c in inspector.get_columns(name)] for name in inspector.get_table_names()}

    return await connection.run_sync(look)


def _quoted(connection: AsyncConnection, table: Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)


@asynccontextmanager
async def _plainly(url: str) -> AsyncIterator[None]:
    """The driver's own errors as one line, without what was to be written."""
    try:
        yield
    except (OperationalError, OSError) as error:
        if isinstance(error, DatabaseTrouble):
            raise
        said = str(getattr(error, "orig", error)).strip()
        line = said.splitlines()[0] if said else type(error).__name__
        raise MissingDatabase(f"{shown(url)}: {line}") from None
