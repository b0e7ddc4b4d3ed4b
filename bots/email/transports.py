"""The port through which a finished mail leaves: a relay (`smtp`), or a folder (`outbox`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bots.email.compile import Mail
from syndicator.domain.letters import Outcome
from syndicator.domain.ports import Answered

__all__ = ["Answered", "Transport"]


class Transport(Protocol):
    """Takes finished mails, many at a time. `connections` is how many it sends side by side."""

    connections: int

    @property
    def steady(self) -> bool:
        """Whether the last that went over it worked; if not, mails come one by one until one does."""
        ...

    def ready_at(self, now: datetime) -> datetime | None:
        """None if mail can go; else a time after `now` before which none can."""
        ...

    async def send(self, mails: Sequence[Mail], now: datetime, answered: Answered | None = None) -> Sequence[Outcome]:
        """Send these mails; the outcomes stand in the same order, and one mail's trouble is never another's.

        `answered` may be told each outcome as soon as it is known, with the mail's place.
        Whatever the other side does is an outcome, never an exception. Told to stop in the middle (cancelled), it
        answers all the same: what was taken is sent, what cannot be known is unknown, the rest waits.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; safe to call twice."""
        ...
