"""Mail by way of a relay, where several processes keep one rate together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bots.email.pace.limits import Limits
from bots.email.pace.pace import Pace
from bots.email.pace.share import Share
from syndicator.domain.letters import Later, Sent


class Turns:
    """A shared rate that gives `free` turns, and waits for more while `waits`."""

    def __init__(self, free: int) -> None:
        self.free, self.given_back, self.owed, self.waits = free, 0, 0, asyncio.Event()
        self.waits.set()

    async def turns(self, number: int) -> int:
        await self.waits.wait()
        given = min(number, self.free)
        self.free -= given
        return given

    def give_back(self, number: int) -> None:
        self.given_back += number

    def used(self) -> None:
        self.owed += 1

    def ready_in(self) -> float:
        return 0.0


def paced(rate: Turns) -> Pace:
    pace = Pace(Limits(per_second=1_000), shared=rate)
    pace.share(Share())
    return pace


def make(sender, rate: Turns):
    return sender(pace=paced(rate), rate=rate)


async def test_bulk_goes_with_turns_and_what_has_none_is_put_off_without_an_attempt(relay, sender, mail, now):
    way = make(sender, Turns(2))
    outcomes = await way.send([mail(address=f"reader{number}@example.org") for number in range(4)], now)
    assert [type(one) for one in outcomes] == [Sent, Sent, Later, Later]
    for one in outcomes[2:]:
        assert not one.counts
        assert one.not_before > now
    assert len(relay.mails) == 2


async def test_an_urgent_mail_waits_for_no_turn_and_is_counted(relay, sender, mail, now):
    rate = Turns(0)
    rate.waits.clear()
    way = make(sender, rate)
    going = asyncio.create_task(way.send([replace(mail(), urgent=True), mail(address="b@example.org")], now))
    async with asyncio.timeout(5):
        while not relay.mails:
            await asyncio.sleep(0.01)
    assert rate.owed == 1
    rate.waits.set()
    assert [type(one) for one in await going] == [Sent, Later]


async def test_who_is_told_to_stop_while_waiting_for_turns_answers_at_once_and_sends_nothing(relay, sender, mail, now):
    rate = Turns(0)
    rate.waits.clear()
    way = make(sender, rate)
    going = asyncio.create_task(way.send([mail(), mail(address="b@example.org")], now))
    await asyncio.sleep(0)
    going.cancel()
    async with asyncio.timeout(1):
        outcomes = await going
    assert [(type(one), one.counts) for one in outcomes] == [(Later, False)] * 2
    assert relay.mails == []


async def test_a_turn_that_a_mail_does_not_need_after_all_is_given_back(sender, mail, now):
    rate = Turns(10)
    way = make(sender, rate)
    many = [mail(address=f"reader{number}@example.org") for number in range(8)]
    outcomes = await way.send(many, now)
    sent = sum(isinstance(one, Sent) for one in outcomes)
    assert rate.given_back == 8 - sent
