"""What closes a window stays quick however much was told before: its questions use their indexes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event, text

from syndicator.domain.model import Cadence, ChannelKind, MessageKind
from syndicator.domain.windows import Window
from syndicator.store import digests, ledger
from tests.store.looked import TELLS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def test_a_digest_looks_at_its_own_people_and_their_rows_of_a_few_messages(
    database, press, people, taxonomy, now
):
    """Of a ledger of millions, with all that a person has ever subscribed to, each step reads its own people's."""
    asked = []
    how = {"taxonomy": taxonomy, "order": ("az",), "tells": TELLS, "now": now + DAY}
    async with database.writing() as session:
        await people.add(session, "7", channel=ChannelKind.TELEGRAM, cadence=Cadence.DAILY)
        await press.record(session)
        await ledger.announce(session, 1, kind=MessageKind.RELEASE, major=0, priority=20, now=now)
        for end in (now + HOUR, now + DAY):
            await digests.close(session, Cadence.DAILY, "Asia/Baku", Window(now - HOUR, end), end)
        if is_postgresql := session.get_bind().dialect.name == "postgresql":  # nothing is worth an index while empty
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        for message in await ledger.open_messages(session):
            while await ledger.fan_out(session, message.id, **how) is not None:
                pass
        assert await session.scalar(text("SELECT COUNT(*) FROM digest_item")) == 1
        connection = await session.connection()
        explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        plans = [
            [row[-1] for row in await connection.exec_driver_sql(f"{explain} {statement}", given)]
            for statement, given in list(asked)
            if "WITH news AS" in statement
        ]
    assert len(plans) == 3  # the recipients of both runs, and the items of the first: the second has nothing to add
    whole = ("SCAN d", "SCAN s", "SCAN m", "SCAN p", "SCAN w", "SCAN i", "Seq Scan on")
    assert not [step for plan in plans for step in plan if step.strip(" ->").startswith(whole)], plans


@pytest.mark.parametrize(("after", "index"), [(0, "INDEX ix_subscription_digests"), (5, "PRIMARY KEY (rowid>?)")])
async def test_who_waits_for_digests_is_found_among_those_who_take_any(sqlite_database, after, index):
    asked = []
    async with sqlite_database.writing() as session:
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        assert await digests.groups(session, after) == []
        [(statement, parameters)] = asked
        explained = await (await session.connection()).exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = [row[-1] for row in explained]
    assert any(index in step for step in plan), plan
