"""Fan-out: everybody who is owed a message gets one row, in the one version that is theirs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from syndicator.domain.model import (
    Cadence,
    ChannelKind,
    DeliveryState,
    MessageKind,
    SubscriberRole,
    SubscriptionState,
)
from syndicator.store import ledger, releases, subscriptions
from syndicator.store.ledger import Settlement
from tests.store.looked import drain, langs, rows

HOUR = timedelta(hours=1)


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
        assert await tell(session, kind="correction", major=1, langs=["az"]) == 1
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
