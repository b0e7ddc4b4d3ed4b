"""Flights: a chunk of letters on its way, and what of it may still be under way when the next one leaves.

Rules, in order:

1. Outcomes come one by one where the channel tells them (`ports.Overlapping`), else all at the end; each is taken
   once.
2. A chunk of which nothing was answered for a moment (`LULL`) is left to itself: whoever waits for its last letter, a
   minute if need be, keeps everybody else waiting. What is late is settled when it answers.
3. Only so many letters of a channel may be late (`Overlapping.stragglers`): beyond that a lane waits for its chunk,
   unless more important work waits for the lane.
4. Nothing is forgotten. Whoever may wait no longer (trouble in the ledger, a stop) leaves the flight to `Late`, room or
   not; it is seen off until nothing of it is under way or unsettled, whatever fails meanwhile.
5. Told to stop, the channel answers for all that is under way, and that is settled (`finish`). What the channel was
   never given waits. Only where a channel that was called does not answer, rows stay `sending` until the process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from syndicator.domain.letters import Later, Outcome
from syndicator.domain.ports import Answered
from syndicator.store.ledger import Claimed

__all__ = ["GRACE", "LULL", "STOPPED", "Flight", "Late"]

LULL = 0.25  # seconds: many times what an answer takes while a line is busy, little beside any time-out
GRACE = 5.0  # seconds that what is late has at a stop, at most, before it is told

STOPPED = Later("stopped before it was sent", counts=False)

log = structlog.get_logger()

Settle = Callable[["Flight"], Awaitable[None]]


class Flight:
    """Rows that were claimed together; `send` sends them, tells outcomes as they come and returns them all.

    If `send` raises, so does whoever waits for the flight.
    """

    def __init__(self, claimed: Sequence[Claimed], send: Callable[[Answered], Awaitable[Sequence[Outcome]]]) -> None:
        self._claimed = claimed
        self._open = set(range(len(claimed)))
        self._answers: dict[int, Outcome] = {}
        self._heard = 0
        self._stirred = asyncio.Event()
        self._begun = False
        self._sending = asyncio.create_task(self._send(send), name="flight")
        self._sending.add_done_callback(self._landed)  # before anybody who waits for it

    @property
    def under_way(self) -> int:
        """Letters without an answer that may have one yet."""
        return len(self._open)

    @property
    def is_answered(self) -> bool:
        """Whether there are outcomes to take."""
        return bool(self._answers)

    async def rests(self, lull: float | None) -> bool:
        """Wait until all are answered (True), or none was for `lull` seconds (False); cancelled, it tells the channel.

        Raises:
            CancelledError: told to stop, the channel has not answered for what was under way.
        """
        while True:
            heard = self._heard
            try:
                done, _ = await asyncio.wait({self._sending}, timeout=lull)
            except asyncio.CancelledError:
                await self.stop()
                done = {self._sending}
            if done:
                if self._begun:
                    self._sending.result()
                return True
            if self._heard == heard:
                return False

    async def stirs(self) -> None:
        """Wait until there is an outcome to take."""
        await self._stirred.wait()

    def take(self) -> tuple[Sequence[Claimed], Sequence[Outcome]]:
        """What was answered since it was asked last."""
        answers, self._answers = self._answers, {}
        if self._open:
            self._stirred.clear()
        return [self._claimed[place] for place in answers], list(answers.values())

    async def stop(self) -> None:
        """Tell the channel, and wait for its answers."""
        self._sending.cancel()
        await asyncio.wait({self._sending})

    async def _send(self, send: Callable[[Answered], Awaitable[Sequence[Outcome]]]) -> None:
        self._begun = True
        for place, outcome in enumerate(await send(self._answered)):
            self._answered(place, outcome)

    def _landed(self, _: asyncio.Task[None]) -> None:
        """Nothing more comes. Who was told to stop before the first step has sent nothing."""
        if not self._begun:
            for place in tuple(self._open):
                self._answered(place, STOPPED)
        self._open.clear()
        self._stirred.set()

    def _answered(self, place: int, outcome: Outcome) -> None:
        """The first word about a letter holds."""
        if place in self._open:
            self._open.remove(place)
            self._answers[place] = outcome
            self._heard += 1
            self._stirred.set()


class Late:
    """One channel's flights that nobody waits for any more; at most `most` letters of them are under way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._flights: dict[Flight, asyncio.Task[None]] = {}

    def has_room(self, flight: Flight) -> bool:
        """Whether what is under way of it may be late."""
        return sum(one.under_way for one in self._flights) + flight.under_way <= self._most

    def keep(self, flight: Flight, settle: Settle) -> None:
        """From now on `settle` is called whenever there are outcomes to take, and when it is over."""
        self._flights[flight] = asyncio.create_task(self._see_off(flight, settle), name="late")

    async def finish(self, within: float = GRACE) -> None:
        """Wait a moment, `within` seconds at most, for what is late, then tell the channel; all is settled, or owed."""
        if self._flights:
            await asyncio.wait(set(self._flights.values()), timeout=min(within, GRACE))
        if self._flights:
            seen_off = set(self._flights.values())
            await asyncio.gather(*(flight.stop() for flight in list(self._flights)))
            await asyncio.wait(seen_off)

    async def _see_off(self, flight: Flight, settle: Settle) -> None:
        try:
            while flight.under_way or flight.is_answered:
                await flight.stirs()
                await self._round(flight, settle)
        finally:
            del self._flights[flight]

    async def _round(self, flight: Flight, settle: Settle) -> None:
        """Settle what was answered, whatever else fails; what cannot be written is owed, and paid before new claims."""
        try:
            await flight.rests(LULL)
        except (Exception, asyncio.CancelledError) as error:  # rule 5; a bug
            log.exception("a channel has not answered for all that it was given", reason=type(error).__name__)
        try:
            await settle(flight)
        except Exception as error:
            log.exception("what was late is not settled yet", reason=type(error).__name__)
