"""The line of mails that wait for one relay, and what becomes of each: whom its connections ask and tell.

Rules, in order:

1. A mail goes only while this process is sure to count as alive with all others, under the number that the mail was
   claimed by (`domain.ports.Attendance`). That is asked when a connection takes it, and again before its body leaves:
   what waited while the process was frozen is sent by whoever has it now. It is answered for, uncounted.
2. A relay that is closed (`relay.breaker`) takes nothing; what waits is told when it may come again.
3. While it is not known whether the relay works, one mail goes first; the others follow when it was dealt with.
4. What waits for a domain that is silent goes back (`relay.silence`).
5. A mail that was given to connections which ended before it began waits a while; that is not held against it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from bots.email.pace import Heard, Pace
from bots.email.relay.breaker import Breaker
from bots.email.relay.connecting import Access, Opened, Trouble, open_connection
from bots.email.relay.desk import Broken
from bots.email.relay.pool import Pool
from bots.email.relay.queue import Batch, Job, Waiting
from bots.email.relay.session import Session
from bots.email.relay.silence import Silence
from bots.email.verdicts import Stage, said, verdict
from syndicator.domain.letters import Later, Outcome, Sent
from syndicator.domain.ports import ALONE, Attendance

__all__ = ["STOPPED", "Line"]

TRIES = 3  # connections that may end before a mail begins
PAUSE = timedelta(seconds=30)
QUIET = 3.0  # seconds without a word, and a domain counts as silent
HEARD: dict[Broken | None, Heard] = {
    Broken.TIMED_OUT: Heard.TIMED_OUT,
    Broken.HUNG_UP: Heard.BROKEN,
    Broken.CONFUSED: Heard.BROKEN,
}
STOPPED = Later("stopped before it was sent", counts=False)
NOT_OURS = Later("its process was not sure to count as alive", counts=False)


class Line:
    """See the module; `relay.session.Desk` and `relay.pool.Keeper` for the connections.

    `access` is the relay's, `timeout` seconds for each reply, `pace` says who may go, `attendance` whether we are
    among the living.
    """

    def __init__(
        self,
        access: Access,
        connections: int,
        timeout: float,
        *,
        pace: Pace | None = None,
        attendance: Attendance = ALONE,
    ) -> None:
        self.pace = pace
        self._access = access
        self._timeout = timeout
        self._attendance = attendance
        self._known_as = self._present()
        self._waiting = Waiting(connections, min(QUIET, timeout / 4))
        self._pool = Pool(self, connections, timeout)
        self._silence = Silence(self, self._waiting, self._pool)
        self._under_way = 0
        self._first_at = 0.0
        self._breaker = Breaker(self.name, pace)
        self._now = (datetime.min.replace(tzinfo=UTC), 0.0)  # what we were told last, and when by the loop

    @property
    def name(self) -> str:
        """The relay, for people."""
        return self._access.name

    @property
    def steady(self) -> bool:
        """Whether the relay dealt with the last mail; if not, one goes first."""
        return self._breaker.steady

    def ready_at(self, now: datetime) -> datetime | None:
        """When a closed relay is asked again."""
        return self._breaker.ready_at(now)

    async def close(self) -> None:
        """Say goodbye on every idle connection and leave the others; safe to call twice."""
        self._silence.close()
        await self._pool.close()

    # -- what comes into it
    def told(self, now: datetime) -> None:
        """The present, from outside."""
        self._now = (now, asyncio.get_running_loop().time())

    def refuses(self, job: Job) -> Later | None:
        """What it is told instead of being taken in; None: it may `join`."""
        if not self._is_ours(job):
            return NOT_OURS
        if (closed := self._breaker.closed(job.batch.now)) is not None:
            return closed
        if self._waiting.is_shut(job.domain, asyncio.get_running_loop().time()):
            return self._silence.later(job.domain, job.batch.now)
        return None

    def join(self, job: Job) -> None:
        """Wait here; `staff` begins with it."""
        self._waiting.jobs.append(job)

    def staff(self) -> None:
        """Let mails go over the connections that there are or may be; none while the relay is closed."""
        now = self.moment()
        if (closed := self._breaker.closed(now)) is not None:
            self.put_off(closed)
            return
        self._pool.staff(now)
        self._silence.look_again()

    def _waits_for_first(self) -> bool:
        """Rule 3. One that is kept waiting tells nothing of the relay: its domain may be the slow one."""
        if self.steady or not self._under_way:
            return False
        return asyncio.get_running_loop().time() - self._first_at < self._waiting.quiet

    def put_off(self, later: Later, batch: Batch | None = None) -> None:
        """The same answer for every mail that waits, or for those of a batch."""
        for job in self._waiting.drain(batch):
            self.finish(job, later, Heard.NOTHING)

    def drop(self, batch: Batch) -> None:
        """Hang up where something of it is on its way."""
        for session in [one for one in self._pool.sessions if one.carries(batch)]:
            session.drop()

    # -- what sessions ask and tell (`relay.session.Desk`)
    def take(self, session: Session) -> Job | None:
        """The next mail for it."""
        self._look_who_we_are()
        if not (len(self._waiting) and session.has_room and self.may_begin()):
            return None
        job = self._waiting.take(asyncio.get_running_loop().time())
        self._silence.look_again()
        if job is not None:
            if not self._under_way:
                self._first_at = asyncio.get_running_loop().time()
            self._under_way += 1
            job.tries += 1
            job.closings = self._breaker.closings
        return job

    def may_leave(self, job: Job) -> bool:
        """Rule 1, for a mail that a connection has taken."""
        return self._is_ours(job)

    def answered(self, job: Job, stage: Stage, code: int, text: bytes) -> bool:
        """The relay has decided about a mail; whether the connection may be used on."""
        now, words = self.moment(), text.decode("utf-8", "replace")
        if stage is Stage.END and 200 <= code < 300:
            self._begun(job, answered=True)
            answer: dict[str, object] = {"message_id": f"<{job.mail.message_id}>", "said": said(stage, code, words)}
            self.finish(job, Sent(answer), Heard.TAKEN)
            self._opens(job)
            return True
        found = verdict(stage, code, words, now)
        if found.if_relay is not None and (self.pace is None or self.pace.is_relays(job.domain, now)):
            found = found.if_relay
        self._begun(job, answered=True)
        if found.complaint:
            self._breaker.complain(found.complaint, now)
        self.finish(job, found.outcome, found.heard, found.wait)
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
            outcome = self._silence.later(job.domain, self.moment())
        if how is Broken.NOT_OURS:
            outcome = NOT_OURS
        if job.batch.is_stopped and isinstance(outcome, Later):
            outcome = Later("stopped before the relay answered", counts=False)
        self.finish(job, outcome, HEARD.get(how, Heard.NOTHING))

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
        elif not self._is_ours(job):
            later = NOT_OURS
        elif (closed := self._breaker.closed(now)) is not None:
            later = closed
        elif job.tries >= TRIES:
            later = Later("the relay hung up again and again", not_before=now + PAUSE, counts=False)
        else:
            return
        self._waiting.jobs.popleft()
        self.finish(job, later, Heard.NOTHING)

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

    # -- whether they are ours
    def _present(self) -> tuple[bool, int | None]:
        return self._attendance.is_sure(), self._attendance.number

    def _is_ours(self, job: Job) -> bool:
        return self._present() == (True, job.mail.claimed_by)

    def _look_who_we_are(self) -> None:
        """Rule 1, for all that wait."""
        if (present := self._present()) == self._known_as:
            return
        self._known_as = present
        for job in self._waiting.drain():
            if self._is_ours(job):
                self.join(job)
            else:
                self.finish(job, NOT_OURS, Heard.NOTHING)

    # -- outcomes
    def _begun(self, job: Job, *, answered: bool, timed_out: bool = False) -> None:
        self._under_way -= 1
        self._waiting.over(job, asyncio.get_running_loop().time(), answered=answered, timed_out=timed_out)

    def finish(self, job: Job, outcome: Outcome, heard: Heard, wait: timedelta | None = None) -> None:
        """Answer for it, and let the pace know how it went."""
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
        self.put_off(told)

    # -- connections
    async def try_out(self, patience: float, now: datetime) -> Opened | Trouble:
        """A connection as mails would have it, which is the caller's to end."""
        return await open_connection(self._access.client(patience), patience, now)
