"""Pace: who may send now, and when the others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bots.email.pace.heard import Heard
from bots.email.pace.limits import Ceiling, Limits, WarmUpPlan
from bots.email.pace.pace import RELAY, Pace, Pause

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SLOW = Limits(per_second=10_000, domains={"slow.example": Ceiling(per_second=10)})


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Asker:
    """Sends what it is given as soon as it may; a mail is answered `takes` seconds after it went."""

    def __init__(self, pace: Pace, now: datetime = NOW) -> None:
        self.pace, self.now, self.waits, self.went = pace, now, 0, []

    def bulk(self, domain: str, number: int, answer=lambda _: Heard.TAKEN, *, urgent: bool = False, until=None) -> None:
        """All ask now; who must wait asks again when its place has come. Answers come at once."""
        waiting: list[datetime] = [self.now] * number
        while waiting:
            waiting.sort(reverse=True)
            self.now = max(self.now, waiting.pop())
            if until is not None and self.now > until:
                return
            when = self.pace.admit(domain, self.now, urgent=urgent)
            if when is None:
                self.went.append(self.now)
                self.pace.done(domain, answer(self.now), self.now)
            else:
                assert when > self.now
                self.waits += 1
                waiting.append(when)


def known(pace: Pace, *domains: str) -> Pace:
    """These domains have answered often enough to be sent as much as comes."""
    for domain in domains:
        for _ in range(40):
            assert pace.admit(domain, NOW - timedelta(minutes=1), urgent=True) is None
            pace.done(domain, Heard.LATER, NOW - timedelta(minutes=1))
    return pace


def test_a_domain_that_has_not_answered_yet_gets_a_few_and_more_with_each_answer() -> None:
    pace = Pace(Limits(per_second=100_000))
    first = [pace.admit("new.example", NOW) for _ in range(100)]
    assert first.count(None) == 4
    assert max(when for when in first if when is not None) == NOW + seconds(1)
    assert pace.admit("new.example", NOW, urgent=True) is None
    for _ in range(5):
        pace.done("new.example", Heard.TAKEN, NOW)
    assert [pace.admit("new.example", NOW) for _ in range(100)].count(None) == 14
    for _ in range(14):
        pace.done("new.example", Heard.TAKEN, NOW)
    asker = Asker(pace, NOW + seconds(1))
    asker.bulk("new.example", 5_000)
    assert asker.now == NOW + seconds(1)


def test_without_limits_everything_goes_at_once() -> None:
    pace = known(Pace(Limits(per_second=100_000)), "example.org")
    assert [pace.admit("example.org", NOW) for _ in range(1_000)] == [None] * 1_000


def test_a_bulk_to_a_slow_domain_is_put_off_about_once_each_and_keeps_its_rate() -> None:
    asker = Asker(Pace(SLOW))
    asker.bulk("slow.example", 5_000)
    took = (asker.now - NOW).total_seconds()
    assert took == pytest.approx(500, rel=0.05)
    assert asker.waits < 1.1 * 5_000
    for start in range(0, len(asker.went) - 50, 50):  # in no five seconds more than that and its burst
        assert (asker.went[start + 49] - asker.went[start]).total_seconds() >= 2.5


def test_a_hundred_thousand_mails_are_spread_over_the_hours_and_not_asked_for_every_second() -> None:
    pace = Pace(Limits(per_second=10_000, domains={"slow.example": Ceiling(per_second=1)}))
    places = [pace.admit("slow.example", NOW) for _ in range(100_000)]
    waits = [when for when in places if when is not None]
    assert max(waits) <= NOW + timedelta(hours=4, seconds=2)
    by_minute: dict[int, int] = {}
    for when in waits:
        minute = int((when - NOW).total_seconds() // 60)
        by_minute[minute] = by_minute.get(minute, 0) + 1
    assert max(by_minute.values()) < 1_000


def test_a_domains_setting_holds_for_all_below_it() -> None:
    pace = Pace(Limits(per_second=1_000, domains={"example.org": Ceiling(per_second=1, connections=1)}))
    assert pace.admit("a.example.org", NOW) is None
    assert pace.admit("b.example.org", NOW) is not None
    assert pace.admit("notexample.org", NOW) is None


@pytest.mark.parametrize("heard", [Heard.SLOW_DOWN, Heard.TIMED_OUT])
def test_a_domain_that_asks_to_slow_down_is_left_alone_and_others_are_not(heard: Heard) -> None:
    pace = Pace(Limits(per_second=1_000))
    assert pace.admit("busy.example", NOW) is None
    pace.done("busy.example", heard, NOW)
    when = pace.admit("busy.example", NOW)
    assert when is not None
    assert when >= NOW + seconds(10)
    assert pace.admit("other.example", NOW) is None
    later = NOW + seconds(11)
    assert pace.admit("busy.example", later) is None  # one goes first
    assert pace.admit("busy.example", later) is not None
    pace.done("busy.example", Heard.TAKEN, later)


def test_answers_to_what_had_left_before_it_asked_are_not_held_against_it() -> None:
    pace = known(Pace(Limits(per_second=1_000)), "busy.example")
    for _ in range(50):
        assert pace.admit("busy.example", NOW) is None
    for _ in range(50):
        pace.done("busy.example", Heard.SLOW_DOWN, NOW)
    when = pace.admit("busy.example", NOW)
    assert when is not None
    assert when <= NOW + seconds(12)


def test_while_it_goes_on_asking_pauses_double_to_an_hour() -> None:
    asker = Asker(Pace(Limits(per_second=1_000)))
    asker.bulk("busy.example", 1, lambda _: Heard.SLOW_DOWN)
    for _ in range(12):
        asker.bulk("busy.example", 1, lambda _: Heard.SLOW_DOWN)
    gaps = [(b - a).total_seconds() for a, b in zip(asker.went, asker.went[1:], strict=False)]
    assert gaps[0] == pytest.approx(10, abs=2)
    assert gaps[3] == pytest.approx(80, abs=2)
    assert gaps[-1] == pytest.approx(3600, abs=2)


def test_the_domain_says_for_how_long() -> None:
    pace = Pace(Limits(per_second=1_000))
    pace.admit("busy.example", NOW)
    pace.done("busy.example", Heard.SLOW_DOWN, NOW, wait=timedelta(hours=1))
    when = pace.admit("busy.example", NOW)
    assert when is not None
    assert when >= NOW + timedelta(hours=1)
    assert [one.scope for one in pace.unkept()] == ["mail:busy.example"]
    assert pace.unkept() == []


def test_a_restart_keeps_a_long_pause() -> None:
    pace = Pace(Limits(per_second=1_000))
    kept = [
        Pause("mail:busy.example", NOW + timedelta(hours=1), "asked"),
        Pause(RELAY, NOW + timedelta(minutes=5), "closed"),
        Pause("chat:4", NOW + timedelta(hours=9), "not ours"),
    ]
    pace.restore(kept, NOW)
    assert pace.ready_at(NOW) == NOW + timedelta(minutes=5)
    later = NOW + timedelta(minutes=6)
    assert pace.ready_at(later) is None
    assert pace.admit("busy.example", later) is not None
    assert pace.admit("other.example", later) is None


def test_it_gets_more_again_step_by_step_and_after_an_hour_as_much_as_it_takes() -> None:
    pace = Pace(Limits(per_second=1_000))
    asker = Asker(pace)
    asker.bulk("busy.example", 20, lambda _: Heard.TAKEN)
    asker.bulk("busy.example", 1, lambda _: Heard.SLOW_DOWN)
    asker.bulk("busy.example", 2_000)
    first = sum(when < asker.went[21] + seconds(60) for when in asker.went[21:])
    assert 20 < first < 500
    assert pace.admit("busy.example", asker.now + timedelta(hours=2)) is None
    assert pace.counts(asker.now + timedelta(hours=2))["slowed"] == 0


@pytest.mark.parametrize(("number", "per_second"), [(500, 2.0), (2_000, 10.0), (300, 0.5)])
def test_an_urgent_broadcast_to_a_slow_domain_is_put_off_about_once_each(number: int, per_second: float) -> None:
    slow = Limits(per_second=10_000, domains={"slow.example": Ceiling(per_second=per_second)})
    asker = Asker(Pace(slow))
    asker.bulk("slow.example", number, urgent=True)
    assert asker.waits < 1.5 * number
    assert (asker.now - NOW).total_seconds() == pytest.approx(number / per_second, rel=0.1)


def test_urgent_mails_to_a_domain_that_was_paused_come_back_one_after_the_other() -> None:
    asker = Asker(known(Pace(Limits(per_second=10_000)), "busy.example"))
    asker.bulk("busy.example", 1, lambda _: Heard.SLOW_DOWN)
    asker.bulk("busy.example", 500, urgent=True)
    assert asker.waits < 3 * 500


def test_a_letter_to_one_person_waits_for_no_broadcast_and_bulk_for_an_urgent_one() -> None:
    pace = Pace(SLOW)
    urgent = [pace.admit("slow.example", NOW, urgent=True) for _ in range(1_000)]
    last = max(when for when in urgent if when is not None)
    bulk = pace.admit("slow.example", NOW)
    assert bulk is not None
    assert bulk >= last > NOW + seconds(60)
    assert pace.admit("slow.example", NOW, urgent=True, to_one=True) is None


def test_an_urgent_broadcast_to_a_domain_that_has_not_answered_yet_begins_with_a_few() -> None:
    pace = Pace(Limits(per_second=100_000))
    assert [pace.admit("new.example", NOW, urgent=True) for _ in range(100)].count(None) == 9
    assert pace.admit("new.example", NOW, urgent=True, to_one=True) is None


def test_an_urgent_mail_does_not_stand_behind_the_bulk() -> None:
    pace = Pace(SLOW)
    for _ in range(1_000):
        pace.admit("slow.example", NOW)
    assert pace.admit("slow.example", NOW, urgent=True) is None
    slowed = Pace(Limits(per_second=1_000))
    slowed.admit("busy.example", NOW)
    slowed.done("busy.example", Heard.SLOW_DOWN, NOW)
    bulk = [slowed.admit("busy.example", NOW) for _ in range(100)]
    urgent = slowed.admit("busy.example", NOW, urgent=True)
    assert urgent is not None
    assert all(one is not None and one >= urgent for one in bulk)


def test_a_place_is_kept_for_urgent_mails() -> None:
    pace = Pace(Limits(per_second=1_000, every=Ceiling(connections=4)))
    went = [pace.admit("example.org", NOW) is None for _ in range(10)]
    assert sum(went) == 3
    assert pace.admit("example.org", NOW, urgent=True) is None
    assert pace.admit("example.org", NOW, urgent=True) is not None


def test_a_domain_that_holds_mails_and_says_nothing_gets_no_more() -> None:
    pace = Pace(Limits(per_second=1_000))
    for _ in range(4):
        assert pace.admit("tarpit.example", NOW) is None
    assert pace.admit("tarpit.example", NOW + seconds(20)) is not None
    assert pace.patience("tarpit.example") == 60
    for _ in range(4):
        pace.done("tarpit.example", Heard.TIMED_OUT, NOW + seconds(60))
    assert pace.patience("tarpit.example") == 10
    assert [pace.admit("tarpit.example", NOW + seconds(80), urgent=True) for _ in range(5)].count(None) == 1


def test_all_mail_together_keeps_the_global_rate() -> None:
    pace = Pace(Limits(per_second=100))
    now, went = NOW, 0
    while now < NOW + seconds(20):
        ready = pace.ready_at(now)
        if ready is not None:
            assert ready > now
            now = ready
            continue
        for number in range(20):
            assert pace.admit(f"d{number}.example", now) is None
            pace.done(f"d{number}.example", Heard.TAKEN, now)
            went += 1
    assert went == pytest.approx(2_000, rel=0.03)


def test_what_was_claimed_beyond_the_global_rate_is_spread_by_the_second() -> None:
    pace = Pace(Limits(per_second=10, every=Ceiling(connections=64)))
    places = [pace.admit("example.org", NOW) for _ in range(100)]
    assert places.count(None) == 10
    assert max(when for when in places if when is not None) == pytest.approx(NOW + seconds(9), abs=seconds(2))


WARM = WarmUpPlan(date(2026, 11, 22), 100, ZoneInfo("Asia/Baku"))


def test_warming_up_holds_bulk_back_to_the_days_that_have_room_and_never_urgent_mails() -> None:
    pace = Pace(Limits(per_second=1_000, warm_up=WARM))
    places = []
    for _ in range(1_000):
        when = pace.admit("example.org", NOW)
        if when is None:
            pace.done("example.org", Heard.TAKEN, NOW)
        places.append(when)
    days = [when and when.astimezone(WARM.zone).date() for when in places]
    assert days.count(None) == 100
    assert days.count(date(2026, 11, 23)) == 200
    assert days.count(date(2026, 11, 24)) == 400
    assert days.count(date(2026, 11, 25)) == 300
    assert len(set(places)) > 500
    assert pace.admit("example.org", NOW, urgent=True) is None


def test_warming_up_counts_what_was_taken_and_what_other_processes_sent() -> None:
    pace = Pace(Limits(per_second=1_000, warm_up=WARM))
    for _ in range(60):
        assert pace.admit("example.org", NOW) is None
        pace.done("example.org", Heard.REFUSED, NOW)
    pace.warm_up.know(date(2026, 11, 22), 99)
    assert pace.admit("example.org", NOW) is None
    assert pace.admit("example.org", NOW) is not None  # the one on its way counts
    pace.done("example.org", Heard.LATER, NOW)
    assert pace.admit("example.org", NOW) is None


def test_after_two_weeks_nothing_is_held_back() -> None:
    pace = Pace(Limits(per_second=1, warm_up=WARM))
    later = NOW + timedelta(days=14)
    assert pace.warm_up.is_over(later.timestamp())
    assert not pace.warm_up.is_over(NOW.timestamp())


def test_domains_are_bounded_and_a_slowed_one_is_remembered_before_idle_ones() -> None:
    pace = Pace(Limits(per_second=1e6), most_domains=100)
    pace.admit("slow.example", NOW)
    pace.done("slow.example", Heard.SLOW_DOWN, NOW, wait=timedelta(hours=1))
    for number in range(5_000):
        assert pace.admit(f"d{number}.example", NOW) is None
        pace.done(f"d{number}.example", Heard.REFUSED, NOW)
    assert len(pace._domains) == 100
    assert pace.admit("slow.example", NOW) is not None


def test_a_pause_is_not_forgotten_for_domains_that_nothing_is_known_of() -> None:
    pace = Pace(Limits(per_second=1e6), most_domains=200)
    slow = [f"slow{number}.example" for number in range(120)]
    for domain in slow:
        pace.admit(domain, NOW)
        pace.done(domain, Heard.SLOW_DOWN, NOW, wait=timedelta(hours=1))
        pace.admit("good.example", NOW)
        pace.done("good.example", Heard.TAKEN, NOW)
    for number in range(2_000):
        assert pace.admit(f"d{number}.example", NOW) is None
        pace.done(f"d{number}.example", Heard.REFUSED, NOW)
    assert all(pace.admit(domain, NOW) is not None for domain in slow)
    assert len(pace._domains) <= 201


def test_even_pauses_are_bounded_in_number() -> None:
    pace = Pace(Limits(per_second=1e6), most_domains=100)
    for number in range(1_000):
        pace.admit(f"d{number}.example", NOW)
        pace.done(f"d{number}.example", Heard.SLOW_DOWN, NOW, wait=timedelta(hours=1))
        pace.relay_answers()
    assert len(pace._domains) <= 200


def test_a_clock_that_is_set_back_holds_nothing_up_for_long() -> None:
    pace = Pace(SLOW)
    for _ in range(1_000):
        pace.admit("slow.example", NOW + timedelta(days=30))
    when = pace.admit("slow.example", NOW)
    assert when is None or when < NOW + timedelta(hours=5)


@pytest.mark.parametrize(("taken_between", "paused"), [(False, True), (True, False)])
def test_where_every_domain_asks_to_slow_down_it_is_the_relay_that_means_it(
    *, taken_between: bool, paused: bool
) -> None:
    pace = Pace(Limits(per_second=1_000))
    for number in range(6):
        assert pace.admit(f"d{number}.example", NOW) is None
        pace.done(f"d{number}.example", Heard.SLOW_DOWN, NOW)
        if taken_between:
            assert pace.admit("good.example", NOW) is None
            pace.done("good.example", Heard.TAKEN, NOW)
    assert (pace.ready_at(NOW) is not None) is paused


def test_one_domain_that_speaks_like_a_relay_is_not_the_relay_and_three_in_a_row_are() -> None:
    pace = Pace(Limits(per_second=1_000))
    assert not any(pace.is_relays("down.example", NOW) for _ in range(100))
    assert not pace.is_relays("other.example", NOW)
    assert pace.is_relays("third.example", NOW)
    assert pace.is_relays("down.example", NOW + seconds(60))  # until somebody takes something
    assert pace.admit("good.example", NOW) is None
    pace.done("good.example", Heard.TAKEN, NOW)
    assert not any(pace.is_relays(f"{one}.example", NOW) for one in ("down", "other", "third"))  # their own words


def test_three_domains_that_are_dead_for_good_are_not_taken_for_the_relay_when_nothing_else_is_sent() -> None:
    pace = Pace(Limits(per_second=1_000))
    dead = ["a.example", "b.example", "c.example", "d.example"]
    for domain in dead:
        pace.is_relays(domain, NOW)
        assert pace.admit("good.example", NOW) is None
        pace.done("good.example", Heard.TAKEN, NOW)
    assert not any(pace.is_relays(domain, NOW + timedelta(hours=1)) for domain in dead)
    for domain in dead:  # who takes a mail is believed again
        pace.done(domain, Heard.TAKEN, NOW)
    assert [pace.is_relays(domain, NOW) for domain in dead[:3]] == [False, False, True]


def test_a_word_about_the_relay_is_soon_forgotten() -> None:
    pace = Pace(Limits(per_second=1_000))
    assert not pace.is_relays("a.example", NOW)
    assert not pace.is_relays("b.example", NOW)
    assert not pace.is_relays("c.example", NOW + timedelta(hours=2))
