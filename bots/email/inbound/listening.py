"""Listening for mail by LMTP or SMTP, for our own mail server: what bounces, complaints and wishes to leave come to.

Rules, in order:

1. 250 only once what followed is committed; 4xx where it cannot be, so that the server brings it again. By LMTP each
   recipient has an answer (RFC 2033 section 4.2).
2. Only addresses of ours are taken: the two of the settings, with a token of ours or none, also as a relay of ours has
   signed them (BATV: `prvs=TAG=` before it). Any other is refused with 550: nothing is ever passed on.
3. A connection has `TIMEOUT` seconds for a command and for a mail, mails have `LARGEST` bytes, a mail has
   `RECIPIENTS`, and at most `CONNECTIONS` are open; the bytes of one mail are counted while they come. `AT_ONCE` mails
   come in at a time, the others wait for their turn: in memory a mail of short lines is forty times its size.
4. Ours stop at once when the service does: what has no answer yet comes again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from bots.email.inbound.intake import LARGEST, Intake
from bots.email.verp import which_delivery, who_leaves
from syndicator.domain.ports import Clock
from syndicator.domain.tokens import Tokens
from syndicator.metrics import Metrics

__all__ = ["Addresses", "Listener"]

log = structlog.get_logger()

TIMEOUT = 120.0
CONNECTIONS = 20
AT_ONCE = 4
RECIPIENTS = 50
LINE = 64_000  # bytes; a mail server breaks lines long before
MORE = 1_000_000  # bytes of one mail beyond `LARGEST` until the line is cut; they are counted, and not kept

_BATV = re.compile(r"^prvs=[0-9a-z]{1,20}=")

logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd logs commands, which hold addresses


class Addresses:
    """Which addresses are ours: for bounces and for leaving, each with a token or without."""

    def __init__(self, bounce: str, leave: str, tokens: Tokens) -> None:
        self._plain = {one.lower() for one in (bounce, leave) if one}
        self._domains = {one.rpartition("@")[2] for one in self._plain}
        self._tokens = tokens

    def has(self, address: str, now: datetime) -> bool:
        """Whether mail to that address is for us."""
        known = _BATV.sub("", address.strip("<> ").lower())
        if known in self._plain:
            return True
        if known.rpartition("@")[2] not in self._domains:
            return False
        return any(find(self._tokens, known, now) is not None for find in (which_delivery, who_leaves))


class Listener:
    """A part of the service that listens on `host` and `port` (0: any, see `port`).

    `shared`: several processes of one machine may listen there, and each takes some of the calls (SO_REUSEPORT).
    """

    def __init__(
        self,
        intake: Intake,
        addresses: Addresses,
        *,
        kind: str,
        host: str,
        port: int,
        hostname: str,
        metrics: Metrics,
        clock: Clock,
        shared: bool = False,
    ) -> None:
        self._shared = shared
        self._intake = intake
        self._addresses = addresses
        self._speaks = _Lmtp if kind == "lmtp" else _Smtp
        self._host = host
        self.port = port
        self._hostname = hostname
        self._metrics = metrics
        self._clock = clock
        self._server: asyncio.Server | None = None
        self.open: set[_Bounded] = set()
        self.turns = asyncio.Semaphore(AT_ONCE)

    async def start(self) -> None:
        """Begin to listen. Raises OSError with one clear line where the port is taken."""
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._connection, self._host, self.port, reuse_port=self._shared or None
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            where = f"{self._host} port {self.port}"
            raise OSError(f"email.inbound: cannot listen on {where} (email.inbound.port): {reason}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End; safe to call twice."""
        if self._server is None:
            return
        self._server.close()
        for one in list(self.open):
            one.end()
        await self._server.wait_closed()
        self._server = None

    def _connection(self) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        limits: dict[str, Any] = {"data_size_limit": LARGEST, "timeout": TIMEOUT, "enable_SMTPUTF8": True}
        return self._speaks(self, hostname=self._hostname, ident="mail intake", loop=loop, **limits)

    # -- what aiosmtpd asks its handler
    async def handle_RCPT(  # noqa: N802  # aiosmtpd's names
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Rules 2 and 3."""
        if not self._addresses.has(address, self._clock()):
            return "550 5.1.1 no such mailbox here"
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return "452 4.5.3 too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Rule 1."""
        data = envelope.original_content or b""
        answers = [await self._take(data, recipient, envelope.mail_from or "") for recipient in envelope.rcpt_tos]
        if isinstance(server, LMTP):
            return "\r\n".join(answers)
        return next((one for one in answers if not one.startswith("2")), answers[0])

    async def _take(self, data: bytes, recipient: str, sender: str) -> str:
        try:
            await self._intake.take(data, [recipient], sender=sender.strip("<>"))
        except OSError as error:
            self._metrics.intake_failures.labels(type(error).__name__).inc()
            log.warning("a mail cannot be taken in now", reason=str(error) or type(error).__name__)
            return "451 4.3.0 not now, please try again"
        except Exception as error:
            self._metrics.intake_failures.labels(type(error).__name__).inc()
            log.exception("a mail could not be taken in")
            return "451 4.3.0 not now, please try again"
        return "250 2.0.0 taken"


class _Bounded(SMTP):
    """One connection, with the limits that the library has none for (rule 3)."""

    line_length_limit = LINE

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._came = 0
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """One of too many is told so, and ends."""
        if len(self._listener.open) >= CONNECTIONS:
            self._refused = True
            assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a server's connection
            transport.write(b"421 4.3.2 too many connections, please try again\r\n")
            transport.close()
            return
        self._listener.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """It ended, whoever ended it."""
        if not self._refused:
            self._listener.open.discard(self)
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Count what comes between two mails: no line and no mail is endless."""
        if self._refused:
            return
        self._came += len(data)
        if self._came > LARGEST + MORE:
            self.end()
            return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """The other side has said all."""
        return None if self._refused else super().eof_received()

    def end(self) -> None:
        """Cut the line."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """A mail, in its turn."""
        async with self._listener.turns:
            await super().smtp_DATA(arg)

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]  # the library does not say
        self._came = 0


class _Smtp(_Bounded):
    """SMTP (RFC 5321)."""


class _Lmtp(LMTP, _Bounded):
    """LMTP (RFC 2033): after a mail, one answer for each recipient, also where the library gives one."""

    _recipients: Sequence[str] = ()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """A mail."""
        self._recipients = tuple(self.envelope.rcpt_tos) if self.envelope else ()
        try:
            await super().smtp_DATA(arg)
        finally:
            self._recipients = ()

    async def push(self, status: Any) -> None:
        """An answer."""
        line = status if isinstance(status, str) else bytes(status).decode("ascii", "replace")
        alone = "\r\n" not in line and not line.startswith(("354", "501", "503", "530"))
        await super().push("\r\n".join([line] * len(self._recipients)) if alone and self._recipients else line)
