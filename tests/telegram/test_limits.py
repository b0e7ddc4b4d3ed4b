"""The pace: when may we send, and what a 429 does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bots.telegram.limits import BOT, Pacer

PATIENT = timedelta(days=1)


def sent(pacer, chats, now):
    """When each goes, in seconds from now, if all wait as long as they must."""
    return [(pacer.reserve(chat, now, PATIENT) - now).total_seconds() for chat in chats]


def test_a_person_gets_one_message_a_second(now):
    assert sent(Pacer(1000), [7, 7, 7], now) == [0, 1, 2]


def test_different_people_do_not_wait_for_each_other(now):
    assert max(sent(Pacer(1000), range(1, 100), now)) < 0.1


def test_the_bot_never_passes_thirty_in_any_second(now):
    times = sent(Pacer(25), range(1, 200), now)
    for start in times:
        assert sum(start <= one < start + 1 for one in times) <= 30
    assert times[-1] == pytest.approx((199 - 5) / 25, abs=0.1)


@pytest.mark.parametrize("chat", [-100123, "@news"])
def test_a_channel_gets_twenty_in_any_minute(now, chat):
    times = sent(Pacer(1000), [chat] * 50, now)
    for start in times:
        assert sum(start <= one < start + 60 for one in times) <= 20
    assert times[20] == 60


def test_a_slot_that_is_too_far_away_is_not_taken(now, later):
    pacer = Pacer(1000)
    pacer.reserve(7, now, timedelta(0))
    assert pacer.reserve(7, now, timedelta(0)) == later(1)
    assert pacer.reserve(7, now, timedelta(0)) == later(1)
    assert pacer.free_at(7, later(1)) == later(1)


def test_a_429_pauses_its_chat_and_no_other(now, later):
    pacer = Pacer()
    assert [pause.scope for pause in pacer.too_many(7, 30, now)] == ["chat:7"]
    assert pacer.free_at(7, now) == later(30)
    assert pacer.free_at(8, now) == now


@pytest.mark.parametrize(("gap", "whole_bot"), [(10, True), (11, False)])
def test_two_chats_within_ten_seconds_pause_the_bot(now, later, gap, whole_bot):
    pacer = Pacer()
    pacer.too_many(7, 60, now)
    pauses = pacer.too_many(8, 60, later(gap))
    assert (BOT in [pause.scope for pause in pauses]) is whole_bot
    assert (pacer.paused_until(9, later(gap)) is not None) is whole_bot


def test_the_same_chat_twice_is_not_two_chats(now, later):
    pacer = Pacer()
    pacer.too_many(7, 60, now)
    pacer.too_many(7, 60, later(1))
    assert pacer.paused_until(9, later(1)) is None


def test_a_restart_keeps_pauses_and_the_longer_one_holds(now, later):
    pacer = Pacer()
    pacer.too_many(7, 10, now)
    pacer.restore({"chat:7": later(5), BOT: later(43_837)})
    assert pacer.free_at(7, now) == later(43_837)
    assert pacer.paused_until(7, later(43_837)) is None


def test_a_chatterbox_holds_up_nobody_for_long(now, later):
    pacer = Pacer(25)
    for _ in range(10_000):
        pacer.note(7, now)
    assert pacer.free_at(8, now) <= later(1.1)
