"""A stop: what is being sent shares one time, and everything ends within what a service has."""

from __future__ import annotations

import asyncio

from bots.email.relay.connecting import GOODBYE
from bots.email.smtp import DRAIN
from bots.telegram import seat as telegram
from syndicator.engine import cluster, embedded, seats
from syndicator.pipeline.service import GRACE, SEATED, SENDING, in_turn

CUT = GRACE - 1  # seconds until nobody is waited for any more
REST = 3.0  # seconds for settling, the pace, mail that comes in, and the database


async def test_each_end_is_given_what_those_before_have_left_and_a_failure_keeps_none_from_ending():
    given: list[float] = []

    async def takes(seconds: float) -> None:
        given.append(seconds)
        await asyncio.sleep(0.02)

    async def fails(seconds: float) -> None:
        given.append(seconds)
        await asyncio.sleep(0.02)
        raise OSError("locked")

    await in_turn(0.03, takes, fails, takes)
    assert given[0] > 0.025
    assert 0 < given[1] <= 0.015
    assert given[2] == 0


def test_a_stop_at_its_slowest_ends_before_it_is_cut_short():
    running = SENDING + DRAIN  # chunks that are told at the end of the time
    late = 0 + DRAIN  # what is late has what they left of it
    assert running + late + GOODBYE + REST < CUT


def test_a_seat_that_takes_all_its_time_at_a_stop_is_given_back_before_its_process_is_waited_for_no_more():
    answers, confirmation = 5.0, 2.0
    assert telegram.SENDING + answers + confirmation <= SEATED
    leaving = seats.LOOK + SEATED + DRAIN + embedded.QUERY
    assert leaving < SENDING + cluster.GOODBYE - 2.0, "two seconds to write that it is free"
