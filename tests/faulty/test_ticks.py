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

LONG = "TEST_TIMES" in os.environ
HOUR = timedelta(hours=1)
STEP, TICKS = (HOUR, 1000) if LONG else (3 * HOUR, 14)
CHANGES = {  # of Berlin's clocks; Baku's never change
    "autumn": datetime(2026, 10, 24, 14, tzinfo=UTC),
    "spring": datetime(2027, 3, 27, 14, tzinfo=UTC),
}
JUMPS = (-24 * HOUR, -HOUR, HOUR, 24 * HOUR)  # of one scheduler's clock, for a tick
ZONES = ("Asia/Baku", "Europe/Berlin")
CADENCES = (Cadence.DAILY, Cadence.WEEKLY)


@pytest.fixture
async def pair(database_url, site, taxonomy):
    opened = [Database(database_url), Database(database_url)]
    made = [Press(one, site, taxonomy, min(CHANGES.values())) for one in opened]
    for one in made:
        one.mail.tells |= {MessageKind.DIGEST}
    yield made
    for one in opened:
        await one.close()


async def subscribe(press, address, zone, cadence):
    async with press.database.writing() as session:
        found = await subscriptions.ensure(
            session, ChannelKind.EMAIL, address, language="en", timezone=zone, now=press.now
        )
        await subscriptions.subscribe(
            session,
            found.id,
            parse(""),
            cadence=cadence,
            state=SubscriptionState.ACTIVE,
            consent=Consent(press.now, "test", "yes"),
            now=press.now,
        )


async def tick(pair, rooms, true):
    """What two schedulers do at once; how many embargoes they ended."""
    found = await asyncio.gather(*(one.intake.open_due() for one in pair))
    job = Job("digests", "digests", Priority.NORMAL, true)
    await asyncio.gather(*(room.handlers()["digests"](job, Never()) for room in rooms))
    await asyncio.gather(*(one.spread() for one in pair))
    await asyncio.gather(*(one.send() for one in pair))
    return sum(found)


@pytest.mark.parametrize("season", CHANGES)
async def test_two_schedulers_do_each_embargo_and_digest_once_whatever_their_clocks_do(pair, season):
    dice, begin = random.Random(20261122), CHANGES[season]
    rooms = [
        Digests(one.database, DigestSettings(), clock=partial(lambda it: it.now, one), wake=one.wake) for one in pair
    ]
    pair[0].now = begin
    people = {
        f"{zone}.{cadence}@x.az".lower().replace("/", "."): (zone, cadence) for zone in ZONES for cadence in CADENCES
    }
    for address, (zone, cadence) in people.items():
        await subscribe(pair[0], address, zone, cadence)
    opened, keys = 0, []
    for number in range(TICKS):
        true = begin + number * STEP
        for one in pair:
            one.now = true
        if number % 5 == 0:
            keys.append(f"r{number}")
            await pair[0].harvest(pair[0].change(keys[-1], embargo=true + 2 * STEP))
        if dice.random() < 0.2:
            dice.choice(pair).now += dice.choice(JUMPS)
        opened += await tick(pair, rooms, true)
    for _ in range(9):  # until the last week is over as well
        true += 24 * HOUR
        for one in pair:
            one.now = true
        opened += await tick(pair, rooms, true)
    assert opened == len(keys), "each embargo ends once"
    told = Counter(
        (letter.address, item.release.key) for one in pair for letter in one.mail.sent for item in letter.items
    )
    assert told == Counter((address, key) for address in people for key in keys), "each release is in one digest each"
