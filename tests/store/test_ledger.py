"""The ledger: nobody twice, nobody missed, and every move safe to repeat."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from syndicator.domain.model import (
    Cadence,
    ChannelKind,
    DeliveryState,
    MessageKind,
    Priority,
    SubscriberRole,
    SubscriptionState,
)
from syndicator.store import ledger, releases, subscriptions
from syndicator.store.ledger import Settlement

HOUR = timedelta(hours=1)
ORDER = ("az", "en", "ru")
KINDS = {"release": MessageKind.RELEASE, "correction": MessageKind.CORRECTION, "withdrawal": MessageKind.WITHDRAWAL}


@pytest.fixture
def tell(taxonomy, now):
    """Announce a release and write all its recipients, as the pipeline does."""

    async def told(session, number=1, *, kind="release", major=0, priority=Priority.NORMAL, when=None, **values):
        when = when or now
        message = await ledger.announce(session, number, kind=KINDS[kind], major=major, priority=priority, now=when)
        written = 0
        values = {"taxonomy": taxonomy, "order": ORDER, "now": when, **values}
        while (step := await ledger.fan_out(session, message.id, **values)) is not None:
            written += step
        return written

    return told


async def rows(session):
    found = await session.execute(
        text(
            "SELECT p.address, d.lang, d.state, d.batch_id, d.attempts FROM delivery d"
            " JOIN subscriber p ON p.id = d.subscriber_id ORDER BY d.id"
        )
    )
    return found.all()


async def langs(session):
    return {row.address: row.lang for row in await rows(session)}


async def drain(session, now, limit=100):
    return [c for b in await ledger.open_batches(session, now) for c in await ledger.claim(session, b.id, now, limit)]


@pytest.mark.parametrize(
    ("reader", "filter_", "versions", "urgency", "gets"),
    [
        ({"lang": "az"}, "", "az en", "normal", "az"),
        ({"lang": "en"}, "", "az en", "normal", "en"),
        ({"lang": "ru"}, "", "az en", "normal", None),
        ({"lang": "ru"}, "", "az en", "urgent", "az"),
        ({"lang": "ru", "other": "never"}, "", "az en", "urgent", None),
        ({"lang": "ru", "other": "always"}, "", "en", "normal", "en"),
        ({"lang": "ru"}, "lang=en,az", "az en", "normal", "en"),
        ({"lang": "az"}, "lang=ru", "az en", "urgent", None),
        ({"lang": "az"}, "topic=migration", "az", "normal", "az"),
        ({"lang": "az"}, "topic=e-visa", "az", "normal", None),
        ({"lang": "az"}, "not=migration", "az", "normal", None),
        ({"lang": "az"}, "kind=notice", "az", "normal", None),
        ({"lang": "az"}, "kind=news&q=viz", "az", "normal", "az"),
        ({"lang": "az"}, "q=visa", "az en", "normal", None),
        ({"lang": "en"}, "q=visa", "az en", "normal", "en"),
        ({"lang": "ru"}, "q=visa", "az en", "urgent", None),
    ],
)
async def test_a_reader_gets_the_one_version_that_the_filter_and_their_choice_allow(
    database, press, people, tell, reader, filter_, versions, urgency, gets
):
    texts = {"az": "Vizası uzadılır", "en": "Visa extended", "ru": "Продление"}
    async with database.writing() as session:
        await people.add(session, "a@example.org", filter_, **reader)
        for lang in versions.split():
            await press.record(session, "a", lang, texts[lang], urgency=urgency, topics=("visas",))
        await tell(session)
        assert await langs(session) == ({"a@example.org": gets} if gets else {})


async def test_a_person_gets_one_row_however_many_of_their_filters_match(database, press, people, tell):
    async with database.writing() as session:
        await press.record(session, topics=("visas",))
        who, first = await people.add(session, "a@example.org", "topic=visas")
        await people.add(session, "a@example.org", "topic=migration")
        await people.add(session, "a@example.org", "")
        assert await tell(session) == 1
        assert await tell(session) == 0
        [row] = (await session.execute(text("SELECT subscriber_id, subscription_id FROM delivery"))).all()
    assert tuple(row) == (who.id, first.id)


async def test_only_active_immediate_subscriptions_of_active_people_count(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        await people.add(session, "pending@example.org", state=SubscriptionState.PENDING)
        await people.add(session, "daily@example.org", cadence=Cadence.DAILY)
        paused, _ = await people.add(session, "paused@example.org")
        await subscriptions.pause(session, paused.id, "bounced")
        gone, _ = await people.add(session, "gone@example.org")
        await subscriptions.end_all(session, gone.id, "unsubscribed", now)
        await people.add(session, "reader@example.org")
        assert await tell(session) == 1
        assert list(await langs(session)) == ["reader@example.org"]


async def test_steps_and_batches_hold_everybody_once_with_public_channels_first(database, press, people, tell):
    async with database.writing() as session:
        await press.record(session)
        for number in range(23):
            kind = ChannelKind.TELEGRAM if number % 3 else ChannelKind.EMAIL
            await people.add(session, f"p{number}", channel=kind)
        await people.add(session, "@office", channel=ChannelKind.TELEGRAM, role=SubscriberRole.CHANNEL)
        assert await tell(session, limit=10, batch_size=4) == 24
        found = await rows(session)
        sizes = (await session.execute(text("SELECT batch_id, COUNT(*) n FROM delivery GROUP BY batch_id"))).all()
        mixed = (
            await session.execute(
                text(
                    "SELECT b.id FROM batch b JOIN delivery d ON d.batch_id = b.id"
                    " JOIN subscriber p ON p.id = d.subscriber_id WHERE p.channel <> b.channel"
                )
            )
        ).all()
        empty = await session.scalar(text("SELECT COUNT(*) FROM batch")) - len(sizes)
    assert len({row.address for row in found}) == 24
    assert min(found, key=lambda row: row.batch_id).address == "@office"
    assert max(n for _, n in sizes) <= 4
    assert (mixed, empty) == ([], 0)


async def test_a_late_translation_reaches_only_who_lacked_it(database, press, people, tell):
    async with database.writing() as session:
        await people.add(session, "az@example.org", lang="az")
        await people.add(session, "ru@example.org", lang="ru")
        await people.add(session, "both@example.org", "lang=ru,az", lang="ru")
        await press.record(session, "a", "az")
        assert await tell(session) == 2
        await press.record(session, "a", "ru", "Слова")
        assert await tell(session) == 1
        assert await langs(session) == {"az@example.org": "az", "both@example.org": "az", "ru@example.org": "ru"}


async def test_matches_say_what_holds_now(database, press, people, taxonomy, now):
    async def matches(session):
        release = await releases.get(session, 1)
        await ledger.write_matches(session, release, taxonomy, now)
        found = await session.execute(
            text("SELECT f.canonical, m.lang FROM match m JOIN filter f ON f.id = m.filter_id ORDER BY 1, 2")
        )
        return [tuple(row) for row in found]

    async with database.writing() as session:
        for filter_ in ("lang=ru,az", "topic=visas", "q=soz"):
            await people.add(session, "a@example.org", filter_)
        await press.record(session, "a", "az", "Söz", topics=("visas",))
        assert await matches(session) == [("lang=ru,az", "az"), ("q=soz", "az"), ("topic=visas", "az")]
        await press.record(session, "a", "az", "Başqa", topics=("office",))
        await press.record(session, "a", "ru", "Слово", topics=("office",))
        assert await matches(session) == [("lang=ru,az", "ru")]


async def test_a_withdrawn_or_hidden_release_gets_no_row(database, press, people, tell, taxonomy, now):
    async with database.writing() as session:
        await people.add(session, "a@example.org")
        await press.record(session, "gone")
        await releases.withdraw(session, 1, "", now)
        assert await tell(session, 1) == 0
        await press.record(session, "later", public_at=now + HOUR)
        assert await tell(session, 2) == 0
        assert await rows(session) == []
        assert [m.key for m in await ledger.open_messages(session)] == ["release:2:0"]


async def test_what_is_claimed_names_the_person_and_the_reason(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session, topics=("visas",))
        who, made = await people.add(session, "a@example.org", "topic=visas")
        await tell(session, priority=Priority.URGENT)
        [batch] = await ledger.open_batches(session, now)
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
        [batch] = await ledger.open_batches(session, now)
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
        [batch] = await ledger.open_batches(session, now + HOUR)
        assert (batch.channel, batch.priority) == (ChannelKind.EMAIL, Priority.URGENT)
        [again] = await ledger.claim(session, batch.id, now + HOUR, 5)
        assert (again.attempts, again.answer, again.resent) == (2, {"parts": [1]}, False)


async def test_a_crash_repeats_what_was_in_flight_and_misses_nobody(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        for number in range(3):
            await people.add(session, f"{number}@example.org")
        await tell(session)
        [batch] = await ledger.open_batches(session, now)
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
        first, second, _ = await ledger.open_batches(session, now)
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
        assert await ledger.retry(session, states=both, message="release:9:0", now=now) == 0
        assert await ledger.retry(session, states=both, delivery=claimed[0].id, now=now) == 0
        assert await ledger.retry(session, states=both, message="release:1:0", now=now) == 2
        again = await drain(session, now)
        assert {(c.id, c.attempts, c.resent) for c in again} == {
            (claimed[1].id, 1, False),
            (claimed[2].id, 1, True),
        }
        with pytest.raises(ValueError, match="sent: only failed"):
            await ledger.retry(session, states=[DeliveryState.SENT], now=now)


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
        [batch] = await ledger.open_batches(session, now)

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
        batches = await ledger.open_batches(session, now)
        assert [b.priority for b in batches] == [0, 0, 10]
        [claimed] = await ledger.claim(session, batches[0].id, now, 5)
        assert (claimed.message.kind, claimed.message.subscription) == (MessageKind.CONFIRMATION, pending.id)
        assert (claimed.address, claimed.lang) == ("new@example.org", "ru")
        await subscriptions.confirm(session, pending.id, now)
        assert await ledger.claim(session, batches[1].id, now, 5) == []
        assert await subscriptions.pending_since(session, who.id, now) == 2
        later = now + timedelta(days=30)
        await subscriptions.pause(session, who.id, "550")
        await ledger.confirmation(session, pending.id, who.id, now=later)  # asked for again: the way back in
        [back] = [b for b in await ledger.open_batches(session, later) if b.priority == 0]
        [claimed] = await ledger.claim(session, back.id, later, 5)
        assert claimed.address == "new@example.org"
        await subscriptions.end(session, pending.id, "left", later)
        await ledger.confirmation(session, pending.id, who.id, now=later)
        [ended] = [b for b in await ledger.open_batches(session, later) if b.priority == 0]
        assert await ledger.claim(session, ended.id, later, 5) == []


async def test_a_correction_reaches_exactly_who_got_the_text_that_was_corrected(database, press, people, tell, now):
    async with database.writing() as session:
        for name in ("az", "en", "failed", "gone"):
            await people.add(session, f"{name}@example.org", lang="en" if name == "en" else "az")
        await press.record(session, "a", "az")
        await press.record(session, "a", "en")
        await tell(session)
        claimed = await drain(session, now)
        fates = {"failed@example.org": DeliveryState.FAILED}
        await ledger.settle(session, [Settlement(c.id, fates.get(c.address, DeliveryState.SENT)) for c in claimed], now)
        gone = await subscriptions.find(session, ChannelKind.EMAIL, "gone@example.org")
        await subscriptions.end_all(session, gone.id, "one click", now)
        await people.add(session, "late@example.org")
        await press.record(session, "a", "az", "Düz", note="!")
        assert await tell(session, kind="correction", major=1) == 1
        [notice] = await drain(session, now)
        assert (notice.address, notice.lang, notice.message.kind) == ("az@example.org", "az", MessageKind.CORRECTION)


async def test_a_withdrawal_and_the_return_reach_all_who_got_the_text(database, press, people, tell, now):
    async with database.writing() as session:
        await people.add(session, "az@example.org", lang="az")
        await people.add(session, "en@example.org", lang="en")
        await press.record(session, "a", "az")
        await press.record(session, "a", "en")
        await tell(session)
        sent = [Settlement(c.id, DeliveryState.SENT) for c in await drain(session, now)]
        await ledger.settle(session, sent, now)
        await people.add(session, "late@example.org")
        await releases.withdraw(session, 1, "Səhv", now)
        assert await tell(session, kind="withdrawal", major=0) == 2
        notices = await drain(session, now)
        assert sorted(c.address for c in notices) == ["az@example.org", "en@example.org"]
        await ledger.settle(session, [Settlement(c.id, DeliveryState.SENT) for c in notices], now)
        await press.record(session, "a", "az", "Düz", note="Qayıtdı")
        assert await tell(session, kind="correction", major=1) == 2


async def test_somebody_who_changed_their_filter_still_hears_of_the_correction(database, press, people, tell, now):
    async with database.writing() as session:
        _, old = await people.add(session, "a@example.org")
        await press.record(session)
        await tell(session)
        await ledger.settle(session, [Settlement(c.id, DeliveryState.SENT) for c in await drain(session, now)], now)
        await subscriptions.end(session, old.id, "changed", now)
        _, new = await people.add(session, "a@example.org", "topic=visas")
        await press.record(session, text="Düz", note="!")
        assert await tell(session, kind="correction", major=1) == 1
        [notice] = await drain(session, now)
        assert notice.subscription == new.id


@pytest.mark.parametrize(
    ("filters", "ended", "begun", "by", "lang"),
    [
        (["topic=visas", ""], [0], False, "", "az"),  # two matched and the smaller one ended
        (["topic=visas", "topic=office"], [0], False, None, None),  # the other never wanted it
        (["topic=visas"], [0, "topic=office,visas"], False, "topic=office,visas", "az"),  # one more topic was ticked
        (["topic=visas"], [0, "topic=migration&not=office"], False, "topic=migration&not=office", "az"),
        (["topic=visas"], [0, "lang=en"], False, "lang=en", "en"),
        (["topic=visas"], [0, "lang=en"], True, None, None),  # a part has arrived in Azerbaijani
        (["topic=visas"], [0, "q=nothing"], False, None, None),
        (["topic=visas", ""], [0, 1], False, None, None),  # unsubscribed from all
    ],
)
async def test_what_ends_with_one_subscription_goes_out_by_another_that_wants_it(
    database, press, people, tell, now, filters, ended, begun, by, lang
):
    async with database.writing() as session:
        await press.record(session, "a", "az", topics=("visas",))
        await press.record(session, "a", "en", topics=("visas",))
        made = [(await people.add(session, "a@example.org", one))[1] for one in filters]
        assert await tell(session) == 1
        if begun:
            [claimed] = await drain(session, now)
            part = Settlement(claimed.id, DeliveryState.DEFERRED, due_at=now, answer={"parts": [1]})
            await ledger.settle(session, [part], now)
            await ledger.sweep(session, now)
        for one in ended:
            if isinstance(one, int):
                await subscriptions.end(session, made[one].id, "changed", now)
            else:
                await people.add(session, "a@example.org", one)
        claimed = await drain(session, now)
        assert [(c.filter, c.lang) for c in claimed] == ([] if by is None else [(by, lang)])
        [row] = await ledger.listing(session)
        assert (row["state"], row["lang"]) == (("suppressed", "az") if by is None else ("sending", lang))


async def test_a_digest_subscription_inherits_nothing_that_goes_out_at_once(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        _, made = await people.add(session, "a@example.org", "kind=news")
        await people.add(session, "a@example.org", "", cadence=Cadence.DAILY)
        await tell(session)
        await subscriptions.end(session, made.id, "changed", now)
        assert await drain(session, now) == []
