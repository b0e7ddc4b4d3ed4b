"""What a process that was frozen still holds: it may be somebody else's by now, and is not sent by two."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from bots.email.channel import EmailChannel
from syndicator.domain.letters import Later, Sent
from tests.email.conftest import WAIT


@dataclass
class Present:
    """An attendance as it is told to be."""

    number: int | None = 7
    sure: bool = True

    def is_sure(self) -> bool:
        return self.sure


def doubtful(attendance: Present) -> None:
    attendance.sure = False


def another(attendance: Present) -> None:
    attendance.number = 8


CHANGES = pytest.mark.parametrize("change", [doubtful, another], ids=["not sure", "registered anew"])


async def until(what):
    async with asyncio.timeout(5):
        while not what():
            await asyncio.sleep(0.005)


def letters(letter, number=6, by=7):
    return [letter(delivery=n, address=f"reader{n}@example.org", claimed_by=by) for n in range(number)]


@CHANGES
async def test_what_waits_behind_the_wire_is_left_to_whoever_has_it_now(relay, sender, compiler, letter, now, change):
    attendance = Present()
    channel = EmailChannel(compiler, sender(attendance=attendance, timeout=5))
    told: dict[int, object] = {}

    def answered(place, outcome):
        told[place] = outcome
        if len(told) == 2:  # as after SIGCONT: the next thing that it hears
            change(attendance)

    outcomes = await channel.send(letters(letter), now, answered)
    sent = [one for one in outcomes if isinstance(one, Sent)]
    left = [one for one in outcomes if isinstance(one, Later)]
    assert len(sent) + len(left) == 6
    assert len(relay.mails) == len(sent) <= 3, "what was on the wire, and nothing else"
    begun = sum(command.upper().startswith("MAIL") for command in relay.commands)
    assert begun <= len(sent) + 1, "what waits is not even begun"
    assert {(one.counts, one.not_before) for one in left} == {(False, None)}


@CHANGES
async def test_a_body_does_not_leave_where_only_its_envelope_had(relay, sender, compiler, letter, now, change):
    attendance = Present()
    relay.script["DATA"] = [WAIT]
    channel = EmailChannel(compiler, sender(attendance=attendance, timeout=5))
    sending = asyncio.create_task(channel.send(letters(letter, 1), now))
    await until(lambda: "DATA" in relay.commands)
    change(attendance)
    relay.go_on.set()
    [outcome] = await sending
    assert (type(outcome), outcome.counts, relay.mails) == (Later, False, [])


@CHANGES
async def test_letters_that_were_claimed_before_are_not_begun(relay, sender, compiler, letter, now, change):
    attendance = Present()
    channel = EmailChannel(compiler, sender(attendance=attendance))
    change(attendance)
    outcomes = await channel.send(letters(letter, 3), now)
    assert [(type(one), one.counts) for one in outcomes] == [(Later, False)] * 3
    assert (relay.connections, relay.mails) == (0, [])


async def test_who_is_sure_again_under_a_new_number_sends_what_it_claimed_under_that(
    relay, sender, compiler, letter, now
):
    attendance = Present(number=8)
    channel = EmailChannel(compiler, sender(attendance=attendance))
    outcomes = await channel.send([*letters(letter, 1, by=7), *letters(letter, 2, by=8)], now)
    assert [type(one) for one in outcomes] == [Later, Sent, Sent]
    assert len(relay.mails) == 2
