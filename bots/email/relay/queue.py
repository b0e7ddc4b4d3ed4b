"""What sessions draw from: mails that wait, in order, and how many of each domain are on their way.

Rules, in order:

1. First come, first served, and a domain that answers has as many on their way as there are connections for.
2. One that has answered nothing lately is in doubt. All that are in doubt hold half of the connections together:
   however many never answer, who does keeps the others. One that never answered gets one mail at a time, so that none
   takes the share of all. Where silent ones hold the share, those of which nothing is known are tried one after
   another on a connection more.
3. While others wait for a connection, who says nothing gives way before its mail has left, once it has taken twice as
   long as answers take here, and rests: ten seconds, doubling to a minute until it answers (`giving_way`). When it
   comes again an eighth of the connections, and at least one, has patience with such: each in its turn gets all the
   time that there is for an answer.
4. What waits for a domain that is silent or rests, or for a share that silent ones hold, is not held here: it goes back
   to the ledger (`is_shut`, `silenced`).
5. A batch is answered as a whole when the last of its mails is, and mail by mail to whoever listens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from bots.email.compile import Mail
from syndicator.domain.letters import Outcome

__all__ = ["Batch", "Job", "Waiting"]

REST, LONGEST_REST = 10.0, 60.0  # seconds
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
    taken_at: float = 0.0  # by the event loop

    def settle(self, outcome: Outcome) -> None:
        """Answer for it."""
        self.batch.settle(self.place, outcome)


@dataclass(slots=True)
class _Held:
    """A domain's mails on their way, since when there are any, and when one was answered last.

    `was_silent`: it was waited for in vain, and has answered nothing since; until `rests_until` it is not asked again.
    """

    mails: int = 0
    since: float = 0.0
    heard_at: float = float("-inf")
    was_silent: bool = False
    rest: float = 0.0
    rests_until: float = float("-inf")


@dataclass(slots=True)
class Waiting:
    """Jobs that wait. Times are the event loop's seconds; a domain that says nothing for `quiet` of them is silent."""

    connections: int
    quiet: float
    jobs: deque[Job] = field(default_factory=deque)
    _held: dict[str, _Held] = field(default_factory=dict)
    _usual: float = float("inf")  # seconds that an answer takes, lately
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
                job.taken_at = now
                return job
        return None

    def is_shut(self, domain: str, now: float) -> bool:
        """Whether a mail for it had to wait for somebody who is silent (rule 4)."""
        if self._may_go(domain, now):
            return False
        held = self._held.get(domain)
        if held is not None and (now < held.rests_until or self._is_silent(held, now)):
            return True
        return self._silent(now) >= (self._share if self.was_silent(domain) else self._most)

    def was_silent(self, domain: str) -> bool:
        """Whether it was waited for in vain, and has answered nothing since."""
        held = self._held.get(domain)
        return held is not None and held.was_silent

    def giving_way(self, asked: Iterable[Job], now: float, *, has_room: bool) -> list[Job]:
        """Which of those that were asked about, and have not left, are no longer waited for (rule 3).

        `has_room`: a connection is free.
        """
        number = self._silent(now)
        is_tight = not has_room or number >= self._most
        if not is_tight or not any(self._is_hoped_for(domain, now) for domain in {job.domain for job in self.jobs}):
            return []
        silent = sorted((job for job in asked if self._is_silent(self._held[job.domain], now)), key=_taken_at)
        if self._usual == float("inf"):  # nobody has answered: room for the next to be tried
            return silent[: number - self._most + 1] if number >= self._most else []
        silent_enough = [job for job in silent if now - job.taken_at >= 2 * self._usual]
        new = [job for job in silent_enough if not self.was_silent(job.domain)]
        known = [job for job in silent_enough if self.was_silent(job.domain)]
        patient = max(1, self.connections // 8) - (number - len(silent))
        return new + known[max(0, patient) :]

    def silenced(self, now: float) -> list[Job]:
        """Take out what waits for somebody who is silent."""
        is_full = self._silent(now) >= self._share
        waiting = {job.domain for job in self.jobs}
        shut = {one for one in waiting if self.is_shut(one, now) or (is_full and not self._may_go(one, now))}
        out = [job for job in self.jobs if job.domain in shut]
        self.jobs = deque(job for job in self.jobs if job.domain not in shut)
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
            took = now - job.taken_at
            self._usual = took if self._usual == float("inf") else self._usual + (took - self._usual) / 5
            held.heard_at = now
            held.was_silent, held.rest = False, 0.0
        elif timed_out:
            held.heard_at, held.was_silent = float("-inf"), True
        self._leave(job.domain)

    def rest(self, domain: str, now: float) -> None:
        """It has given way."""
        held = self._held.setdefault(domain, _Held())
        if now >= held.rests_until:
            held.rest = min(2 * held.rest or REST, LONGEST_REST)
            held.rests_until = now + held.rest

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
        if held is not None and now < held.rests_until:
            return False
        doubtful = sum(self._held[name].mails for name in self._flying if self.doubts(name, now))
        if doubtful < self._share:
            return True
        return not self.was_silent(domain) and doubtful < self._most and doubtful == self._silent(now)

    @property
    def _share(self) -> int:
        """How many mails of domains in doubt may be on their way: each may end up holding a connection."""
        return max(1, self.connections // 2)

    @property
    def _most(self) -> int:
        """How many there may be with those that are tried; where there are more than two, one is for who answers."""
        return max(self._share + 1, self.connections - 1)

    def _silent(self, now: float) -> int:
        """How many mails silent domains hold."""
        return sum(self._held[name].mails for name in self._flying if self._is_silent(self._held[name], now))

    def _is_silent(self, held: _Held, now: float) -> bool:
        return held.mails > 0 and now - max(held.since, held.heard_at) >= self.quiet

    def _is_hoped_for(self, domain: str, now: float) -> bool:
        held = self._held.get(domain)
        return held is None or not (held.was_silent or self._is_silent(held, now))

    def _leave(self, domain: str) -> None:
        held = self._held[domain]
        held.mails -= 1
        if held.mails <= 0:
            self._flying.discard(domain)
            if len(self._held) > MANY:
                self._held = {name: one for name, one in self._held.items() if one.mails > 0}


def _taken_at(job: Job) -> float:
    return job.taken_at
