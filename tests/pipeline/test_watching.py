"""What needs a person is seen, told once, and told once when it is over: rules by a table, the watchman by a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import delete, select, update

from syndicator.domain.letters import Later, Refused
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, Problem, SubscriberRole
from syndicator.metrics import Metrics
from syndicator.pipeline import watchman
from syndicator.pipeline.watching import Notice, Sight, is_settled, judge, kind_of, message_key, notice
from syndicator.pipeline.watchman import Watchman
from syndicator.store import alarms, restored, sourcing
from syndicator.store.alarms import Live
from syndicator.store.sending import QUIET
from syndicator.store.tables import DELIVERY, SUBSCRIBER
from syndicator.store.watched import NAMED, Bad, Chat, OnItsWay, Pass, Reach

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AFTER = timedelta(minutes=15)
EARLY = NOON - timedelta(hours=5)


def ago(minutes):
    return NOON - timedelta(minutes=minutes)


RELEASE_12 = OnItsWay(7, "release:12:0", MessageKind.RELEASE, 12, ago(16), fanned_out=True)
OPEN_12 = OnItsWay(7, "release:12:0", MessageKind.RELEASE, 12, ago(16), fanned_out=False)
WITHDRAWAL = OnItsWay(8, "withdrawal:12:1", MessageKind.WITHDRAWAL, 12, ago(16), fanned_out=True)
CHAT = Chat("@agency", DeliveryState.DEFERRED, "telegram cannot\nbe reached")
UNKNOWN = Chat("@agency", DeliveryState.UNKNOWN, "")
BAD = Bad("desk", ago(40), "fees.en.md", "no title")
FEES = "documents:desk:" + sha256(b"fees.en.md").hexdigest()[:16]
HALLS = "documents:desk:" + sha256(b"halls.en.md").hexdigest()[:16]

# What was seen -> {alarm: a piece of what is said}, and what is left open.
CASES = {
    "all is well": (Sight(on_their_way=[RELEASE_12], passes=[Pass("desk", ago(1), "")]), {}, set()),
    "recipients that are not all written": (
        Sight(on_their_way=[OPEN_12], passes=[Pass("desk", ago(1), "")]),
        {"unfinished:release:12:0": "release 12: its recipients are not all written after 15 minutes"},
        set(),
    ),
    "readers none of whom has it": (
        Sight(
            on_their_way=[WITHDRAWAL], reached={8: {ChannelKind.EMAIL: Reach.NOBODY}}, passes=[Pass("desk", ago(1), "")]
        ),
        {"late:withdrawal:12:1:email": "the withdrawal of release 12 has not reached email after 15 minutes: none of"},
        set(),
    ),
    "a channel of the office's own": (
        Sight(on_their_way=[RELEASE_12], chats_wait={7: [CHAT]}, passes=[Pass("desk", ago(1), "")]),
        {"late:release:12:0:telegram": "@agency: deferred (telegram cannot be reached)"},
        set(),
    ),
    "a post that nobody can tell of": (
        Sight(on_their_way=[RELEASE_12], chats_wait={7: [UNKNOWN]}, passes=[Pass("desk", ago(1), "")]),
        {"late:release:12:0:telegram": "@agency: nobody knows whether it arrived"},
        set(),
    ),
    "somebody who is missed": (
        Sight(on_their_way=[RELEASE_12], missed={7: 1}, passes=[Pass("desk", ago(1), "")]),
        {"missed:release:12:0": "release 12: 1 who should get it have no row in the ledger"},
        set(),
    ),
    "people that were not counted this time": (
        Sight(on_their_way=[RELEASE_12], missed={7: None}, passes=[Pass("desk", ago(1), "")]),
        {},
        {"missed:release:12:0"},
    ),
    "an embargo that did not end": (
        Sight(unopened=[(3, ago(20))], passes=[Pass("desk", ago(1), "")]),
        {"embargo:3": "release 3 was to be public by now, and is not"},
        set(),
    ),
    "a source that keeps failing": (
        Sight(passes=[Pass("desk", ago(16), "no such host")]),
        {"source:desk": "source desk keeps failing (no such host)"},
        set(),
    ),
    "a source that fails for a moment": (Sight(passes=[Pass("desk", ago(14), "no such host")]), {}, set()),
    "a source that nobody polls": (
        Sight(passes=[Pass("desk", ago(16), "")]),
        {"source:desk": "does a process with the role scheduler run?"},
        set(),
    ),
    "a source that was never read": (Sight(), {"source:desk": "was not read for 15 minutes"}, set()),
    "a source of another configuration": (
        Sight(passes=[Pass("desk", ago(1), ""), Pass("old", ago(9999), "gone")]),
        {},
        set(),
    ),
    "most readers wait, and nobody got it lately": (
        Sight(
            on_their_way=[RELEASE_12], reached={7: {ChannelKind.EMAIL: Reach.STUCK}}, passes=[Pass("desk", ago(1), "")]
        ),
        {"late:release:12:0:email": "has not reached email after 15 minutes: most of its readers wait"},
        set(),
    ),
    "people that were not asked this time, and a broadcast that goes on": (
        Sight(
            on_their_way=[RELEASE_12],
            reached={7: {ChannelKind.EMAIL: None, ChannelKind.TELEGRAM: Reach.SLOW}},
            passes=[Pass("desk", ago(1), "")],
        ),
        {},
        {"late:release:12:0:email", "late:release:12:0:telegram"},
    ),
    "documents that cannot be taken, each by itself": (
        Sight(bad=[BAD, replace(BAD, origin="halls.en.md", since=ago(14))], passes=[Pass("desk", ago(1), "")]),
        {FEES: "source desk: a document cannot be taken; fees.en.md (no title)"},
        {HALLS},
    ),
    "more documents than are named": (
        Sight(bad=[replace(BAD, more=31)], passes=[Pass("desk", ago(1), "")]),
        {"documents:desk": "source desk: 31 more documents cannot be taken"},
        set(),
    ),
    "feeds that are stale": (
        Sight(has_feeds=True, feeds_right_at=ago(15), passes=[Pass("desk", ago(1), "")]),
        {"feeds": "feeds are stale"},
        set(),
    ),
    "feeds that are right": (
        Sight(has_feeds=True, feeds_right_at=ago(14), passes=[Pass("desk", ago(1), "")]),
        {},
        set(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_needs_a_person_is_judged_by_what_was_seen(name):
    sight, expected, unsure = CASES[name]
    judged = judge(sight, now=NOON, began=EARLY, after=AFTER, intervals={"desk": 60})
    assert {one.name for one in judged.found} == set(expected)
    assert all(piece in one.said for one in judged.found for piece in [expected[one.name]])
    assert set(judged.unsure) == unsure


def test_a_slow_source_has_three_of_its_intervals():
    sight = Sight(passes=[Pass("slow", ago(170), "")])
    assert not judge(sight, now=NOON, began=EARLY, after=AFTER, intervals={"slow": 3600}).found
    late = judge(sight, now=NOON + timedelta(minutes=11), began=EARLY, after=AFTER, intervals={"slow": 3600})
    assert [one.name for one in late.found] == ["source:slow"]


def test_who_has_just_begun_neither_raises_nor_ends_what_it_cannot_know():
    sight = Sight(passes=[Pass("desk", ago(600), "")], has_feeds=True)
    judged = judge(sight, now=NOON, began=ago(3), after=AFTER, intervals={"desk": 60}, machine="web-2")
    assert (judged.found, set(judged.unsure)) == ((), {"source:desk", "feeds:web-2"}) or (
        list(judged.found) == [] and set(judged.unsure) == {"source:desk", "feeds:web-2"}
    )


@pytest.mark.parametrize(("minutes", "settled"), [(0, False), (1.9, False), (2, True), (600, True), (-60, True)])
def test_a_process_judges_two_minutes_after_it_began_whatever_its_clock_does(minutes, settled):
    assert is_settled(NOON, NOON + timedelta(minutes=minutes)) is settled


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("late:release:12:0:telegram", "late", "release:12:0"),
        ("missed:release:12:0", "missed", "release:12:0"),
        ("source:desk", "source", ""),
        ("feeds", "feeds", ""),
    ],
)
def test_a_name_says_what_it_is_about(name, kind, key):
    assert (kind_of(name), message_key(name)) == (kind, key)


def test_one_letter_tells_of_all_that_began_and_ended():
    first, second = Live("a", "first", ago(20)), Live("b", "second", ago(5))
    assert notice("press.example.org", [first], []) == Notice(
        "press.example.org: first", "- first (since 2026-11-21 11:40 UTC)\n"
    )
    assert notice("x", [], [second]).subject == "x: over: second"
    both = notice("x", [first, first], [second])
    assert both.subject == "x: 2 things need a look"
    assert both.text.endswith("- Over: second\n")
    many = notice("x", [first] * 50, [])
    assert len(many.text.splitlines()) == 21


# -- the watchman, over a database
class Office:
    """Someone who is told, and may be out."""

    name = "office"

    def __init__(self):
        self.told, self.out = [], False

    async def tell(self, said):
        if self.out:
            raise OSError("nobody is there")
        self.told.append(said)

    def subjects(self):
        told, self.told = [said.subject.partition(": ")[2] for said in self.told], []
        return told


class Feeds:
    """A publisher that was right at that time."""

    def __init__(self):
        self.right_at = None

    def newest(self):
        return self.right_at


@pytest.fixture
def watch(press, monkeypatch):
    """Makes watchmen over the press's database; `minutes` lets time pass and has them look."""

    monkeypatch.setattr(watchman, "_one_clock", lambda _session, now: now)  # no real time passes here

    class Watch:
        def __init__(self):
            self.office, self.metrics, self.men = Office(), Metrics(), []
            self.man()

        def man(self, **values):
            made = Watchman(
                values.pop("database", press.database),
                heralds=[values.pop("office", self.office)],
                after=AFTER,
                intervals={"desk": 60},
                order=("az", "en", "ru"),
                host="press.example.org",
                clock=lambda: press.now,
                metrics=self.metrics,
                **values,
            )
            self.men.append(made)
            return made

        async def minutes(self, number, every=1):
            for _ in range(0, number, every):
                press.now += timedelta(minutes=every)
                async with press.database.writing() as session:
                    await alarms_source_read(session, press.now)
                for man in self.men:
                    await man.look(press.now)
            return self.office.subjects()

        def live(self):
            samples = self.metrics.alarms.collect()[0].samples
            return {sample.labels["kind"]: int(sample.value) for sample in samples if sample.value}

    return Watch()


