"""The clock is set back while the service runs, or between two runs: nothing waits for it to come there again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bots.telegram.kept import BOT, Pause, chat_scope, crowd_scope
from bots.telegram.limits import Pacer
from bots.telegram.reach import Reach
from bots.telegram.sizing import Size
from bots.telegram.transport import NotSent

HOUR = timedelta(hours=1)


def sent(pacer, chat, now):
    """Send to that chat, if it may be at that moment; whether it was."""
    ticket = pacer.ask(chat)
    if pacer.turn(ticket, now) > now:
        pacer.leave(ticket)
        return False
    pacer.answered(chat, now)
    return True


async def test_a_line_that_was_down_is_tried_though_the_clock_went_back_an_hour(now, later):
    async def nobody():
        raise NotSent("refused")

    reach = Reach()
    for _ in range(2):
        with pytest.raises(NotSent):
            await reach.call(nobody, lambda: now)
    assert reach.held_until(later(1)) is not None
    assert reach.held_until(now - HOUR) is None

    async def taken():
        return "sent"

    assert await reach.call(taken, lambda: now - HOUR) == "sent"
    assert reach.is_up


def test_how_much_is_claimed_is_looked_at_again_after_the_clock_went_back(now, later):
    size = Size(Pacer())
    size.look(now)
    size.now += 3
    size.look(now - HOUR)
    assert size._looked == now - HOUR


@pytest.mark.parametrize("chat", [7, -1007])
def test_a_message_goes_a_second_after_the_one_before_it_though_the_clock_went_back_an_hour(now, later, chat):
    pacer = Pacer()
    for second in range(0, 60, 2):
        sent(pacer, chat, later(second))
    back = later(60) - HOUR
    went = [second for second in range(120) if sent(pacer, chat, back + timedelta(seconds=second))]
    assert went[0] <= 3
    assert 38 <= len(went) <= (60 if chat > 0 else 40)


def test_a_pause_stays_as_long_as_it_was_made_for_and_no_longer(now, later):
    pacer = Pacer()
    pacer.too_many(7, 30, now)
    pacer.too_many(8, 30, later(1))
    assert pacer.held_until(later(2)) == later(31)
    back = later(2) - HOUR
    assert pacer.held_until(back) == later(31) - HOUR
    assert pacer.held_until(back + timedelta(seconds=30)) is None


@pytest.mark.parametrize(
    ("kept", "chat", "seconds"),
    [
        (Pause(BOT, HOUR, "429 from two chats: 30 s"), 9, 30),
        (Pause(chat_scope(7), HOUR, "429: 5 s"), 7, 5),
        (Pause(crowd_scope(-1007), HOUR, "20 in the last minute"), -1007, 62),
    ],
)
def test_what_was_kept_by_a_process_whose_clock_was_ahead_holds_no_longer_than_it_was_made_for(
    now, kept, chat, seconds
):
    pacer = Pacer()
    pacer.restore([Pause(kept.scope, now + kept.until, kept.reason)], now)
    assert sent(pacer, chat, now + timedelta(seconds=seconds - 2)) is False
    assert sent(pacer, chat, now + timedelta(seconds=seconds + 1)) is True


def test_a_pause_of_hours_that_was_made_for_hours_is_kept_over_a_restart(now):
    made = Pacer()
    (pause,) = made.too_many(7, 7200, now)
    pacer = Pacer()
    pacer.restore([pause], now + HOUR)
    assert pacer.paused_until(7, now + HOUR) == now + 2 * HOUR


def test_a_clock_that_is_slewed_by_a_second_or_two_moves_nothing(now, later):
    pacer = Pacer()
    pacer.too_many(7, 30, later(10))
    pacer.held_until(later(8))
    assert pacer.paused_until(7, later(8)) == later(40)
