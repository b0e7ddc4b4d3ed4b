"""Digests, quiet hours and rests through the whole pipeline: what a reader gets, and when, whatever the clock does."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import DigestSettings
from syndicator.domain.filters import Filter
from syndicator.domain.letters import Later
from syndicator.domain.model import Cadence, DeliveryState, MessageKind, State, Urgency
from syndicator.domain.quiet import Quiet
from syndicator.pipeline.digests import GRACE, Digests
from syndicator.store import ledger, releases, subscriptions
from syndicator.store.database import Database
from tests.pipeline.conftest import Never, Press
from tests.pipeline.readers import DAY, EIGHT, HOUR, Reader, at, publish, work


@pytest.fixture
def press(sqlite_database, site, taxonomy, now):
    """On SQLite: `tests/store/test_digests.py` asks both databases; here is what comes before and after."""
    return Press(sqlite_database, site, taxonomy, now)


@pytest.fixture
def room(press):
    return Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)


async def test_a_daily_reader_gets_one_message_in_the_morning(press, room):
    reader, other = Reader(press, 1), Reader(press, 2)
    await reader.choose(Cadence.DAILY)
    await other.choose()
    await publish(press, "fees")
    await publish(press, "visas")
    assert reader.got == []
    assert other.got == ["fees", "visas"]
    await at(press, EIGHT, room)
    [job] = await room.pending(press.now)
    assert (job.name, job.due) == ("digests", EIGHT + GRACE)
    await at(press, EIGHT + GRACE, room)
    assert reader.got == ["fees+visas"]
    assert reader.letters[0].message == "digest:daily:Asia/Baku:2026-11-22T04:00:00+00:00"
    [job] = await room.pending(press.now)
    assert job.due == EIGHT + DAY + GRACE
    restarted = Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)
    await work(press, room, restarted)
    await at(press, EIGHT + 3 * DAY, room, restarted)
    assert reader.got == ["fees+visas"]  # nothing came out since: nothing is said
    assert other.got == ["fees", "visas"]


async def test_a_weekly_reader_gets_one_on_monday(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.WEEKLY)
    await publish(press, "fees")
    await at(press, EIGHT + GRACE, room)
    assert reader.got == []
    await at(press, EIGHT + DAY + GRACE, room)
    assert reader.got == ["fees"]


async def test_without_readers_of_digests_nothing_is_due(press, room):
    await Reader(press, 1).choose()
    assert await room.pending(press.now) == []


async def test_after_a_silence_one_digest_makes_up_for_a_fortnight_at_most(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    await publish(press, "long ago")
    press.now += 3 * DAY
    await publish(press, "earlier")
    press.now += 3 * DAY
    await publish(press, "lately")
    await at(press, EIGHT + 15 * DAY + HOUR, room)
    assert reader.got == ["earlier+lately"]


async def test_the_hour_is_changed_between_two_digests(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    await publish(press, "fees")
    await at(press, EIGHT + GRACE, room)
    for hour in (7, 10, 9):
        settings_ = DigestSettings.model_validate({"at": f"{hour:02}:00"})
        room = Digests(press.database, settings_, clock=lambda: press.now, wake=press.wake)
        await publish(press, f"before {hour}")
        await at(press, press.now + DAY, room)
    await at(press, press.now + DAY, room)
    assert reader.got == ["fees", "before 7", "before 10", "before 9"]


async def test_two_processes_close_a_window_once(shared, three):
    """On PostgreSQL: both find the same window due, at the same moment."""
    press = shared
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    await publish(press, "fees")
    press.now = EIGHT + GRACE
    rooms = [Digests(database, DigestSettings(), clock=lambda: press.now, wake=press.wake) for database in three]
    jobs = [[job for job in await one.pending(press.now) if job.due <= press.now] for one in rooms]
    assert [len(of_one) for of_one in jobs] == [1] * len(rooms)
    await asyncio.gather(*(one.handlers()["digests"](job, Never()) for one, [job] in zip(rooms, jobs, strict=True)))
    async with press.database.reading() as session:
        kinds = [message.kind for message in await ledger.open_messages(session)]
    assert kinds.count(MessageKind.DIGEST) == 1
    await work(press)
    assert reader.got == ["fees"]


@pytest.fixture
def shared(database, site, taxonomy, now):
    return Press(database, site, taxonomy, now)


@pytest.fixture
async def three(shared):
    """The same database, opened by three programs; SQLite has one writer, and the test passes there too."""
    opened = [shared.database, *(Database(shared.database.url) for _ in range(2))]
    yield opened
    for one in opened[1:]:
        await one.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 50)),
        st.tuples(st.just("jump"), st.integers(-200, 200)),
        st.just(("publish", 0)),
        st.just(("restart", 0)),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_whatever_the_clock_does_each_release_is_told_once(fresh, steps):
    press = fresh()
    room = Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)
    readers = [Reader(press, number) for number in (1, 2)]
    begun = press.now
    press.now -= timedelta(days=60)  # nobody signs up after what a clock that stood wrong says
    await readers[0].choose(Cadence.DAILY)
    await readers[1].choose(Cadence.WEEKLY)
    press.now = begun
    published, latest = [], begun
    for what, much in steps:
        if what in ("wait", "jump"):
            press.now = max(press.now + much * HOUR, begun)
        elif what == "publish":
            published.append(f"release-{len(published)}")
            await publish(press, published[-1])
        else:
            room = Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)
        latest = max(latest, press.now)
        await work(press, room)
    for days in (1, 9):
        await at(press, latest + days * DAY + HOUR, room)
    for reader in readers:
        told = Counter(key for one in reader.letters for key in (item.release.key for item in one.items))
        assert told == Counter(published)


async def test_quiet_hours_hold_what_is_not_urgent(press, room):
    reader = Reader(press, 1)
    account = await reader.choose()
    account = await press.subscribing.set_quiet(account, Quiet(22, 9), now=press.now)
    assert account.subscriber.quiet == "22-9"
    press.now = datetime(2026, 11, 21, 19, 0, tzinfo=UTC)  # eleven at night
    await publish(press, "later")
    await publish(press, "now", urgency=Urgency.URGENT)
    assert reader.got == ["now"]
    [held] = [row for row in await press.rows() if row["state"] == DeliveryState.DEFERRED]
    assert (held["reason"], held["attempts"], held["due_at"]) == ("quiet hours", 0, EIGHT + HOUR)
    await at(press, EIGHT + HOUR - timedelta(seconds=1), room)
    assert reader.got == ["now"]
    await at(press, EIGHT + HOUR, room)
    assert reader.got == ["now", "later"]


async def test_who_goes_over_to_a_digest_still_gets_what_was_held_for_them(press, room):
    other, reader = Reader(press, 2), Reader(press, 1)
    await other.choose(Cadence.DAILY)
    await publish(press, "older")
    await at(press, EIGHT - DAY + GRACE + HOUR, room)
    await press.subscribing.set_quiet(await reader.choose(), Quiet(7, 12), now=press.now)
    await at(press, EIGHT - HOUR / 2, room)
    await publish(press, "fees")
    await at(press, EIGHT + GRACE, room)
    await at(press, EIGHT + HOUR, room)
    await reader.choose(Cadence.DAILY)
    for hours in range(5, 60, 5):
        await at(press, EIGHT + hours * HOUR, room)
    assert reader.got == ["fees"]
    assert reader.letters[0].kind is MessageKind.RELEASE


@pytest.mark.parametrize(
    ("change", "goes"),
    [
        ({"quiet": None}, True),
        ({"quiet": Quiet(23, 5)}, True),
        ({"quiet": Quiet(11, 23)}, False),
        ({"zone": "America/New_York"}, True),
        ({"zone": "Asia/Tbilisi"}, False),
    ],
)
async def test_what_quiet_hours_hold_goes_out_when_they_are_changed(press, change, goes):
    reader = Reader(press, 1)
    account = await press.subscribing.set_quiet(await reader.choose(), Quiet(12, 22), now=press.now)
    await publish(press, "fees")
    assert reader.got == []
    press.now += timedelta(minutes=1)
    press.woken = 0
    if "zone" in change:
        await press.subscribing.set_reading(account, timezone=change["zone"], now=press.now)
    else:
        await press.subscribing.set_quiet(account, change["quiet"], now=press.now)
    await press.send()
    assert (press.woken > 0, reader.got) == (True, ["fees"] if goes else [])


async def test_a_time_zone_that_nobody_knows_stops_nobody(press):
    readers = [Reader(press, number) for number in (1, 2)]
    account, _ = [await reader.choose() for reader in readers]
    await press.subscribing.set_quiet(account, Quiet(22, 8), now=press.now)
    async with press.database.writing() as session:
        await subscriptions.set_reading(session, account.subscriber.id, timezone="Europe/Nowhere")
    await publish(press, "fees")
    assert [reader.got for reader in readers] == [["fees"], ["fees"]]


async def test_a_digest_waits_for_the_end_of_quiet_hours(press, room):
    reader = Reader(press, 1)
    await press.subscribing.set_quiet(await reader.choose(Cadence.DAILY), Quiet(22, 9), now=press.now)
    await publish(press, "fees")
    await at(press, EIGHT + GRACE, room)
    assert reader.got == []
    await at(press, EIGHT + HOUR, room)
    assert reader.got == ["fees"]


async def test_who_got_a_digests_beginning_with_the_old_text_is_told_of_its_correction(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    fees, visas = press.change("fees"), press.change("visas")
    await press.harvest(fees, visas)
    await press.spread()
    begun = {"chat": 1, "messages": [1], "seals": ["x"]}
    press.telegram.answers["1"] = Later("429", not_before=EIGHT + HOUR, counts=False, answer=begun)
    await at(press, EIGHT + GRACE, room)
    await publish(press, "fees", title="B", note="Two.")
    press.telegram.answers.clear()
    for minutes in range(60, 66):
        await at(press, EIGHT + timedelta(minutes=minutes))
    assert [(one.kind, one.notes) for one in reader.letters[1:]] == [
        (MessageKind.DIGEST, ()),
        (MessageKind.CORRECTION, ("Two.",)),
    ]


async def test_what_was_withdrawn_drops_out_and_a_digest_of_nothing_is_not_sent(press, room):
    reader = Reader(press, 1)
    await press.subscribing.set_quiet(await reader.choose(Cadence.DAILY), Quiet(22, 9), now=press.now)
    await publish(press, "fees")
    await at(press, EIGHT + GRACE, room)
    async with press.database.writing() as session:
        await releases.withdraw(session, 1, "an error", press.now)
    await at(press, EIGHT + HOUR, room)
    assert reader.got == []
    [row] = await press.rows()
    assert (row["state"], row["reason"]) == (DeliveryState.SUPPRESSED, "all that it tells of was withdrawn")


async def test_a_rest_ends_at_its_time_and_nothing_of_it_is_made_up(press, room):
    reader = Reader(press, 1)
    until = press.now + 2 * DAY
    account = await press.subscribing.rest(await reader.choose(), until, now=press.now)
    assert (account.subscriber.is_resting, account.subscriber.resume_at) == (True, until)
    assert (await reader.account()).subscriber.is_resting  # writing to the bot does not end it
    await publish(press, "meanwhile")
    [job] = await room.pending(press.now)
    assert (job.name, job.due) == ("rests", until)
    await at(press, until, room)
    assert not (await reader.account()).subscriber.is_paused
    await publish(press, "afterwards")
    assert reader.got == ["afterwards"]
    assert await room.pending(press.now) == []


async def test_a_button_ends_a_rest_without_end(press):
    reader = Reader(press, 1)
    account = await press.subscribing.rest(await reader.choose(), None, now=press.now)
    assert (await reader.account()).subscriber.is_resting
    account = await press.subscribing.resume(account, now=press.now)
    assert (account.subscriber.state, account.subscriber.state_reason) == ("active", "")


BACK = {
    "who blocked us comes back": (None, HOUR, False),
    "who rests, blocks us and comes back rests on": (3 * DAY, HOUR, True),
    "without an end too": (timedelta.max, HOUR, True),
    "after the end of the rest they are active": (3 * DAY, 4 * DAY, False),
}


@pytest.mark.parametrize("name", BACK)
async def test_blocked_and_back(press, room, name):
    rest, after, resting = BACK[name]
    reader = Reader(press, 1)
    account = await reader.choose(Cadence.DAILY)
    if rest is not None:
        until = None if rest == timedelta.max else press.now + rest
        await press.subscribing.rest(account, until, now=press.now)
    for _ in range(2):
        await press.subscribing.blocked(1, reason="blocked the bot")
    async with press.database.reading() as session:
        found = await press.subscribing._account(session, account.subscriber.id)
    assert (found.subscriber.is_paused, found.subscriber.is_resting) == (True, False)
    await at(press, press.now + after, room)
    back = await reader.account()
    assert (back.subscriber.is_paused, back.subscriber.is_resting) == (resting, resting)
    assert [one.cadence for one in back.subscriptions] == [Cadence.DAILY]


async def test_a_chat_keeps_its_cadence_when_it_ticks_topics(press):
    reader = Reader(press, 1)
    assert [one.cadence for one in (await reader.choose()).subscriptions] == [Cadence.IMMEDIATE]
    assert [one.cadence for one in (await reader.choose(Cadence.WEEKLY)).subscriptions] == [Cadence.WEEKLY]
    visas = Filter(topics=("visas",))
    assert [one.cadence for one in (await reader.choose(None, visas)).subscriptions] == [Cadence.WEEKLY]
    changed = await reader.choose(Cadence.IMMEDIATE, visas)
    assert [(one.cadence, one.filter) for one in changed.subscriptions] == [(Cadence.IMMEDIATE, "topic=visas")]


LEAVING = {
    "for news at once": (Cadence.DAILY, lambda reader: reader.choose(Cadence.IMMEDIATE), 1),
    "from weekly for daily": (Cadence.WEEKLY, lambda reader: reader.choose(Cadence.DAILY), 1),
    "from daily for weekly: the week holds it": (Cadence.DAILY, lambda reader: reader.choose(Cadence.WEEKLY), 0),
    "for another zone": (Cadence.DAILY, lambda reader: move(reader, "Europe/Berlin"), 1),
    "for the same zone": (Cadence.DAILY, lambda reader: move(reader, "Asia/Baku"), 0),
    "for good": (Cadence.DAILY, lambda reader: reader.choose(None, None), None),
}


async def move(reader, zone):
    await reader.doors.set_reading(await reader.account(), timezone=zone, now=reader.press.now)


@pytest.mark.parametrize("name", LEAVING)
async def test_who_leaves_a_digest_is_told_at_once_what_had_not_come_yet(press, room, name):
    cadence, leave, at_once = LEAVING[name]
    reader = Reader(press, 1)
    await reader.choose(cadence)
    await publish(press, "fees")
    press.now += timedelta(minutes=2)
    await leave(reader)
    await work(press, room)
    assert len(reader.got) == (at_once or 0)
    for day in (0, 1, 8):
        await at(press, EIGHT + day * DAY + 5 * HOUR, room)
    assert reader.got == ([] if at_once is None else ["fees"])


async def test_a_draft_and_an_embargo_are_in_no_digest_before_their_time(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    await publish(press, "draft", state=State.DRAFT)
    await publish(press, "embargo", embargo=EIGHT + HOUR)
    await at(press, EIGHT + GRACE, room)
    assert reader.got == []
    press.now = EIGHT + HOUR
    await press.intake.open_due()
    await at(press, EIGHT + DAY + GRACE, room)
    assert reader.got == ["embargo"]
