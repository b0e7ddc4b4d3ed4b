"""A domain whose server speaks like a relay: its words are its own, and nobody else waits for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from tests.bench.crowd import NOW
from tests.email.fault_road import FaultRoad
from tests.email.faults import Fault, FaultServer

HEALTHY = ("good.example", "fine.example")


async def test_a_domain_that_speaks_like_a_relay_stops_nobody_else_and_is_given_up_some_day(
    sqlite_url, tmp_path
) -> None:
    faults = {
        "down.example": [Fault("RCPT", "421 4.3.2 system is going down")],
        "dead.example": [Fault("RCPT", "554 5.7.1 Relay access denied")],
    }
    async with FaultServer(faults) as server, FaultRoad(sqlite_url, tmp_path, server.port) as road:
        await road.people([*HEALTHY, *faults], 1)
        await road.run(patience=20)
        rows = await road.rows()
        async with road.database.reading() as session:
            last = await session.scalar(text("SELECT max(settled_at) FROM delivery WHERE state = 'sent'"))
    assert datetime.fromisoformat(last).replace(tzinfo=UTC) < NOW + timedelta(seconds=60)
    healthy = {row["state"] for row in rows if row["address"].partition("@")[2] in HEALTHY}
    assert healthy == {"sent"}
    rest = [row for row in rows if row["address"].partition("@")[2] in faults]
    assert {(row["state"], row["person"]) for row in rest} == {("failed", "active")}
