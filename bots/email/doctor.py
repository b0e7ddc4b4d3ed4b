"""Whether the relay would take our mail: connect, secure, greet, log in and say goodbye. No mail is begun.

Rules, in order:

1. It is the same connection that mails go over (`line`), so what holds here holds there.
2. The answer is one line; trouble is an OSError with one. Neither has a secret in it.
"""

from __future__ import annotations

from datetime import datetime

from aiosmtplib import SMTP

from bots.email.line import Line
from bots.email.smtp import SmtpTransport

__all__ = ["ask_relay"]

PATIENCE = 15.0  # seconds for each command: somebody waits for the answer


async def ask_relay(transport: SmtpTransport, now: datetime) -> str:
    """What the relay offers us.

    Raises:
        OSError: it cannot be reached, cannot be trusted, or does not let us in.
    """
    client = transport.client(PATIENCE)
    line = Line(client, PATIENCE, now)
    try:
        trouble = await line.open(now)
        if trouble is not None:
            raise ConnectionError(f"{transport.name}: {trouble.reason}")
        return f"{transport.name}: {', '.join(_said(client, login=transport.logs_in))}"
    finally:
        await line.quit()


def _said(client: SMTP, *, login: bool) -> list[str]:
    secured = client.transport.get_extra_info("ssl_object") if client.transport is not None else None
    said = [f"greets over {secured.version()}" if secured is not None else "greets in the clear"]
    if login:
        said.append("login accepted")
    size = client.esmtp_extensions.get("size", "")
    if size.isdigit() and int(size):
        said.append(f"takes mails of up to {int(size):,} bytes")
    return said
