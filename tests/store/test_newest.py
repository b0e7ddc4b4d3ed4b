"""The newest releases are found in their order, however many there are."""

from __future__ import annotations

import pytest
from sqlalchemy.event import listen

from syndicator.store import releases


@pytest.mark.parametrize("withdrawn", [True, False])
@pytest.mark.parametrize("topics", [None, ["visas"]])
async def test_the_newest_are_found_without_sorting_all_releases(sqlite_database, now, topics, withdrawn):
    asked = []
    async with sqlite_database.reading() as session:
        connection = await session.connection()
        listen(connection.sync_connection, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
        await releases.newest_ids(session, "az", topics, now=now, limit=9, withdrawn=withdrawn)
        statement, values = asked[-1]
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        steps = [step[3] for step in plan]
    assert not any("ORDER BY" in step for step in steps), steps
