"""The relay: a few connections kept open, and for each mail one honest outcome.

Rules, in order:

1. A connection is made when a mail needs it, at most `connections` of them, and used again; it is remade after an
   error, after some hundred mails, and when it was idle so long that a relay will have hung up.
2. With `tls` asked for, nothing is said in the clear: a relay that does not offer STARTTLS, or whose certificate does
   not hold, gets no mail.
3. A relay that cannot be reached is left alone for a while; until then every mail is `Later` at once.

What happens on a connection is `line`'s part.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from datetime import datetime
from typing import Literal

import structlog
from aiosmtplib import SMTP

from bots.email.compile import Mail
from bots.email.line import Line
from syndicator.domain.model import Later, Outcome

__all__ = ["SmtpTransport"]

log = structlog.get_logger()


class _Closed(Exception):
    """No connection could be made; `outcome` says when to try again."""

    def __init__(self, outcome: Later) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


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
        self._closed: Later | None = None

    async def send(self, mail: Mail, now: datetime) -> Outcome:
        """Send one mail, waiting for a free connection."""
        async with self._places:
            # A relay may hang up on a connection that waited. That says nothing about this mail: it gets a new one.
            outcome = await self._attempt(mail, now) or await self._attempt(mail, now)
            return outcome or Later("the relay hung up twice")

    async def _attempt(self, mail: Mail, now: datetime) -> Outcome | None:
        """Send over a free or new connection; None if a waiting one turned out to be dead before the mail began."""
        try:
            line = await self._line(now)
        except _Closed as closed:
            return closed.outcome
        try:
            outcome = await line.send(mail, now)
        except BaseException:
            line.drop()
            raise
        if line.usable:
            self._free.append(line)
        elif line.was_dead:
            self._forget()
            return None
        return outcome

    def _forget(self) -> None:
        """Hang up on every waiting connection: what ended one has most likely ended them all."""
        while self._free:
            self._free.pop().drop()

    async def close(self) -> None:
        """Say goodbye on every idle connection; safe to call twice."""
        while self._free:
            await self._free.pop().quit()

    async def _line(self, now: datetime) -> Line:
        """A free connection that is still good, or a new one."""
        while self._free:
            line = self._free.pop()
            if line.fresh(now):
                return line
            await line.quit()
        if self._closed is not None and self._closed.not_before is not None and now < self._closed.not_before:
            raise _Closed(self._closed)
        self._closed = None
        line = Line(self.client(self._timeout), self._timeout, now)
        trouble = await line.open(now)
        if trouble is not None:
            log.warning("relay refuses", relay=self.name, reason=trouble.reason)
            self._closed = trouble
            raise _Closed(trouble)
        return line

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
