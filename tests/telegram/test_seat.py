"""The bot's seat among several processes: one sender whoever sits there, and nothing twice when it changes hands."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from telegram.error import TelegramError

from bots.telegram.naming import KeptName
from bots.telegram.transport import AiohttpRequest, NotOurs
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.store import ledger, subscriptions
from syndicator.store.database import DatabaseTrouble
from syndicator.store.subscriptions import Consent
from tests.telegram.agency import Agency, Clock
from tests.telegram.double import TelegramDouble

PEOPLE = range(11, 41)


class Present:
    """A process's attendance, as it knows of it itself."""

    def __init__(self, number):
        self.number, self.sure = number, True

    def is_sure(self):
        return self.sure


class Machine(Agency):
    """A process with the role bot; `seat` is what it runs while it has the seat."""

    def __init__(self, number, *given, **values):
        self.attendance = Present(number)
        super().__init__(*given, attendance=self.attendance, **values)
        self.hands = None
        self.seat = self.telegram.seat(self.made, self.delivery.finish)

    def made(self):
        """What works in the seat, each time that it is taken; the house has the bell wake it."""
        self.hands = self.engine()
        return self.hands

    async def sit(self):
        polls = len(self.double.made("getUpdates"))
        await self.seat.start()
        await self.double.until(lambda: len(self.double.made("getUpdates")) > polls)

    async def prepare(self):
        """People who read everything, and a release that is about to be sent to them."""
        async with self.database.writing() as session:
            for chat in PEOPLE:
                self.double.started.add(chat)
                who = await subscriptions.ensure(
                    session, ChannelKind.TELEGRAM, str(chat), language="en", timezone="Asia/Baku", now=self.clock()
                )
                await subscriptions.subscribe(
                    session,
                    who.id,
                    parse(""),
                    cadence=Cadence.IMMEDIATE,
                    state=SubscriptionState.ACTIVE,
                    consent=Consent(self.clock(), "bot", "yes"),
                    now=self.clock(),
                )

    async def told(self, times=1):
        """Everybody has it; time goes on meanwhile, and the seat notices."""
        for _ in range(400):
            if len(set(sent(self.double))) == len(PEOPLE) and len(sent(self.double)) >= times * len(PEOPLE):
                return
            self.clock.now += timedelta(seconds=0.5)
            self.hands.wake()
            await asyncio.sleep(0.01)
        raise AssertionError(f"only {len(sent(self.double))} messages")

    async def close(self):
        await self.seat.stop()
        await super().close()


@pytest.fixture
async def machine(sqlite_url, tmp_path, site, taxonomy, texts, now):
    """Makes machines on one database, over one double that keeps to Telegram's limits; time is the test's own."""
    clock, machines = Clock(now), []
    async with TelegramDouble(clock=clock.seconds, limits=True) as double:

        def made(**settings):
            rooms = {"site": site, "taxonomy": taxonomy, "texts": texts}
            machines.append(Machine(len(machines) + 1, sqlite_url, tmp_path, double, clock, **rooms, **settings))
            return machines[-1]

        yield made
        for one in machines:
            await one.close()


@pytest.fixture
async def office(machine):
    """Two of them; the first one sits."""
    first, second = machine(), machine()
    await first.prepare()
    await first.sit()
    return first, second


def sent(double):
    return [given["chat_id"] for given in double.made("sendMessage")]


# -- changing hands
async def test_who_leaves_has_told_all_that_it_began_with_and_the_next_goes_on(office):
    first, second = office
    double = first.double
    publishing = asyncio.create_task(first.publish("a", en="About visas"))
    await double.until(lambda: len(sent(double)) >= 5)
    await asyncio.gather(publishing, first.seat.stop())
    await second.sit()
    await second.told()
    assert Counter(sent(double)) == Counter(PEOPLE)
    assert not double.duplicates()
    assert double.limits.given == 0


async def test_who_was_frozen_and_taken_for_dead_says_nothing_more_and_nobody_hears_it_twice(office):
    first, second = office
    double = first.double
    publishing = asyncio.create_task(first.publish("a", en="About visas"))
    await double.until(lambda: len(sent(double)) >= 5)
    first.attendance.sure = False  # it goes on where it was, and finds out at the next step
    before = len(double.calls)
    async with first.database.writing() as session:
        await ledger.recover(session, first.clock())
    await asyncio.gather(publishing, return_exceptions=True)
    frozen = [method for method, _ in double.calls[before:]]
    assert len(frozen) <= first.telegram.channel.lanes, "what had left before may still arrive"
    await second.sit()
    await second.told()
    double.say(99, "/help")
    await double.until(lambda: double.seen(99))
    await first.seat.stop()
    assert all(count <= 2 for count in Counter(sent(double)).values())
    assert sum(count - 1 for count in Counter(sent(double)).values()) <= len(frozen) + 8
    assert len(double.seen(99)) == 1


async def test_who_comes_back_under_another_number_does_not_go_on_with_the_seat(office):
    first, _ = office
    first.attendance.number = 7  # sure of itself again, and somebody else
    with pytest.raises(NotOurs):
        await first.bot.sender.send_message(11, "hello")
    assert sent(first.double) == []


