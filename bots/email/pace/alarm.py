"""When so much comes back that receivers will think ill of us: bars over shares, and who is told once. Pure.

Rules, in order:

1. Hard bounces above 2 % of what was sent, or complaints above 0.3 %, are an alarm. Gmail and Yahoo ask all who send
   much to stay under 0.3 % of complaints; two in a hundred dead addresses is where large relays begin to ask.
2. Of few mails nothing follows: there must be `ENOUGH` of them, and `SOME` of what came back.
3. An alarm is told once, and again a day later while it lasts.
4. It holds nothing back: see the decision record on pace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from syndicator.domain.bounces import BounceKind

__all__ = ["BARS", "Alarm", "Alarms"]

BARS = {BounceKind.HARD: 0.02, BounceKind.COMPLAINT: 0.003}
ENOUGH, SOME = 200, 3
AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Alarm:
    """More than `bar` of `sent` mails came back in that way."""

    kind: BounceKind
    share: float
    bar: float
    sent: int


class Alarms:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._told: dict[BounceKind, datetime] = {}
        self.shares: dict[BounceKind, float] = dict.fromkeys(BARS, 0.0)

    def look(self, sent: int, back: Mapping[BounceKind, int], now: datetime) -> list[Alarm]:
        """What is to be told now; `shares` are then those of these numbers."""
        new = []
        for kind, bar in BARS.items():
            number = back.get(kind, 0)
            share = self.shares[kind] = number / max(sent, number, 1)
            if max(sent, number) < ENOUGH or number < SOME or share <= bar:
                self._told.pop(kind, None)
                continue
            told = self._told.get(kind)
            if told is None or not timedelta() <= now - told < AGAIN:
                self._told[kind] = now
                new.append(Alarm(kind, share, bar, sent))
        return new
