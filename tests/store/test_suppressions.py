"""Addresses that are to get nothing, as fingerprints."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syndicator.domain.bounces import Suppressed
from syndicator.store import suppressions

ONE, OTHER = "1" * 64, "2" * 64


@pytest.mark.parametrize(
    ("first", "then", "stands"),
    [
        ("bounced", "complained", "complained"),
        ("complained", "bounced", "complained"),
        ("blocked", "erased", "blocked"),
        ("erased", "erased", "erased"),
        ("complained", "unasked", "unasked"),
    ],
)
async def test_the_stronger_reason_stands(database, now, first, then, stands):
    async with database.writing() as session:
        await suppressions.add(session, ONE, Suppressed(first), now)
        await suppressions.add(session, ONE, Suppressed(then), now + timedelta(hours=1))
        assert await suppressions.has(session, ONE) == stands
        assert await suppressions.has(session, OTHER) is None


@pytest.mark.parametrize("reason", Suppressed)
async def test_a_yes_takes_an_address_off_unless_nobody_may_even_ask(database, now, reason):
    async with database.writing() as session:
        await suppressions.add(session, ONE, reason, now)
        await suppressions.add(session, OTHER, reason, now)
        assert await suppressions.lift(session, ONE) is reason.may_be_asked
        assert (await suppressions.has(session, ONE) is None) is reason.may_be_asked
        assert await suppressions.has(session, OTHER) is reason
        assert await suppressions.allow(session, OTHER) is reason
        assert await suppressions.allow(session, OTHER) is None


async def test_many_are_asked_at_once_and_counted_by_reason(database, now):
    prints = [f"{number:064}" for number in range(1200)]
    async with database.writing() as session:
        for number in (3, 700, 1100):
            await suppressions.add(session, prints[number], Suppressed.ERASED, now)
        await suppressions.add(session, prints[9], Suppressed.BLOCKED, now)
        found = await suppressions.many(session, prints * 2)
        assert found == {
            prints[3]: Suppressed.ERASED,
            prints[9]: Suppressed.BLOCKED,
            prints[700]: Suppressed.ERASED,
            prints[1100]: Suppressed.ERASED,
        }
        assert list((await suppressions.counts(session)).items()) == [(Suppressed.BLOCKED, 1), (Suppressed.ERASED, 3)]
        assert await suppressions.many(session, []) == {}