async def spread(press):
    """Everybody's row is written, also of those who waited for a translation."""
    await press.spread()
    press.now += timedelta(minutes=1)
    await press.spread()


async def alarms_source_read(session, now):
    await sourcing.passed(session, "desk", now)


async def test_a_release_whose_sender_stands_still_is_told_within_a_quarter_of_an_hour_and_told_to_be_over(
    press, watch, reader
):
    """Catalogue row 54: the sender is stopped."""
    await reader("ayla@example.org")
    await watch.minutes(3)
    await press.harvest(press.change())
    await spread(press)
    assert await watch.minutes(13) == []
    (said,) = await watch.minutes(1)
    assert said == "release 1 has not reached email after 15 minutes: none of its readers has it"
    assert watch.live() == {"late": 1}
    assert await watch.minutes(10) == []  # once
    await press.send()
    assert await watch.minutes(1) == [f"over: {said}"]
    assert watch.live() == {}
    assert await watch.minutes(10) == []


async def test_a_row_that_is_gone_from_the_ledger_is_told(press, watch, reader):
    """Catalogue row 54: one row of the ledger is deleted; everybody else was sent it."""
    people = [await reader(f"reader{number}@example.org") for number in range(5)]
    await watch.minutes(3)
    await press.publish(press.change())
    await spread(press)
    assert await watch.minutes(20) == []
    async with press.database.writing() as session:
        await session.execute(delete(DELIVERY).where(DELIVERY.c.subscriber_id == people[2].id))
    assert await watch.minutes(1) == ["release 1: 1 who should get it have no row in the ledger"]
    assert await watch.minutes(5) == []


