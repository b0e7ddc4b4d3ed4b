"""What waits for domains that say nothing: looked at from time to time, and sent back to the ledger.

Rules, in order:

1. A few times while a domain may be quiet it is looked who is silent, as long as anything waits (`relay.queue` says who
   that is, and who gives way).
2. What goes back comes again after some seconds, not all of it at once; soon where nothing is known of its own domain.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

from bots.email.pace import Heard
from bots.email.relay.desk import Broken
from bots.email.relay.pool import Pool
from bots.email.relay.queue import Job, Waiting
from syndicator.domain.letters import Later

__all__ = ["Silence"]

SWEEPS = 4  # looks at who is silent in the time that one may be
SILENT_WAIT = timedelta(seconds=10)  # at least, for what waits for who is silent; at most twice that
UNTRIED_WAIT = timedelta(seconds=1)  # the same where nothing is known of the mail's own domain
SPREAD = 0.6180339887498949  # multiples of it, modulo 1, lie evenly


class Answering(Protocol):
    """Whose mails they are."""

    def finish(self, job: Job, outcome: Later, heard: Heard) -> None:
        """Answer for a mail."""
        ...

    def moment(self) -> datetime:
        """The present."""
        ...

    def staff(self) -> None:
        """Something has changed: look who may work."""
        ...


class Silence:
    """See the module."""

    def __init__(self, answering: Answering, waiting: Waiting, pool: Pool) -> None:
        self._answering = answering
        self._waiting = waiting
        self._pool = pool
        self._sweeping: asyncio.TimerHandle | None = None
        self._silenced = 0

    def close(self) -> None:
        """Look no more; safe to call twice."""
        if self._sweeping is not None:
            self._sweeping.cancel()

    def look_again(self) -> None:
        """Some wait for their domain, for a connection, or for the first to be answered: not for long."""
        if self._sweeping is None and self._waiting.jobs:
            self._sweeping = asyncio.get_running_loop().call_later(self._waiting.quiet / SWEEPS, self._sweep)

    def later(self, domain: str, now: datetime) -> Later:
        """What a mail is told that would wait for a silent domain (rule 2)."""
        self._silenced += 1
        wait = (SILENT_WAIT if self._waiting.was_silent(domain) else UNTRIED_WAIT) * (1 + self._silenced * SPREAD % 1.0)
        return Later("domains do not answer", not_before=now + wait, counts=False)

    def _sweep(self) -> None:
        """Send back what waits for domains that are silent, and let those give way that hold too much."""
        self._sweeping = None
        asked = {job: session for session in self._pool.sessions if (job := session.asked) is not None}
        now, has_room = asyncio.get_running_loop().time(), self._pool.has_room
        for job in self._waiting.giving_way(asked, now, has_room=has_room):
            asked[job].drop(Broken.GAVE_WAY)
        for job in self._waiting.silenced(now):
            self._answering.finish(job, self.later(job.domain, self._answering.moment()), Heard.NOTHING)
        self._answering.staff()
