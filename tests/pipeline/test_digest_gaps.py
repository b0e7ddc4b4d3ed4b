"""What could fall between two digests, or come twice: late languages, what came back, pauses, long lists, taps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select

from config.settings import DigestSettings
from syndicator.domain.filters import Filter
from syndicator.domain.letters import Later, Sent
from syndicator.domain.model import Cadence, MessageKind, OtherLanguage
from syndicator.domain.quiet import Quiet
from syndicator.pipeline.corrections import withdraw
from syndicator.pipeline.digests import GRACE, Digests
from syndicator.store.moving import relocate
from syndicator.store.tables import FILTER, MATCH, MESSAGE
from tests.pipeline.conftest import Never, Press
from tests.pipeline.mails import BY_MAIL, MailReader
from tests.pipeline.readers import DAY, EIGHT, HOUR, Reader, at, publish, work


@pytest.fixture
def press(sqlite_database, site, taxonomy, now):
    return Press(sqlite_database, site, taxonomy, now)


@pytest.fixture
def room(press):
    return Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)


async def days(press, room, *numbers):
    """The closes of these days, the first being tomorrow's."""
    for number in numbers:
        await at(press, EIGHT + number * DAY + GRACE, room)


async def take_away(press, number=1):
    async with press.database.writing() as session:
        await withdraw(session, number, "an error", press.now)
    await press.spread()


NEVER, ALWAYS = OtherLanguage.NEVER, OtherLanguage.ALWAYS
LATE = {  # the reader's language, whether another will do, their filter: the languages of what they get
    "who has read the first one": ("en", NEVER, Filter(), ["en"]),
    "who waited for theirs": ("ru", NEVER, Filter(), ["ru"]),
    "who took another one": ("ru", ALWAYS, Filter(), ["en"]),
    "whose language never came, and takes another": ("az", ALWAYS, Filter(), ["en"]),
    "whose language never came": ("az", NEVER, Filter(), []),
    "whose filter likes the late one better": ("az", NEVER, Filter(langs=("ru", "en")), ["en"]),
    "whose filter names the late one": ("az", NEVER, Filter(langs=("ru",)), ["ru"]),
    "whose filter names the first one": ("ru", NEVER, Filter(langs=("en",)), ["en"]),
}


async def test_a_late_translation_is_in_the_digests_of_those_alone_who_lacked_it(press, room):
    readers = {}
    for number, (name, (lang, other, filter_, _)) in enumerate(LATE.items(), 1):
        readers[name] = Reader(press, number)
        await press.subscribing.set_reading(await readers[name].account(lang), other_language=other)
        await readers[name].choose(Cadence.DAILY, filter_)
    await publish(press, "fees")
    await days(press, room, 0, 1)
    await press.harvest(press.change("fees"), press.change("fees", lang="ru"))
    await press.spread()
    await days(press, room, 2, 3)
    got = {name: [item.lang for one in who.letters for item in one.items] for name, who in readers.items()}
    assert got == {name: expected for name, (_, _, _, expected) in LATE.items()}


async def test_a_late_translation_brings_nobody_what_came_out_in_their_own_language_while_they_rested(press, room):
    reader, other = Reader(press, 1), Reader(press, 2)
    await reader.choose(Cadence.DAILY)
    await other.choose(Cadence.DAILY)
    await press.subscribing.rest(await reader.account(), EIGHT + HOUR, now=press.now)
    await publish(press, "fees")
    await days(press, room, 0, 1)
    await press.harvest(press.change("fees"), press.change("fees", lang="ru"))
    await press.spread()
    await days(press, room, 2)
    assert (reader.got, other.got) == ([], ["fees"])