async def test_a_row_that_was_never_written_is_told_at_the_first_question(press, watch, reader):
    people = [await reader(f"reader{number}@example.org") for number in range(5)]
    await press.publish(press.change())
    await spread(press)
    async with press.database.writing() as session:
        await session.execute(delete(DELIVERY).where(DELIVERY.c.subscriber_id == people[0].id))
    assert await watch.minutes(14) == ["release 1: 1 who should get it have no row in the ledger"]


async def test_nobody_is_missed_who_came_later_left_or_reads_another_language(press, watch, reader):
    stays = await reader("stays@example.org")
    await reader("other@example.org", lang="ru")  # gets no English
    leaves = await reader("leaves@example.org")
    await press.publish(press.change())
    await spread(press)
    await watch.minutes(20, every=5)
    await reader("later@example.org")
    async with press.database.writing() as session:
        await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == stays.id).values(language="ru"))
        await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == leaves.id).values(state="paused"))
    assert await watch.minutes(30, every=5) == []


async def test_what_one_gets_and_another_does_not_is_no_alarm_but_an_own_channel_without_it_is(press, watch, reader):
    for number in range(3):
        await reader(f"reader{number}@example.org")
    chat = await reader("@agency", channel=ChannelKind.TELEGRAM)
    async with press.database.writing() as session:
        own = update(SUBSCRIBER).where(SUBSCRIBER.c.id == chat.id).values(role=SubscriberRole.CHANNEL)
        await session.execute(own)
    press.mail.answers["reader1@example.org"] = Later("greylisted")
    press.telegram.answers["@agency"] = Refused("chat not found")
    await press.publish(press.change())
    await spread(press)
    assert await watch.minutes(20) == [
        "release 1 has not reached telegram after 15 minutes: @agency: failed (chat not found)"
    ]


