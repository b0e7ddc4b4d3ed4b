"""Digests: one message a person and window, each release once, nobody missed, whoever changes what meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, SubscriptionState
from syndicator.domain.windows import Window
from syndicator.store import catching_up, digests, ledger, releases, subscriptions
from syndicator.store.tables import DELIVERY, DIGEST_RUN, MESSAGE, SUBSCRIBER
from tests.store.looked import drain

BAKU = "Asia/Baku"
DAY = timedelta(days=1)
TELLS = {
    ChannelKind.TELEGRAM: {MessageKind.RELEASE, MessageKind.DIGEST},
    ChannelKind.EMAIL: {MessageKind.RELEASE},
}


class Desk:
    """The hand that publishes, signs people up and closes windows, all in one session."""

    def __init__(self, press, people, taxonomy):
        self.press, self.people, self.taxonomy = press, people, taxonomy

    async def publish(self, session, key, lang="az", *, at, announced=True, **values):
        made = await self.press.record(session, key, lang, now=at, public_at=at, **values)
        if announced:
            await ledger.announce(session, made.release.number, kind=MessageKind.RELEASE, major=0, priority=20, now=at)
            await self.spread(session, at)
        return made.release.number

    async def reader(self, session, address, filter_="", *, cadence=Cadence.DAILY, zone=BAKU, **values):
        who, made = await self.people.add(
            session, address, filter_, cadence=cadence, channel=ChannelKind.TELEGRAM, **values
        )
        await subscriptions.set_reading(session, who.id, timezone=zone)
        return who, made

    async def close(self, session, begins, ends, *, cadence=Cadence.DAILY, zone=BAKU, at=None):
        at = at or ends
        made = await digests.close(session, cadence, zone, Window(begins, ends), at)
        await self.spread(session, at)
        return made

    async def spread(self, session, at, limit=20_000):
        how = {"taxonomy": self.taxonomy, "order": ("az", "en", "ru"), "tells": TELLS, "limit": limit, "batch_size": 2}
        for message in await ledger.open_messages(session):
            while await ledger.fan_out(session, message.id, now=at, **how) is not None:
                pass

    async def arrive(self, session):
        """Whatever was written has gone out: nothing of it waits for the next digest."""
        await session.execute(update(DELIVERY).values(state="sent", answer={"message_id": 1}))

    async def told(self, session):
        """Who has which digests: address -> release numbers, a list a digest."""
        query = (
            select(SUBSCRIBER.c.address, DELIVERY.c.id)
            .join_from(DELIVERY, SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
            .join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
            .where(MESSAGE.c.kind == MessageKind.DIGEST)
            .order_by(DELIVERY.c.id)
        )
        rows = list(await session.execute(query))
        items = await digests.items_of(session, [row.id for row in rows])
        found: dict[str, list[list[tuple[int, str]]]] = {}
        for row in rows:
            found.setdefault(row.address, []).append(list(items.get(row.id, ())))
        return found


@pytest.fixture
def desk(press, people, taxonomy):
    return Desk(press, people, taxonomy)


async def test_a_digest_tells_each_release_once_in_the_readers_version(database, desk, now):
    async with database.writing() as session:
        await desk.reader(session, "1", "topic=visas")
        await desk.reader(session, "2", "", lang="ru", other="always")
        await desk.reader(session, "3", "topic=office")
        await desk.reader(session, "4", "lang=en", lang="ru")
        await desk.publish(session, "visa", at=now + timedelta(hours=1), topics=["e-visa"])
        await desk.publish(session, "visa", "en", at=now + timedelta(hours=1), topics=["e-visa"])
        await desk.publish(session, "fees", at=now + timedelta(hours=2), topics=["migration"])
        assert await desk.close(session, now, now + DAY) == 2
        told = await desk.told(session)
        batches = (await session.execute(text("SELECT COUNT(*) FROM batch"))).scalar_one()
    assert told == {"1": [[(1, "az")]], "2": [[(1, "az"), (2, "az")]], "4": [[(1, "en")]]}
    assert batches == 2  # of two deliveries each


async def test_who_is_told_at_once_mail_and_other_zones_and_cadences_get_none(database, desk, people, now):
    async with database.writing() as session:
        await desk.reader(session, "1", cadence=Cadence.IMMEDIATE)
        await desk.reader(session, "2", zone="Europe/Berlin")
        await desk.reader(session, "3", cadence=Cadence.WEEKLY)
        await people.add(session, "a@example.org", cadence=Cadence.DAILY)
        paused, _ = await desk.reader(session, "4")
        await subscriptions.rest(session, paused.id, None)
        await desk.reader(session, "5", state=SubscriptionState.PENDING)
        await desk.publish(session, "a", at=now + timedelta(hours=1))
        await desk.close(session, now, now + DAY)
        assert await desk.told(session) == {}


NOTHING = {
    "before the window": (-timedelta(seconds=1), True, "public"),
    "at its end": (DAY, True, "public"),
    "too old to be announced": (timedelta(hours=1), False, "public"),
    "a draft": (timedelta(hours=1), True, "draft"),
}


@pytest.mark.parametrize("name", NOTHING)
async def test_a_window_with_nothing_in_it_leaves_no_trace(database, desk, people, now, name):
    after, announced, state = NOTHING[name]
    async with database.writing() as session:
        people.now = now - DAY
        await desk.reader(session, "1")
        await desk.publish(session, "a", at=now + after, announced=announced, state=state)
        assert await desk.close(session, now, now + DAY) is None
        assert (await session.execute(select(DIGEST_RUN))).all() == []
        assert await desk.told(session) == {}


async def test_a_window_is_told_once_however_often_it_is_closed_and_in_steps(database, desk, now):
    async with database.writing() as session:
        for number in range(5):
            await desk.reader(session, str(number))
        await desk.publish(session, "a", at=now)
        await desk.publish(session, "b", at=now + DAY - timedelta(seconds=1))
        window = Window(now, now + DAY)
        assert await digests.close(session, Cadence.DAILY, BAKU, window, now + DAY) == 2
        assert await digests.close(session, Cadence.DAILY, BAKU, window, now + DAY) is None
        await desk.spread(session, now + DAY, limit=2)
        told = await desk.told(session)
        await session.execute(text("UPDATE message SET fanned_out_at = NULL, \"cursor\" = 0 WHERE kind = 'digest'"))
        await desk.spread(session, now + DAY, limit=3)
        assert await desk.told(session) == told == {str(n): [[(1, "az"), (2, "az")]] for n in range(5)}


async def test_nobody_gets_the_past(database, desk, people, now):
    async with database.writing() as session:
        await desk.publish(session, "a", at=now)
        people.now = now + timedelta(hours=2)
        await desk.reader(session, "1")
        await desk.publish(session, "b", at=now + timedelta(hours=3))
        await desk.close(session, now, now + DAY)
        assert await desk.told(session) == {"1": [[(2, "az")]]}


SWITCHES = {
    "one more topic loses nothing": ("topic=visas", "daily", "topic=visas,office", "daily", [1]),
    "another topic: nobody wants the old one's any more": ("topic=visas", "daily", "topic=office", "daily", None),
    "from daily to weekly": ("", "daily", "", "weekly", [1]),
    "from at once to daily: what was told is not told again": ("", "immediate", "", "daily", None),
}


@pytest.mark.parametrize("name", SWITCHES)
async def test_who_changes_a_subscription_between_two_digests(database, desk, now, name):
    before, first, after, then, expected = SWITCHES[name]
    noon = now + timedelta(hours=3)
    async with database.writing() as session:
        who, old = await desk.reader(session, "1", before, cadence=Cadence(first))
        await desk.publish(session, "a", at=now + timedelta(hours=1), topics=["visas"])
        await session.execute(text("UPDATE delivery SET state = 'sent'"))
        how = {"cadence": Cadence(then), "state": SubscriptionState.ACTIVE, "consent": None, "now": noon}
        new = await subscriptions.subscribe(session, who.id, parse(after), **how)
        if new.id != old.id:
            await subscriptions.end(session, old.id, "changed", noon)
        await desk.close(session, now, now + DAY, cadence=Cadence(then))
        told = await desk.told(session)
    assert told == ({} if expected is None else {"1": [[(number, "az") for number in expected]]})


async def test_a_release_that_waits_for_somebody_who_now_reads_digests_goes_out_at_once_and_once(database, desk, now):
    async with database.writing() as session:
        who, _ = await desk.reader(session, "1", cadence=Cadence.IMMEDIATE)
        await desk.publish(session, "a", at=now)
        how = {"state": SubscriptionState.ACTIVE, "consent": None, "now": now + timedelta(minutes=1)}
        await subscriptions.subscribe(session, who.id, parse(""), cadence=Cadence.DAILY, **how)
        await desk.close(session, now, now + DAY)
        assert await desk.told(session) == {}
        later = now + DAY + timedelta(hours=1)
        [batch] = await ledger.open_batches(session)
        assert [one.message.kind for one in await ledger.claim(session, batch.id, later, 10)] == ["release"]


async def test_who_leaves_digests_is_told_at_once_what_is_outstanding(database, desk, now):
    async with database.writing() as session:
        who, old = await desk.reader(session, "1")
        await desk.reader(session, "2")
        await desk.publish(session, "a", at=now)
        await desk.close(session, now, now + DAY)
        noon = now + DAY + timedelta(hours=4)
        await desk.publish(session, "b", at=now + DAY + timedelta(hours=1))
        how = {"state": SubscriptionState.ACTIVE, "consent": None, "now": noon}
        await subscriptions.subscribe(session, who.id, parse(""), cadence=Cadence.IMMEDIATE, **how)
        assert await catching_up.catch_up(session, old.id, Cadence.DAILY, BAKU, noon, 14 * DAY) == 1
        await desk.spread(session, noon)
        assert await desk.told(session) == {"1": [[(1, "az")], [(2, "az")]], "2": [[(1, "az")]]}
        await desk.arrive(session)
        await desk.close(session, now + DAY, now + 2 * DAY)
        assert await desk.told(session) == {"1": [[(1, "az")], [(2, "az")]], "2": [[(1, "az")], [(2, "az")]]}


async def test_who_moves_between_zones_is_told_nothing_twice(database, desk, now):
    async with database.writing() as session:
        who, _ = await desk.reader(session, "1")
        await desk.publish(session, "a", at=now + timedelta(hours=1))
        await desk.publish(session, "b", at=now + timedelta(hours=2))
        await desk.close(session, now, now + timedelta(hours=2))
        await subscriptions.set_reading(session, who.id, timezone="Europe/Berlin")
        await desk.close(session, now - DAY, now + timedelta(hours=5), zone="Europe/Berlin")
        assert await desk.told(session) == {"1": [[(1, "az")], [(2, "az")]]}


async def test_a_clock_that_ran_ahead_loses_nothing_and_doubles_nothing(database, desk, now):
    far = now + 100 * DAY
    async with database.writing() as session:
        await desk.reader(session, "1")
        await desk.publish(session, "a", at=now)
        await desk.close(session, far - 14 * DAY, far)  # nothing came out in that fortnight
        assert await desk.told(session) == {}
        await desk.close(session, now, far)
        await desk.publish(session, "b", at=now + timedelta(hours=1))
        assert await digests.strike(session, now + DAY) == 1
        assert await digests.strike(session, now + DAY) == 0
        assert await digests.last_end(session, Cadence.DAILY, BAKU) is None
        await desk.close(session, now, now + DAY)
        await desk.arrive(session)
        await desk.publish(session, "c", at=far - timedelta(hours=1))
        await desk.close(session, now + DAY, far)
        assert await desk.told(session) == {"1": [[(1, "az")], [(2, "az")], [(3, "az")]]}


async def test_a_run_waits_for_the_fan_out_of_its_releases_but_not_for_ever(database, desk, taxonomy, now):
    end = now + DAY
    how = {"taxonomy": taxonomy, "order": ("az", "en", "ru"), "tells": TELLS}
    async with database.writing() as session:
        await desk.reader(session, "1")
        number = await desk.publish(session, "a", at=now)
        await session.execute(text("UPDATE message SET fanned_out_at = NULL"))
        await digests.close(session, Cadence.DAILY, BAKU, Window(now, end), end)
        run = (await ledger.open_messages(session))[-1].id
        assert await ledger.fan_out(session, run, now=end, **how) is None
        [_, waiting] = await ledger.open_messages(session)
        assert end < waiting.again_at < end + timedelta(minutes=1)
        assert await ledger.fan_out(session, run, now=end + timedelta(minutes=10), **how) == 0
        assert await ledger.fan_out(session, run, now=end + timedelta(minutes=10), **how) == 1
        assert await desk.told(session) == {"1": [[(number, "az")]]}


async def test_what_was_withdrawn_before_the_window_closed_is_not_in_it(database, desk, now):
    async with database.writing() as session:
        await desk.reader(session, "1")
        await desk.publish(session, "a", at=now)
        await desk.publish(session, "b", at=now)
        await releases.withdraw(session, 1, "an error", now + timedelta(hours=1))
        await desk.close(session, now, now + DAY)
        assert await desk.told(session) == {"1": [[(2, "az")]]}


async def test_a_release_goes_before_digests_that_were_there_first(database, desk, now):
    async with database.writing() as session:
        await desk.reader(session, "1")
        await desk.reader(session, "2", cadence=Cadence.IMMEDIATE)
        await desk.publish(session, "a", at=now)
        await drain(session, now)
        await desk.close(session, now, now + DAY)
        await desk.publish(session, "b", at=now + DAY)
        kinds = [(one.message.kind, one.address) for one in await drain(session, now + DAY)]
        assert kinds == [(MessageKind.RELEASE, "2"), (MessageKind.DIGEST, "1")]


async def test_its_people_are_written_in_steps_that_leave_room_for_others(database, desk, taxonomy, now, monkeypatch):
    monkeypatch.setattr("syndicator.store.digesting.AT_A_TIME", 2)
    how = {"taxonomy": taxonomy, "order": ("az", "en", "ru"), "tells": TELLS, "now": now + DAY}
    async with database.writing() as session:
        for number in range(5):
            await desk.reader(session, str(number))
        await desk.publish(session, "a", at=now)
        await digests.close(session, Cadence.DAILY, BAKU, Window(now, now + DAY), now + DAY)
        [run] = [one.id for one in await ledger.open_messages(session) if one.kind is MessageKind.DIGEST]
        steps = [await ledger.fan_out(session, run, **how) for _ in range(5)]
        assert steps == [0, 2, 2, 1, None]
        assert await desk.told(session) == {str(number): [[(1, "az")]] for number in range(5)}
