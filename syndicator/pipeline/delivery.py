"""Delivering a batch: claim, send, settle, chunk by chunk.

Rules, in order:

1. `sending` is committed before the channel is called, the outcome only after it answered (idea 2 of the design).
   An outcome that cannot be written is owed, and paid before anything else is claimed (`settling`). While batches
   go on, one transaction settles the chunks of several and claims the next (`grouping`).
2. Texts are read at send (`composing`): what is sent is what stands now.
3. After each chunk the job gives way if more important work waits for its lane. It goes on without the letters of a
   chunk that are slow, where their channel can do so: those are settled when they answer (`flights`). So is what is
   under way when the ledger is in trouble, or at a stop; what no channel was given yet then waits, untouched.
4. A channel that as a whole must wait is asked before each claim: its rows stay `due`, untouched, until its time.
5. What is claimed is sent only while this process is sure to count as alive with all others, under the number that
   it was claimed by (`domain.ports.Attendance`): else its rows may be another's by now. They go back, uncounted. Who
   was struck off claims nothing until it is registered anew.
6. A bug in a channel leaves its chunk `unknown`, shown and never hidden; the batch goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import structlog

from syndicator.domain.letters import Later, Letter, Outcome, Unknown
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import (
    ALONE,
    Again,
    Answered,
    Attendance,
    Channel,
    Clock,
    Done,
    Job,
    Overlapping,
    Turn,
    Verdict,
)
from syndicator.domain.tokens import CONFIRM_FOR, Tokens
from syndicator.pipeline.composing import Background, Kept, has_moved_on, letter_of, look_up, with_revision
from syndicator.pipeline.flights import GRACE, LULL, STOPPED, Flight, Late
from syndicator.pipeline.settling import Settler
from syndicator.store.database import Database
from syndicator.store.known import CHANNELS, LEFT_TO_OTHERS
from syndicator.store.ledger import Claimed, Wish
from syndicator.store.registered import StruckOff

__all__ = ["Delivery"]

log = structlog.get_logger()

UTC = ZoneInfo("UTC")
CHANGED = Later("it changed while it was claimed", counts=False)
UNSURE_WHOSE = Later("its process was not sure to count as alive", counts=False)
UNSURE = timedelta(seconds=5)  # until it is looked again whether this process counts as alive


class Delivery:
    """Sends batches through channels. `policies` says how patient each is, `confirm_for` how long a yes may take.

    `zone` is the office's own, for readers whose zone this machine does not know.
    """

    def __init__(
        self,
        database: Database,
        channels: Mapping[ChannelKind, Channel],
        *,
        tokens: Tokens,
        settler: Settler,
        attendance: Attendance = ALONE,
        clock: Clock,
        wake: Callable[[], None],
        confirm_for: timedelta = CONFIRM_FOR,
        zone: ZoneInfo = UTC,
    ) -> None:
        self._database = database
        self._channels = channels
        self._tokens = tokens
        self._settler = settler
        self._attendance = attendance
        self._clock = clock
        self._wake = wake
        self._confirm_for = confirm_for
        self._zone = zone
        self._kept = Kept()
        self._late = {
            kind: Late(channel.stragglers if isinstance(channel, Overlapping) else 0)
            for kind, channel in channels.items()
        }

    async def deliver(self, job: Job, turn: Turn) -> Verdict:
        """Job `deliver`: args `batch` and `channel`. Safe to run twice: only due rows are claimed."""
        if (named := str(job.args["channel"])) not in CHANNELS:  # of another version, which sends it
            return Again(self._clock() + LEFT_TO_OTHERS)
        channel = self._channels[ChannelKind(named)]
        batch = int(job.args["batch"])
        await self._settler.pay()
        claimed: Sequence[Claimed] | None = None
        while True:
            if claimed is None:
                now = self._clock()
                if (ready := self.ready_at(channel.kind, now)) > now:
                    return Again(ready)
                if not self._attendance.is_sure():
                    return Again(now + UNSURE)
                try:
                    claimed = await self._settler.claim(self._wish(channel, batch))
                except StruckOff:
                    return Again(now + UNSURE)
            if not claimed:
                break
            flight = Flight(claimed, partial(self._send, channel, claimed))
            answered = await self._waited(channel, batch, flight, turn)
            if turn.should_yield():
                await self._settler.settle(channel.kind, *answered)
                return Again(self._clock())
            claimed = await self._settle_and_claim(channel, batch, *answered)
        self._wake()  # what was deferred comes due by itself
        return Done()

    async def finish(self, within: float = GRACE) -> None:
        """After the last job: settle what is still under way, see `flights.Late.finish`, and what is owed.

        Raises:
            Exception: whatever the database says, after some tries.
        """
        await asyncio.gather(*(late.finish(within) for late in self._late.values()))
        await self._settler.pay()

    def ready_at(self, kind: ChannelKind, now: datetime) -> datetime:
        """When that channel can send: `now`, or a later time."""
        return self._channels[kind].ready_at(now) or now

    def _wish(self, channel: Channel, batch: int) -> Wish:
        return Wish(batch, channel.chunk, MessageKind.EDIT in channel.tells, self._zone)

    async def _waited(
        self, channel: Channel, batch: int, flight: Flight, turn: Turn
    ) -> tuple[Sequence[Claimed], Sequence[Outcome]]:
        """What was answered once all of the flight is, or what is not is left to be late."""
        late, settle_late = self._late[channel.kind], partial(self._settle_late, channel.kind, batch)
        try:
            await self._rests(channel, flight, late, turn)
        except BaseException:  # rule 4 of `flights`
            late.keep(flight, settle_late)
            raise
        answered = flight.take()
        if flight.under_way:
            late.keep(flight, settle_late)
        return answered

    async def _rests(self, channel: Channel, flight: Flight, late: Late, turn: Turn) -> None:
        if not isinstance(channel, Overlapping):
            await flight.rests(None)
            return
        while not (await flight.rests(LULL) or late.has_room(flight) or turn.should_yield()):
            if flight.is_answered:
                await self._settler.settle(channel.kind, *flight.take())

    async def _settle_late(self, kind: ChannelKind, batch: int, flight: Flight) -> None:
        """What was answered late; the last of it closes the batch, if nothing else does."""
        answered, last = flight.take(), None if flight.under_way else Wish(batch, 0)
        try:
            if await self._settler.settle(kind, *answered, last) is None and last is not None:
                with suppress(StruckOff):  # then whoever has its rows now closes it
                    await self._settler.claim(last)  # they were written alone
        finally:
            self._wake()

    async def _settle_and_claim(
        self, channel: Channel, batch: int, claimed: Sequence[Claimed], outcomes: Sequence[Outcome]
    ) -> Sequence[Claimed] | None:
        """The next chunk; None where only the settling could be done now."""
        now = self._clock()
        if self.ready_at(channel.kind, now) > now or not self._attendance.is_sure():
            await self._settler.settle(channel.kind, claimed, outcomes)
            return None
        return await self._settler.settle(channel.kind, claimed, outcomes, self._wish(channel, batch))

    async def _compose(self, claimed: Sequence[Claimed]) -> Sequence[Letter] | None:
        """The letters; None: what they tell has changed since the claim looked at it (rule 4 of `composing`)."""
        if all(c.message.release is None and c.message.kind is not MessageKind.DIGEST for c in claimed):
            return [letter_of(c, Background(), self._tokens, self._confirm_for) for c in claimed]
        background = self._kept.enough_for(claimed)
        if background is None:
            async with self._database.reading() as session:
                background = await look_up(session, claimed)
            self._kept.keep(background)
        if has_moved_on(claimed, background):
            return None
        return [letter_of(c, background, self._tokens, self._confirm_for) for c in claimed]

    def _are_ours(self, claimed: Sequence[Claimed]) -> bool:
        """Rule 5."""
        number = self._attendance.number
        return self._attendance.is_sure() and all(one.claimed_by == number for one in claimed)

    async def _send(self, channel: Channel, claimed: Sequence[Claimed], answered: Answered) -> Sequence[Outcome]:
        try:
            letters = await self._compose(claimed)
        except asyncio.CancelledError:
            return [STOPPED] * len(claimed)
        except Exception as error:
            log.exception("letters could not be composed", channel=channel.kind.value)
            return [Later(f"not composed: {type(error).__name__}", counts=False)] * len(claimed)
        if letters is None or not self._are_ours(claimed):
            return [UNSURE_WHOSE if letters else replace(CHANGED, not_before=self._clock())] * len(claimed)
        early: dict[int, Outcome] = {}

        def told(place: int, outcome: Outcome) -> None:
            early[place] = with_revision(letters[place], outcome)
            answered(place, early[place])

        try:
            if isinstance(channel, Overlapping):
                outcomes = await channel.send(letters, self._clock(), told)
            else:
                outcomes = await channel.send(letters, self._clock())
        except Exception as error:
            log.exception("channel failed", channel=channel.kind.value)
            return [Unknown(f"{type(error).__name__} in channel {channel.kind.value}")] * len(letters)
        if len(outcomes) != len(letters):
            log.error("channel answered for another number of letters", channel=channel.kind.value)
            return [Unknown("the channel lost count")] * len(letters)
        return [early.get(place) or with_revision(letters[place], outcome) for place, outcome in enumerate(outcomes)]
