"""How much of one chat's is listened to: what a person can do is, what a program can is not."""

from __future__ import annotations

import asyncio

import pytest
from telegram import Chat, Message, Update, User

from bots.telegram import turnstile
from bots.telegram.desk import Desk
from bots.telegram.turnstile import BURST, EVERY, KNOWN, Turnstile, Way


class Line:
    """A turnstile on a clock of the test's."""

    def __init__(self, free=()):
        self.now, self.number = 0.0, 0
        self.turnstile = Turnstile(free, lambda: self.now)

    def update(self, chat=7, name=None, kind="private"):
        self.number += 1
        message = Message(1, None, Chat(chat, kind, username=name), from_user=User(chat, "A", is_bot=False), text="hi")
        return Update(self.number, message=message)

    def ways(self, count, **values):
        return [self.turnstile.way(self.update(**values)) for _ in range(count)]


def test_who_taps_quickly_is_heard_and_who_floods_is_told_once_and_then_not_heard():
    line = Line()
    assert line.ways(BURST) == [Way.IN] * BURST
    assert line.ways(1000) == [Way.SLOWER, *[Way.OUT] * 999]
    assert line.ways(3, chat=8) == [Way.IN] * 3
    line.now += EVERY * BURST / 4
    assert line.ways(2) == [Way.OUT] * 2
    line.now += EVERY * BURST / 4
    assert line.ways(BURST) == [*[Way.IN] * (BURST // 2), Way.SLOWER, *[Way.OUT] * (BURST // 2 - 1)]


def test_thirty_a_minute_are_heard_for_ever():
    line = Line()
    for _ in range(200):
        line.now += EVERY
        assert line.ways(1) == [Way.IN]


@pytest.mark.parametrize(
    ("chat", "name"), [(-1007, None), (-1008, "Press"), (77, None), (-1009, "forum"), (-1010, "news"), (-10011, None)]
)
def test_the_offices_own_chats_have_no_limit(chat, name):
    line = Line([-1007, "@press", "77", "", "https://t.me/Forum", "t.me/news/5", "-10011/5"])
    assert set(line.ways(500, chat=chat, name=name)) == {Way.IN}


def test_chats_without_number_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(turnstile, "KNOWN", 50)
    line = Line()
    for chat in range(1, 200):
        line.ways(1, chat=chat)
    assert len(line.turnstile._chats) == 50
    assert KNOWN == 10_000


async def test_what_is_too_much_is_neither_handled_nor_brought_again():
    line = Line()
    handled, slowed = [], []

    async def handle(update):
        handled.append(update.update_id)

    async def slow(update):
        slowed.append(update.update_id)

    desk = Desk(handle, turnstile=line.turnstile, slow=slow)
    updates = [line.update() for _ in range(BURST + 20)]
    for update in [*updates, *updates]:
        desk.take(update)
    assert await desk.done([one.update_id for one in updates], 5)
    await asyncio.sleep(0)
    line.now += 3600
    for update in updates:
        desk.take(update)
    await desk.rest(5)
    assert handled == [one.update_id for one in updates[:BURST]]
    assert slowed == [updates[BURST].update_id]


@pytest.mark.parametrize(
    ("language", "said"), [("az", "Bir anda"), ("en", "too much at once"), ("ru", "Слишком много сразу")]
)
async def test_a_flood_is_answered_once_in_the_persons_language_and_holds_up_nobody(
    double, talk, chats, language, said
):
    for _ in range(BURST + 50):
        last = double.say(7, "/help", language=language)
    await talk(last)
    await double.until(lambda: len(double.seen(7)) > BURST)
    assert [said in one["text"] for one in double.seen(7)] == [False] * BURST + [True]
    await talk(double.say(8, "/help"))
    assert len(double.seen(8)) == 1


async def test_blocking_is_heard_whatever_came_before_it(double, talk, chats):
    for _ in range(BURST + 5):
        last = double.say(7, "/help")
    await talk(last)
    await talk(double.block(7))
    assert chats.people[7].paused
