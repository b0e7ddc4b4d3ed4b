"""What makes a test's database quick, and changes nothing that a test asks about.

    hasten()   # once, before the first database is opened

1. A statement is compiled once for all databases of a kind, not again for each test's own: that was a third of what
   tests of the pipeline cost. A compiled statement belongs to its dialect, so all dialects of a kind count as one; they
   are made alike, for servers alike.
2. SQLite does not wait for the disk. What survives a power cut no test can see, and what survives the death of a
   process survives it so too. That the service does wait is asked with its own `PRAGMAS` (store/test_database.py).
3. PostgreSQL's tables are emptied of what is in them (`EMPTY`): TRUNCATE gives each table and index a new file, ten
   times dearer where a few hold a few rows. Where more was in one, or somebody has counted it, they are truncated: the
   next test finds neither what was deleted nor what was counted.
4. What was there before the first test is not looked through again each time that garbage is collected (`settle`).

Processes that a test starts are the service as it is.
"""

from __future__ import annotations

import gc
from typing import Any

from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import LRUCache

from syndicator.store import engines

STATEMENTS = 5000  # of all rooms together; an engine of the service keeps 500
COMPILED: LRUCache[Any, Any] = LRUCache(STATEMENTS)
PRAGMAS = engines.PRAGMAS
"""As the service opens SQLite."""

EMPTY = """DO $$
DECLARE
    one record;
    large boolean := false;
BEGIN
    ASSERT (SELECT count(*) = 1 FROM alembic_version WHERE version_num < '9000'), 'another schema';
    SET LOCAL session_replication_role = replica;  -- all of them go: nothing refers to anything
    EXECUTE (SELECT 'LOCK TABLE ' || string_agg(quote_ident(tablename), ', ') || ' IN ACCESS EXCLUSIVE MODE'
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version');  -- not while somebody writes
    FOR one IN SELECT relname AS name, pg_table_size(oid) AS size, reltuples FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version' LOOP
        large := large OR one.size > 300000 OR one.reltuples >= 0;
        IF one.size > 0 AND NOT large THEN
            EXECUTE format('DELETE FROM %I', one.name);
        END IF;
    END LOOP;
    IF large THEN
        EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY CASCADE'
            FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version');
    ELSE
        PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
            FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
    END IF;
    INSERT INTO counter (name, value) VALUES ('change', 0);
END $$"""


def settle() -> None:
    """What is loaded by now stays: garbage is what tests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def hasten() -> None:
    """From now on, each engine that the store makes is a quick one."""
    for kind in (SQLiteDialect_aiosqlite, PGDialectAsync_psycopg):
        kind.__eq__ = _alike  # type: ignore[method-assign]
        kind.__hash__ = _kind  # type: ignore[method-assign]
    engines.PRAGMAS = tuple(one.replace("synchronous=FULL", "synchronous=OFF") for one in PRAGMAS)
    plain = engines.create_async_engine

    def made(*args: Any, **values: Any) -> AsyncEngine:
        engine = plain(*args, **values)
        engine.sync_engine._compiled_cache = COMPILED
        return engine

    engines.create_async_engine = made


def _alike(self: object, other: object) -> bool:
    return type(self) is type(other)


def _kind(self: object) -> int:
    return hash(type(self))
