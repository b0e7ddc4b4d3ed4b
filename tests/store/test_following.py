"""What follows a release goes to exactly those whom the ledger says were sent the old text, in order, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import insert, text, update

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, Priority, SubscriberRole
from syndicator.store import ledger, releases, subscriptions
from syndicator.store.ledger import Settlement
from syndicator.store.people import ASKED
from syndicator.store.tables import DELIVERY, DIGEST_ITEM, MESSAGE
from tests.store.looked import TELLS, rows

SECOND = timedelta(seconds=1)
TELEGRAM = ChannelKind.TELEGRAM
FOLLOWING = ("correction", "edit", "withdrawal")


async def settle(session, address, now, **values):
    """Leave a reader's newest row as it is wanted."""
    row = await session.scalar(
        text("SELECT MAX(d.id) FROM delivery d JOIN subscriber p ON p.id = d.subscriber_id WHERE p.address = :address"),
        {"address": address},
    )
    await session.execute(update(DELIVERY).where(DELIVERY.c.id == row).values(**values))


async def told(session, key):
    """Who has a row of that message."""
    found = await session.execute(
        text(
            "SELECT p.address FROM delivery d JOIN subscriber p ON p.id = d.subscriber_id"
            " JOIN message m ON m.id = d.message_id WHERE m.key = :key ORDER BY 1"
        ),
        {"key": key},
    )
    return list(found.scalars())


async def claimed(session, now, *, edits=True):
    await ledger.sweep(session, now)
    batches = await ledger.open_batches(session)
    return [c for b in batches for c in await ledger.claim(session, b.id, now, 100, edits=edits)]


@pytest.fixture
def published(press, people, tell, now):
    """A release that these Telegram readers were sent."""

    async def publish(session, *addresses, state=DeliveryState.SENT):
        for address in addresses:
            await people.add(session, address, channel=TELEGRAM)
        await press.record(session, "a", "az")
        await tell(session)
        await ledger.settle(session, [Settlement(c.id, state) for c in await claimed(session, now)], now)

    return publish


STATES = {
    "sent": ({"state": "sent"}, FOLLOWING),
    "nobody can tell": ({"state": "unknown"}, FOLLOWING),
    "on its way": ({"state": "sending"}, FOLLOWING),
    "not sent yet": ({"state": "due"}, ()),
    "to be tried again": ({"state": "deferred"}, ()),
    "parts accepted, the rest to be tried again": ({"state": "deferred", "answer": {"messages": [1]}}, FOLLOWING),
    "parts accepted, the rest refused": ({"state": "failed", "answer": {"messages": [1]}}, FOLLOWING),
    "refused": ({"state": "failed"}, ()),
    "held back": ({"state": "suppressed"}, ()),
    "left by a crash": ({"state": "due", "resent": True}, ("withdrawal",)),
}


@pytest.mark.parametrize("name", STATES)
async def test_the_ledger_says_who_has_the_old_text(database, published, press, tell, now, name):
    values, expected = STATES[name]
    async with database.writing() as session:
        await published(session, "7")
        await settle(session, "7", now, **values)
        found = []
        for kind in FOLLOWING:
            if kind == "withdrawal":
                await releases.withdraw(session, 1, "", now)
            found += [kind] * await tell(session, kind=kind, major=1, langs=["az"])
    assert tuple(found) == expected


async def test_readers_of_another_language_are_not_concerned(database, published, tell):
    async with database.writing() as session:
        await published(session, "7")
        assert await tell(session, kind="correction", major=1, langs=["en"]) == 0
        assert await tell(session, kind="correction", major=2, langs=["az", "en"]) == 1


@pytest.mark.parametrize(
    ("what", "telegram", "email"),
    [
        ("stays", "told", "told"),
        ("left", "hushed", None),
        ("asked for a pause", "hushed", None),
        ("blocked us", None, None),
        ("was erased", None, None),
    ],
)
async def test_copies_of_who_listens_no_more_follow_without_a_word(
    database, press, people, tell, now, what, telegram, email
):
    async with database.writing() as session:
        found = {}
        for channel, address in ((TELEGRAM, "7"), (ChannelKind.EMAIL, "a@example.org")):
            found[channel], _ = await people.add(session, address, channel=channel)
        await press.record(session, "a", "az")
        await tell(session)
        await ledger.settle(session, [Settlement(c.id, DeliveryState.SENT) for c in await claimed(session, now)], now)
        for who in found.values():
            if what == "left":
                await subscriptions.end_all(session, who.id, "/stop", now)
            elif what != "stays":
                reasons = {"asked for a pause": ASKED, "blocked us": "blocked", "was erased": "erased"}
                await subscriptions.pause(session, who.id, reasons[what])
        await tell(session, kind="correction", major=1, langs=["az"], priority=Priority.URGENT)
        got = {c.channel: "hushed" if c.hushed else "told" for c in await claimed(session, now)}
    assert (got.get(TELEGRAM), got.get(ChannelKind.EMAIL)) == (telegram, email)


