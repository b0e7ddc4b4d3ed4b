"""Answers under 429: given later, once, in order, and never lost in silence."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from telegram.error import BadRequest, Forbidden, NetworkError

from bots.telegram.talk.waiting import IN_LINE, Answers
from bots.telegram.transport import Flooded


class Chat:
    """Takes answers, after refusing as told."""

    def __init__(self, *refusals):
        self.refusals, self.got, self.calls = list(refusals), [], 0

    def says(self, what):
        async def call():
            self.calls += 1
            if self.refusals:
                raise self.refusals.pop(0)
            self.got.append(what)

        return call


@pytest.fixture
def office(time):
    """Answers whose waits take no time, and what they said meanwhile."""

    class Office:
        told, slowed, gone = [], [], []

        def __init__(self):
            self.told, self.slowed, self.gone = [], [], []
            self.answers = Answers(
                gone=self.went,
                slowed=self.slower,
                told=self.told.append,
                sleep=self.sleep,
            )

        async def slower(self, chat, seconds):
            self.slowed.append((chat, seconds))

        async def went(self, chat, reason):
            self.gone.append((chat, reason))

        async def sleep(self, seconds):
            await time.sleep(seconds)
            await asyncio.sleep(0)

        async def done(self):
            while self.answers._tasks:
                await asyncio.sleep(0)

    return Office()


def flood(seconds):
    return Flooded(seconds)


async def test_a_fault_of_ours_loses_an_answer_and_never_shuts_its_person_out(office):
    async def broken(chat, seconds):
        raise RuntimeError("the pause cannot be kept")

    office.answers._slowed = broken
    chat = Chat(flood(7))
    await office.answers.give(7, chat.says("lost"))
    await office.done()
    await office.answers.give(7, chat.says("hello"))
    assert (chat.got, office.told) == (["hello"], ["lost", "sent"])


async def test_an_answer_waits_as_long_as_asked_and_is_given_once(office, time):
    chat = Chat(flood(7))
    await office.answers.give(7, chat.says("hello"))
    assert chat.got == []
    await office.done()
    assert chat.got == ["hello"]
    assert chat.calls == 2
    assert 7 <= time.now < 8
    assert (office.told, office.slowed) == (["waited"], [(7, 7.0)])
    await office.answers.give(7, chat.says("again"))
    assert chat.got == ["hello", "again"]
    assert office.told == ["waited", "sent"]


async def test_answers_to_one_chat_keep_their_order_behind_one_that_waits(office):
    chat = Chat(flood(3), flood(2))
    for what in "abc":
        await office.answers.give(7, chat.says(what))
    await office.done()
    assert chat.got == ["a", "b", "c"]
    assert chat.calls == 5


async def test_a_chat_that_waits_holds_nobody_else_up(office):
    slow, quick = Chat(flood(50)), Chat()
    await office.answers.give(7, slow.says("later"))
    await office.answers.give(8, quick.says("now"))
    assert (slow.got, quick.got) == ([], ["now"])
    await office.done()


@pytest.mark.parametrize("refusals", [(61,), (3600,), (40, 30), (20, 20, 21)])
async def test_more_than_a_minute_is_not_waited_for_and_that_is_said(office, time, refusals):
    chat = Chat(*map(flood, refusals))
    with capture_logs() as logs:
        await office.answers.give(7, chat.says("hello"))
        await office.done()
    assert chat.got == []
    assert time.now < 61
    assert office.told == ["lost"]
    (line,) = [one for one in logs if one["log_level"] == "warning"]
    assert line["event"] == "telegram dialogue: answers were not given"
    assert line["answers"] == 1
    await office.answers.give(7, chat.says("after"))
    assert chat.got == ["after"]


async def test_a_line_is_bounded_and_the_oldest_goes(office):
    chat = Chat(flood(5))
    for number in range(IN_LINE + 3):
        await office.answers.give(7, chat.says(number))
    await office.done()
    assert chat.got == list(range(3, IN_LINE + 3))
    assert office.told.count("lost") == 3


async def test_the_newest_screen_of_a_message_takes_the_turn_of_the_one_that_waits_for_it(office):
    chat = Chat(flood(5), flood(5))
    for number in range(30):
        await office.answers.give(7, chat.says(f"screen {number}"), place=100)
    await office.answers.give(7, chat.says("a message"))
    for number in range(30, 60):
        await office.answers.give(7, chat.says(f"screen {number}"), place=100)
        await office.answers.give(7, chat.says(f"other {number}"), place=101)
    await office.done()
    assert chat.got == ["screen 59", "a message", "other 59"]
    assert "lost" not in office.told


async def test_a_screen_that_is_under_way_while_a_newer_one_comes_does_not_come_after_it(office):
    chat = Chat(flood(5))

    async def refused_while_another_comes():
        await office.answers.give(7, chat.says("new"), place=100)
        raise flood(3)

    await office.answers.give(7, chat.says("first"), place=99)
    await office.answers.give(7, refused_while_another_comes, place=100)
    await office.done()
    assert chat.got == ["first", "new"]


async def test_no_chat_of_a_person_is_logged(office):
    chat = Chat(flood(61))
    with capture_logs() as logs:
        await office.answers.give(70077, chat.says("hello"))
        await office.done()
        await office.answers.close()
    assert [one["answers"] for one in logs] == [1]
    assert "70077" not in str(logs)


async def test_who_blocks_us_while_an_answer_waits_is_told_of(office):
    chat = Chat(flood(5), Forbidden("Forbidden: bot was blocked by the user"))
    await office.answers.give(7, chat.says("hello"))
    await office.done()
    assert office.gone == [(7, "Forbidden: bot was blocked by the user")]
    assert office.told == ["lost"]


@pytest.mark.parametrize("error", [NetworkError("away"), BadRequest("no"), ValueError("a bug")])
async def test_one_that_fails_for_good_does_not_keep_the_next_from_its_reader(office, error):
    chat = Chat(flood(5), error)
    await office.answers.give(7, chat.says("lost"))
    await office.answers.give(7, chat.says("next"))
    await office.done()
    assert chat.got == ["next"]
    assert office.told == ["lost", "waited"]


async def test_what_fails_at_once_is_the_callers(office):
    with pytest.raises(Forbidden):
        await office.answers.give(7, Chat(Forbidden("no")).says("hello"))
    assert office.told == ["lost"]


async def test_a_stop_says_what_it_loses(office):
    async def never(seconds):
        await asyncio.Event().wait()

    office.answers._sleep = never
    chat = Chat(flood(5))
    for what in "ab":
        await office.answers.give(7, chat.says(what))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await office.answers.close()
        await office.answers.close()
    assert [one["answers"] for one in logs] == [2]
    assert office.told == ["lost", "lost"]
