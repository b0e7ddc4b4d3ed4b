"""One connection to the relay: opened, secured, logged in, and for each mail one honest outcome.

Rules, in order:

1. Only what happens after the last byte has left and before the answer came is `Unknown`. Before that it is `Later`.
2. After a mail that was not taken the connection is reset (RSET) or dropped: one mail's trouble never reaches the next.
3. An answer that came before the connection broke still counts.

aiosmtplib connects, secures, logs in and reads replies. Its `data` is not used: it cannot tell on which side of the
final dot a connection broke, and it runs two regular expressions over each body, which is finished and known to us.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime, timedelta

import structlog
from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected, SMTPTimeoutError

from bots.email.compile import Mail
from bots.email.verdicts import (
    LOGIN_WAIT,
    RELAY_WAIT,
    Stage,
    judge,
    said,
    verdict,
)
from syndicator.domain.letters import Later, Outcome, Refused, Sent, Unknown
from syndicator.domain.text import one_line

__all__ = ["Line"]

MAILS_A_LINE = 500
IDLE = timedelta(seconds=30)
PAUSE = timedelta(seconds=30)

log = structlog.get_logger()


class Line:
    """One connection. `usable` says whether another mail may go over it.

    Of the last mail, `was_dead` says that it never began, `shut` that the relay turned away all mail with it,
    `answered` that the relay spoke about it, and `complaint` what it holds against us, as a line without addresses.
    """

    def __init__(self, client: SMTP, timeout: float, now: datetime) -> None:
        self._client = client
        self._timeout = timeout
        self._used_at = now
        self._mails = 0
        self._waited = False  # it was open before this mail, and has not answered it yet
        self._writer: asyncio.StreamWriter | None = None
        self.usable = False
        self.was_dead = False
        self.shut = False
        self.answered = False
        self.complaint = ""

    def fresh(self, now: datetime) -> bool:
        """Whether it may be used at `now`."""
        return self._client.is_connected and self._mails < MAILS_A_LINE and now - self._used_at < IDLE

    async def open(self, now: datetime) -> Later | None:
        """Connect, secure, log in and greet; what went wrong, or None."""
        try:
            await self._client.connect()
            if self._client.is_ehlo_or_helo_needed:
                await self._client.ehlo()
        except SMTPResponseException as error:
            self.drop()
            trouble = judge(Stage.CONNECT, error.code, error.message, now)
            wait = trouble.not_before if isinstance(trouble, Later) else None
            return Later(_reason_of(error), not_before=wait or now + RELAY_WAIT, counts=False)
        except ssl.SSLError as error:
            self.drop()
            return Later(f"TLS: {one_line(str(error))[:200]}", not_before=now + LOGIN_WAIT, counts=False)
        except (SMTPException, OSError, ValueError) as error:
            self.drop()
            return Later(_reason_of(error), not_before=now + PAUSE, counts=False)
        protocol, transport = self._client.protocol, self._client.transport
        if protocol is None or transport is None:
            return Later("the relay hung up after the greeting", not_before=now + PAUSE, counts=False)
        # Each byte that we still hold counts: `drain` then returns only when all have left for the network.
        transport.set_write_buffer_limits(high=0)  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)  # type: ignore[arg-type]
        self.usable = True
        return None

    def drop(self) -> None:
        """Hang up without a word: what has not left never does, so that "had not left" stays true."""
        self.usable = False
        if self._client.transport is not None:
            self._client.transport.abort()  # type: ignore[attr-defined]  # it is a plain or a TLS Transport
        self._client.close()

    async def quit(self) -> None:
        """Say goodbye if there is anybody left to hear it."""
        try:
            if self._client.is_connected:
                await self._client.quit(timeout=min(self._timeout, 5))
        except (SMTPException, OSError) as error:
            log.debug("relay left without goodbye", reason=_reason_of(error))
        finally:
            self.drop()

    async def send(self, mail: Mail, now: datetime) -> Outcome:
        """One mail, envelope and body."""
        if mail.recipient.utf8 and not self._client.supports_extension("smtputf8"):
            return Refused("the address needs SMTPUTF8, which the relay does not offer")
        self.shut, self.answered, self.complaint = False, False, ""
        self._used_at = now
        self._waited = self._mails > 0
        self._mails += 1
        try:
            refused = await self._envelope(mail, now)
        except (SMTPException, OSError) as error:
            self.was_dead = self._waited and isinstance(error, SMTPServerDisconnected)
            self.drop()
            return Later(_reason_of(error))
        if refused is None:
            outcome, clean = await self._body(mail, now)
        else:
            outcome, clean = refused, False
        if not clean and self.usable:
            await self._reset()
        return outcome

    async def _envelope(self, mail: Mail, now: datetime) -> Outcome | None:
        """MAIL, RCPT and DATA; what stops the mail, or None when its body is awaited."""
        options = [b"BODY=8BITMIME", b"SMTPUTF8"] if mail.recipient.utf8 else []
        if self._client.supports_extension("size"):
            options.append(b"SIZE=%d" % len(mail.data))
        steps = (
            (Stage.MAIL, 250, (b"MAIL", b"FROM:<%s>" % mail.sender.encode("ascii"), *options)),
            (Stage.RCPT, 250, (b"RCPT", b"TO:<%s>" % mail.recipient.text.encode())),
            (Stage.DATA, 354, (b"DATA",)),
        )
        for stage, hoped, command in steps:
            code, text = await self._client.execute_command(*command)
            self._waited = False
            if code == hoped or (hoped == 250 and 200 <= code < 300):
                continue
            return self._heard(stage, code, text, now)
        return None

    def _heard(self, stage: Stage, code: int, text: str, now: datetime) -> Outcome:
        """What a reply that was not hoped for means for the mail, and for the connection."""
        self.answered = True
        meant = verdict(stage, code, text, now)
        self.shut, self.complaint = meant.closes_relay, meant.complaint
        if meant.closes_relay or meant.hangs_up:
            self.drop()
        return meant.outcome

    async def _body(self, mail: Mail, now: datetime) -> tuple[Outcome, bool]:
        """The message and the final dot; the outcome, and whether the connection is ready for another mail."""
        protocol, writer = self._client.protocol, self._writer
        if protocol is None or writer is None:
            self.drop()
            return Later("the relay hung up before the message"), False
        # The answer must be awaited before the first byte is written: it may come at once, or early, and aiosmtplib
        # drops what nobody awaits. Which of the two a loop does first is its own affair (uvloop: the network).
        reading = asyncio.create_task(protocol.read_response(timeout=None))
        left, error = False, None
        try:
            await asyncio.sleep(0)
            protocol.write(_stuffed(mail.data))
            async with asyncio.timeout(self._timeout):
                await writer.drain()
            left = True
            async with asyncio.timeout(self._timeout):
                await asyncio.wait({reading})
        except (SMTPException, OSError) as broken:
            error = broken
        finally:
            reading.cancel()
            (answer,) = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(answer, BaseException):
            self.drop()
            return self._broken(error or answer, mail, left=left), False
        if error is not None:  # it answered and hung up at once
            self.drop()
        code, text = answer
        if 200 <= code < 300:
            self.answered = True
            reply = said(Stage.END, code, text)
            return Sent({"message_id": f"<{mail.message_id}>", "said": reply}), True
        return self._heard(Stage.END, code, text, now), False

    @staticmethod
    def _broken(error: BaseException, mail: Mail, *, left: bool) -> Outcome:
        reason = _reason_of(error)
        if not left:
            return Later(f"{reason}; the message had not left")
        return Unknown(f"{reason}; the message had left", {"message_id": f"<{mail.message_id}>"})

    async def _reset(self) -> None:
        """RSET, so that the next mail starts afresh; a relay that does not answer it is left."""
        try:
            code, _ = await self._client.execute_command(b"RSET")
        except (SMTPException, OSError):
            code = 0
        if code != 250:
            self.drop()


def _reason_of(error: BaseException) -> str:
    """An error as one short line, without any secret: none of ours carries one."""
    if isinstance(error, SMTPResponseException):
        return one_line(f"{error.code} {error.message}")[:300]
    if isinstance(error, TimeoutError | SMTPTimeoutError):
        return "the relay did not answer in time"
    if isinstance(error, SMTPServerDisconnected):
        return "the relay hung up"
    return one_line(str(error))[:300] or type(error).__name__


def _stuffed(data: bytes) -> bytes:
    """As DATA wants it: lines that begin with a dot get another (RFC 5321 section 4.5.2), and the final dot."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")