@pytest.mark.parametrize("meanwhile", ["leaves", "comes back"])
async def test_whether_it_is_said_is_decided_when_it_is_sent(database, published, people, tell, now, meanwhile):
    async with database.writing() as session:
        await published(session, "7")
        who = await subscriptions.find(session, TELEGRAM, "7")
        if meanwhile == "comes back":
            await subscriptions.end_all(session, who.id, "/stop", now)
        await tell(session, kind="correction", major=1, langs=["az"])
        if meanwhile == "leaves":
            await subscriptions.end_all(session, who.id, "/stop", now)
        else:
            await people.add(session, "7", "topic=visas", channel=TELEGRAM)
        [notice] = await claimed(session, now)
    assert notice.hushed is (meanwhile == "leaves")


async def test_who_moved_to_an_address_that_we_know_hears_of_what_they_were_sent(database, published, people, tell):
    async with database.writing() as session:
        await published(session, "-7")
        await people.add(session, "-1007", "topic=visas", channel=TELEGRAM)
        old = await subscriptions.find(session, TELEGRAM, "-7")
        await subscriptions.move(session, old.id, "-1007")
        await tell(session, kind="correction", major=1, langs=["az"])
        assert await told(session, "correction:1:1") == ["-1007"]


async def test_the_posts_of_a_channel_that_was_removed_follow_too(database, press, people, tell, now):
    async with database.writing() as session:
        who, _ = await people.add(session, "@office", channel=TELEGRAM, role=SubscriberRole.CHANNEL)
        await press.record(session, "a", "az")
        await tell(session)
        await ledger.settle(session, [Settlement(c.id, DeliveryState.SENT) for c in await claimed(session, now)], now)
        await subscriptions.end_all(session, who.id, "removed from the configuration", now)
        await releases.withdraw(session, 1, "", now)
        assert await tell(session, kind="withdrawal", major=0) == 1
        [notice] = await claimed(session, now)
    assert (notice.address, notice.hushed) == ("@office", True)


@pytest.mark.parametrize("kind", FOLLOWING)
async def test_a_channel_without_words_for_it_gets_no_row_and_would_get_exactly_its_own(
    database, press, people, tell, now, kind
):
    async with database.writing() as session:
        for name in ("a@example.org", "b@example.org"):
            await people.add(session, name)
        await people.add(session, "7", channel=TELEGRAM)
        await press.record(session, "a", "az")
        await tell(session)
        fates = {"b@example.org": DeliveryState.FAILED}
        outcomes = [Settlement(c.id, fates.get(c.address, DeliveryState.SENT)) for c in await claimed(session, now)]
        await ledger.settle(session, outcomes, now)
        if kind == "withdrawal":
            await releases.withdraw(session, 1, "", now)
        today = {**TELLS, ChannelKind.EMAIL: {MessageKind.RELEASE, MessageKind.CONFIRMATION}}
        await tell(session, kind=kind, major=1, langs=["az"], tells=today)
        assert await told(session, f"{kind}:1:1") == ["7"]
        every = {channel: set(MessageKind) for channel in TELLS}
        await tell(session, kind=kind, major=1, langs=["az"], tells=every)
        assert await told(session, f"{kind}:1:1") == ["7", "a@example.org"]


