"""Opening a connection to the relay: connect, secure, greet, log in. What is open then is a session's.

Rules, in order:

1. With TLS asked for, nothing is said in the clear: a relay that does not offer STARTTLS, or whose certificate does not
   hold, gets no mail. What somebody slipped in behind the answer to STARTTLS is never read (RFC 3207 section 6).
2. A relay that does not know EHLO is greeted with HELO, and offers nothing.
3. Whatever goes wrong is one line for the ledger, without a secret, and uses up no attempt of any mail.

aiosmtplib does all this; then its transport is handed over, since it sends one command at a time.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, cast

import structlog
from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPHeloError,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from bots.email.relay.envelope import Offers
from bots.email.verdicts import LOGIN_WAIT, RELAY_WAIT, Stage, judge
from syndicator.domain.characters import one_line
from syndicator.domain.letters import Later

__all__ = ["Access", "Opened", "Tls", "Trouble", "open_connection"]

Tls = Literal["none", "starttls", "tls"]

PAUSE = timedelta(seconds=30)
GOODBYE = 5.0  # seconds
STEPS = 8  # commands at most, until a connection is open

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Access:
    """Where the relay is and how it lets us in. `context` replaces the system's certificates, `local` is our name."""

    host: str
    port: int
    local: str
    tls: Tls
    user: str
    password: str = field(repr=False)
    context: ssl.SSLContext | None

    @property
    def name(self) -> str:
        """The relay, for people."""
        return f"{self.host}:{self.port}"

    def client(self, timeout: float) -> SMTP:
        """A connection to it, not yet made."""
        return SMTP(
            hostname=self.host,
            port=self.port,
            local_hostname=self.local,
            timeout=timeout,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            tls_context=self.context,
            username=self.user or None,
            password=self.password or None,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that waits for its first mail."""

    client: SMTP
    transport: asyncio.Transport
    offers: Offers

    @property
    def tls(self) -> str:
        """The version of TLS, or ""."""
        secured = self.transport.get_extra_info("ssl_object")
        return str(secured.version()) if secured is not None else ""

    async def leave(self) -> None:
        """Say goodbye, where no session has taken it over."""
        try:
            await self.client.quit(timeout=GOODBYE)
        except (SMTPException, OSError) as error:
            log.debug("relay left without goodbye", reason=_reason_of(error))
        finally:
            self.client.close()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is none."""

    later: Later


async def open_connection(client: SMTP, patience: float, now: datetime) -> Opened | Trouble:
    """Open the connection that `client` is set up for, in at most some times `patience` seconds."""
    try:
        async with asyncio.timeout(STEPS * patience):
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await _greet(client)
    except SMTPResponseException as error:
        client.close()
        return _told(error, now)
    except ssl.SSLError as error:
        client.close()
        return Trouble(Later(f"TLS: {one_line(str(error))[:200]}", not_before=now + LOGIN_WAIT, counts=False))
    except (SMTPException, OSError, ValueError) as error:
        client.close()
        return Trouble(Later(_reason_of(error), not_before=now + PAUSE, counts=False))
    transport = client.transport
    if transport is None or transport.is_closing():
        return Trouble(Later("the relay hung up after the greeting", not_before=now + PAUSE, counts=False))
    return Opened(client, cast(asyncio.Transport, transport), Offers.of(client.esmtp_extensions))


async def _greet(client: SMTP) -> None:
    try:
        await client.ehlo()
    except SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


def _told(error: SMTPResponseException, now: datetime) -> Trouble:
    trouble = judge(Stage.CONNECT, error.code, error.message, now)
    wait = trouble.not_before if isinstance(trouble, Later) else None
    later = Later(_reason_of(error), not_before=wait or now + RELAY_WAIT, counts=False)
    return Trouble(later)


def _reason_of(error: BaseException) -> str:
    """An error as one short line, without any secret: none of ours carries one."""
    if isinstance(error, SMTPResponseException):
        return one_line(f"{error.code} {error.message}")[:300]
    if isinstance(error, TimeoutError | SMTPTimeoutError):
        return "the relay did not answer in time"
    if isinstance(error, SMTPServerDisconnected):
        return "the relay hung up"
    return one_line(str(error))[:300] or type(error).__name__