async def test_recipients_that_nobody_writes_are_told_and_a_late_translation_is_not_as_late_as_its_release(
    press, watch, reader
):
    await reader("ayla@example.org")
    await press.harvest(press.change())
    assert await watch.minutes(16) == ["release 1: its recipients are not all written after 15 minutes"]
    await press.spread()
    press.now += timedelta(minutes=2)
    await press.spread()
    await press.send()
    assert len(await watch.minutes(1)) == 1  # over
    await watch.minutes(60, every=20)
    await press.harvest(press.change(lang="az"))  # opens the message again
    assert await watch.minutes(14) == []
    assert await watch.minutes(2) == ["release 1: its recipients are not all written after 15 minutes"]


async def test_an_embargo_that_nobody_opens_and_a_document_that_nobody_can_take_are_told(press, watch):
    await press.harvest(
        press.change("ahead", embargo=press.now + timedelta(minutes=30)),
        Problem("desk", "fees.en.md", "no title", "!x"),
    )
    assert await watch.minutes(15) == ["source desk: a document cannot be taken; fees.en.md (no title)"]
    assert await watch.minutes(29) == []
    assert await watch.minutes(2) == ["release 1 was to be public by now, and is not"]
    await press.intake.open_due()
    assert len(await watch.minutes(1)) == 1


async def test_several_watchmen_are_one_voice(press, watch, reader):
    for _ in range(3):
        watch.man()
    await reader("ayla@example.org")
    await press.harvest(press.change())
    await press.spread()
    assert len(await watch.minutes(20)) == 1
    await press.send()
    assert len(await watch.minutes(5)) == 1


async def test_whom_nobody_could_tell_is_told_by_the_next_look(press, watch, reader):
    await reader("ayla@example.org")
    await press.harvest(press.change())
    await press.spread()
    watch.office.out = True
    assert await watch.minutes(20) == []
    watch.office.out = False
    assert len(await watch.minutes(3)) == 1
    await press.send()
    watch.office.out = True
    assert await watch.minutes(3) == []
    watch.office.out = False
    assert [said.partition(":")[0] for said in await watch.minutes(3)] == ["over"]


