"""What is kept about one person is read whole, and goes whole on their word; on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, insert, select, text, update

from bots.telegram.talk.mine import STAYS
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, DeliveryState, SubscriberRole, SubscriptionState
from syndicator.store import ledger, moving, people, personal, resting, subscriptions
from syndicator.store.ledger import Settlement
from syndicator.store.pauses import pause as keep_pause
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import DELIVERY, DIGEST_ITEM, DIGEST_RUN, FILTER, MESSAGE, SUBSCRIBER, SUBSCRIPTION
from syndicator.store.upsert import insert_for

CHAT = ChannelKind.TELEGRAM
OFFICE = {"language": "az", "timezone": "Asia/Baku"}


async def answer(session, subscriber, message, state="sent", when=None, **answer):
    """What the channel said of a message, as the ledger keeps it."""
    number = select(MESSAGE.c.id).where(MESSAGE.c.key == message).scalar_subquery()
    row = (DELIVERY.c.subscriber_id == subscriber) & (DELIVERY.c.message_id == number)
    await session.execute(update(DELIVERY).where(row).values(state=state, answer=answer, settled_at=when))


async def rows(session, table, **where):
    query = select(table)
    for name, value in where.items():
        query = query.where(table.c[name] == value)
    return [dict(row) for row in (await session.execute(query)).mappings()]


@pytest.fixture
async def reader(database, press, people, tell, now):
    """Somebody with two releases in their chat, and somebody else with the same."""
    async with database.writing() as session:
        for key in ("a", "b"):
            await press.record(session, key, "az", topics=("visas",))
        who, what = await people.add(session, "7", "topic=visas", channel=CHAT)
        other, _ = await people.add(session, "8", "", channel=CHAT)
        for number in (1, 2):
            await tell(session, number)
        for one in (who, other):
            later = now + timedelta(hours=1)
            await answer(session, one.id, "release:1:0", chat=int(one.address), messages=[101, 102], when=now)
            await answer(session, one.id, "release:2:0", chat=int(one.address), messages=[103], when=later)
    return who, what, other


@pytest.mark.parametrize(
    ("number", "message"),
    [(101, "release:1:0"), (102, "release:1:0"), (103, "release:2:0"), (10, None), (7, None), (1, None)],
)
async def test_a_message_in_the_chat_is_known_by_its_own_number_alone(database, reader, number, message):
    async with database.reading() as session:
        found = await personal.told_as(session, reader[0].id, number)
    assert (found.message if found else None) == message


@pytest.mark.parametrize(("first", "last"), [(5, 6), (1, 2), (7, 77)])
async def test_a_small_number_is_found_among_many_that_only_hold_its_digits(database, people, now, first, last):
    async with database.writing() as session:
        who, _ = await people.add(session, "5717", channel=CHAT)
        numbers = [first, *range(1000, 1400)]
        said = {"kind": "release", "major": 0, "priority": 20, "cursor": 0, "created_at": now}
        await session.execute(insert(MESSAGE), [{"id": n, "key": f"k:{n}", **said} for n in numbers])
        answer = {"chat": 5717, "photo": True, "parts": 1, "seals": ["571a"], "lang": "az"}
        rows = [
            {
                "message_id": n,
                "subscriber_id": who.id,
                "due_at": now,
                "reason": "",
                "state": "sent",
                "answer": {**answer, "messages": [n, 50_000 + n], "reply": 90_000 + n, "revision": 1},
            }
            for n in numbers
        ]
        await session.execute(insert(DELIVERY), rows)
    async with database.reading() as session:
        assert (await personal.told_as(session, who.id, first)).message == f"k:{first}"
        assert (await personal.told_as(session, who.id, 51_000)).message == "k:1000"
        assert (await personal.told_as(session, who.id, 91_399)).message == "k:1399"
        assert await personal.told_as(session, who.id, 5717) is None
        assert await personal.told_as(session, who.id, last) is None


async def test_a_copy_that_was_corrected_is_still_what_brought_it_and_the_reply_is_the_correction(
    database, reader, tell, now
):
    who = reader[0]
    async with database.writing() as session:
        message = await session.scalar(
            insert(MESSAGE)
            .values(key="correction:1:1", kind="correction", release_id=1, major=1, created_at=now)
            .returning(MESSAGE.c.id)
        )
        row = {"message_id": message, "subscriber_id": who.id, "due_at": now, "reason": "", "state": "sent"}
        await session.execute(insert(DELIVERY).values(answer={"messages": [101, 102], "reply": 140}, **row))
    async with database.reading() as session:
        assert (await personal.told_as(session, who.id, 101)).message == "release:1:0"
        assert (await personal.told_as(session, who.id, 140)).message == "correction:1:1"


async def test_no_number_leads_to_somebody_elses_message(database, reader, people):
    async with database.writing() as session:
        stranger, _ = await people.add(session, "9", "", channel=CHAT)
        assert await personal.told_as(session, stranger.id, 101) is None
        assert await personal.told(session, stranger.id, 10) == []


async def test_the_last_thing_that_went_out_is_by_time_and_not_by_row(database, reader, now):
    who = reader[0]
    async with database.writing() as session:
        assert (await personal.last_told(session, who.id)).message == "release:2:0"
        await answer(session, who.id, "release:1:0", messages=[101], when=now + timedelta(days=1))
        assert (await personal.last_told(session, who.id)).message == "release:1:0"
        for number in (1, 2):
            await answer(session, who.id, f"release:{number}:0", "deferred")
        assert await personal.last_told(session, who.id) is None


async def test_what_matched_is_every_subscription_that_wanted_it_the_rows_own_first(database, reader, people, now):
    who, what, _ = reader
    async with database.writing() as session:
        told = await personal.told_as(session, who.id, 101)
        assert [one.id for one in await personal.matched(session, who.id, told)] == [what.id]
        await subscriptions.end(session, what.id, "changed", now)
        assert [one.ended_reason for one in await personal.matched(session, who.id, told)] == ["changed"]
        _, later = await people.add(session, "7", "", channel=CHAT)
        assert [one.id for one in await personal.matched(session, who.id, told)] == [what.id, later.id]
        tomorrow = update(SUBSCRIPTION).where(SUBSCRIPTION.c.id == later.id).values(created_at=now + timedelta(days=1))
        await session.execute(tomorrow)
        assert [one.id for one in await personal.matched(session, who.id, told)] == [what.id]


async def test_a_digest_tells_what_was_in_it(database, reader, now):
    who, what, _ = reader
    async with database.writing() as session:
        message = await session.scalar(
            insert(MESSAGE)
            .values(key="digest:daily:Asia/Baku:x", kind="digest", created_at=now, fanned_out_at=now)
            .returning(MESSAGE.c.id)
        )
        row = {"message_id": message, "subscriber_id": who.id, "due_at": now, "reason": "", "state": "sent"}
        number = await session.scalar(
            insert(DELIVERY)
            .values(answer={"messages": [150]}, subscription_id=what.id, settled_at=now + timedelta(days=1), **row)
            .returning(DELIVERY.c.id)
        )
        items = [{"delivery_id": number, "release_id": one, "lang": "az"} for one in (1, 2)]
        await session.execute(insert(DIGEST_ITEM), items)
    async with database.reading() as session:
        found = await personal.told_as(session, who.id, 150)
        assert found.releases == ((2, "az"), (1, "az"))
        assert (await personal.last_told(session, who.id)).releases == found.releases
        assert [len(one.releases) for one in await personal.told(session, who.id, 10)] == [2, 1, 1]
        assert await personal.told_count(session, who.id) == 3


# -- erasing
async def test_nothing_of_an_erased_person_can_be_found_in_any_table(database, reader, now):
    who = reader[0]
    async with database.writing() as session:
        consent = Consent(now, "paper form of Aysel", "Aysel wants names")
        await subscriptions.subscribe(
            session,
            who.id,
            parse("topic=visas&q=ayselova"),
            cadence=Cadence.DAILY,
            state=SubscriptionState.ACTIVE,
            consent=consent,
            now=now,
        )
        quiet = {"quiet": "22-8", "timezone": "Europe/Berlin", "language": "ru", "resolved": "-70077"}
        await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == who.id).values(quiet))
        await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == who.id).values(address="70077"))
        await session.execute(update(DELIVERY).where(DELIVERY.c.subscriber_id == who.id).values(reason="no 70077"))
        for chat in ("70077", "-70077", "8"):
            await keep_pause(session, f"chat:{chat}", now, "429")
        done = await personal.erase(session, who.id, now, **OFFICE)
    assert done == personal.Erased(subscriptions=2, unsent=0)
    async with database.reading() as session:
        names = await session.run_sync(lambda s: sorted(subscriptions.SUBSCRIBER.metadata.tables))
        for name in names:
            for row in (await session.execute(text(f"SELECT * FROM {name}"))).all():
                said = str(tuple(row)).lower()
                assert not [w for w in ("70077", "ayselova", "aysel", "22-8", "berlin") if w in said], (name, said)
        (row,) = await rows(session, SUBSCRIBER, id=who.id)
        assert (row["address"], row["language"], row["timezone"]) == (f"erased-{who.id}", "az", "Asia/Baku")
        for row in await rows(session, SUBSCRIPTION, subscriber_id=who.id):
            assert (row["state"], row["ended_reason"], row["consent_text"]) == ("ended", "erased", "")
            assert row["ended_at"] == now.replace(hour=0)


async def test_what_is_left_of_an_erased_person_is_what_they_were_told_and_nothing_else(database, people, now):
    """Two people who had nothing in common but their messages are the same, but for their numbers."""
    assert "how many messages were sent, and on which days somebody came and left" in STAYS
    kept = []
    async with database.writing() as session:
        for address, asked, pace, when in (
            ("7", "topic=visas&q=ayselova", Cadence.DAILY, timedelta(minutes=61, microseconds=7)),
            ("someone@example.org", "lang=ru&not=visas", Cadence.WEEKLY, timedelta(hours=5)),
        ):
            kept.append(await lived(session, address, asked, pace, now + when))
        for who in kept:
            await personal.erase(session, who, now + timedelta(hours=9), **OFFICE)
        day = now.replace(hour=0)
        for who in kept:
            (row,) = await rows(session, SUBSCRIBER, id=who)
            nobody = {
                "language": "az",
                "timezone": "Asia/Baku",
                "other_language": "urgent",
                "quiet": "",
                "resolved": "",
            }
            nobody |= {
                "resume_at": None,
                "heard_at": None,
                "text_only": False,
                "state": "paused",
                "state_reason": "erased",
                "role": "person",
            }
            assert row == {
                "id": who,
                "channel": row["channel"],
                "address": f"erased-{who}",
                "created_at": day,
                **nobody,
            }
            (row,) = await rows(session, SUBSCRIPTION, subscriber_id=who)
            (nothing,) = await rows(session, FILTER, id=row["filter_id"])
            assert nothing["canonical"] == ""
            ended = {"filter_id": nothing["id"], "cadence": "immediate", "state": "ended", "ended_reason": "erased"}
            ended |= dict.fromkeys(("created_at", "confirmed_at", "ended_at"), day)
            ended |= {"consent_at": None, "consent_source": "", "consent_text": ""}
            assert row == {"id": row["id"], "subscriber_id": who, **ended}
            for sent in await rows(session, DELIVERY, subscriber_id=who):
                (message,) = await rows(session, MESSAGE, id=sent["message_id"])
                counted = {"state": "sent", "due_at": message["created_at"], "settled_at": message["created_at"]}
                counted |= dict.fromkeys(("subscription_id", "batch_id", "claimed_at", "claimed_by", "tried_at"))
                counted |= dict.fromkeys(("handed_at", "left_at"))
                counted |= {"lang": "", "reason": "", "answer": {}, "attempts": 0, "crashes": 0}
                counted |= {"slowed": 0, "resent": False}
                assert sent == {"id": sent["id"], "message_id": message["id"], "subscriber_id": who, **counted}
            (own,) = await rows(session, MESSAGE, subscription_id=row["id"])
            assert (own["key"], own["created_at"]) == (f"digest:erased:{own['id']}", day)
            assert (own["again_at"], own["matched"]) == (None, {})
            (run,) = await rows(session, DIGEST_RUN, message_id=own["id"])
            assert run == {**run, "cadence": "daily", "zone": f"#{own['id']}", "begins_at": day, "ends_at": day}
        assert await rows(session, DIGEST_ITEM) == []


async def lived(session, address, asked, pace, when):
    """Somebody who was told a release and a digest of their own, at their own times; their number."""
    channel = ChannelKind.EMAIL if "@" in address else CHAT
    who = await subscriptions.ensure(session, channel, address, language="ru", timezone="Europe/Berlin", now=when)
    consent = Consent(when, "telegram", "Aysel wants it")
    made = await subscriptions.subscribe(
        session, who.id, parse(asked), cadence=pace, state=SubscriptionState.ACTIVE, consent=consent, now=when
    )
    said = {"kind": "digest", "created_at": when, "fanned_out_at": when, "again_at": when, "matched": {"releases": [1]}}
    for key, own in (("digest:weekly:Asia/Baku:x", None), (f"digest:{pace}:Europe/Berlin#{made.id}:y", made.id)):
        query = insert_for(session, MESSAGE).values(key=key, subscription_id=own, **said)
        await session.execute(query.on_conflict_do_nothing(index_elements=["key"]))
        number = await session.scalar(select(MESSAGE.c.id).where(MESSAGE.c.key == key))
        row = {"message_id": number, "subscriber_id": who.id, "subscription_id": made.id, "lang": "ru", "attempts": 2}
        row |= {"due_at": when, "settled_at": when, "claimed_at": when, "resent": True, "state": "sent"}
        await session.execute(insert(DELIVERY).values(reason=f"to {address}", answer={"messages": [5]}, **row))
        if own is not None:
            run = {"message_id": number, "cadence": pace, "zone": f"Europe/Berlin#{own}"}
            await session.execute(insert(DIGEST_RUN).values(**run, begins_at=when, ends_at=when))
    return who.id


async def test_counts_without_a_person_stay_and_others_lose_nothing(database, reader, now):
    who, _, other = reader
    async with database.writing() as session:
        before = await rows(session, DELIVERY, subscriber_id=other.id)
        await personal.erase(session, who.id, now, **OFFICE)
        assert await rows(session, DELIVERY, subscriber_id=other.id) == before
        mine = await rows(session, DELIVERY, subscriber_id=who.id)
        assert [(row["state"], row["lang"], row["answer"]) for row in mine] == [("sent", "", {})] * 2
        assert [one.state for one in await subscriptions.of(session, other.id)] == [SubscriptionState.ACTIVE]


@pytest.mark.parametrize("state", ["due", "deferred", "sending"])
async def test_what_had_not_gone_out_never_does_and_a_late_answer_brings_nothing_back(database, reader, now, state):
    who = reader[0]
    async with database.writing() as session:
        await answer(session, who.id, "release:2:0", state, messages=[103])
        assert (await personal.erase(session, who.id, now, **OFFICE)).unsent == 1
        (row,) = [one for one in await rows(session, DELIVERY, subscriber_id=who.id) if one["state"] == "suppressed"]
        late = Settlement(row["id"], DeliveryState.SENT, answer={"chat": 7, "messages": [103]})
        assert await ledger.settle(session, [late], now) == 0
        await people.resolve(session, who.id, "7")
        await moving.move(session, who.id, "-1007")
        await resting.pause(session, who.id, "blocked by 7")
        await resting.resume(session, who.id)
        (kept,) = await rows(session, SUBSCRIBER, id=who.id)
        assert (kept["resolved"], kept["state"], kept["state_reason"]) == ("", "paused", "erased")
        assert (await rows(session, DELIVERY, id=row["id"]))[0]["answer"] == {}


async def test_who_comes_back_is_somebody_new(database, reader, people, press, tell, now):
    who = reader[0]
    async with database.writing() as session:
        await personal.erase(session, who.id, now, **OFFICE)
        again, _ = await people.add(session, "7", "", channel=CHAT)
        assert again.id != who.id
        await press.record(session, "c", "az", topics=("visas",))
        await tell(session, 3)
        told = [row["subscriber_id"] for row in await rows(session, DELIVERY) if row["state"] == "due"]
        assert sorted(told) == sorted([again.id, reader[2].id])
        assert await personal.facts(session, who.id) is None
        assert (await personal.facts(session, again.id))["address"] == "7"


async def test_erasing_twice_and_erasing_nobody_change_nothing(database, reader, now):
    who = reader[0]
    async with database.writing() as session:
        await personal.erase(session, who.id, now, **OFFICE)
        before = [await rows(session, table) for table in (SUBSCRIBER, SUBSCRIPTION, DELIVERY)]
        for number in (who.id, 999):
            done = await personal.erase(session, number, now + timedelta(days=1), **OFFICE)
            assert done == personal.Erased(0, 0)
        assert [await rows(session, table) for table in (SUBSCRIBER, SUBSCRIPTION, DELIVERY)] == before


async def test_a_channel_of_the_configuration_is_no_person(database, people, now):
    async with database.writing() as session:
        who, _ = await people.add(session, "@press", "", channel=CHAT, role=SubscriberRole.CHANNEL)
        assert await personal.erase(session, who.id, now, **OFFICE) == personal.Erased(0, 0)
        assert (await rows(session, SUBSCRIBER, id=who.id))[0]["address"] == "@press"
        assert [row async for row in personal.exported(session)] == []


async def test_words_that_others_ask_for_too_stay_theirs(database, people, now):
    async with database.writing() as session:
        mine, _ = await people.add(session, "7", "q=visa", channel=CHAT)
        _, theirs = await people.add(session, "8", "q=visa", channel=CHAT)
        await personal.erase(session, mine.id, now, **OFFICE)
        assert [one.filter for one in await subscriptions.of(session, mine.id, live=False)] == [""]
        assert (await subscriptions.get(session, theirs.id)).filter == "q=visa"
        assert [row["canonical"] for row in await rows(session, FILTER, has_words=True)] == ["q=visa"]


async def test_an_export_is_all_live_subscriptions_of_people_and_nothing_else(database, people, monkeypatch, now):
    monkeypatch.setattr(personal, "PAGE", 2)
    async with database.writing() as session:
        for number in range(5):
            await people.add(session, str(number), "topic=visas", channel=CHAT)
        _, ended = await people.add(session, "gone@example.org")
        await subscriptions.end(session, ended.id, "unsubscribed", now)
        await people.add(session, "waits@example.org", state=SubscriptionState.PENDING)
    async with database.reading() as session:
        found = [row async for row in personal.exported(session)]
    assert [(row["address"], row["canonical"]) for row in found] == [(str(n), "topic=visas") for n in range(5)]


LOOKED_UP = {
    "the newest": lambda session, who: personal.told(session, who, 10),
    "the count": personal.told_count,
    "the last": personal.last_told,
    "by message": lambda session, who: personal.told_as(session, who, 101),
    "erasing": lambda session, who: personal.erase(session, who, datetime(2026, 11, 21, tzinfo=UTC), **OFFICE),
}


@pytest.mark.parametrize("name", LOOKED_UP)
async def test_a_person_is_found_in_the_ledger_without_reading_it_all(sqlite_database, people, name):
    asked = []

    def listen(_connection, _cursor, statement, parameters, *_):
        if "delivery" in statement:
            asked.append((statement, parameters))

    async with sqlite_database.writing() as session:
        who, _ = await people.add(session, "7", "", channel=CHAT)
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", listen)
        await LOOKED_UP[name](session, who.id)
        event.remove(raw, "before_cursor_execute", listen)
        plans, connection = [], await session.connection()
        for statement, parameters in asked:
            explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [row[-1] for row in explained]
    assert asked
    assert any("ix_delivery_subscriber_id" in step for step in plans), plans
    assert not [step for step in plans if step.startswith("SCAN delivery") and "subscriber" not in step], plans


@pytest.mark.parametrize("erased_first", [True, False])
async def test_nobody_who_signs_up_in_the_very_moment_of_their_erasure_is_left_with_an_erased_row(
    database, people, now, erased_first
):
    async with database.writing() as session:
        old, _ = await people.add(session, "a@example.org")

    async def erase():
        async with database.writing() as session:
            await personal.erase(session, old.id, now, **OFFICE)

    async def sign_up():
        async with database.writing() as session:
            return await people.add(session, "a@example.org", "topic=visas")

    async with database.writing() as session:
        if erased_first:
            await personal.erase(session, old.id, now, **OFFICE)
        else:
            who = {"language": "az", "timezone": "Asia/Baku", "now": now}
            await subscriptions.ensure(session, ChannelKind.EMAIL, "a@example.org", **who)
        other = asyncio.create_task(sign_up() if erased_first else erase())
        await asyncio.wait([other], timeout=0.2)
        if not erased_first:
            await people.add(session, "a@example.org", "topic=visas")
    await other
    async with database.reading() as session:
        assert await subscriptions.of(session, old.id) == []
        new = await subscriptions.find(session, ChannelKind.EMAIL, "a@example.org")
        live = [] if new is None else [one.filter for one in await subscriptions.of(session, new.id)]
    assert live == (["topic=visas"] if erased_first else [])
