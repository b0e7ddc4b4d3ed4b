"""The port through which a finished mail leaves: a relay (`smtp`), or a folder (`outbox`)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bots.email.compile import Mail
from syndicator.domain.model import Outcome

__all__ = ["Transport"]


class Transport(Protocol):
    """Takes finished mails. `connections` is how many it sends side by side."""

    connections: int

    async def send(self, mail: Mail, now: datetime) -> Outcome:
        """Send one mail; whatever the other side does is an outcome, never an exception."""
        ...

    async def close(self) -> None:
        """Let go of connections; safe to call twice."""
        ...
