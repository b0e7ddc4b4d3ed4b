"""Fan-out: from a message to the rows that promise it to people.

Rules, in order:

1. A message exists from the transaction in which its release became public; its fan-out is finished when
   `fanned_out_at` is set, however often the process died between.
2. Matching costs the number of distinct filters; recipients are written by set-based SQL, some 20,000 a transaction.
3. The ledger's unique key allows one row per message and person, so any step may be repeated.
4. What is to be told, and whether it may be shown now, is read in each step's own transaction (`store.fanout`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import Again, Clock, Done, Job, Turn, Verdict
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.store import ledger, restored
from syndicator.store.database import Database
from syndicator.store.known import LEFT_TO_OTHERS, Strange

__all__ = ["Fanout"]

log = structlog.get_logger()

SETTLE = timedelta(seconds=60)  # how long a missing language may still come in before readers are given another


class Fanout:
    """Writes the recipients of messages; a channel gets rows only of what it has words for (`tells`)."""

    def __init__(
        self,
        database: Database,
        *,
        site: Site,
        taxonomy: Taxonomy,
        tells: Mapping[ChannelKind, Collection[MessageKind]],
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._site = site
        self._taxonomy = taxonomy
        self._tells = tells
        self._clock = clock
        self._wake = wake

    async def fan_out(self, job: Job, turn: Turn) -> Verdict:
        """Job `fanout`: arg `message`. Safe to run twice: cursor and unique key say what is done."""
        try:
            return await self._fan_out(int(job.args["message"]), turn)
        except Strange:
            return Again(self._clock() + LEFT_TO_OTHERS)

    async def _fan_out(self, number: int, turn: Turn) -> Verdict:
        written = 0
        while (step := await self._write(number)) is not None:
            written += step
            self._wake()  # batches of the first step go out while the next one is written
            if turn.should_yield():
                return Again(self._clock())
        log.info("fanned out", message=number, deliveries=written)
        self._wake()
        return Done()

    async def _write(self, number: int) -> int | None:
        return await self._database.again(partial(self._step, number=number))

    async def _step(self, session: AsyncSession, number: int) -> int | None:
        written = await ledger.fan_out(
            session,
            number,
            taxonomy=self._taxonomy,
            order=self._site.languages,
            now=self._clock(),
            tells=self._tells,
            settle=SETTLE,
        )
        await restored.keep_quiet(session, number)
        return written
