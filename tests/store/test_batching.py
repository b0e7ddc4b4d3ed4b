"""How many deliveries a batch takes, for one process and for several."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from syndicator.domain.model import DeliveryState
from syndicator.store import ledger
from syndicator.store.batching import LEAST, PARTS, batches_for, size_of


async def nothing_to_do(session, jobs):
    """Somebody else's queue."""


async def sizes(session):
    return sorted(await session.scalars(text("SELECT COUNT(*) FROM delivery GROUP BY batch_id")))


@pytest.mark.parametrize(
    ("mails", "alone", "beside"),
    [(1, 500, 20), (200, 500, 20), (800, 500, 20), (3_000, 500, 75), (20_000, 500, 500), (90_000, 500, 500)],
)
def test_mail_is_divided_finely_where_others_send_too_and_a_large_mailing_as_ever(mails, alone, beside):
    assert size_of("email", 500, mails, others=False) == alone
    assert size_of("email", 500, mails, others=True) == beside
    assert size_of("telegram", 500, mails, others=True) == size_of("telegram", 500, mails, others=False)


@given(most=st.integers(1, 50_000), share=st.floats(0, 1), size=st.integers(1, 900))
@settings(max_examples=100)
def test_however_many_of_those_that_were_looked_at_get_it_there_are_batches_enough(most, share, size):
    number = max(1, int(most * share))
    needed = -(-number // size_of("email", size, number, others=True))
    assert needed <= batches_for("email", size, most, others=True)


@pytest.mark.parametrize("shared", [False, True])
async def test_several_processes_share_a_mailing_of_a_hundred(database, press, people, tell, now, shared):
    if shared:
        database.attach(nothing_to_do)
    async with database.writing() as session:
        await press.record(session, topics=["visas"])
        for number in range(110):
            await people.add(session, f"{number}@example.org", "topic=visas" if number < 100 else "topic=refugees")
        assert await tell(session) == 100
        assert await sizes(session) == ([LEAST] * 5 if shared else [100])
        assert await session.scalar(text("SELECT COUNT(*) FROM batch")) == (5 if shared else 1), "none is empty"
        [*batches] = await ledger.open_batches(session)
        claimed = [one for batch in batches for one in await ledger.claim(session, batch.id, now, 100)]
        later = [one.settled(DeliveryState.DEFERRED, due_at=now) for one in claimed]
        await ledger.settle(session, later, now)
        assert await ledger.sweep(session, now) == 100
        assert await sizes(session) == ([LEAST] * 5 if shared else [100])


async def test_batches_of_a_larger_mailing_are_even(database, press, people, tell, monkeypatch):
    monkeypatch.setattr("syndicator.store.stepping.LEAST", 2)
    monkeypatch.setattr("syndicator.store.batching.LEAST", 2)
    database.attach(nothing_to_do)
    async with database.writing() as session:
        await press.record(session)
        for number in range(2 * PARTS + 20):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        assert await sizes(session) == [1, *[3] * 33]
