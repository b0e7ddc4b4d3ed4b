"""Telegram for a process without the role `bot`: it knows what is told there, and sends nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bots.telegram.aims import TELLS
from syndicator.domain.letters import Letter, Outcome
from syndicator.domain.model import ChannelKind

__all__ = ["Elsewhere"]


class Elsewhere:
    """A `domain.ports.Channel` that another process sends by."""

    kind = ChannelKind.TELEGRAM
    tells = TELLS
    chunk = 1
    lanes = 1

    def ready_at(self, now: datetime) -> datetime | None:  # noqa: ARG002  # see `domain.ports.Channel`
        """Nothing is ever claimed for it."""
        return None

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:  # noqa: ARG002  # the same
        """Raises: RuntimeError, since only a bug can bring letters here."""
        raise RuntimeError("telegram: this process has not the role bot")

    async def close(self) -> None:
        """Nothing is held open."""
