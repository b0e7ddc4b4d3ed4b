"""One open connection: mails go over it back to back, and for each there is one honest answer.

Rules, in order:

1. Where the relay offers PIPELINING (RFC 2920) MAIL, RCPT and DATA leave together, and with the body of one mail leaves
   the envelope of the next, unless the one's domain may keep the other waiting. DATA ends a group; every reply is
   read. Elsewhere one command leaves at a time.
2. A mail that is refused ends nothing: where DATA is accepted all the same, a lone dot ends it (RFC 2920 section 3.1);
   where a transaction is left open, RSET goes before the next envelope.
3. Only what happens after the last byte of a body has left and before the answer came is `Unknown`. Before that it is
   `Later`, and what has not left never does: the connection is aborted.
4. A mail whose envelope left behind another's body, or over a connection that had waited, and of which the relay has
   said nothing when the connection ends, was never begun: it goes back.
5. An answer that came before the connection broke still counts. A refusal that came before the body had left counts
   too, and ends the connection: what the relay makes of the rest nobody knows. A 2xx that came so early is none: nobody
   can have taken what was not there.
6. That, a reply to nothing, and one of a kind that its command cannot have end the connection: the two sides have lost
   each other.
7. A mail whose envelope cannot be made is refused, and the next one goes.
8. The relay has `patience` seconds for each reply, and twice as long for all up to the final dot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime, timedelta
from enum import Enum
from functools import partial

import structlog

from bots.email.relay.alarm import NEVER, Alarm
from bots.email.relay.connecting import Opened
from bots.email.relay.desk import Broken, Desk
from bots.email.relay.envelope import Envelope, NotCarried, stuffed
from bots.email.relay.outgoing import Outgoing
from bots.email.relay.queue import Job
from bots.email.relay.replies import BadReply, Replies
from bots.email.verdicts import Stage
from syndicator.domain.letters import Later, Outcome, Refused, Unknown

__all__ = ["Session"]

log = structlog.get_logger()

MAILS_A_LINE = 500
IDLE = timedelta(seconds=30)
GOODBYE = 5.0  # seconds
LARGE = 32_768  # bytes; a body beyond that goes alone, so that it is known exactly whether it has left
DOT = b".\r\n"


class _Step(Enum):
    """What a reply is awaited for, where it is no stage of a mail."""

    RSET = "RSET"
    VOID = "."  # the lone dot
    QUIT = "QUIT"


class Session(asyncio.Protocol):
    """See the module. `mails` counts those it began."""

    def __init__(self, opened: Opened, desk: Desk, timeout: float, now: datetime) -> None:
        self.mails = 0
        self.used_at = now
        self.is_over = False
        self.is_leaving = False
        self._offers = opened.offers
        self._desk = desk
        self._timeout = timeout
        self._replies = Replies()
        self._awaited: deque[Stage | _Step] = deque()
        self._asking: Job | None = None  # its envelope has left
        self._asked_behind = False  # ... behind the body of another, or over a connection that had waited
        self._heard_of = False  # ... and the relay has said something about it
        self._envelope: Envelope | None = None
        self._carried: Job | None = None  # its body has left, or is leaving
        self._is_fresh = False  # ... and was written since we read last: no reply can be about it
        self._is_open = False  # MAIL was accepted and its transaction has not ended
        self._loop = asyncio.get_running_loop()
        self._deadline = self._limit = NEVER
        self._alarm = Alarm(partial(self.drop, Broken.TIMED_OUT))
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._out = Outgoing(opened, self)

    # -- what the desk asks
    def fresh(self, now: datetime) -> bool:
        """Whether it may be given another mail at `now`."""
        return self.has_room and now - self.used_at < IDLE

    @property
    def has_room(self) -> bool:
        """Whether it has not carried its fill."""
        return not (self.is_over or self.is_leaving) and self.mails < MAILS_A_LINE

    def work(self) -> None:
        """Begin the next mail, if there is one."""
        data = self._next(behind=self.mails > 0)
        if data:
            self._write(data)
        else:
            self._desk.rests(self)

    def carries(self, batch: object) -> bool:
        """Whether a mail of that batch is on its way here."""
        return any(job is not None and job.batch is batch for job in (self._asking, self._carried))

    @property
    def asked(self) -> Job | None:
        """The mail that is waited for, if nothing of its body has left, nor another's is on its way."""
        return self._asking if self._carried is None else None

    async def quit(self) -> None:
        """Say goodbye if there is anybody left to hear it."""
        if not self.is_over:
            self.is_leaving = True
            self._awaited.append(_Step.QUIT)
            self._timeout = min(self._timeout, GOODBYE)
            self._write(b"QUIT\r\n")
            await asyncio.wait({self._gone})

    def drop(self, how: Broken = Broken.DROPPED, why: str = "") -> None:
        """Hang up without a word, and answer for what was on its way."""
        if self.is_over:
            return
        left = self._out.has_left()  # asked before all is thrown away
        self.is_over = True
        self._alarm.stop()
        self._out.abort()
        carried, self._carried = self._carried, None
        asking, self._asking = self._asking, None
        reason = why or how.value
        if carried is not None:
            self._desk.settled(carried, _broken(carried, reason, left=left), how)
        if asking is not None:
            kept_waiting = (
                how in (Broken.TIMED_OUT, Broken.GAVE_WAY) and carried is None
            )  # it was this mail that got no answer
            if self._asked_behind and not self._heard_of and not kept_waiting:
                self._desk.give_back(asking)
            else:
                self._desk.settled(asking, Later(reason), how)
        self._desk.ended(self, how)
        if not self._gone.done():
            self._gone.set_result(None)

    # -- what the transport tells
    def data_received(self, data: bytes) -> None:
        """Replies, whole or in parts."""
        self._is_fresh = False
        try:
            for code, text in self._replies.feed(data):
                self._heard(code, text)
                if self.is_over:
                    return
        except BadReply as error:
            self.drop(Broken.CONFUSED, str(error))
        except Exception:
            log.exception("a reply cannot be dealt with")
            self.drop(Broken.CONFUSED)

    def pause_writing(self) -> None:
        """Something could not leave yet."""
        self._out.is_full = True
        if self._awaited and not self.is_over:
            self._alarm.set(self._ends_at())

    def resume_writing(self) -> None:
        """All has left."""
        self._out.is_full = False
        self._arm()
        if self._carried is None or self._asking is not None or self.is_over:
            return
        if not self._desk.doubts(self._carried):
            self._follow()

    def eof_received(self) -> None:
        """The relay says no more; what has not left must not leave now."""
        self.drop(Broken.HUNG_UP)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # all ends are one
        """The connection is over."""
        self.drop(Broken.HUNG_UP)

    # -- asking
    def _next(self, *, behind: bool) -> bytes:
        """The envelope of the next mail, or its first command; nothing if none may go."""
        while (job := self._desk.take(self)) is not None:
            try:
                envelope = Envelope.of(job.mail, self._offers)
            except NotCarried as error:
                self._desk.settled(job, Refused(str(error)), None)
            except Exception as error:
                log.exception("envelope cannot be made")
                self._desk.settled(job, Refused(f"the envelope cannot be made: {type(error).__name__}"), None)
            else:
                return self._begin(job, envelope, behind=behind)
        return b""

    def _begin(self, job: Job, envelope: Envelope, *, behind: bool) -> bytes:
        self.mails += 1
        self.used_at = job.batch.now
        self._asking, self._envelope = job, envelope
        self._asked_behind, self._heard_of = behind, False
        if not self._awaited:
            self._limit = self._loop.time() + 2 * job.patience
        reset = self._is_open and self._carried is None
        if self._offers.pipelining:
            if reset:
                self._awaited.append(_Step.RSET)
            self._awaited += (Stage.MAIL, Stage.RCPT, Stage.DATA)
            return b"".join((b"RSET\r\n" if reset else b"", envelope.mail, envelope.rcpt, b"DATA\r\n"))
        self._awaited.append(_Step.RSET if reset else Stage.MAIL)
        return b"RSET\r\n" if reset else envelope.mail

    def _carry(self, job: Job) -> None:
        """The body, and behind it the next envelope."""
        if self._out.is_closing:
            self.drop(Broken.HUNG_UP)
            return
        if not self._desk.may_leave(job):
            self._desk.settled(job, Later(Broken.NOT_OURS.value), Broken.NOT_OURS)
            self._asking = None
            self.drop()
            return
        body = stuffed(job.mail)
        self._asking, self._carried, self._is_fresh = None, job, True
        self._awaited.append(Stage.END)
        last = not self._offers.pipelining or self._desk.doubts(job)
        alone = last or len(body) > LARGE
        behind = b"" if alone else self._next(behind=True)
        is_leaving = self._out.write_body(body, behind)
        self._arm()
        if not is_leaving:
            self.drop(Broken.HUNG_UP)
        elif alone and not last and not self._out.is_full:
            self._follow()

    def _follow(self) -> None:
        """The next envelope, once a large body has left."""
        behind = self._next(behind=True) if self._offers.pipelining else b""
        if behind:
            self._out.write_behind(behind)
            self._arm()

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._arm()

    # -- hearing
    def _heard(self, code: int, text: bytes) -> None:
        if not self._awaited:
            self.drop(Broken.HUNG_UP if code == 421 else Broken.CONFUSED)
            return
        asked = self._awaited.popleft()
        if asked is Stage.END:
            self._ended(code, text)
        elif asked is Stage.DATA:
            self._data(code, text)
        elif isinstance(asked, Stage):
            self._named(asked, code, text)
        else:
            self._stepped(asked, code)
        self._arm()

    def _named(self, stage: Stage, code: int, text: bytes) -> None:
        """A reply to MAIL or RCPT."""
        if 300 <= code < 400:
            self.drop(Broken.CONFUSED)
            return
        self._heard_of = True
        if code >= 400:
            if self._asking is not None and not self._refused(stage, code, text):
                return
            if not self._offers.pipelining:
                self.work()
            return
        if stage is Stage.MAIL:
            self._is_open = True
        if not self._offers.pipelining and self._envelope is not None:
            is_mail = stage is Stage.MAIL
            self._awaited.append(Stage.RCPT if is_mail else Stage.DATA)
            self._write(self._envelope.rcpt if is_mail else b"DATA\r\n")

    def _refused(self, stage: Stage, code: int, text: bytes) -> bool:
        """Answer for the mail that was asked about; whether the connection goes on."""
        job = self._asking
        goes_on = job is None or self._desk.answered(job, stage, code, text)
        self._asking = None
        if not goes_on:
            self.drop()
        return not self.is_over

    def _data(self, code: int, text: bytes) -> None:
        job = self._asking
        if 300 <= code < 400:
            if job is not None:
                self._carry(job)
            else:  # its recipient was refused, and the relay awaits a message all the same
                self._awaited.append(_Step.VOID)
                self._is_open = False
                self._write(DOT + self._next(behind=True))
        elif code < 300:
            self.drop(Broken.CONFUSED)
        elif job is None or self._refused(Stage.DATA, code, text):
            self.work()

    def _ended(self, code: int, text: bytes) -> None:
        """The reply to the final dot."""
        job, early = self._carried, self._out.is_full or self._is_fresh
        self._is_open = False
        if job is None or 300 <= code < 400:
            self.drop(Broken.CONFUSED)
            return
        if code < 300 and (self._is_fresh or not self._out.has_left()):
            self.drop(Broken.CONFUSED, "the relay took the message before it had it")
            return
        goes_on = self._desk.answered(job, Stage.END, code, text)
        self._carried = None
        if not goes_on or early:
            self.drop()
        elif self._asking is None:
            self.work()
        else:
            self._limit = self._loop.time() + 2 * self._asking.patience

    def _stepped(self, step: _Step, code: int) -> None:
        if step is _Step.QUIT:
            self.drop()
        elif code == 421 or (step is _Step.RSET and not 200 <= code < 300):
            self.drop(Broken.HUNG_UP)
        elif step is _Step.RSET:
            self._is_open = False
            if not self._offers.pipelining and self._envelope is not None:
                self._awaited.append(Stage.MAIL)
                self._write(self._envelope.mail)
        elif self._asking is None:
            self.work()
        else:
            self._limit = self._loop.time() + 2 * self._asking.patience

    # -- time
    def _arm(self) -> None:
        """From now on the relay has its time for the next reply."""
        if not self._awaited or self.is_over:
            self._alarm.set(NEVER)
            return
        job = self._carried or self._asking
        self._deadline = self._loop.time() + (job.patience if job is not None else self._timeout)
        self._alarm.set(self._ends_at())

    def _ends_at(self) -> float:
        """When patience ends; after the dot has left, the limit for the whole mail holds no more."""
        waits_for_dot = self._carried is not None and not self._out.is_full
        return self._deadline if waits_for_dot or self.is_leaving else min(self._deadline, self._limit)


def _broken(job: Job, reason: str, *, left: bool) -> Outcome:
    if not left:
        return Later(f"{reason}; the message had not left")
    return Unknown(f"{reason}; the message had left", {"message_id": f"<{job.mail.message_id}>"})
