"""Two schedulers on one database, and a clock that a test sets: each embargo and each digest once."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from config.settings import DigestSettings
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, Priority, SubscriptionState
from syndicator.domain.ports import Job
from syndicator.pipeline.digests import Digests
from syndicator.store import subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent
from tests.pipeline.conftest import Never, Press

BEGIN = datetime(2026, 10, 23, 0, 0, tzinfo=UTC)  # Berlin's clocks go back on the 25th; Baku's never do
TICKS = 1000 if "TEST_TIMES" in os.environ else 36
HOUR = timedelta(hours=1)
JUMPS = (-24 * HOUR, -HOUR, HOUR, 24 * HOUR)  # of one scheduler's clock, for a tick


@pytest.fixture
async def pair(database_url, site, taxonomy):
    opened = [Database(database_url), Database(database_url)]
    made = [Press(one, site, taxonomy, BEGIN) for one in opened]
    for one in made:
        one.mail.tells |= {MessageKind.DIGEST}
    yield made
    for one in opened:
        await one.close()


async def subscribe(press, address, zone):
    async with press.database.writing() as session:
        found = await subscriptions.ensure(
            session, ChannelKind.EMAIL, address, language="en", timezone=zone, now=press.now
        )
        await subscriptions.subscribe(
            session,
            found.id,
            parse(""),
            cadence=Cadence.DAILY,
            state=SubscriptionState.ACTIVE,
            consent=Consent(press.now, "test", "yes"),
            now=press.now,
        )


async def test_two_schedulers_do_each_embargo_and_digest_once_whatever_their_clocks_do(pair):
    dice = random.Random(20261122)
    rooms = [
        Digests(one.database, DigestSettings(), clock=partial(lambda it: it.now, one), wake=one.wake) for one in pair
    ]
    for zone in ("Asia/Baku", "Europe/Berlin"):
        await subscribe(pair[0], f"{zone.partition('/')[2].lower()}@x.az", zone)
    opened = 0
    for tick in range(TICKS):
        true = BEGIN + tick * HOUR
        if tick % 5 == 0:
            pair[0].now = true
            await pair[0].harvest(pair[0].change(f"r{tick}", embargo=true + 2 * HOUR))
        for one in pair:
            one.now = true
        if dice.random() < 0.1:
            dice.choice(pair).now += dice.choice(JUMPS[:2])  # ahead, it would only open earlier what it must
        found = await asyncio.gather(*(one.intake.open_due() for one in pair))
        opened += sum(found)
        job = Job("digests", "digests", Priority.NORMAL, true)
        await asyncio.gather(*(room.handlers()["digests"](job, Never()) for room in rooms))
        await asyncio.gather(*(one.spread() for one in pair))
        await asyncio.gather(*(one.send() for one in pair))
    assert opened == len(range(0, TICKS - 2, 5))
    told = Counter(
        (letter.address, item.release.key) for one in pair for letter in one.mail.sent for item in letter.items
    )
    assert told, "digests were sent"
    assert set(told.values()) == {1}
