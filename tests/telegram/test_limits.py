"""The pace: when may we send, and what a 429 does."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bots.telegram.kept import BOT, Pause
from bots.telegram.limits import Pacer, Rank, ceiling
from bots.telegram.sizing import LANES
from tests.telegram.conftest import NOW
from tests.telegram.pacing import Peer, World, sent

CHATS = st.one_of(st.integers(1, 40), st.sampled_from([-1001, -1002, "@news"]))
WISHES = st.lists(
    st.tuples(st.floats(0, 20), CHATS, st.sampled_from([Rank.URGENT, Rank.NORMAL])), min_size=1, max_size=150
)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


# -- the limits, held against a peer that counts by itself
@hypothesis_settings(max_examples=25, deadline=None)
@given(WISHES, st.integers(1, 8), st.integers(0, 2**32))
def test_whatever_comes_and_however_slow_the_line_is_no_limit_is_passed(wishes, lanes, seed):
    dice, peer = random.Random(seed), Peer()
    slow = dice.choice([0.001, 0.05, 0.5, 3.0])
    to, fro = (lambda: dice.uniform(0, slow)), (lambda: dice.uniform(0, slow))
    World(Pacer(25), peer, NOW, lanes=lanes, out=to, back=fro).send(wishes)
    assert len(peer.taken) == len(wishes)
    assert peer.excesses() == []


@hypothesis_settings(max_examples=10, deadline=None)
@given(st.floats(0.001, 0.1), st.integers(0, 2**32))
def test_a_long_broadcast_reaches_its_budget_though_the_line_stutters(slow, seed):
    dice, peer = random.Random(seed), Peer()
    stutter = iter(range(10**9))

    def out():
        return 0.4 if next(stutter) % 60 == 0 else dice.uniform(0, slow)  # now and then something stands still

    World(Pacer(25), peer, NOW, out=out).send((0, chat, Rank.NORMAL) for chat in range(1, 1001))
    assert peer.excesses() == []
    assert peer.rate() >= 0.95 * 25


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("stutter", [0.0, 0.05])
@pytest.mark.parametrize("trip", [0.2, 0.3])
def test_a_long_broadcast_reaches_its_budget_over_a_long_line(trip, stutter, seed):
    dice, peer = random.Random(seed), Peer()
    there = dice.uniform(0.1, 0.9)  # of the trip: nobody but the peer knows when a message arrives
    to, fro = (lambda: trip * there + dice.uniform(0, stutter)), (lambda: trip * (1 - there) + dice.uniform(0, stutter))
    World(Pacer(25), peer, NOW, lanes=LANES, out=to, back=fro).send((0, n, Rank.NORMAL) for n in range(1, 1001))
    assert peer.excesses() == []
    assert peer.rate() >= 0.95 * 25


@hypothesis_settings(max_examples=10, deadline=None)
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.lists(st.tuples(st.integers(1, 99), st.floats(0, 0.05)), min_size=1, max_size=6),
)
def test_a_line_that_becomes_quicker_or_slower_by_a_tenth_of_a_second_passes_no_limit(there, again, stretches):
    delays, peer = (more for number, more in stretches for _ in range(number)), Peer()
    world = World(
        Pacer(25), peer, NOW, lanes=50, out=lambda: there + next(delays, 0), back=lambda: again + next(delays, 0)
    )
    world.send((0, n, Rank.NORMAL) for n in range(1, 301))
    assert peer.excesses() == []


@pytest.mark.parametrize(("budget", "most"), [(1, 1), (5, 6), (25, 30), (30, 30), (100, 120), (1000, 1000)])
def test_no_second_has_more_than_a_fifth_over_the_budget_nor_more_than_telegram_takes(budget, most):
    assert ceiling(budget) == most
    peer = Peer(most)
    people = [(0, chat, Rank.NORMAL) for chat in range(1, 2 * budget + 10)]
    World(Pacer(budget), peer, NOW, lanes=min(most, 150)).send(people)
    assert peer.excesses() == []
    assert peer.rate() >= 0.95 * budget


def test_answers_in_a_dialogue_wait_for_nobody_and_broadcasts_make_room():
    peer = Peer()
    notes = [(0.2 * step, 5000 + step) for step in range(50)]
    wishes = [(0, chat, Rank.NORMAL) for chat in range(1, 400)]
    World(Pacer(25), peer, NOW).send(wishes, notes)
    assert peer.excesses() == []
    answered = {chat: moment for moment, chat in peer.taken if chat >= 5000}
    assert all(answered[chat] == later(seconds) for seconds, chat in notes)


def test_a_person_gets_one_message_a_second():
    assert sent(Pacer(1000), [7, 7, 7], NOW) == pytest.approx([0, 1, 2], abs=0.01)


def test_different_people_do_not_wait_for_each_other():
    assert max(sent(Pacer(1000), range(1, 100), NOW)) < 0.1


@pytest.mark.parametrize("chat", [-100123, "@news"])
def test_a_channel_gets_twenty_in_any_minute(chat):
    times = sent(Pacer(1000), [chat] * 50, NOW)
    for start in times:
        assert sum(start <= one < start + 60 for one in times) <= 20
    assert times[20] == pytest.approx(60, abs=0.01)


def test_a_channels_name_and_its_number_are_one_chat():
    pacer = Pacer(1000)
    sent(pacer, ["@News"] * 12, NOW)
    pacer.too_many("@news", 5, later(20))
    pacer.same("@NEWS", -1001)
    times = [20 + seconds for seconds in sent(pacer, [-1001] * 9, later(20))]
    assert times[0] == 25, "the pause holds under the other name"
    assert times[7] < 60 <= times[8], "twelve and eight are twenty"


def test_a_slot_that_is_too_far_away_is_not_taken():
    pacer = Pacer(1000)
    sent(pacer, [7], NOW)
    ticket = pacer.ask(7)
    when = pacer.turn(ticket, NOW)
    assert later(1) < when < later(1.01)
    assert pacer.turn(ticket, NOW) == when
    pacer.leave(ticket)
    assert pacer.free_at(7, when) == when


# -- who goes first
def test_channels_and_then_urgent_news_get_slots_before_broadcasts_that_wait_as_well():
    people = [(0, chat, Rank.NORMAL) for chat in range(1, 41)]
    others = [(0.5, -1001, Rank.CHANNEL), (0.5, 99, Rank.URGENT), (0.5, 98, Rank.LATER)]
    went = World(Pacer(5), Peer(), NOW, lanes=60).send([*people, *others])
    assert went.index(-1001) == went.index(99) - 1 < 10
    assert went[-1] == 98


def test_who_waits_for_its_own_chat_holds_up_nobody():
    pacer, peer = Pacer(25), Peer()
    pacer.too_many(99, 60, NOW)
    others = ((0, chat, Rank.NORMAL) for chat in range(100, 199))
    World(pacer, peer, NOW).send([(0, 99, Rank.URGENT), *others])
    assert sorted(moment for moment, _ in peer.taken)[-2] < later(5)


# -- 429
def test_a_429_pauses_its_chat_and_no_other():
    pacer = Pacer()
    assert [pause.scope for pause in pacer.too_many(7, 30, NOW)] == ["chat:7"]
    assert pacer.free_at(7, NOW) == later(30)
    assert pacer.free_at(8, NOW) == NOW


@pytest.mark.parametrize(("gap", "whole_bot"), [(10, True), (11, False)])
def test_two_chats_within_ten_seconds_pause_the_bot(gap, whole_bot):
    pacer = Pacer()
    pacer.too_many(7, 60, NOW)
    pauses = pacer.too_many(8, 60, later(gap))
    assert (BOT in [pause.scope for pause in pauses]) is whole_bot
    assert (pacer.paused_until(9, later(gap)) is not None) is whole_bot


@pytest.mark.parametrize(
    ("dialogues", "whole_bot"), [([True, True], False), ([True, False], True), ([False, True], True)]
)
def test_answers_alone_never_pause_the_bot_and_one_beside_a_broadcast_does(dialogues, whole_bot):
    pacer = Pacer()
    for chat, in_dialogue in enumerate(dialogues, 7):
        pauses = pacer.too_many(chat, 60, NOW, in_dialogue=in_dialogue)
        assert f"chat:{chat}" in [pause.scope for pause in pauses]
    assert (pacer.paused_until(99, NOW) is not None) is whole_bot


@pytest.mark.parametrize("other", [7, "@news"])
def test_the_same_chat_twice_is_not_two_chats(other):
    pacer = Pacer()
    pacer.same("@news", 7)
    pacer.too_many(7, 60, NOW)
    pacer.too_many(other, 60, later(1))
    assert pacer.paused_until(9, later(1)) is None


def test_trouble_that_comes_back_soon_makes_the_next_pause_longer():
    pacer, waits, now = Pacer(), [], NOW
    for _ in range(6):
        (pause,) = pacer.too_many(7, 10, now)
        waits.append((pause.until - now).total_seconds())
        assert pacer.too_many(7, 10, now) == [], "what was under way during a pause is no new trouble"
        now = pause.until + timedelta(seconds=1)
    assert waits == [10, 20, 40, 80, 80, 80]
    (pause,) = pacer.too_many(7, 10, now + timedelta(hours=1))
    assert pause.until == now + timedelta(hours=1, seconds=10)


def test_after_a_pause_of_the_whole_bot_it_goes_on_at_half_the_rate_for_a_minute():
    pacer, peer = Pacer(20), Peer()
    pacer.too_many(1, 5, NOW)
    pacer.too_many(2, 5, NOW)
    assert pacer.held_until(NOW) == later(5)
    World(pacer, peer, NOW).send((0, chat, Rank.NORMAL) for chat in range(10, 1500))
    moments = [moment for moment, _ in peer.taken]
    counted = [sum(later(a) <= one < later(a + 20) for one in moments) for a in (0, 10, 40, 70)]
    assert counted[0] < 170
    assert counted[1] == pytest.approx(200, abs=15)
    assert counted[2] == pytest.approx(200, abs=15)
    assert counted[3] == pytest.approx(400, abs=15)


# -- restarts
def test_a_restart_keeps_pauses_and_the_longer_one_holds():
    pacer = Pacer()
    pacer.too_many(7, 10, NOW)
    pacer.restore([Pause("chat:7", later(5), "429"), Pause(BOT, later(43_837), "429 from two chats")])
    assert pacer.free_at(7, NOW) == later(43_837)
    assert pacer.paused_until(7, later(43_837)) is None


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=6), st.integers(0, 2**32))
def test_a_process_that_dies_and_comes_back_passes_no_limit_either(lives, seed):
    dice, peer, kept = random.Random(seed), Peer(), []
    now, chats = 0.0, iter(range(1, 10**6))
    for life in lives:
        pacer = Pacer(25, begun=later(now))
        pacer.restore(pause for _, pause in kept)
        wishes = [(0, next(chats), Rank.NORMAL) for _ in range(80)] + [(0, -1001, Rank.CHANNEL)] * 12
        alone = Peer()
        World(Keeping(pacer, kept), alone, later(now), back=lambda: dice.uniform(0, 0.1)).send(wishes)
        for moment, chat in alone.taken:
            if moment <= later(now + life):
                peer.take(moment, chat)
        kept = [(moment, pause) for moment, pause in kept if moment <= later(now + life)]
        now += life
    assert peer.excesses() == []


class Keeping:
    """A pacer whose counts of crowds are kept, with the moment, before each message goes out: as the gate does it."""

    def __init__(self, pacer, kept):
        self._pacer, self._kept = pacer, kept

    def __getattr__(self, name):
        return getattr(self._pacer, name)

    def turn(self, ticket, now):
        when = self._pacer.turn(ticket, now)
        if when <= now and (spent := self._pacer.spent(ticket.chat, now)) is not None:
            self._kept.append((now, spent))
        return when


def test_a_chatterbox_holds_up_nobody_for_long():
    pacer = Pacer(25)
    for _ in range(10_000):
        pacer.note(7, NOW)
    assert pacer.free_at(8, NOW) <= later(1.1)
    assert pacer.free_at(7, NOW) <= later(1.1)
