"""How many letters are claimed at a time."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from bots.telegram.limits import Pacer
from bots.telegram.sizing import Size, least, most


def broadcast(size, pacer, now, *, every, seconds):
    """Send one message each so many seconds (as soon as there is a slot, if that is later); returns the sizes."""
    seen, moment = [], now
    while moment < now + timedelta(seconds=seconds):
        chat, moment = int(moment.timestamp() * 1000), moment + timedelta(seconds=every)
        ticket = pacer.ask(chat)
        while (when := pacer.turn(ticket, moment)) > moment:
            moment = when
        pacer.answered(chat, moment)
        size.look(moment)
        seen.append(size.now)
    return seen


@pytest.mark.parametrize(
    ("per_second", "few", "many"), [(1, 1, 5), (25, 1, 5), (50, 1, 5), (100, 2, 6), (1000, 20, 24)]
)
def test_the_bounds_follow_the_budget(per_second, few, many):
    assert (least(per_second), most(per_second)) == (few, many)


def test_a_machine_that_uses_its_budget_claims_one_at_a_time(now):
    pacer = Pacer(25)
    assert set(broadcast(Size(pacer), pacer, now, every=0.01, seconds=20)) == {1}


def test_a_machine_that_is_too_slow_claims_more_and_less_again_once_it_is_not(now):
    pacer = Pacer(25)
    size = Size(pacer)
    slow = broadcast(size, pacer, now, every=0.06, seconds=20)
    assert (slow[0], slow[-1]) == (1, 5)
    assert max(b - a for a, b in pairwise(slow)) == 1
    quick = broadcast(size, pacer, now + timedelta(seconds=20), every=0.01, seconds=20)
    assert quick[-1] == 1


def test_after_a_silence_it_begins_with_one_again(now):
    pacer = Pacer(25)
    size = Size(pacer)
    broadcast(size, pacer, now, every=0.06, seconds=20)
    assert broadcast(size, pacer, now + timedelta(minutes=5), every=0.06, seconds=0.5)[-1] == 1
