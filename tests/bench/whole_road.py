"""The road from an announced message to the last settled delivery: what main.py puts together, as far as that goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

from syndicator.domain.ports import Channel, Clock, Job
from syndicator.domain.retry import RetryPolicy
from syndicator.domain.tokens import Tokens
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.metrics import Metrics
from syndicator.pipeline.bell import Bell
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.settling import Settler
from syndicator.store import ledger
from syndicator.store.database import Database
from tests.bench.crowd import SITE, taxonomy

__all__ = ["all_sent"]


async def all_sent(
    database: Database, channel: Channel, policy: RetryPolicy, people: int, *, clock: Clock, patience: float
) -> Mapping[str, float]:
    """Send what is announced until so many messages are settled as sent: messages a second, and milliseconds of CPU."""
    metrics = Metrics()
    engine = _engine(database, channel, policy, clock, metrics)
    labels = {"channel": channel.kind.value, "state": "sent"}
    begun, cpu = time.perf_counter(), time.process_time()
    await engine.start()
    async with asyncio.timeout(patience):
        while (metrics.registry.get_sample_value("syndicator_deliveries_settled_total", labels) or 0) < people:
            await asyncio.sleep(0.01)
    seconds, spent = time.perf_counter() - begun, time.process_time() - cpu
    await engine.stop(10)
    await channel.close()
    return {"rate": people / seconds, "cpu": spent / people * 1000}


def _engine(
    database: Database, channel: Channel, policy: RetryPolicy, clock: Clock, metrics: Metrics
) -> EmbeddedEngine:
    bell, kind = Bell(), channel.kind
    tells = {kind: channel.tells}
    fanout = Fanout(database, site=SITE, taxonomy=taxonomy(), tells=tells, clock=clock, wake=bell.ring)
    delivery = Delivery(
        database,
        {kind: channel},
        tokens=Tokens(b"0123456789abcdef"),
        settler=Settler(database, policies={kind: policy}, clock=clock, metrics=metrics),
        clock=clock,
        wake=bell.ring,
    )

    async def pending(now: datetime) -> list[Job]:
        async with database.reading() as session:
            messages = await ledger.open_messages(session)
            batches = await ledger.open_batches(session)
        found = [Job("fanout", f"fanout:{m.id}", m.priority, now, "fanout", {"message": m.id}) for m in messages]
        for b in batches:
            args: Mapping[str, int | str] = {"batch": b.id, "channel": b.channel.value}
            found.append(Job("deliver", f"deliver:{b.id}", b.priority, now, b.channel.value, args))
        return found

    engine = EmbeddedEngine(
        {"fanout": fanout.fan_out, "deliver": delivery.deliver},
        pending,
        clock=clock,
        metrics=metrics,
        lanes={kind.value: channel.lanes},
    )
    bell.hang(engine.wake)
    return engine
