"""What came back, whom it is about, and what the ledger says then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from syndicator.domain.bounces import Bounce, BounceKind
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind
from syndicator.store import bounces, ledger
from syndicator.store.ledger import Settlement
from syndicator.store.personal import erase
from syndicator.store.tables import DELIVERY, READDRESSED, SUBSCRIBER
from tests.store.looked import drain

HOUR = timedelta(hours=1)
ANSWER = {"message_id": "<first@press.example.org>", "said": "250 ok"}
OFFICE = {"language": "az", "timezone": "Asia/Baku"}


@pytest.fixture
def sent(press, people, tell, now):
    """Somebody who was sent a release, and its delivery."""

    async def send(session, address="a@example.org", *, state=DeliveryState.SENT, channel=ChannelKind.EMAIL):
        await press.record(session)
        who, made = await people.add(session, address, channel=channel)
        await tell(session)
        (claimed,) = await drain(session, now)
        await ledger.settle(session, [Settlement(claimed.id, state, answer=ANSWER)], now)
        return who, made, claimed.id

    return send


async def row(session, delivery):
    return (await session.execute(select(DELIVERY).where(DELIVERY.c.id == delivery))).mappings().one()


async def test_a_report_counts_once(database, sent, now):
    async with database.writing() as session:
        _, _, delivery = await sent(session)
        who = await bounces.of_delivery(session, delivery)
        soft = Bounce(BounceKind.SOFT, "4.2.2", "full")
        for report, new in (("one", True), ("one", False), ("other", True)):
            assert await bounces.record(session, who, soft, source="dsn", report=report, now=now) is new
        assert await bounces.soft_times(session, who.subscriber, now - HOUR) == [now, now]
        assert await bounces.soft_times(session, who.subscriber, now + HOUR) == []
        assert await bounces.counts(session, now) == {BounceKind.SOFT: 2}


@pytest.mark.parametrize("state", [DeliveryState.SENT, DeliveryState.UNKNOWN])
async def test_what_came_back_never_arrived_and_nothing_follows_it(database, press, sent, tell, now, state):
    async with database.writing() as session:
        _, _, delivery = await sent(session, state=state)
        assert await bounces.never_arrived(session, delivery, "bounced: 550 nobody")
        assert not await bounces.never_arrived(session, delivery, "again")
        found = await row(session, delivery)
        assert (found["state"], found["reason"], found["answer"]) == ("failed", "bounced: 550 nobody", {})
        assert await tell(session, kind="withdrawal", langs=("az",)) == 0
        assert await tell(session, kind="correction", major=1, langs=("az",)) == 0


@pytest.mark.parametrize(
    "state", [one for one in DeliveryState if one not in (DeliveryState.SENT, DeliveryState.UNKNOWN)]
)
async def test_what_is_still_to_go_out_has_its_own_end(database, sent, state):
    async with database.writing() as session:
        _, _, delivery = await sent(session)
        await session.execute(update(DELIVERY).values(state=state))
        assert not await bounces.never_arrived(session, delivery, "bounced")
        assert (await row(session, delivery))["state"] == state


async def test_a_delivery_tells_whom_it_went_to(database, sent):
    async with database.writing() as session:
        who, _, delivery = await sent(session)
        found = await bounces.of_delivery(session, delivery)
        assert (found.subscriber, found.address, found.delivery) == (who.id, "a@example.org", delivery)
        assert (found.state, found.asks, found.is_theirs) == (DeliveryState.SENT, False, True)
        assert await bounces.of_delivery(session, delivery + 1) is None


async def test_who_was_erased_or_is_no_mailbox_is_nobody(database, sent, now):
    async with database.writing() as session:
        who, _, delivery = await sent(session)
        await erase(session, who.id, now, **OFFICE)
        assert await bounces.of_delivery(session, delivery) is None
        assert await bounces.of_subscriber(session, who.id) is None


async def test_a_chat_has_no_mailbox(database, sent):
    async with database.writing() as session:
        who, _, delivery = await sent(session, "77", channel=ChannelKind.TELEGRAM)
        assert await bounces.of_delivery(session, delivery) is None
        assert await bounces.of_subscriber(session, who.id) is None


async def test_a_question_to_another_address_says_nothing_of_its_subscriber(database, people, now):
    async with database.writing() as session:
        who, _ = await people.add(session, "old@example.org")
        await ledger.ask_address(session, who.id, "new@example.org", now=now)
        await ledger.tell_moved(session, who.id, "older@example.org", now=now)
        found = {one.message.kind: await bounces.of_delivery(session, one.id) for one in await drain(session, now)}
        asked, told = found[MessageKind.ADDRESS], found[MessageKind.MOVED]
        assert (asked.address, asked.asks, asked.is_theirs) == ("new@example.org", True, False)
        assert (told.address, told.asks, told.is_theirs) == ("older@example.org", False, False)


async def test_what_comes_back_after_they_moved_is_about_an_address_that_is_theirs_no_more(database, sent, now):
    async with database.writing() as session:
        who, _, delivery = await sent(session)
        await ledger.ask_address(session, who.id, "new@example.org", now=now)
        await session.execute(update(READDRESSED).values(done_at=now + HOUR))
        await session.execute(update(SUBSCRIBER).values(address="new@example.org"))
        found = await bounces.of_delivery(session, delivery)
        assert (found.subscriber, found.address, found.is_theirs) == (who.id, "", False)


async def test_a_message_id_beside_its_reader_leads_to_the_delivery_and_alone_to_nothing(database, sent):
    async with database.writing() as session:
        who, _, delivery = await sent(session)
        assert (await bounces.of_subscriber(session, who.id, "first@press.example.org")).delivery == delivery
        assert (await bounces.of_subscriber(session, who.id, "other@press.example.org")).delivery is None
        assert await bounces.of_subscriber(session, who.id + 1, "first@press.example.org") is None