async def test_who_changes_their_language_is_not_told_again_in_the_late_one(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    await publish(press, "fees")
    await days(press, room, 0, 1)
    await press.subscribing.set_reading(await reader.account(), language="ru")
    await press.harvest(press.change("fees"), press.change("fees", lang="ru"))
    await press.spread()
    await days(press, room, 2)
    assert reader.got == ["fees"]


async def test_what_was_gone_when_its_window_closed_and_came_back_is_in_the_next_digest(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    first = press.change("fees")
    await press.publish(first, press.change("visas"))
    await take_away(press)
    await days(press, room, 0)
    assert reader.got == ["visas"]
    press.now += HOUR
    await press.publish(replace(first, note="It is true.", fingerprint="back"))
    await days(press, room, 1, 2, 3)
    assert reader.got == ["visas", "fees"]


@pytest.mark.parametrize("others", [(), ("visas",)])
async def test_what_was_withdrawn_before_its_digest_went_out_and_came_back_is_in_the_next_one(press, room, others):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    first = press.change("fees")
    await press.publish(first, *(press.change(key) for key in others))
    press.now = EIGHT + GRACE
    [job] = await room.pending(press.now)
    await room.handlers()[job.name](job, Never())
    await press.spread()
    await take_away(press)
    if others:
        press.telegram.answers["1"] = Sent({"messages": [5], "shown": (2,), "more": 0})  # as Telegram says it
    await press.send()
    press.now += HOUR
    await press.publish(replace(first, note="It is true.", fingerprint="back"))
    assert [one.kind for one in reader.letters] == [MessageKind.DIGEST] * len(others)  # nobody had it: nothing follows
    await days(press, room, 1, 2, 3)
    assert [item.release.key for item in reader.letters[-1].items] == ["fees"]
    assert len(reader.letters) == len(others) + 1


async def test_who_had_it_in_a_digest_hears_of_its_coming_back_by_itself_and_in_no_digest(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    first = press.change("fees")
    await press.publish(first)
    await days(press, room, 0)
    await take_away(press)
    await press.send()
    press.now += HOUR
    await press.publish(replace(first, note="It is true.", fingerprint="back"))
    await days(press, room, 1, 2)
    assert [one.kind for one in reader.letters] == ["digest", "withdrawal", "correction"]


async def test_what_a_digest_had_no_room_for_was_not_told_and_nothing_follows_it(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    texts = [press.change(key) for key in ("fees", "visas", "office")]
    await press.publish(*texts)
    press.telegram.answers["1"] = Sent({"messages": [5], "shown": (1, 3), "more": 1})
    await days(press, room, 0)
    press.telegram.answers.clear()
    press.now += HOUR
    await press.publish(*(replace(one, title="Other", note=one.key, fingerprint=f"2{one.key}") for one in texts))
    told = [(one.release.key, one.notes) for one in reader.letters if one.kind is MessageKind.CORRECTION]
    assert sorted(told) == [("fees", ("fees",)), ("office", ("office",))]
    assert [item.release.key for item in reader.letters[-1].earlier[0].items] == ["fees", "office"]


@pytest.mark.parametrize("ended_by", ["its time", "a button", "their coming back"])
async def test_what_came_before_a_pause_is_told_when_it_ends_and_what_came_in_it_is_not(press, room, ended_by):
    reader, other = Reader(press, 1), Reader(press, 2)
    await reader.choose(Cadence.DAILY)
    await other.choose(Cadence.DAILY)
    await publish(press, "fees")
    press.now = EIGHT - HOUR
    end = EIGHT + DAY + HOUR
    await press.subscribing.rest(await reader.account(), None if ended_by == "a button" else end, now=press.now)
    await press.subscribing.rest(await reader.account(), None if ended_by == "a button" else end, now=press.now)
    await days(press, room, 0)
    await publish(press, "meanwhile")
    await days(press, room, 1)
    assert (reader.got, other.got) == ([], ["fees", "meanwhile"])
    if ended_by == "their coming back":
        await press.subscribing.blocked(1, reason="blocked the bot")
    press.now = end
    if ended_by == "a button":
        await press.subscribing.resume(await reader.account(), now=press.now)
    elif ended_by == "their coming back":
        await reader.account()
    await work(press, room)
    assert reader.got == ["fees"]
    await days(press, room, 2, 3)
    assert (reader.got, other.got) == (["fees"], ["fees", "meanwhile"])


async def test_what_waited_for_quiet_hours_when_a_pause_began_is_told_when_it_ends(press, room):
    reader = Reader(press, 1)
    await press.subscribing.set_quiet(await reader.choose(Cadence.DAILY), Quiet(22, 10), now=press.now)
    await publish(press, "fees")
    await days(press, room, 0)
    await press.subscribing.rest(await reader.account(), EIGHT + 6 * HOUR, now=press.now)
    await at(press, EIGHT + 3 * HOUR, room)
    assert reader.got == []
    await at(press, EIGHT + 6 * HOUR, room)
    assert reader.got == ["fees"]


async def test_what_came_before_a_pause_of_weeks_is_old_news_at_its_end(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY)
    await publish(press, "fees")
    await press.subscribing.rest(await reader.account(), EIGHT + 20 * DAY, now=press.now)
    await days(press, room, 20, 21)
    assert reader.got == []


async def test_who_goes_over_to_news_at_once_during_a_pause_is_told_what_came_before_it(press, room):
    reader = Reader(press, 1)
    await reader.choose(Cadence.WEEKLY)
    await publish(press, "fees")
    await press.subscribing.rest(await reader.account(), press.now + DAY, now=press.now)
    await reader.choose(Cadence.IMMEDIATE)
    await work(press, room)
    assert reader.got == []
    await at(press, press.now + DAY, room)
    await publish(press, "afterwards")
    await days(press, room, 9)
    assert reader.got == ["fees", "afterwards"]


async def test_one_persons_tap_matches_their_own_filters_and_makes_no_second_run(press, room):
    for number, topic in enumerate(("visas", "office", "refugees"), 2):
        await Reader(press, number).choose(None, Filter(topics=(topic,)))
    reader = Reader(press, 1)
    await reader.choose(Cadence.DAILY, Filter(topics=("visas", "office"), words=("body",)))
    await publish(press, "fees", topics=("visas",))
    press.now += HOUR  # its own fan-out is done with
    await work(press, room)
    async with press.database.writing() as session:
        await session.execute(delete(MATCH))
    for cadence in (Cadence.IMMEDIATE, Cadence.DAILY, Cadence.IMMEDIATE, Cadence.DAILY, Cadence.IMMEDIATE):
        press.now += timedelta(minutes=1)
        await reader.choose(cadence, Filter(topics=("visas", "office"), words=("body",)))
        await work(press, room)
    assert reader.got == ["fees"]
    async with press.database.reading() as session:
        matched = select(FILTER.c.canonical).join_from(MATCH, FILTER, FILTER.c.id == MATCH.c.filter_id)
        assert set(await session.scalars(matched)) == {"topic=office,visas&q=body"}
        runs = select(func.count()).where(MESSAGE.c.kind == MessageKind.DIGEST)
        assert await session.scalar(runs) == 1


async def test_two_who_become_one_while_a_digest_has_reached_one_of_them_miss_nothing_of_the_other(press):
    press.mail.tells |= BY_MAIL
    room = Digests(press.database, DigestSettings(), clock=lambda: press.now, wake=press.wake)
    mover, there = MailReader(press, "a@example.org"), MailReader(press, "b@example.org")
    await mover.wants("daily", "topic=visas")
    await there.wants("daily", "topic=visas")
    await there.wants("daily", "topic=refugees")
    await publish(press, "both", topics=("visas", "refugees"))
    await publish(press, "theirs", topics=("refugees",))
    press.mail.answers[there.address] = Later("450 4.2.1 later")
    await at(press, EIGHT + GRACE, room)
    async with press.database.writing() as session:
        await relocate(session, mover.id, there.address, press.now)
    press.mail.answers.clear()
    await work(press, room)
    assert mover.got == ["digest both", "digest theirs"]
    assert mover.letters[-1].address == there.address
    await publish(press, "next", topics=("refugees",))
    await at(press, EIGHT + DAY + GRACE, room)
    assert mover.got[2:] == ["digest next"]
    assert len(there.letters) == 1  # the try that was put off
