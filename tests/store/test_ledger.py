"""The ledger: nobody twice, nobody missed, and every move safe to repeat."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from syndicator.domain.model import (
    ChannelKind,
    DeliveryState,
    MessageKind,
    Priority,
    SubscriptionState,
)
from syndicator.store import ledger, releases, subscriptions
from syndicator.store.ledger import Settlement
from tests.store.looked import drain, rows

HOUR = timedelta(hours=1)


async def test_what_is_claimed_names_the_person_and_the_reason(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session, topics=("visas",))
        who, made = await people.add(session, "a@example.org", "topic=visas")
        await tell(session, priority=Priority.URGENT)
        [batch] = await ledger.open_batches(session)
        [claimed] = await ledger.claim(session, batch.id, now, 10)
        assert (batch.channel, batch.priority) == (ChannelKind.EMAIL, Priority.URGENT)
        assert (claimed.message.key, claimed.message.release, claimed.message.priority) == ("release:1:0", 1, 10)
        assert (claimed.subscriber, claimed.subscription, claimed.address) == (who.id, made.id, "a@example.org")
        assert (claimed.filter, claimed.lang, claimed.attempts, claimed.resent) == ("topic=visas", "az", 1, False)
        assert claimed.answer == {}
        assert await ledger.claim(session, batch.id, now, 10) == []
        assert await ledger.settle(session, [Settlement(claimed.id, DeliveryState.SENT)], now) == 1
        assert await ledger.claim(session, batch.id, now, 10) == []
        assert await session.scalar(text("SELECT done_at IS NOT NULL FROM batch"))


@pytest.mark.parametrize("how", ["unsubscribed", "paused", "withdrawn"])
async def test_what_changes_before_the_claim_suppresses(database, press, people, tell, now, how):
    async with database.writing() as session:
        await press.record(session)
        who, _ = await people.add(session, "a@example.org")
        await people.add(session, "b@example.org")
        await tell(session)
        if how == "unsubscribed":
            await subscriptions.end_all(session, who.id, "one click", now)
        elif how == "paused":
            await subscriptions.pause(session, who.id, "bounced")
        else:
            await releases.withdraw(session, 1, "", now)
    async with database.writing() as session:
        claimed = await drain(session, now, limit=1)
        states = {row.address: (row.state, row.attempts) for row in await rows(session)}
    assert [c.address for c in claimed] == ([] if how == "withdrawn" else ["b@example.org"])
    assert states["a@example.org"] == ("suppressed", 0)


async def test_a_clock_set_back_delays_a_delivery_and_loses_nothing(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "a@example.org")
        await tell(session)
        await session.execute(text("UPDATE delivery SET due_at = due_at"))
        [batch] = await ledger.open_batches(session)
        await session.execute(text("UPDATE release SET public_at = :t"), {"t": "2026-11-21 10:00:00+00"})
        assert await ledger.claim(session, batch.id, now, 1) == []
        assert await ledger.next_deferred(session) == now + HOUR
        assert await ledger.sweep(session, now + HOUR) == 1
        assert len(await drain(session, now + HOUR)) == 1


async def test_settling_twice_is_settling_once(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "a@example.org")
        await tell(session)
        [claimed] = await drain(session, now)
        sent = Settlement(claimed.id, DeliveryState.SENT, answer={"message_id": 7, "parts": [1, 2]})
        assert await ledger.settle(session, [sent], now) == 1
        assert await ledger.settle(session, [Settlement(claimed.id, DeliveryState.FAILED)], now) == 0
        [row] = await ledger.listing(session, state=DeliveryState.SENT, release=1)
        assert (row["address"], row["message"], row["settled_at"].replace(tzinfo=now.tzinfo)) == (
            "a@example.org",
            "release:1:0",
            now,
        )
        assert await ledger.listing(session, state=DeliveryState.FAILED) == []
        assert await ledger.counts(session) == {}, "what waits or is in trouble"


async def test_many_settlements_of_every_kind_go_in_together(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        for number in range(5):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        claimed = await drain(session, now)
        fates = [
            Settlement(claimed[0].id, DeliveryState.SENT, answer={"id": "x"}),
            Settlement(claimed[1].id, DeliveryState.DEFERRED, due_at=now + HOUR, counted=False, answer={"part": 1}),
            Settlement(claimed[2].id, DeliveryState.FAILED, reason="no such user"),
            Settlement(claimed[3].id, DeliveryState.UNKNOWN, reason="dropped", resent=True),
            Settlement(claimed[4].id, DeliveryState.DEFERRED, due_at=now + 2 * HOUR),
        ]
        assert await ledger.settle(session, fates, now) == 5
        found = await session.execute(
            text("SELECT state, attempts, reason, batch_id IS NULL FROM delivery ORDER BY id")
        )
        assert [tuple(row) for row in found] == [
            ("sent", 1, "", False),
            ("deferred", 0, "", True),
            ("failed", 1, "no such user", False),
            ("unknown", 1, "dropped", False),
            ("deferred", 1, "", True),
        ]


async def test_a_deferred_row_comes_due_in_a_new_batch_and_keeps_its_answer(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "a@example.org")
        await tell(session, priority=Priority.URGENT)
        [first] = await drain(session, now)
        later = Settlement(first.id, DeliveryState.DEFERRED, due_at=now + HOUR, answer={"parts": [1]}, reason="busy")
        await ledger.settle(session, [later], now)
        assert await ledger.next_deferred(session) == now + HOUR
        assert await ledger.sweep(session, now) == 0
        assert await ledger.sweep(session, now + HOUR) == 1
        assert await ledger.sweep(session, now + HOUR) == 0
        [batch] = await ledger.open_batches(session)
        assert (batch.channel, batch.priority) == (ChannelKind.EMAIL, Priority.URGENT)
        [again] = await ledger.claim(session, batch.id, now + HOUR, 5)
        assert (again.attempts, again.answer, again.resent) == (2, {"parts": [1]}, False)


async def test_the_oldest_waiting_delivery_is_known_for_the_alarm(database, press, people, tell, now):
    async with database.writing() as session:
        assert await ledger.oldest_due(session) is None
        await press.record(session)
        await people.add(session, "a@example.org")
        await tell(session)
        assert await ledger.oldest_due(session) == now
        [claimed] = await drain(session, now)
        assert await ledger.oldest_due(session) == now
        await ledger.settle(session, [Settlement(claimed.id, DeliveryState.SENT)], now)
        assert await ledger.oldest_due(session) is None


async def test_two_claimers_share_a_batch_and_nobody_is_claimed_twice(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        for number in range(40):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        [batch] = await ledger.open_batches(session)

    async def worker():
        mine = []
        while True:
            async with database.writing() as session:
                claimed = await ledger.claim(session, batch.id, now, 3)
                await asyncio.sleep(0)
            if not claimed:
                return mine
            mine += [c.id for c in claimed]

    claimed = [number for mine in await asyncio.gather(*(worker() for _ in range(4))) for number in mine]
    assert len(claimed) == len(set(claimed)) == 40


async def test_a_confirmation_goes_first_and_only_while_it_is_waited_for(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "a@example.org")
        await tell(session, priority=Priority.URGENT)
        who, pending = await people.add(session, "new@example.org", lang="ru", state=SubscriptionState.PENDING)
        message = await ledger.confirmation(session, pending.id, who.id, now=now)
        again = await ledger.confirmation(session, pending.id, who.id, now=now)
        assert (message.key, again.key) == (f"confirmation:{pending.id}:1", f"confirmation:{pending.id}:2")
        batches = await ledger.open_batches(session)
        assert [b.priority for b in batches] == [0, 0, 10]
        [claimed] = await ledger.claim(session, batches[0].id, now, 5)
        assert (claimed.message.kind, claimed.message.subscription) == (MessageKind.CONFIRMATION, pending.id)
        assert (claimed.address, claimed.lang) == ("new@example.org", "ru")
        await subscriptions.confirm(session, pending.id, now)
        assert await ledger.claim(session, batches[1].id, now, 5) == []
        later = now + timedelta(days=30)
        await subscriptions.pause(session, who.id, "550")
        await ledger.confirmation(session, pending.id, who.id, now=later)  # asked for again: the way back in
        [back] = [b for b in await ledger.open_batches(session) if b.priority == 0]
        [claimed] = await ledger.claim(session, back.id, later, 5)
        assert claimed.address == "new@example.org"
        await subscriptions.end(session, pending.id, "left", later)
        await ledger.confirmation(session, pending.id, who.id, now=later)
        [ended] = [b for b in await ledger.open_batches(session) if b.priority == 0]
        assert await ledger.claim(session, ended.id, later, 5) == []
