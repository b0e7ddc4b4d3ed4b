"""The relay: a few connections kept open, and for each mail one honest outcome.

Rules, in order:

1. A connection is made when a mail needs it, at most `connections` of them, and used again; it is remade after an
   error, after some hundred mails, and when it was idle so long that a relay will have hung up.
2. With `tls` asked for, nothing is said in the clear: a relay that does not offer STARTTLS, or whose certificate does
   not hold, gets no mail.
3. A relay that cannot be reached, or that says in mid-session that it is busy (421, 454) or wants another login, is
   closed for a while; until then every mail is `Later` at once.
4. After that, and at the start, one mail goes first; the others follow only when the relay has dealt with it.
5. What the relay holds against us and not against a reader is one line for the operator.

What happens on a connection is `line`'s part.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import structlog
from aiosmtplib import SMTP

from bots.email.compile import Mail
from bots.email.line import Line
from bots.email.verdicts import LOGIN_WAIT, without_addresses
from syndicator.domain.letters import Later, Outcome

__all__ = ["SmtpTransport"]

log = structlog.get_logger()


class SmtpTransport:
    """Sends through one relay.

    `local_hostname` is what we call ourselves in EHLO. `timeout` is for each command, in seconds. `tls_context`
    replaces the system's certificates, for a relay with an authority of its own.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        local_hostname: str,
        tls: Literal["none", "starttls", "tls"] = "starttls",
        user: str = "",
        password: str = "",
        connections: int = 4,
        timeout: float = 60,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self.connections = connections
        self._host = host
        self._port = port
        self._local = local_hostname
        self._tls = tls
        self._user = user
        self._password = password
        self._timeout = timeout
        self._context = tls_context
        self._free: deque[Line] = deque()
        self._places = asyncio.Semaphore(connections)
        self._first = asyncio.Lock()
        self._closed: Later | None = None
        self._closings = 0
        self._complaint: tuple[str, datetime] | None = None
        self.steady = False

    def ready_at(self, now: datetime) -> datetime | None:
        """When a closed relay is asked again; None if it is not closed."""
        until = self._closed.not_before if self._closed else None
        return until if until is not None and until > now else None

    async def send(self, mails: Sequence[Mail], now: datetime) -> Sequence[Outcome]:
        """Send each mail; see `transports.Transport`."""
        tasks = [asyncio.create_task(self._send(mail, now)) for mail in mails]
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        stopped = Later("stopped before the relay answered", counts=False)
        return [stopped if task.cancelled() else task.result() for task in tasks]

    async def _send(self, mail: Mail, now: datetime) -> Outcome:
        if not self.steady:
            async with self._first:
                if not self.steady:
                    return await self._over_a_place(mail, now)
        return await self._over_a_place(mail, now)

    async def close(self) -> None:
        """Say goodbye on every idle connection; safe to call twice."""
        while self._free:
            await self._free.pop().quit()

    async def _over_a_place(self, mail: Mail, now: datetime) -> Outcome:
        async with self._places:
            # A relay may hang up on a connection that waited. That says nothing about this mail: it gets a new one.
            outcome = await self._attempt(mail, now) or await self._attempt(mail, now)
            return outcome or Later("the relay hung up twice")

    async def _attempt(self, mail: Mail, now: datetime) -> Outcome | None:
        """Send over a free or new connection; None if a waiting one turned out to be dead before the mail began."""
        if self._closed is not None and self.ready_at(now) is not None:
            return self._closed
        line = await self._waiting(now)
        if line is None:
            line = Line(self.client(self._timeout), self._timeout, now)
            trouble = await line.open(now)
            if trouble is not None:
                return self._shut(trouble, now)
        closings = self._closings
        try:
            outcome = await line.send(mail, now)
        except BaseException:
            line.drop()
            raise
        if line.complaint:
            self._complain(line.complaint, now)
        if line.shut and isinstance(outcome, Later):
            return self._shut(outcome, now)
        if line.answered and closings == self._closings:  # an answer to what was asked before it closed opens nothing
            self.steady, self._closed = True, None
        if line.usable:
            self._free.append(line)
        elif line.was_dead:
            self._forget()
            return None
        return outcome

    async def _waiting(self, now: datetime) -> Line | None:
        """A connection that waits and is still good."""
        while self._free:
            line = self._free.pop()
            if line.fresh(now):
                return line
            await line.quit()
        return None

    def _shut(self, trouble: Later, now: datetime) -> Later:
        """The relay takes nothing for a while: the same answer for every mail until then. Of two the longer holds."""
        until = self.ready_at(now)
        if until is None:
            log.warning("relay refuses", relay=self.name, reason=without_addresses(trouble.reason))
        if until is None or (trouble.not_before is not None and trouble.not_before > until):
            self._closed = trouble
        self.steady = False
        self._closings += 1
        self._forget()
        return trouble

    def _complain(self, complaint: str, now: datetime) -> None:
        """Tell the operator, the same thing once in five minutes."""
        if self._complaint is None or self._complaint[0] != complaint or now - self._complaint[1] >= LOGIN_WAIT:
            self._complaint = (complaint, now)
            log.error("the relay does not take our mail: check its settings, ours and our name", reason=complaint)

    def _forget(self) -> None:
        """Hang up on every waiting connection: what ended one has most likely ended them all."""
        while self._free:
            self._free.pop().drop()

    @property
    def name(self) -> str:
        """The relay, for people."""
        return f"{self._host}:{self._port}"

    @property
    def logs_in(self) -> bool:
        """Whether it is to know who we are."""
        return bool(self._user)

    def client(self, timeout: float) -> SMTP:
        """A connection to the relay, not yet made."""
        return SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=self._local,
            timeout=timeout,
            use_tls=self._tls == "tls",
            start_tls=self._tls == "starttls",
            tls_context=self._context,
            username=self._user or None,
            password=self._password or None,
        )