async def test_the_ledger_hears_nothing_late_of_who_was_taken_for_dead(office):
    first, second = office
    await first.publish("a", en="About visas")
    first.attendance.sure = False
    assert first.telegram.channel.ready_at(first.clock()) is None  # it is not the line that is down
    await first.seat.stop()
    await second.sit()
    await second.told()
    assert Counter(sent(first.double)) == Counter(PEOPLE)


@pytest.mark.parametrize("new", [True, False], ids=["a new process", "the same process again"])
async def test_a_takeover_keeps_a_second_of_silence_and_the_budget(office, machine, new):
    first, second = office
    double, clock = first.double, first.clock
    times, real = [], double.limits.ask

    def asked(chat):
        times.append(clock())
        return real(chat)

    double.limits.ask = asked
    await first.publish("a", en="About visas")
    await first.told()
    await first.seat.stop()
    left = clock()
    taking = second if new else first
    await taking.sit()
    await taking.publish("b", en="More about visas")
    await taking.told(times=2)
    second_of_silence = timedelta(seconds=1)
    assert min(one for one in times if one > left) >= left + second_of_silence
    assert max(sum(at <= one < at + second_of_silence for one in times) for at in times) <= 30
    assert double.limits.given == 0


async def test_a_pause_of_the_one_before_is_kept_by_the_next(office):
    first, second = office
    double = first.double
    await first.bot.pace.flooded(11, 400, first.clock())
    await first.bot.pace.flooded(12, 400, first.clock())  # two chats: the bot as a whole is too fast
    await first.seat.stop()
    await second.sit()
    paused_until = second.telegram.channel.ready_at(second.clock())
    assert paused_until is not None
    assert paused_until >= first.clock() + timedelta(seconds=399)
    await second.publish("a", en="About visas")
    assert sent(double) == []


async def test_a_pause_that_could_not_be_kept_is_kept_when_the_seat_is_left(office, monkeypatch):
    first, second = office
    keep = first.bot.pace._pauses.keep

    async def broken(_):
        raise DatabaseTrouble("gone")

    monkeypatch.setattr(first.bot.pace._pauses, "keep", broken)
    await first.bot.pace.flooded(11, 40, first.clock())
    monkeypatch.setattr(first.bot.pace._pauses, "keep", keep)
    await first.seat.stop()
    await second.sit()
    assert second.bot.pacer.paused_until(11, second.clock()) is not None


# -- hearing
async def test_updates_are_heard_once_and_no_409_meets_the_next(office, capsys):
    first, second = office
    double = first.double
    double.say(7, "/help")
    await double.until(lambda: double.seen(7) and not double.pending)
    leaving = asyncio.create_task(first.seat.stop())
    double.say(8, "/help")
    await leaving
    await second.sit()
    await double.until(lambda: double.seen(8) and not double.pending)
    assert [len(double.seen(chat)) for chat in (7, 8)] == [1, 1]
    out = capsys.readouterr().out
    assert "another program" not in out
    assert first.bot.trouble == second.bot.trouble == ""


async def test_who_was_taken_for_dead_polls_no_more_and_tells_the_operator_of_no_second_program(office, capsys):
    first, second = office
    double = first.double
    first.attendance.sure = False
    await second.sit()  # ends the poll that was under way
    for chat in (7, 8, 9):
        double.say(chat, "/help")
        await double.until(lambda chat=chat: double.seen(chat))
    await asyncio.sleep(0.05)
    await first.seat.stop()
    double.say(10, "/help")
    await double.until(lambda: double.seen(10) and not double.pending)
    assert [len(double.seen(chat)) for chat in (7, 8, 9, 10)] == [1] * 4
    assert "another program" not in capsys.readouterr().out


async def test_the_seat_may_be_taken_and_left_again_and_again_by_one_process(office):
    first, _ = office
    for chat in (7, 8, 9):
        first.double.say(chat, "/help")
        await first.double.until(lambda chat=chat: first.double.seen(chat) and not first.double.pending)
        await first.seat.stop()
        await first.seat.stop()
        await first.sit()
    assert [len(first.double.seen(chat)) for chat in (7, 8, 9)] == [1] * 3


async def test_a_call_that_was_connecting_when_the_process_was_frozen_is_not_made(double):
    asked = iter([True, False])
    request = AiohttpRequest(may=lambda: next(asked))
    with pytest.raises(NotOurs):
        await request.post(f"{double.url}/bot{double.token}/getMe")
    await request.shutdown()
    assert double.calls == []


async def test_nothing_is_sent_by_a_bot_that_has_no_seat(machine):
    one = machine()
    with pytest.raises(TelegramError, match="no longer"):
        await one.bot.sender.send_message(11, "hello")
    assert one.double.calls == []


async def test_pages_of_machines_without_the_bot_know_its_name(office):
    first, second = office
    await first.double.until(lambda: first.telegram.username)
    elsewhere = KeptName(second.database, 4242)
    for _ in range(100):
        await elsewhere.read()
        if elsewhere.current:
            break
        await asyncio.sleep(0.01)
    assert elsewhere.current == first.bot.username
    other = KeptName(second.database, 77)
    await other.read()
    assert other.current == ""
