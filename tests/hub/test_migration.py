"""The hub's tables come to a database that is in use, and nothing that was there moves."""

from __future__ import annotations

import shutil

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from syndicator.domain.model import ChannelKind
from syndicator.store import ledger, migrate, subscriptions
from syndicator.store.database import Database, engine_for

FILL = """
INSERT INTO subscriber
    (channel, address, role, resolved, language, timezone, other_language, state, state_reason, created_at)
VALUES ('email', 'a@example.org', 'person', '', 'az', 'Asia/Baku', 'urgent', 'active', '', '2026-11-01 09:00:00');
INSERT INTO message (key, kind, major, priority, cursor, matched, created_at)
VALUES ('digest:1', 'digest', 0, 20, 0, '{}', '2026-11-01 09:00:00');
INSERT INTO delivery (message_id, subscriber_id, lang, state, attempts, due_at, reason, answer)
VALUES (1, 1, 'az', 'failed', 3, '2026-11-01 09:00:00', 'full', '{}')
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_filled_database_goes_forward(kind, tmp_path, postgresql):
    url = f"sqlite:///{tmp_path}/x.db" if kind == "sqlite" else postgresql.fresh()
    engine = engine_for(url, "create")
    async with engine.begin() as connection:
        if kind == "postgresql":
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
    async with engine.begin() as connection:
        await connection.run_sync(to_first)
        for statement in FILL.split(";"):
            await connection.execute(text(statement))
    await engine.dispose()
    await migrate.upgrade(url)
    await migrate.upgrade(url)
    database = Database(url)
    assert await migrate.is_current(database)
    async with database.reading() as session:
        (row,) = await ledger.listing(session)
        assert (row["message"], row["state"], row["attempts"], row["reason"]) == ("digest:1", "failed", 3, "full")
        assert (await subscriptions.find(session, ChannelKind.EMAIL, "a@example.org")) is not None
        assert list(await session.scalars(text("SELECT feed FROM message"))) == [""]
        for table in ("hub_lease", "hub_request", "hub_topic"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    await database.close()
    if kind == "postgresql":
        postgresql.drop(url)
    else:
        shutil.rmtree(tmp_path, ignore_errors=True)


def to_first(connection):
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
