"""What sessions draw from: mails that wait, in order, and how many of each domain are on their way.

Rules, in order:

1. First come, first served, and a domain that answers has as many on their way as there are connections for.
2. One that has answered nothing lately is in doubt. All that are in doubt hold half of the connections together, and
   at least one is for the others, if any: however many never answer, who does keeps its rate. One that never answered
   gets one mail at a time, so that none takes the share of all.
3. What waits for a domain that is silent, or for a share that silent ones hold, is not held here: it goes back to the
   ledger (`is_shut`, `silenced`).
4. A batch is answered as a whole when the last of its mails is, and mail by mail to whoever listens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bots.email.compile import Mail
from syndicator.domain.letters import Outcome

__all__ = ["Batch", "Job", "Waiting"]

MANY = 10_000  # domains that are remembered; what is heard of one ages quickly


class Batch:
    """Mails that were given together at `now`; `done` is set when each has its outcome.

    `answered` is told each outcome, with the mail's place, as soon as there is one.
    """

    def __init__(self, mails: int, now: datetime, answered: Callable[[int, Outcome], None] | None = None) -> None:
        self.now = now
        self.is_stopped = False
        self._answered = answered
        self.outcomes: list[Outcome | None] = [None] * mails
        self._open = mails
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, place: int, outcome: Outcome) -> None:
        """One outcome; the first one holds."""
        if self.outcomes[place] is None:
            self.outcomes[place] = outcome
            self._open -= 1
            if self._answered is not None:
                self._answered(place, outcome)
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

    `is_blocked`: some wait for their domain, or for the share of those in doubt.
    """

    connections: int
    quiet: float
    is_blocked: bool = False
    jobs: deque[Job] = field(default_factory=deque)
    _held: dict[str, _Held] = field(default_factory=dict)
    _heard_at: float = float("-inf")  # of any domain
    _flying: set[str] = field(default_factory=set)  # domains with mails on their way

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
                    self._flying.add(job.domain)
                held.mails += 1
                return job
            self.is_blocked = True
        return None

    def is_shut(self, domain: str, now: float) -> bool:
        """Whether a mail for it had to wait for somebody who is silent (rule 3)."""
        if self._may_go(domain, now):
            return False
        held = self._held.get(domain)
        silent = sum(self._held[name].mails for name in self._flying if self._is_silent(self._held[name], now))
        return (held is not None and self._is_silent(held, now)) or silent >= self._share

    def silenced(self, now: float) -> list[Job]:
        """Take out what waits for somebody who is silent."""
        shut = {domain for domain in {job.domain for job in self.jobs} if self.is_shut(domain, now)}
        out = [job for job in self.jobs if job.domain in shut]
        self.jobs = deque(job for job in self.jobs if job.domain not in shut)
        self.is_blocked = any(not self._may_go(job.domain, now) for job in self.jobs)
        return out

    def doubts(self, domain: str, now: float) -> bool:
        """Whether it has answered nothing lately."""
        held = self._held.get(domain)
        return held is None or now - held.heard_at >= self.quiet

    def back(self, job: Job) -> None:
        """A job that was taken and not begun: it waits at the front."""
        self._leave(job.domain)
        self.jobs.appendleft(job)

    def over(self, job: Job, now: float, *, answered: bool, timed_out: bool = False) -> None:
        """A job that was taken is settled; `answered` by a word of the relay, or its time ran out."""
        held = self._held.setdefault(job.domain, _Held(1))
        if answered:
            held.heard_at = self._heard_at = now
        elif timed_out:
            held.heard_at = float("-inf")
        self._leave(job.domain)

    def drain(self, batch: Batch | None = None) -> list[Job]:
        """Take out what waits, all of it or one batch's, and has not begun."""
        out = [job for job in self.jobs if batch is None or job.batch is batch]
        self.jobs = deque(job for job in self.jobs if not (batch is None or job.batch is batch))
        return out

    def _may_go(self, domain: str, now: float) -> bool:
        if not self.doubts(domain, now):
            return True
        held = self._held.get(domain)
        has_answered = held is not None and held.heard_at > float("-inf")
        if held is not None and held.mails >= (self._share if has_answered else 1):
            return False
        if now - self._heard_at >= self.quiet:
            return True  # nobody answers: there are no others to keep anything for
        return sum(self._held[name].mails for name in self._flying if self.doubts(name, now)) < self._share

    @property
    def _share(self) -> int:
        """How many mails of domains in doubt may be on their way: each may end up holding a connection."""
        return max(1, self.connections // 2)

    def _is_silent(self, held: _Held, now: float) -> bool:
        return held.mails > 0 and now - max(held.since, held.heard_at) >= self.quiet

    def _leave(self, domain: str) -> None:
        held = self._held[domain]
        held.mails -= 1
        if held.mails <= 0:
            self._flying.discard(domain)
            if len(self._held) > MANY:
                self._held = {name: one for name, one in self._held.items() if one.mails > 0}
