"""PostgreSQL's plans for what is asked again and again, of tables that nobody has counted yet: each reads its own part.

A planner that knows little is the usual case: a release fills the ledger faster than statistics follow.
"""

from __future__ import annotations

import re

import pytest
from sqlalchemy import event

from syndicator.store import ledger
from syndicator.store.database import Database
from tests.bench.crowd import LANGS, NOW, announce, crowd, taxonomy
from tests.store.looked import TELLS, register

READERS, STEP = 6000, 300
LARGE = "subscriber|subscription|delivery"


class Explained:
    """Explains statements of a session instead of believing them."""

    def __init__(self, database, *marks):
        self.marks, self.plans = marks, []
        self.engine = database._writers.sync_engine
        event.listen(self.engine, "before_cursor_execute", self)

    def __call__(self, _connection, cursor, statement, parameters, _context, executemany):
        if not executemany and any(mark in statement for mark in self.marks):
            cursor.execute(f"EXPLAIN (COSTS OFF) {statement}", parameters)
            self.plans.append("\n".join(row[0] for row in cursor.fetchall()))


@pytest.fixture
async def crowded(postgresql_url):
    database = Database(postgresql_url)
    await crowd(database, READERS, 40)
    yield database
    await database.close()


async def test_a_filled_ledger_is_read_by_its_indexes(crowded):
    message = await announce(crowded)
    await register(crowded, 7)
    how = {"taxonomy": taxonomy(), "order": LANGS, "now": NOW, "tells": TELLS, "limit": STEP}
    async with crowded.writing() as session:
        for _ in range(3):
            await ledger.fan_out(session, message, **how)
    explained = Explained(
        crowded, "INSERT INTO delivery", "MATERIALIZED (SELECT id FROM", "SET state = 'sent'", "FROM batch"
    )
    async with crowded.writing() as session:
        assert await ledger.fan_out(session, message, **how) == STEP
        [batch, *_] = await ledger.open_batches(session)
        claimed = await ledger.claim(session, batch.id, NOW, 20, by=7)
        assert len(claimed) == 20
    assert len(explained.plans) >= 3
    for plan in explained.plans:
        assert not re.search(rf"Seq Scan on ({LARGE})\b", plan), plan
    [fanned, *_] = explained.plans
    assert re.search(r"subscriber_id >= \d+\) AND \(subscriber_id <= \d+", fanned), fanned