async def test_what_comes_back_is_told_anew_and_what_is_long_over_is_forgotten(press, watch):
    feeds = Feeds()
    watch.man(publisher=feeds)
    feeds.right_at = press.now
    assert len(await watch.minutes(16)) == 1
    feeds.right_at = press.now
    assert len(await watch.minutes(1)) == 1
    assert len(await watch.minutes(15)) == 1
    feeds.right_at = press.now
    press.now += timedelta(days=31)
    await watch.minutes(3)
    async with press.database.reading() as session:
        assert set(await alarms.live(session)) == {"feeds"}


async def two_webs(watch):
    """Two processes with feeds and one without."""
    first, second = Feeds(), Feeds()
    watch.men.clear()
    watch.man(machine="scheduler")
    watch.man(publisher=first, machine="web:8080")
    return first, second, watch.man(publisher=second, machine="web:8081")


async def test_feeds_of_one_process_are_not_judged_by_another_though_both_are_on_one_machine(press, watch):
    first, _, _ = await two_webs(watch)
    told = []
    for _ in range(26):
        first.right_at = press.now
        told += await watch.minutes(1)
    assert told == ["feeds on web:8081 are stale: not as the store has it, or nobody looked"]


async def test_feeds_of_a_process_that_is_gone_are_over_and_those_of_one_that_is_here_are_not(press, watch):
    first, _, second = await two_webs(watch)
    for _ in range(20):
        first.right_at = press.now
        await watch.minutes(1)
    watch.men.remove(second)  # its container is replaced by one of another name
    told = []
    for minute in range(20):
        first.right_at = press.now
        told += [(minute, said) for said in await watch.minutes(1)]
    assert [said.partition(":")[0] for _, said in told] == ["over"]
    assert 4 <= told[0][0] <= 6
    assert watch.live() == {}


async def test_who_has_just_begun_to_look_ends_nothing_of_others_and_feeds_from_before_a_move_end(press, watch):
    feeds = Feeds()
    watch.men.clear()
    watch.man(publisher=feeds, machine="web:8080")
    async with press.database.writing() as session:
        await alarms.raise_all(session, [Live("feeds", "feeds are stale", press.now)])
        await alarms.claim(session, ["feeds"], press.now)
    feeds.right_at = press.now + timedelta(hours=1)
    assert await watch.minutes(4) == []
    assert await watch.minutes(4) == ["over: feeds are stale"]


async def test_what_was_not_asked_anew_raises_nothing_that_another_has_ended(press, watch, reader, monkeypatch):
    """A question that takes long is asked every ten minutes; what it said in between is not what is so."""
    await reader("ayla@example.org")
    watch.man()
    monkeypatch.setattr(watchman, "SHARE", 10**9)
    await press.harvest(press.change())
    await spread(press)
    assert len(await watch.minutes(17)) == 1
    await press.send()
    assert [said.partition(":")[0] for said in await watch.minutes(40, every=4)] == ["over"]


async def test_a_second_document_that_cannot_be_taken_is_told_though_the_first_one_lies_there(press, watch):
    await press.harvest(Problem("desk", "fees.en.md", "no title", "!x"))
    assert len(await watch.minutes(16)) == 1
    await press.harvest(Problem("desk", "halls.en.md", "no text", "!y"))
    assert await watch.minutes(60, every=10) == ["source desk: a document cannot be taken; halls.en.md (no text)"]


async def test_of_thousands_of_documents_some_are_named_and_the_rest_are_counted(press, watch):
    await press.harvest(*(Problem("desk", f"{number}.md", "no title", "!x") for number in range(NAMED + 7)))
    (said,) = await watch.minutes(16)
    assert said == f"{NAMED + 1} things need a look"
    async with press.database.reading() as session:
        live = await alarms.live(session)
    assert live["documents:desk"].said == "source desk: 7 more documents cannot be taken"


async def hold(press, values, *addresses):
    """Set the rows of these people."""
    theirs = select(SUBSCRIBER.c.id).where(SUBSCRIBER.c.address.in_(addresses))
    async with press.database.writing() as session:
        await session.execute(update(DELIVERY).where(DELIVERY.c.subscriber_id.in_(theirs)).values(**values))


