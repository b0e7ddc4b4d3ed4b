"""What sessions draw from: mails that wait, in order, and how many of each domain are on their way.

Rules, in order:

1. First come, first served, but a domain may hold only its share of the connections: half of them, until it answers
   and while it does, so that one which never answers leaves the others their rate.
2. What waits for a domain that holds its share and is silent is not held here: it goes back to the ledger (`silenced`).
3. A batch is answered as a whole, when the last of its mails is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from bots.email.compile import Mail
from syndicator.domain.letters import Outcome

__all__ = ["Batch", "Job", "Waiting"]


class Batch:
    """Mails that were given together at `now`; `done` is set when each has its outcome."""

    def __init__(self, mails: int, now: datetime) -> None:
        self.now = now
        self.is_stopped = False
        self.outcomes: list[Outcome | None] = [None] * mails
        self._open = mails
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, place: int, outcome: Outcome) -> None:
        """One outcome; the first one holds."""
        if self.outcomes[place] is None:
            self.outcomes[place] = outcome
            self._open -= 1
            if not self._open and not self.done.done():
                self.done.set_result(None)


@dataclass(slots=True, eq=False)
class Job:
    """One mail of a batch. `tries` counts the connections it was given to, `patience` is seconds for each answer.

    `closings` says how often the relay had closed when it was begun, `admitted` that its domain's turn is taken.
    """

    mail: Mail
    batch: Batch
    place: int
    domain: str
    patience: float
    tries: int = 0
    closings: int = 0
    admitted: bool = False

    def settle(self, outcome: Outcome) -> None:
        """Answer for it."""
        self.batch.settle(self.place, outcome)


@dataclass(slots=True)
class _Held:
    """A domain's mails on their way, since when there are any, and when one was answered last."""

    mails: int = 0
    since: float = 0.0
    heard_at: float = float("-inf")


@dataclass(slots=True)
class Waiting:
    """Jobs that wait. Times are the event loop's seconds; a domain that says nothing for `quiet` of them is silent.

    `is_blocked`: some wait for their domain alone.
    """

    connections: int
    quiet: float
    is_blocked: bool = False
    jobs: deque[Job] = field(default_factory=deque)
    _held: dict[str, _Held] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.jobs)

    def take(self, now: float) -> Job | None:
        """The first job whose domain may have one more on its way; it is on its way now."""
        for place, job in enumerate(self.jobs):
            if self._may_go(job.domain, now):
                del self.jobs[place]
                held = self._held.setdefault(job.domain, _Held())
                if not held.mails:
                    held.since = now
                held.mails += 1
                return job
            self.is_blocked = True
        return None

    def silenced(self, now: float) -> list[Job]:
        """Take out what waits for a domain that is silent."""
        out = [job for job in self.jobs if not self._may_go(job.domain, now) and self._is_silent(job.domain, now)]
        gone = {id(job) for job in out}
        self.jobs = deque(job for job in self.jobs if id(job) not in gone)
        self.is_blocked = any(not self._may_go(job.domain, now) for job in self.jobs)
        return out

    def back(self, job: Job) -> None:
        """A job that was taken and not begun: it waits at the front."""
        self._leave(job.domain)
        self.jobs.appendleft(job)

    def over(self, job: Job, now: float, *, answered: bool) -> None:
        """A job that was taken is settled."""
        if answered:
            self._held.setdefault(job.domain, _Held(1)).heard_at = now
        self._leave(job.domain)

    def drain(self, batch: Batch | None = None) -> list[Job]:
        """Take out what waits, all of it or one batch's, and has not begun."""
        out = [job for job in self.jobs if batch is None or job.batch is batch]
        self.jobs = deque(job for job in self.jobs if not (batch is None or job.batch is batch))
        return out

    def _may_go(self, domain: str, now: float) -> bool:
        held = self._held.get(domain)
        if held is None or held.mails < max(1, self.connections // 2):
            return True
        return now - held.heard_at < self.quiet

    def _is_silent(self, domain: str, now: float) -> bool:
        held = self._held[domain]
        return now - max(held.since, held.heard_at) >= self.quiet

    def _leave(self, domain: str) -> None:
        held = self._held.get(domain)
        if held is not None:
            held.mails -= 1
            if held.mails <= 0 and len(self._held) > 1000:  # domains; what is heard of one ages quickly
                self._held = {name: one for name, one in self._held.items() if one.mails > 0}