async def test_who_was_told_in_a_digest_hears_of_it_in_the_language_of_the_digest(database, press, people, tell, now):
    async with database.writing() as session:
        for address in ("told", "other", "waits"):
            who, made = await people.add(session, address, channel=TELEGRAM)
            if address == "told":
                run = {"key": "digest:daily:Asia/Baku:x", "kind": "digest", "major": 0, "priority": 20, "cursor": 0}
                values = {**run, "created_at": now, "fanned_out_at": now}
                digest = await session.scalar(insert(MESSAGE).values(values).returning(MESSAGE.c.id))
            state = {"told": "sent", "other": "sent", "waits": "due"}[address]
            row = {"subscriber_id": who.id, "subscription_id": made.id, "message_id": digest, "lang": "az"}
            row |= {"state": state, "attempts": 1, "due_at": now, "answer": {}, "resent": False, "reason": ""}
            made = await session.scalar(insert(DELIVERY).values(row).returning(DELIVERY.c.id))
            number = 2 if address == "other" else 1
            if number == 2:
                await press.record(session, "b", "en")
            else:
                await press.record(session, "a", "en")
            await session.execute(insert(DIGEST_ITEM).values(delivery_id=made, release_id=number, lang="en"))
        assert await ledger.was_told(session, 1)
        await tell(session, kind="correction", major=1, langs=["en"])
        assert await told(session, "correction:1:1") == ["told"]
        [notice] = [c for c in await claimed(session, now) if c.message.kind is MessageKind.CORRECTION]
        listed = await ledger.listing(session, release=1)
    assert (notice.lang, [one.kind for one in notice.told]) == ("en", [MessageKind.DIGEST])
    assert sorted(str(row["message"]).partition(":")[0] for row in listed) == ["correction", "digest", "digest"]


async def test_a_withdrawal_stops_what_has_begun_and_speaks_of_what_was_accepted(database, published, tell, now):
    async with database.writing() as session:
        await published(session, "7")
        await settle(session, "7", now, state="deferred", answer={"messages": [1]}, settled_at=None)
        await releases.withdraw(session, 1, "", now)
        await tell(session, kind="withdrawal", major=0)
        [notice] = await claimed(session, now)
        assert [(one.answer, one.state) for one in notice.told] == [({"messages": [1]}, DeliveryState.SUPPRESSED)]
        assert [row.state for row in await rows(session)] == ["suppressed", "sending"]


async def test_what_follows_waits_while_the_text_is_on_its_way_and_costs_no_attempt(database, published, tell, now):
    async with database.writing() as session:
        await published(session, "7")
        await settle(session, "7", now, state="sending", settled_at=None)
        await tell(session, kind="correction", major=1, langs=["az"])
        assert await claimed(session, now) == []
        assert [(row.state, row.attempts) for row in await rows(session)] == [("sending", 1), ("deferred", 0)]
        assert await claimed(session, now + SECOND) == []
        await settle_all(session, now)
        [notice] = await claimed(session, now + 3 * SECOND)
    assert notice.message.kind is MessageKind.CORRECTION


async def settle_all(session, now):
    await session.execute(update(DELIVERY).where(DELIVERY.c.state == "sending").values(state="sent", settled_at=now))


async def test_two_workers_never_tell_one_reader_two_things_at_once(postgresql_url, press, people, tell, now):
    """The second one waits for the first one's commit, and then for its answer."""
    from syndicator.store.database import Database  # noqa: PLC0415  # only here

    database = Database(postgresql_url)
    async with database.writing() as session:
        await people.add(session, "7", channel=TELEGRAM)
        await press.record(session, "a", "az")
        await tell(session)
        await ledger.settle(session, [Settlement(c.id, DeliveryState.SENT) for c in await claimed(session, now)], now)
        await tell(session, kind="correction", major=1, langs=["az"])
        [first] = await ledger.open_batches(session)
    at_work = asyncio.Event()

    async def one():
        async with database.writing() as session:
            found = await ledger.claim(session, first.id, now, 1, edits=True)
            at_work.set()
            await asyncio.sleep(0.2)
        return found

    async def other():
        await at_work.wait()
        async with database.writing() as session:
            await tell(session, kind="edit", major=9, langs=["az"], priority=Priority.LATER)
        async with database.writing() as session:
            second = (await ledger.open_batches(session))[-1]
            return await ledger.claim(session, second.id, now, 1, edits=True)

    async with asyncio.timeout(20):
        mine, theirs = await asyncio.gather(one(), other())
    await database.close()
    assert ([c.message.kind for c in mine], theirs) == ([MessageKind.CORRECTION], [])


async def test_all_messages_of_a_release_can_be_sent_again(database, published, tell, now):
    async with database.writing() as session:
        await published(session, "7", "8")
        await settle(session, "8", now, state="failed")
        await tell(session, kind="correction", major=1, langs=["az"])
        [notice] = await claimed(session, now)
        await ledger.settle(session, [Settlement(notice.id, DeliveryState.FAILED)], now)
        assert await ledger.retry(session, states=[DeliveryState.FAILED], release=1, now=now) == 2