@pytest.mark.parametrize("own", [False, True])
async def test_what_a_restore_left_unknown_is_no_alarm(press, watch, reader, own):
    chat = await reader("@agency", channel=ChannelKind.TELEGRAM)
    await reader("ayla@example.org")
    if own:
        async with press.database.writing() as session:
            values = {"role": SubscriberRole.CHANNEL}
            await session.execute(update(SUBSCRIBER).where(SUBSCRIBER.c.id == chat.id).values(**values))
    await press.harvest(press.change())
    await spread(press)
    unknown = {"state": DeliveryState.UNKNOWN, "reason": restored.reason(press.now), "batch_id": None}
    await hold(press, unknown, "ayla@example.org", "@agency")
    assert await watch.minutes(40, every=10) == []
    await hold(press, {"reason": "the relay went silent"}, "ayla@example.org")
    assert await watch.minutes(1) == ["release 1 has not reached email after 15 minutes: none of its readers has it"]


async def test_who_waited_for_the_end_of_quiet_hours_is_owed_it_when_they_have_ended(press, watch, reader):
    await reader("ayla@example.org")
    await press.harvest(press.change())
    await spread(press)
    ends = press.now + timedelta(minutes=60)
    waits = {"state": DeliveryState.DEFERRED, "reason": QUIET, "due_at": ends, "batch_id": None}
    await hold(press, waits, "ayla@example.org")
    assert await watch.minutes(70, every=10) == []
    assert await watch.minutes(4) == []
    assert await watch.minutes(3) == ["release 1 has not reached email after 15 minutes: none of its readers has it"]


async def test_a_broadcast_that_stands_still_is_told_though_somebody_has_it_and_over_when_most_have(
    press, watch, reader
):
    people = [(await reader(f"reader{number}@example.org")).address for number in range(20)]
    await press.harvest(press.change())
    await spread(press)

    async def sent(*addresses):
        await hold(press, {"state": DeliveryState.SENT, "settled_at": press.now, "batch_id": None}, *addresses)

    await sent(people[0])
    assert await watch.minutes(14, every=7) == []
    said = await watch.minutes(3)
    assert said == [
        "release 1 has not reached email after 15 minutes: most of its readers wait, and nobody got it for that long"
    ]
    for one in people[1:9]:  # it goes on, slowly: neither over nor begun anew
        await sent(one)
        assert await watch.minutes(10, every=10) == []
    await sent(*people[9:11])
    assert await watch.minutes(1) == [f"over: {said[0]}"]
    assert await watch.minutes(60, every=20) == []


async def test_a_database_that_does_not_answer_is_told_from_memory(press, watch, tmp_path):
    from syndicator.store.database import Database  # noqa: PLC0415

    gone, office = Database(f"sqlite:///{tmp_path / 'gone.db'}"), Office()
    man = watch.man(database=gone, office=office)
    for minute in range(10):
        await man.look(press.now + timedelta(minutes=minute))
    (said,) = office.subjects()
    assert said.startswith("the database does not answer")
    man._database = press.database
    await man.look(press.now + timedelta(minutes=11))
    assert office.subjects() == ["over: the database does not answer"]
    await gone.close()


async def test_looking_reads_no_whole_ledger(sqlite_database, now):
    """Each question goes by an index, except for the few sources and their items."""
    from sqlalchemy import event  # noqa: PLC0415

    from syndicator.store import watched  # noqa: PLC0415

    asked, plans = [], []

    def listen(_connection, _cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    async with sqlite_database.reading() as session:
        raw = (await session.connection()).sync_connection
        event.listen(raw, "before_cursor_execute", listen)
        await watched.first_since(session, now, 5)
        await watched.people_reached(session, 5, ChannelKind.EMAIL, now)
        await watched.chats_waiting(session, 5)
        await watched.unopened(session, now)
        event.remove(raw, "before_cursor_execute", listen)
        for statement, parameters in asked:
            explained = await (await session.connection()).exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", parameters
            )
            plans += [row[-1] for row in explained]
    assert not [step for step in plans if step.startswith("SCAN") and "INDEX" not in step and "message" not in step], (
        plans
    )
    assert any("ix_subscriber_role_channel" in step for step in plans), plans
