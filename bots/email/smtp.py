"""The way over one relay: mails come into its line as the pace of mail allows, and each is answered for.

Rules, in order:

1. Each mail asks the pace of its domain first; one that must wait is `Later` at once, until its turn. So is one whose
   domain is silent, or new while silent ones hold their share of the connections (`relay.queue`): no mail waits here
   for another's domain longer than moments, and none is sent behind one of a domain that may be silent.
2. A relay that cannot be reached, or that says in mid-session that it is busy (421, 454) or wants another login, is
   closed for a while; until then every mail is `Later` at once, and no attempt is used up.
3. Where the rate of all mail is kept together with other processes, bulk waits for its turns before it comes into the
   line; what may not wait goes first.
4. Told to stop, it waits a moment for the answers to what is on its way; what has not begun waits in the ledger.

What becomes of mails in the line is `relay.line`'s part, how many connections there are `relay.pool`'s, what happens on
one `relay.session`'s, when the relay is closed `relay.breaker`'s.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from datetime import datetime

import structlog
from aiosmtplib import SMTP

from bots.email.compile import Mail
from bots.email.pace import Heard, Pace
from bots.email.pace.budget import SharedRate
from bots.email.relay.connecting import Access, Opened, Tls, Trouble
from bots.email.relay.line import STOPPED, Line
from bots.email.relay.queue import Batch, Job
from bots.email.transports import Answered
from syndicator.domain.letters import Later, Outcome
from syndicator.domain.ports import ALONE, Attendance

__all__ = ["SmtpTransport"]

DRAIN = 2.0  # seconds for answers that are under way when we are told to stop

log = structlog.get_logger()


class SmtpTransport:
    """Sends through one relay.

    `local_hostname` is what we call ourselves in EHLO. `timeout` is for each reply, in seconds. `tls_context` replaces
    the system's certificates, for a relay with an authority of its own. `pace` says who may go; without it all may.
    `rate` is that of all mail, where it is kept together with other processes; `attendance` says whether we are among
    the living of them.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        local_hostname: str,
        tls: Tls = "starttls",
        user: str = "",
        password: str = "",
        connections: int = 4,
        timeout: float = 60,
        tls_context: ssl.SSLContext | None = None,
        pace: Pace | None = None,
        rate: SharedRate | None = None,
        attendance: Attendance = ALONE,
    ) -> None:
        self.connections = connections
        self.pace = pace
        self._rate = rate
        self._access = Access(host, port, local_hostname, tls, user, password, tls_context)
        self._timeout = timeout
        self._line = Line(self._access, connections, timeout, pace=pace, attendance=attendance)

    @property
    def steady(self) -> bool:
        """Whether the relay dealt with the last mail; if not, one goes first."""
        return self._line.steady

    def ready_at(self, now: datetime) -> datetime | None:
        """When a closed relay is asked again, or the pace lets anything go; None if that is now."""
        times = [self._line.ready_at(now), self.pace.ready_at(now) if self.pace is not None else None]
        return max((time for time in times if time is not None), default=None)

    async def send(self, mails: Sequence[Mail], now: datetime, answered: Answered | None = None) -> Sequence[Outcome]:
        """Send these mails; see `transports.Transport`."""
        if not mails:
            return []
        self._line.told(now)
        batch = Batch(len(mails), now, answered)
        jobs = [Job(mail, batch, place, mail.domain, self._timeout) for place, mail in enumerate(mails)]
        try:
            await self._give_out(batch, jobs)
            await asyncio.wait({batch.done})
        except asyncio.CancelledError:
            await self._stop(batch)
        return [outcome or STOPPED for outcome in batch.outcomes]

    async def close(self) -> None:
        """Say goodbye on every idle connection and leave the others; safe to call twice."""
        await self._line.close()

    # -- into the line
    async def _give_out(self, batch: Batch, jobs: Sequence[Job]) -> None:
        """What needs no turn of a shared rate goes first; the rest as soon as it has some."""
        bulk = [job for job in jobs if self._rate is not None and not (job.mail.urgent or job.mail.to_one)]
        try:
            for job in jobs:
                if job not in bulk:
                    self._accept(job)
            self._line.staff()
            if self._rate is not None and bulk:
                await self._give_turns(self._rate, batch, bulk)
                self._line.staff()
        except Exception as error:
            log.exception("mails cannot be given out", relay=self.name, mails=len(jobs))
            later = Later(f"{type(error).__name__} before it was begun")
            self._line.put_off(later, batch)
            for job in [one for one in jobs if not one.tries]:
                self._line.finish(job, later, Heard.NOTHING)

    async def _give_turns(self, rate: SharedRate, batch: Batch, jobs: Sequence[Job]) -> None:
        """Told to stop, it gives out nothing."""
        try:
            turns = await rate.turns(len(jobs))
        except asyncio.CancelledError:
            for job in jobs:
                job.settle(STOPPED)
            raise
        batch.now = self._line.moment()
        for job in jobs:
            self._accept(job, has_turn=turns > 0)
            turns -= job.admitted
        rate.give_back(turns)

    def _accept(self, job: Job, *, has_turn: bool = False) -> None:
        """Into the line, or answered for at once. With `has_turn` it need not wait for one of the shared rate."""
        later = self._line.refuses(job) or self._paced(job, has_turn=has_turn)
        if later is not None:
            job.settle(later)
        else:
            self._line.join(job)

    def _paced(self, job: Job, *, has_turn: bool) -> Later | None:
        """Rule 1."""
        if self.pace is None:
            return None
        mail = job.mail
        turn = self.pace.admit(job.domain, job.batch.now, urgent=mail.urgent, to_one=mail.to_one, has_turn=has_turn)
        if turn is not None:
            return Later("its turn comes later", not_before=turn, counts=False)
        job.admitted = True
        job.patience = min(self._timeout, self.pace.patience(job.domain))
        return None

    async def _stop(self, batch: Batch) -> None:
        """Rule 4."""
        batch.is_stopped = True
        self._line.put_off(STOPPED, batch)
        try:
            await asyncio.wait({batch.done}, timeout=min(DRAIN, self._timeout))
        finally:
            self._line.drop(batch)

    # -- for people, and for the doctor
    @property
    def name(self) -> str:
        """The relay, for people."""
        return self._line.name

    @property
    def logs_in(self) -> bool:
        """Whether it is to know who we are."""
        return bool(self._access.user)

    async def try_out(self, patience: float, now: datetime) -> Opened | Trouble:
        """A connection as mails would have it, which is the caller's to end."""
        return await self._line.try_out(patience, now)

    def client(self, timeout: float) -> SMTP:
        """A connection to the relay, not yet made."""
        return self._access.client(timeout)
