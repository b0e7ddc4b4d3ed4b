"""The way over one relay: a pool of connections that draw from one queue, and a breaker that pauses them all.

Rules, in order:

1. Each mail asks the pace of its domain first; one that must wait is `Later` at once, until its turn. So is one whose
   domain is silent, or new while silent ones hold their share of the connections (`relay.queue`): no mail waits here
   for another's domain longer than moments, and none is sent behind one of a domain that may be silent.
2. A relay that cannot be reached, or that says in mid-session that it is busy (421, 454) or wants another login, is
   closed for a while; until then every mail is `Later` at once, and no attempt is used up.
3. After that, and at the start, one mail goes first; the others follow only when the relay has dealt with it.
4. A mail that was given to connections which ended before it began waits a while; that is not held against it.
5. Told to stop, it waits a moment for the answers to what is on its way; what has not begun waits in the ledger.

How many connections there are is `relay.pool`'s part, what happens on one `relay.session`'s, when the relay is closed
`relay.breaker`'s.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from aiosmtplib import SMTP

from bots.email.compile import Mail
from bots.email.pace import Heard, Pace
from bots.email.pace.budget import SharedRate
from bots.email.relay.breaker import Breaker
from bots.email.relay.connecting import Access, Opened, Tls, Trouble, open_connection
from bots.email.relay.desk import Broken
from bots.email.relay.pool import Pool
from bots.email.relay.queue import Batch, Job, Waiting
from bots.email.relay.session import Session
from bots.email.transports import Answered
from bots.email.verdicts import Stage, said, verdict
from syndicator.domain.letters import Later, Outcome, Sent

__all__ = ["SmtpTransport"]

TRIES = 3  # connections that may end before a mail begins
PAUSE = timedelta(seconds=30)
QUIET = 3.0  # seconds without a word, and a domain counts as silent
SWEEPS = 4  # looks at who is silent in that time
SILENT_WAIT = timedelta(seconds=10)  # at least, for what waits for who is silent; at most twice that
UNTRIED_WAIT = timedelta(seconds=1)  # the same where nothing is known of the mail's own domain
SPREAD = 0.6180339887498949  # multiples of it, modulo 1, lie evenly
HEARD: dict[Broken | None, Heard] = {
    Broken.TIMED_OUT: Heard.TIMED_OUT,
    Broken.HUNG_UP: Heard.BROKEN,
    Broken.CONFUSED: Heard.BROKEN,
}
STOPPED = Later("stopped before it was sent", counts=False)
DRAIN = 2.0  # seconds for answers that are under way when we are told to stop

log = structlog.get_logger()


class SmtpTransport:
    """Sends through one relay.

    `local_hostname` is what we call ourselves in EHLO. `timeout` is for each reply, in seconds. `tls_context` replaces
    the system's certificates, for a relay with an authority of its own. `pace` says who may go; without it all may.
    `rate` is that of all mail, where it is kept together with other processes.
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
    ) -> None:
        self.connections = connections
        self.pace = pace
        self._rate = rate
        self._access = Access(host, port, local_hostname, tls, user, password, tls_context)
        self._timeout = timeout
        self._waiting = Waiting(connections, min(QUIET, timeout / 4))
        self._sweeping: asyncio.TimerHandle | None = None
        self._silenced = 0
        self._pool = Pool(self, connections, timeout)
        self._under_way = 0
        self._first_at = 0.0
        self._breaker = Breaker(self.name, pace)
        self._now = (datetime.min.replace(tzinfo=UTC), 0.0)  # what we were told last, and when by the loop

    @property
    def steady(self) -> bool:
        """Whether the relay dealt with the last mail; if not, one goes first."""
        return self._breaker.steady

    def ready_at(self, now: datetime) -> datetime | None:
        """When a closed relay is asked again, or the pace lets anything go; None if that is now."""
        times = [self._breaker.ready_at(now), self.pace.ready_at(now) if self.pace is not None else None]
        return max((time for time in times if time is not None), default=None)

    async def send(self, mails: Sequence[Mail], now: datetime, answered: Answered | None = None) -> Sequence[Outcome]:
        """Send these mails; see `transports.Transport`."""
        if not mails:
            return []
        self._now = (now, asyncio.get_running_loop().time())
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
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._pool.close()

    # -- the queue
    async def _give_out(self, batch: Batch, jobs: Sequence[Job]) -> None:
        """What needs no turn of a shared rate goes first; the rest as soon as it has some."""
        bulk = [job for job in jobs if self._rate is not None and not (job.mail.urgent or job.mail.to_one)]
        try:
            for job in jobs:
                if job not in bulk:
                    self._accept(job)
            self.staff()
            if self._rate is not None and bulk:
                await self._give_turns(self._rate, batch, bulk)
                self.staff()
        except Exception as error:
            log.exception("mails cannot be given out", relay=self.name, mails=len(jobs))
            later = Later(f"{type(error).__name__} before it was begun")
            for job in (*self._waiting.drain(batch), *(one for one in jobs if not one.tries)):
                self._finish(job, later, Heard.NOTHING)

    async def _give_turns(self, rate: SharedRate, batch: Batch, jobs: Sequence[Job]) -> None:
        """Told to stop, it gives out nothing."""
        try:
            turns = await rate.turns(len(jobs))
        except asyncio.CancelledError:
            for job in jobs:
                job.settle(STOPPED)
            raise
        batch.now = self.moment()
        for job in jobs:
            self._accept(job, has_turn=turns > 0)
            turns -= job.admitted
        rate.give_back(turns)

    def _accept(self, job: Job, *, has_turn: bool = False) -> None:
        now = job.batch.now
        closed = self._breaker.closed(now)
        if closed is not None:
            job.settle(closed)
            return
        if self._waiting.is_shut(job.domain, asyncio.get_running_loop().time()):
            job.settle(self._silent(job, now))
            return
        if self.pace is not None:
            turn = self.pace.admit(job.domain, now, urgent=job.mail.urgent, to_one=job.mail.to_one, has_turn=has_turn)
            if turn is not None:
                job.settle(Later("its turn comes later", not_before=turn, counts=False))
                return
            job.admitted = True
            job.patience = min(self._timeout, self.pace.patience(job.domain))
        self._waiting.jobs.append(job)

    def staff(self) -> None:
        """Let mails go over the connections that there are or may be; none while the relay is closed."""
        now = self.moment()
        if (closed := self._breaker.closed(now)) is not None:
            self._put_off(closed)
            return
        self._pool.staff(now)
        self._look_again()

    def _look_again(self) -> None:
        """Some wait for their domain, for a connection, or for the first to be answered: not for long."""
        if self._sweeping is None and self._waiting.jobs:
            self._sweeping = asyncio.get_running_loop().call_later(self._waiting.quiet / SWEEPS, self._sweep)

    def _sweep(self) -> None:
        """Send back what waits for domains that are silent, and let those give way that hold too much."""
        self._sweeping = None
        asked = {job: session for session in self._pool.sessions if (job := session.asked) is not None}
        now, has_room = asyncio.get_running_loop().time(), self._pool.has_room
        for job in self._waiting.giving_way(asked, now, has_room=has_room):
            asked[job].drop(Broken.GAVE_WAY)
        for job in self._waiting.silenced(now):
            self._finish(job, self._silent(job, self.moment()), Heard.NOTHING)
        self.staff()

    def _silent(self, job: Job, now: datetime) -> Later:
        """What a mail is told that would wait for a silent domain; not all come back at once."""
        self._silenced += 1
        wait = (SILENT_WAIT if self._waiting.was_silent(job.domain) else UNTRIED_WAIT) * (
            1 + self._silenced * SPREAD % 1.0
        )
        return Later("domains do not answer", not_before=now + wait, counts=False)

    def _waits_for_first(self) -> bool:
        """Rule 3. One that is kept waiting tells nothing of the relay: its domain may be the slow one."""
        if self.steady or not self._under_way:
            return False
        return asyncio.get_running_loop().time() - self._first_at < self._waiting.quiet

    async def _stop(self, batch: Batch) -> None:
        """Rule 5."""
        batch.is_stopped = True
        for job in self._waiting.drain(batch):
            self._finish(job, STOPPED, Heard.NOTHING)
        try:
            await asyncio.wait({batch.done}, timeout=min(DRAIN, self._timeout))
        finally:
            for session in [one for one in self._pool.sessions if one.carries(batch)]:
                session.drop()

    # -- what sessions ask and tell (`relay.session.Desk`)
    def take(self, session: Session) -> Job | None:
        """The next mail for it."""
        if not (len(self._waiting) and session.has_room and self.may_begin()):
            return None
        job = self._waiting.take(asyncio.get_running_loop().time())
        self._look_again()
        if job is not None:
            if not self._under_way:
                self._first_at = asyncio.get_running_loop().time()
            self._under_way += 1
            job.tries += 1
            job.closings = self._breaker.closings
        return job

    def answered(self, job: Job, stage: Stage, code: int, text: bytes) -> bool:
        """The relay has decided about a mail; whether the connection may be used on."""
        now, words = self.moment(), text.decode("utf-8", "replace")
        if stage is Stage.END and 200 <= code < 300:
            self._begun(job, answered=True)
            answer: dict[str, object] = {"message_id": f"<{job.mail.message_id}>", "said": said(stage, code, words)}
            self._finish(job, Sent(answer), Heard.TAKEN)
            self._opens(job)
            return True
        found = verdict(stage, code, words, now)
        if found.if_relay is not None and (self.pace is None or self.pace.is_relays(job.domain, now)):
            found = found.if_relay
        self._begun(job, answered=True)
        if found.complaint:
            self._breaker.complain(found.complaint, now)
        self._finish(job, found.outcome, found.heard, found.wait)
        if found.closes_relay and isinstance(found.outcome, Later):
            self._shut(found.outcome, now)
            return False
        self._opens(job)
        return not found.hangs_up

    def settled(self, job: Job, outcome: Outcome, how: Broken | None) -> None:
        """A mail's outcome without a word of the relay."""
        self._begun(job, answered=False, timed_out=how in (Broken.TIMED_OUT, Broken.GAVE_WAY))
        if how is Broken.GAVE_WAY:
            self._waiting.rest(job.domain, asyncio.get_running_loop().time())
            outcome = self._silent(job, self.moment())
        if job.batch.is_stopped and isinstance(outcome, Later):
            outcome = Later("stopped before the relay answered", counts=False)
        self._finish(job, outcome, HEARD.get(how, Heard.NOTHING))

    def doubts(self, job: Job) -> bool:
        """Whether its domain may be silent."""
        return self._waiting.doubts(job.domain, asyncio.get_running_loop().time())

    def give_back(self, job: Job) -> None:
        """It was never begun."""
        self._under_way -= 1
        self._waiting.back(job)
        now = self.moment()
        if job.batch.is_stopped:
            later = STOPPED
        elif (closed := self._breaker.closed(now)) is not None:
            later = closed
        elif job.tries >= TRIES:
            later = Later("the relay hung up again and again", not_before=now + PAUSE, counts=False)
        else:
            return
        self._waiting.jobs.popleft()
        self._finish(job, later, Heard.NOTHING)

    def rests(self, session: Session) -> None:
        """It has nothing to do."""
        self._pool.rests(session)

    def ended(self, session: Session, how: Broken) -> None:
        """It is over."""
        self._pool.ended(session, how)
        self.staff()

    # -- what its pool asks and tells (`relay.pool.Keeper`)
    @property
    def waits(self) -> int:
        """How many mails wait for a connection."""
        return len(self._waiting)

    @property
    def closings(self) -> int:
        """How often the relay has closed."""
        return self._breaker.closings

    def may_begin(self) -> bool:
        """Whether another mail may go now."""
        return self._breaker.closed(self.moment()) is None and not self._waits_for_first()

    def unreachable(self, trouble: Later) -> None:
        """No connection could be opened."""
        self._shut(trouble, self.moment(), said=False)

    def moment(self) -> datetime:
        """The present, by the newest `now` that we were given, in whole seconds since."""
        now, given_at = self._now
        return now + timedelta(seconds=int(asyncio.get_running_loop().time() - given_at))

    # -- outcomes
    def _begun(self, job: Job, *, answered: bool, timed_out: bool = False) -> None:
        self._under_way -= 1
        self._waiting.over(job, asyncio.get_running_loop().time(), answered=answered, timed_out=timed_out)

    def _finish(self, job: Job, outcome: Outcome, heard: Heard, wait: timedelta | None = None) -> None:
        if self.pace is not None and job.admitted:
            self.pace.done(job.domain, heard, self.moment(), wait=wait)
            job.admitted = False
        job.settle(outcome)

    def _opens(self, job: Job) -> None:
        """The relay has dealt with a mail: others may follow, and more of its domain's."""
        self._breaker.answers(job.closings)
        if self._waiting.jobs and self._pool.has_room:
            self.staff()

    def _shut(self, trouble: Later, now: datetime, *, said: bool = True) -> None:
        """Nothing goes for a while."""
        told = self._breaker.shut(trouble, now, said=said)
        self._pool.forget()
        self._put_off(told)

    def _put_off(self, later: Later) -> None:
        """The same answer for every mail that waits."""
        for job in self._waiting.drain():
            self._finish(job, later, Heard.NOTHING)

    # -- for people, and for the doctor
    @property
    def name(self) -> str:
        """The relay, for people."""
        return self._access.name

    @property
    def logs_in(self) -> bool:
        """Whether it is to know who we are."""
        return bool(self._access.user)

    async def try_out(self, patience: float, now: datetime) -> Opened | Trouble:
        """A connection as mails would have it, which is the caller's to end."""
        return await open_connection(self.client(patience), patience, now)

    def client(self, timeout: float) -> SMTP:
        """A connection to the relay, not yet made."""
        return self._access.client(timeout)
