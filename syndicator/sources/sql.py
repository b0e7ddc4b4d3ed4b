"""A query on any database as a publication store.

Rules, in order:

1. The query yields the columns of `rows.NEEDED` and any of `rows.OPTIONAL`, for rows after (`:updated`, `:id`), in that
   order: `... WHERE updated > :updated OR (updated = :updated AND id > :id) ORDER BY updated, id`. LIMIT is not needed.
2. At first nothing is known of `updated`'s type: NULL is bound (for queries that say `:updated IS NULL OR ...`), then
   the beginning of time as a time, then as a text; what yields rows is taken. `:id` is NULL then.
3. It is read in pages, each in a short read-only transaction of its own, until nothing more comes. The languages of
   one release share (updated, id), so the cursor moves past a key only when the next key, or nothing, has come.
4. A bad row is a problem named by its id, and the cursor goes past it. A row whose `updated` or `id` is NULL has no
   place in the order: it is a problem too, and moves nothing.
5. Each pass begins `OVERLAP` before the cursor and skips what is known by its fingerprint: a clock of whole seconds
   and a transaction that commits late both put rows behind a cursor that has passed. The cursor never goes back.
6. A broken query or connection ends the pass with one line, which never shows the address or its password.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from syndicator.domain.model import BodyFormat, Problem
from syndicator.domain.ports import SourceItem
from syndicator.domain.text import one_line
from syndicator.sources.rows import NEEDED, OPTIONAL, Key, RowReader

__all__ = ["BadQuery", "SqlSource"]

PAGE = 500  # rows
OVERLAP = timedelta(minutes=10)
BEGINNING = datetime(1970, 1, 1)  # noqa: DTZ001  # the column's own zone does not matter so long ago
_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
# Drivers that need an event loop have a sibling that does not; the bare name would be another one's.
_DRIVERS = {
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
}

log = structlog.get_logger()
_Row = Mapping[str, Any]


class BadQuery(OSError):
    """The query does not yield what a source needs; one clear line."""


class SqlSource:
    """Implements `domain.ports.Source`. `url` is any SQLAlchemy URL; `page` is a number of rows.

    Raises:
        ValueError: the address, its driver or the query's parameters cannot be used.
    """

    def __init__(
        self,
        name: str,
        url: str,
        query: str,
        *,
        body_format: BodyFormat,
        zone: ZoneInfo,
        languages: Sequence[str],
        page: int = PAGE,
    ) -> None:
        self.name = name
        self._reader = RowReader(name, BodyFormat(body_format), zone, tuple(languages))
        self._engine = _engine(name, url)
        self._query = text(query)
        self._page = page
        if set(self._query.compile().params) != {"updated", "id"}:
            raise ValueError(f"source {name}: the query needs the parameters :updated and :id, and no others")

    async def changes(self, cursor: str, known: Mapping[str, str]) -> AsyncIterator[SourceItem]:
        """As the port says.

        Raises:
            BadQuery: a column is missing or unknown, or the rows do not come in order.
            OSError: the database cannot be reached or refuses the query.
        """
        high = self._start(cursor)
        after = high.back(OVERLAP) if high is not None else None
        told: set[str] = set()  # rows without a place, told once
        done: set[str] = set()  # keys of this pass with the `updated` of `after`
        while True:
            rows, lost = await asyncio.to_thread(self._fetch, after)
            for row in lost:
                item = self._reader.read(row)
                if item.origin not in told and known.get(item.origin) != item.fingerprint:
                    yield SourceItem(item, cursor)
                told.add(item.origin)
            groups = [(key, list(group)) for key, group in groupby(rows, key=_key)]
            self._check_order(after, groups)
            fresh = [(key, group) for key, group in groups if key != after and self._text(key) not in done]
            if not fresh:
                return
            for key, group in fresh[:-1] or fresh:
                if after is None or key.updated != after.updated:
                    done.clear()
                news = [item for item in map(self._reader.read, group) if known.get(item.origin) != item.fingerprint]
                for item in news[:-1]:
                    yield SourceItem(item, cursor)
                if high is None or key.updated >= high.updated:
                    high, cursor = key, self._text(key)
                if news:
                    yield SourceItem(news[-1], cursor)
                done.add(self._text(key))
                after = key

    async def first_page(self) -> tuple[int, Sequence[Problem]]:
        """How many rows the first page has, and what is wrong with some; for the doctor, who takes none.

        Raises:
            BadQuery, OSError: as `changes`.
        """
        rows, lost = await asyncio.to_thread(self._fetch, None)
        self._check_order(None, [(_key(row), [row]) for row in rows])
        found = [self._reader.read(row) for row in (*rows, *lost)]
        return len(found), [one for one in found if isinstance(one, Problem)]

    async def watch(self) -> AsyncIterator[None]:
        """Nothing: a table does not tell; it is asked at every interval."""
        return
        yield

    def _start(self, cursor: str) -> Key | None:
        try:
            return Key.load(cursor) if cursor else None
        except ValueError as error:
            # Reading everything again changes nothing twice; standing still would.
            log.warning("cursor_lost", source=self.name, reason=str(error), instead="reading from the beginning")
            return None

    def _text(self, key: Key) -> str:
        try:
            return key.dump()
        except ValueError as error:
            raise BadQuery(f"source {self.name}: updated or id: {error}") from None

    def _fetch(self, after: Key | None) -> tuple[list[_Row], list[_Row]]:
        """A page of rows in order, and those that have no place in it."""
        if after is not None:
            return self._rows(after)
        beginnings = (None, "") if self._engine.dialect.name == "sqlite" else (None, BEGINNING, "")
        trouble: OSError | None = None
        empty: tuple[list[_Row], list[_Row]] | None = None
        for beginning in beginnings:
            try:
                found = self._rows(Key(beginning, None))
            except BadQuery:
                raise
            except OSError as error:  # this type may not fit; the next one may
                trouble = trouble or error
                continue
            if found[0]:
                return found
            empty = empty if empty and empty[1] else found
        if empty is None and trouble is not None:
            raise trouble
        return empty or ([], [])

    def _rows(self, after: Key) -> tuple[list[_Row], list[_Row]]:
        rows: list[_Row] = []
        lost: list[_Row] = []
        with self._connection() as connection:
            result = connection.execute(self._query, {"updated": after.updated, "id": after.id})
            columns = [column.lower() for column in result.keys()]  # noqa: SIM118  # a result is no mapping
            self._check_columns(columns)
            while len(rows) < self._page or _key(rows[0]) == _key(rows[-1]):
                part = result.fetchmany(self._page)
                if not part:
                    break
                for values in part:
                    row = dict(zip(columns, values, strict=True))
                    if _has_place(row):
                        rows.append(row)
                    elif len(lost) < self._page:
                        lost.append(row)
        return rows, lost

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A read-only transaction, never committed."""
        path = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        if path and path != ":memory:" and not path.startswith("file:") and not Path(path).exists():
            raise OSError(f"source {self.name}: the database {path} does not exist")
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise OSError(f"source {self.name}: the database refuses: {one_line(str(error.orig))[:300]}") from None
        except SQLAlchemyError as error:
            raise OSError(f"source {self.name}: the database cannot be read: {one_line(str(error))[:300]}") from None

    def _check_columns(self, columns: Sequence[str]) -> None:
        for column in NEEDED:
            if column not in columns:
                raise BadQuery(f"source {self.name}: the query yields no column {column}; needed: {', '.join(NEEDED)}")
        for column in columns:
            if column not in NEEDED and column not in OPTIONAL:
                raise BadQuery(f"source {self.name}: column {column} is unknown; allowed also: {', '.join(OPTIONAL)}")
        if len(set(columns)) < len(columns):
            raise BadQuery(f"source {self.name}: the query yields a column twice")

    def _check_order(self, after: Key | None, groups: Sequence[tuple[Key, list[_Row]]]) -> None:
        times = [after.updated] if after is not None else []
        times += [key.updated for key, _ in groups]
        try:
            ordered = all(earlier <= later for earlier, later in pairwise(times))
        except TypeError:
            raise BadQuery(f"source {self.name}: updated has values of different types") from None
        if not ordered:
            raise BadQuery(
                f"source {self.name}: the query must yield rows after (:updated, :id), with ORDER BY updated, id"
            )


def _key(row: _Row) -> Key:
    return Key(row["updated"], row["id"])


def _has_place(row: _Row) -> bool:
    return row["updated"] is not None and row["id"] is not None


def _engine(name: str, address: str) -> Engine:
    try:
        url = make_url(address)
        url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
        engine = _open(url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError(f"source {name}: url: an SQLAlchemy URL such as postgresql://HOST/NAME is allowed") from None
    except ModuleNotFoundError as error:
        raise ValueError(f"source {name}: url: the driver {error.name} is not installed") from None
    command = _READ_ONLY.get(engine.dialect.name)
    if command is not None:
        event.listen(engine, "connect", lambda connection, _: _run(connection, command))
    return engine


def _open(url: URL) -> Engine:
    """No connection is kept between passes. Rows are streamed where the driver can."""
    options: dict[str, Any] = {"stream_results": True}
    if url.get_backend_name() == "postgresql":
        options["postgresql_readonly"] = True
    return create_engine(url, poolclass=NullPool, execution_options=options, hide_parameters=True)


def _run(connection: Any, command: str) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(command)
    finally:
        cursor.close()
