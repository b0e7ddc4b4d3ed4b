"""Who asked for what, and the record of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from syndicator.domain.filters import Filter, parse
from syndicator.domain.model import Cadence, ChannelKind, OtherLanguage, SubscriberRole, SubscriptionState
from syndicator.store import filters, ledger, subscriptions
from syndicator.store.subscriptions import Consent

ACTIVE, PENDING, ENDED = SubscriptionState.ACTIVE, SubscriptionState.PENDING, SubscriptionState.ENDED
DAY = timedelta(days=1)


async def test_a_subscriber_is_made_once_and_keeps_their_language(database, now):
    async with database.writing() as session:
        values = {"timezone": "Asia/Baku", "now": now}
        first = await subscriptions.ensure(session, ChannelKind.EMAIL, "a@example.org", language="az", **values)
        again = await subscriptions.ensure(session, ChannelKind.EMAIL, "a@example.org", language="ru", **values)
        other = await subscriptions.ensure(session, ChannelKind.TELEGRAM, "a@example.org", language="ru", **values)
        assert again == first
        assert other.id != first.id
        await subscriptions.set_language(session, first.id, "en")
        await subscriptions.set_reading(session, first.id, timezone="UTC", other_language=OtherLanguage.ALWAYS)
        await subscriptions.set_reading(session, first.id)
        await subscriptions.resolve(session, first.id, "-100")
        found = await subscriptions.by_id(session, first.id)
        assert found == replace(
            first, language="en", timezone="UTC", other_language=OtherLanguage.ALWAYS, resolved="-100"
        )
        assert await subscriptions.find(session, ChannelKind.EMAIL, "nobody@example.org") is None


async def test_equal_filters_share_one_row(database):
    async with database.writing() as session:
        texts = ("topic=b,a&q=Viza+ASAN", "q=asan+viza&topic=a&topic=b")
        one, two = [await filters.share_filter(session, parse(t)) for t in texts]
        everything = await filters.share_filter(session, Filter())
        terms = await session.execute(text("SELECT field, value FROM filter_term ORDER BY field, position"))
        assert one == two != everything
        assert [tuple(row) for row in terms] == [("q", "asan"), ("q", "viza"), ("topic", "a"), ("topic", "b")]


@pytest.mark.parametrize(
    ("first", "second", "rows"),
    [
        ((PENDING, "immediate"), (PENDING, "immediate"), [(PENDING, "immediate")]),
        ((PENDING, "immediate"), (ACTIVE, "immediate"), [(ACTIVE, "immediate")]),
        ((ACTIVE, "immediate"), (ACTIVE, "daily"), [(ENDED, "immediate"), (ACTIVE, "daily")]),
        ((PENDING, "immediate"), (PENDING, "daily"), [(PENDING, "immediate")]),
        ((PENDING, "immediate"), (ACTIVE, "daily"), [(ENDED, "immediate"), (ACTIVE, "daily")]),
        ((ACTIVE, "immediate"), (PENDING, "immediate"), [(ACTIVE, "immediate")]),
        ((ACTIVE, "immediate"), (PENDING, "daily"), [(ACTIVE, "immediate")]),
    ],
)
async def test_asking_again_keeps_history_and_never_harms_what_is_active(database, people, first, second, rows):
    async with database.writing() as session:
        for state, cadence in (first, second):
            who, made = await people.add(session, "a@example.org", state=state, cadence=Cadence(cadence))
        kept = await subscriptions.of(session, who.id, live=False)
        assert [(s.state, s.cadence) for s in kept] == rows
        assert made == kept[-1]


async def test_the_record_of_consent_stays_after_the_end(database, people, now):
    consent = Consent(now, "https://press.example.org/az/subscribe", "Razıyam")
    async with database.writing() as session:
        who, _ = await people.add(session, "a@example.org", "topic=a")
        made = await subscriptions.subscribe(
            session, who.id, Filter(), cadence=Cadence.DAILY, state=PENDING, consent=consent, now=now
        )
        confirmed = await subscriptions.confirm(session, made.id, now + DAY)
        again = await subscriptions.confirm(session, made.id, now + 2 * DAY)
        assert (confirmed.state, confirmed.confirmed_at) == (ACTIVE, now + DAY)
        assert again == confirmed
        assert await subscriptions.end(session, made.id, "unsubscribed", now + 3 * DAY)
        assert not await subscriptions.end(session, made.id, "again", now + 4 * DAY)
        assert await subscriptions.confirm(session, made.id, now) is None
        ended = await subscriptions.get(session, made.id)
        assert (ended.state, ended.ended_at, ended.ended_reason) == (ENDED, now + 3 * DAY, "unsubscribed")
        assert (ended.consent_at, ended.consent_source, ended.consent_text) == (now, consent.source, "Razıyam")
        assert await subscriptions.end_all(session, who.id, "all", now) == 1
        assert await subscriptions.of(session, who.id) == []
        assert len(await subscriptions.of(session, who.id, live=False)) == 2


async def test_an_opt_in_never_confirmed_ends_but_asking_again_counts_anew(database, people, now):
    async with database.writing() as session:
        await people.add(session, "old@example.org", state=PENDING)
        await people.add(session, "active@example.org")
        who, again = await people.add(session, "again@example.org", state=PENDING)
        await ledger.confirmation(session, again.id, who.id, now=now + 6 * DAY)
        assert await subscriptions.end_stale_pending(session, now + DAY, now + 8 * DAY) == 1
        assert await subscriptions.counts(session) == {("email", "active"): 1, ("email", "pending"): 1}


async def test_a_person_who_moves_takes_everything_along(database, people, press, taxonomy, now):
    async with database.writing() as session:
        who, _ = await people.add(session, "-1", channel=ChannelKind.TELEGRAM)
        await subscriptions.move(session, who.id, "-1001")
        await subscriptions.move(session, who.id, "-1001")
        assert (await subscriptions.by_id(session, who.id)).address == "-1001"


async def test_moving_to_a_known_address_merges_without_a_second_message(database, people, press, taxonomy, now):
    async with database.writing() as session:
        old, _ = await people.add(session, "-1", "topic=office", channel=ChannelKind.TELEGRAM)
        await people.add(session, "-1", "", channel=ChannelKind.TELEGRAM)
        new, _ = await people.add(session, "-1001", "", channel=ChannelKind.TELEGRAM)
        await press.record(session)
        await session.execute(
            text(
                "INSERT INTO message (key, kind, release_id, major, priority, cursor, created_at)"
                " VALUES ('m1', 'release', 1, 0, 20, 0, '2026-11-21 09:00:00'),"
                " ('m2', 'release', 1, 0, 20, 0, '2026-11-21 09:00:00')"
            )
        )
        for message, who in ((1, old), (1, new), (2, old)):
            await session.execute(
                text(
                    "INSERT INTO delivery (message_id, subscriber_id, lang, state, attempts, due_at, reason, answer)"
                    " VALUES (:m, :p, 'az', 'due', 0, '2026-11-21 09:00:00', '', '{}')"
                ),
                {"m": message, "p": who.id},
            )
        await subscriptions.move(session, old.id, "-1001")
        assert {s.filter for s in await subscriptions.of(session, new.id)} == {"", "topic=office"}
        assert (await subscriptions.by_id(session, old.id)).state == "paused"
        found = await session.execute(text("SELECT message_id FROM delivery WHERE subscriber_id = :p"), {"p": new.id})
        assert sorted(found.scalars()) == [1, 2]


async def test_a_configured_channel_keeps_its_address_as_written(database, people):
    async with database.writing() as session:
        who, _ = await people.add(session, "@office", channel=ChannelKind.TELEGRAM, role=SubscriberRole.CHANNEL)
        await subscriptions.move(session, who.id, "-1001")
        [found] = await subscriptions.configured_channels(session)
        assert (found.address, found.resolved) == ("@office", "-1001")


async def test_a_channel_without_a_live_subscription_is_no_longer_configured(database, people, now):
    async with database.writing() as session:
        who, _ = await people.add(session, "@office", channel=ChannelKind.TELEGRAM, role=SubscriberRole.CHANNEL)
        await subscriptions.end_all(session, who.id, "removed", now)
        assert await subscriptions.configured_channels(session) == []


async def test_everyone_is_listed_once_across_pages(database, people, monkeypatch):
    monkeypatch.setattr(subscriptions, "PAGE", 2)
    async with database.writing() as session:
        for number in range(5):
            await people.add(session, f"{number}@example.org")
        listed = [(who.address, made.id) async for who, made in subscriptions.everyone(session)]
    assert listed == [(f"{number}@example.org", number + 1) for number in range(5)]


async def test_a_paused_subscriber_keeps_subscriptions_and_can_come_back(database, people):
    async with database.writing() as session:
        who, _ = await people.add(session, "a@example.org")
        await subscriptions.pause(session, who.id, "blocked the bot")
        assert (await subscriptions.by_id(session, who.id)).state == "paused"
        assert len(await subscriptions.of(session, who.id)) == 1
        await subscriptions.resume(session, who.id)
        assert (await subscriptions.by_id(session, who.id)).state == "active"


@pytest.mark.parametrize("again", [1, 2])
async def test_who_rests_while_their_mailbox_is_dead_gets_nothing_when_the_rest_ends(database, people, now, again):
    async with database.writing() as session:
        who, _ = await people.add(session, "a@example.org")
        await subscriptions.pause(session, who.id, "bounced: 5.1.1")
        for _ in range(again):
            await subscriptions.rest(session, who.id, now + 7 * DAY)
        assert await subscriptions.next_resume(session) == now + 7 * DAY
        assert await subscriptions.resume_due(session, now + 8 * DAY) == []
        kept = await subscriptions.by_id(session, who.id)
        assert (kept.state, kept.state_reason) == ("paused", "bounced: 5.1.1")


async def test_who_shows_that_they_are_there_before_their_rest_ends_rests_on(database, people, now):
    async with database.writing() as session:
        who, _ = await people.add(session, "a@example.org")
        await subscriptions.pause(session, who.id, "bounced: 5.1.1")
        await subscriptions.rest(session, who.id, now + 7 * DAY)
        await subscriptions.back(session, who.id, now)
        assert (await subscriptions.by_id(session, who.id)).is_resting
        await subscriptions.rest(session, who.id, None)
        assert (await subscriptions.by_id(session, who.id)).state_reason == subscriptions.ASKED
