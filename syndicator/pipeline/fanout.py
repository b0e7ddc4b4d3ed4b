"""Fan-out: from a message to the rows that promise it to people.

Rules, in order:

1. A message exists from the transaction in which its release became public; its fan-out is finished when
   `fanned_out_at` is set, however often the process died between.
2. Matching costs the number of distinct filters; recipients are written by set-based SQL, some 20,000 a transaction.
3. The ledger's unique key allows one row per message and person, so any step may be repeated.
4. Whether a release may be shown now is asked in each step's own transaction (`store.fanout`).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from syndicator.domain.model import Release
from syndicator.domain.ports import Again, Clock, Done, Job, Turn, Verdict
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.store import ledger, releases
from syndicator.store.database import Database
from syndicator.store.ledger import Message

__all__ = ["Fanout"]

log = structlog.get_logger()


class Fanout:
    """Writes the recipients of messages."""

    def __init__(
        self, database: Database, *, site: Site, taxonomy: Taxonomy, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._site = site
        self._taxonomy = taxonomy
        self._clock = clock
        self._wake = wake

    async def fan_out(self, job: Job, turn: Turn) -> Verdict:
        """Job `fanout`: arg `message`. Safe to run twice: cursor and unique key say what is done."""
        found = await self._message(int(job.args["message"]))
        if found is None:
            return Done()
        message, release = found
        await self._match(release)
        written = 0
        while (step := await self._write(message.id, release)) is not None:
            written += step
            self._wake()  # batches of the first step go out while the next one is written
            if turn.should_yield():
                return Again(self._clock())
        log.info("fanned out", message=message.key, deliveries=written)
        self._wake()
        return Done()

    async def _message(self, number: int) -> tuple[Message, Release] | None:
        async with self._database.reading() as session:
            message = next((m for m in await ledger.open_messages(session) if m.id == number), None)
            if message is None or message.release is None:
                return None
            release = await releases.get(session, message.release)
        return (message, release) if release else None

    async def _match(self, release: Release) -> None:
        async with self._database.writing() as session:
            await ledger.write_matches(session, release, self._taxonomy, self._clock())

    async def _write(self, number: int, release: Release) -> int | None:
        async with self._database.writing() as session:
            message = next((m for m in await ledger.open_messages(session) if m.id == number), None)
            if message is None:
                return None
            return await ledger.fan_out(session, message, release, order=self._site.languages, now=self._clock())
