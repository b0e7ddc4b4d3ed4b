"""Whose a claimed delivery is: what others answer for it moves nothing, and what the dead held comes back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from syndicator.domain.model import ChannelKind, DeliveryState, Priority
from syndicator.store import ledger, wanted
from syndicator.store.database import Database
from syndicator.store.registered import StruckOff
from tests.store.looked import drain, register

HOUR = timedelta(hours=1)


@pytest.fixture
async def batch(database, press, people, tell):
    """A batch of three readers, and its number."""
    async with database.writing() as session:
        await press.record(session)
        for number in range(3):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        [found] = await ledger.open_batches(session)
    await register(database, 7, 8, 9)
    return found.id


async def states(database):
    async with database.reading() as session:
        return [row["state"] for row in await ledger.listing(session)][::-1]


@pytest.mark.parametrize("state", [DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.DEFERRED])
async def test_what_a_frozen_process_answers_late_moves_nothing(database, batch, now, state):
    async with database.writing() as session:
        [late] = await ledger.claim(session, batch, now, 1, by=7)
        await ledger.recover(session, now)
        [again] = await ledger.claim(session, batch, now, 1, by=8)
        assert (again.id, again.attempts, again.claimed_by) == (late.id, 2, 8)
        answer = late.settled(state, answer={"by": 7}, due_at=now)
        assert await ledger.being_sent(session, [answer]) == set()
        assert await ledger.settle(session, [answer], now) == 0
        right = again.settled(state, answer={"by": 8}, due_at=now)
        assert await ledger.being_sent(session, [right]) == {again.id}
        assert await ledger.settle(session, [right], now) == 1
        assert await ledger.settle(session, [right], now) == 0


async def test_an_answer_counts_for_its_own_attempt_and_claim_alone(database, batch, now):
    async with database.writing() as session:
        [first] = await ledger.claim(session, batch, now, 1, by=7)
        await ledger.settle(session, [first.settled(DeliveryState.DUE)], now)
        [second] = await ledger.claim(session, batch, now, 1, by=7)
        assert await ledger.settle(session, [first.settled(DeliveryState.SENT, answer={})], now) == 0
        await ledger.settle(session, [second.settled(DeliveryState.DUE, counted=False)], now)
        [third] = await ledger.claim(session, batch, now, 1, by=9)
        assert third.attempts == second.attempts, "an attempt that did not count is made again"
        assert await ledger.settle(session, [second.settled(DeliveryState.SENT, answer={})], now) == 0
        assert await ledger.settle(session, [third.settled(DeliveryState.SENT, answer={})], now) == 1


async def test_the_only_process_takes_up_at_its_start_whatever_was_left_by_whomever(database, batch, now):
    async with database.writing() as session:
        for by in (None, 7, 8):
            await ledger.claim(session, batch, now, 1, by=by)
        assert await ledger.recover(session, now + HOUR) == 3
    assert await states(database) == ["due"] * 3


async def test_of_several_processes_only_what_the_dead_held_comes_back(postgresql_url, press, people, tell, now):
    database = Database(postgresql_url)
    await register(database, 7, 8, 9)
    async with database.writing() as session:
        await press.record(session)
        for number in range(3):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        [found] = await ledger.open_batches(session)
        for by in (None, 7, 8):
            await ledger.claim(session, found.id, now, 1, by=by)
        await session.execute(text("DELETE FROM procrastinate_workers WHERE id = 7"))
        assert await ledger.recover_dead(session, now + HOUR) == 2
        assert await ledger.recover_dead(session, now + HOUR) == 0
        again = await drain(session, now + HOUR)
        assert [(c.address, c.resent, c.attempts) for c in again] == [
            ("0@example.org", True, 2),
            ("1@example.org", True, 2),
        ]
    await database.close()


async def test_who_was_struck_off_claims_nothing_until_it_is_registered_anew(postgresql_url, press, people, tell, now):
    database = Database(postgresql_url)
    await register(database, 9)
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "0@example.org")
        await tell(session)
        [found] = await ledger.open_batches(session)
    with pytest.raises(StruckOff):
        async with database.writing() as session:
            await ledger.claim(session, found.id, now, 1, by=7)
    assert await states(database) == ["due"]
    async with database.writing() as session:
        assert [one.claimed_by for one in await ledger.claim(session, found.id, now, 1, by=9)] == [9]
        assert await ledger.claim(session, found.id, now, 1, by=9) == [], "and finds that nothing is left"
    await database.close()


async def test_two_that_judge_at_once_bring_a_row_back_once(postgresql_url, press, people, tell, now):
    one, other = Database(postgresql_url), Database(postgresql_url)
    async with one.writing() as session:
        await press.record(session)
        await people.add(session, "0@example.org")
        await tell(session)
        await drain(session, now)
    async with one.writing() as first, other.writing() as second:
        assert await ledger.recover(first, now) == 1
        assert await ledger.recover(second, now) == 0
    async with one.reading() as session:
        [row] = await ledger.listing(session)
        crashes = await session.scalar(text("SELECT crashes FROM delivery"))
    assert (row["state"], crashes) == ("due", 1)
    await one.close()
    await other.close()


class Posted:
    """Notes what each transaction wanted done."""

    def __init__(self):
        self.said = []

    async def __call__(self, session, jobs):
        self.said.append([job.key for job in jobs])


async def test_jobs_are_asked_for_in_the_transaction_that_makes_their_rows(database, press, people, tell, now):
    posted = Posted()
    database.attach(posted)
    async with database.writing() as session:
        for number in range(3):
            await people.add(session, f"{number}@example.org")
        await people.add(session, "7", channel=ChannelKind.TELEGRAM)
    assert posted.said == [], "who wants news at once brings nothing that is due"
    async with database.writing() as session:
        await press.record(session)
    assert posted.said.pop() == [], "a change is told to all"
    async with database.writing() as session:
        await tell(session, batch_size=2)
        mails = [b for b in await ledger.open_batches(session) if b.channel is ChannelKind.EMAIL]
    jobs = ["fanout:1", *(f"deliver:{batch.id}" for batch in mails)]
    assert (len(mails), posted.said.pop()) == (2, jobs), "batches of chats are their one sender's"
    async with database.writing() as session:
        await ledger.announce(session, 1, kind="release", major=0, priority=Priority.NORMAL, now=now)
    assert posted.said.pop() == [], "the job of a message that is opened again may wait in the queue"
    async with database.writing() as session:
        claimed = await drain(session, now)
    assert posted.said == []
    async with database.writing() as session:
        later = [one.settled(DeliveryState.DEFERRED, due_at=now + HOUR) for one in claimed[:1]]
        await ledger.settle(session, later, now)
    assert posted.said == [], "what waits for an hour is found by whoever looks next"
    async with database.writing() as session:
        await ledger.sweep(session, now + HOUR)
        batches = await ledger.open_batches(session)
    assert posted.said == [[f"deliver:{batches[-1].id}"]]
    async with database.writing() as session:
        wanted.want(session)
        await session.rollback()
    database.attach(None)
