"""The two ways a finished mail leaves: a relay, or a folder. What they share, and which one the settings name."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from bots.email.compile import Mail
from bots.email.outbox import FileTransport
from bots.email.smtp import SmtpTransport
from config.settings import EmailSettings
from syndicator.domain.model import Outcome

__all__ = ["Transport", "make_transport"]


class Transport(Protocol):
    """Takes finished mails. `connections` is how many it sends side by side."""

    connections: int

    async def send(self, mail: Mail, now: datetime) -> Outcome:
        """Send one mail; whatever the other side does is an outcome, never an exception."""
        ...

    async def close(self) -> None:
        """Let go of connections; safe to call twice."""
        ...


def make_transport(settings: EmailSettings, host: str) -> Transport:
    """The transport that the settings name; `host` is what we call ourselves to a relay."""
    if settings.transport == "file":
        return FileTransport(Path(settings.outbox))
    return SmtpTransport(
        settings.host,
        settings.port,
        local_hostname=host,
        tls=settings.tls,
        user=settings.user,
        password=settings.password.get_secret_value() if settings.password else "",
        connections=settings.connections,
        timeout=settings.timeout,
    )
