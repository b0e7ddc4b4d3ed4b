"""Digests after a restore: what the lost service has told comes in none, what it had not come to in the next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from config.settings import DigestSettings
from syndicator.domain.model import Cadence
from syndicator.pipeline.digests import Digests
from syndicator.store import restored
from tests.pipeline.readers import DAY, EIGHT, HOUR, Reader, at, publish

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("beside", [True, False], ids=["beside another", "alone"])
@pytest.mark.parametrize(
    ("came_out", "is_told"),
    [(EIGHT - 10 * HOUR, False), (EIGHT + HOUR, True)],
    ids=["before the last digest of the lost service", "after it"],
)
async def test_a_release_of_after_the_backup_is_in_the_digest_of_its_own_time_alone(press, beside, came_out, is_told):
    room = Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)
    anna = Reader(press, 1)
    press.now = EIGHT - DAY - 2 * HOUR
    await anna.choose(Cadence.DAILY)
    press.now += HOUR
    await publish(press, "w")
    await at(press, EIGHT - DAY + 2 * MINUTE, room)
    press.now = EIGHT - 20 * HOUR
    if beside:
        await publish(press, "y")
    backup, until = press.now, EIGHT + 4 * HOUR
    await at(press, until, room)  # what a restore does: windows close until then
    async with press.database.writing() as session:
        await restored.begin(session, backup, until)
    press.now = until + 5 * MINUTE
    tally = await press.harvest(*press.source.items, press.change("x", published=came_out, seen_at=came_out))
    assert tally.announced == 0
    await press.spread()
    await press.send()
    await at(press, EIGHT + DAY + 2 * MINUTE, room)
    assert ("x" in str(anna.got)) is is_told
