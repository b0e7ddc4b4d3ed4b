"""After a crash and by an operator: what stands still is set going again, and batches are tidied."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syndicator.domain.model import ChannelKind, DeliveryState, Priority, SubscriberRole
from syndicator.store import ledger
from syndicator.store.ledger import Settlement
from tests.store.looked import drain, rows

HOUR = timedelta(hours=1)


async def test_a_crash_repeats_what_was_in_flight_and_misses_nobody(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        for number in range(3):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        [batch] = await ledger.open_batches(session)
        [done] = await ledger.claim(session, batch.id, now, 1)
        await ledger.settle(session, [Settlement(done.id, DeliveryState.SENT)], now)
        [flying] = await ledger.claim(session, batch.id, now, 1)
        assert await ledger.recover(session, now + HOUR) == 1
        assert await ledger.recover(session, now + HOUR) == 0
        again = await drain(session, now + HOUR)
        assert [(c.id, c.resent, c.attempts) for c in again] == [(flying.id, True, 2), (flying.id + 1, False, 1)]
        assert await ledger.recover(session, now + 2 * HOUR) == 2
        assert len(await drain(session, now + 2 * HOUR)) == 2


async def test_a_letter_that_kills_every_process_ends_as_unknown(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "a@example.org")
        await tell(session)
        for _ in range(5):
            assert len(await drain(session, now)) == 1
            assert await ledger.recover(session, now) == 1
        assert await drain(session, now) == []
        [row] = await ledger.listing(session)
        assert (row["state"], row["reason"]) == ("unknown", "the process ended 5 times while it was being sent")
        assert await ledger.retry(session, states=[DeliveryState.UNKNOWN], now=now) == 1
        assert len(await drain(session, now)) == 1
        assert await ledger.recover(session, now) == 1
        assert len(await drain(session, now)) == 1


async def test_what_a_relay_has_deferred_often_is_sent_again_after_a_crash(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "a@example.org")
        await tell(session)
        for _ in range(20):
            [claimed] = await drain(session, now)
            later = Settlement(claimed.id, DeliveryState.DEFERRED, due_at=now, reason="greylisted")
            await ledger.settle(session, [later], now)
            await ledger.sweep(session, now)
        assert len(await drain(session, now)) == 1
        assert await ledger.recover(session, now) == 1
        assert len(await drain(session, now)) == 1


async def test_closed_batches_are_deleted_and_their_deliveries_stay(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        for number in range(3):
            await people.add(session, f"{number}@example.org")
        await tell(session, batch_size=1)
        first, second, _ = await ledger.open_batches(session)
        [done] = await ledger.claim(session, first.id, now, 5)
        await ledger.claim(session, second.id, now, 5)
        await ledger.settle(session, [Settlement(done.id, DeliveryState.SENT)], now)
        assert await ledger.claim(session, first.id, now, 5) == []
        assert await ledger.forget_closed(session) == 1
        assert await ledger.forget_closed(session) == 0
        assert [row.state for row in await rows(session)] == ["sent", "sending", "due"]
        assert await ledger.recover(session, now) == 1
        assert len(await drain(session, now)) == 2


async def test_an_operator_sends_again_what_failed_and_nothing_that_was_sent(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        for number in range(3):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        claimed = await drain(session, now)
        states = (DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.UNKNOWN)
        await ledger.settle(session, [Settlement(c.id, s) for c, s in zip(claimed, states, strict=True)], now)
        both = [DeliveryState.FAILED, DeliveryState.UNKNOWN]
        assert await ledger.retry(session, states=both, release=9, now=now) == 0
        assert await ledger.retry(session, states=both, delivery=claimed[0].id, now=now) == 0
        assert await ledger.retry(session, states=both, release=1, now=now) == 2
        again = await drain(session, now)
        assert {(c.id, c.attempts, c.resent) for c in again} == {
            (claimed[1].id, 1, False),
            (claimed[2].id, 1, True),
        }
        with pytest.raises(ValueError, match="sent: only failed"):
            await ledger.retry(session, states=[DeliveryState.SENT], now=now)


async def test_a_chat_that_takes_posts_again_gets_at_once_what_waited_for_it_and_no_other_does(
    database, press, people, tell, now
):
    async with database.writing() as session:
        await press.record(session)
        for chat in ("@news", "https://t.me/news/5", "@other", "7"):
            role = SubscriberRole.PERSON if chat == "7" else SubscriberRole.CHANNEL
            await people.add(session, chat, channel=ChannelKind.TELEGRAM, role=role)
        await tell(session)
        later = Settlement(0, DeliveryState.DEFERRED, reason="no right", due_at=now + HOUR, counted=False)
        for one in await drain(session, now):
            await ledger.settle(session, [replace(later, delivery=one.id)], now)
        assert await ledger.reopened(session, ChannelKind.TELEGRAM, ["@NEWS", "7"], now) == 2
        assert await ledger.reopened(session, ChannelKind.EMAIL, ["@other"], now) == 0
        (batch,) = await ledger.open_batches(session)
        assert batch.priority is Priority.CHANNEL, "before all people"
        assert sorted(one.address for one in await drain(session, now)) == ["@news", "https://t.me/news/5"]
