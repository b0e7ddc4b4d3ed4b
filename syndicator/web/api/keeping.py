"""Answers kept in memory while nothing changes, so that a crowd that asks the same costs one query each.

Rules, in order:

1. An answer holds for one change number of the store: whatever is written ends it, a withdrawal at once.
2. A clock that went back ends it too: nothing is shown before its time, whatever the clock did since.
3. The one asked for longest ago goes first; number and bytes are bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Kept", "Made"]

MOST = 512
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Made:
    """A finished answer: its JSON, and links for the HTTP `Link` header as (address, relation)."""

    body: bytes
    links: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Kept:
    """The answers made at one change number."""

    most: int = MOST
    most_bytes: int = MOST_BYTES
    _change: int = -1
    _made_at: datetime | None = None
    _bytes: int = 0
    _made: OrderedDict[str, Made] = field(default_factory=OrderedDict)

    def find(self, key: str, change: int, now: datetime) -> Made | None:
        """The answer to that question, if it still holds."""
        if change != self._change or self._made_at is None or now < self._made_at:
            self._made.clear()
            self._change, self._made_at, self._bytes = change, now, 0
            return None
        self._made_at = now
        found = self._made.get(key)
        if found is not None:
            self._made.move_to_end(key)
        return found

    def keep(self, key: str, change: int, made: Made) -> None:
        """Keep an answer that was made at that change number, unless the store has moved on meanwhile."""
        if change != self._change or key in self._made or len(made.body) > self.most_bytes // 4:
            return
        self._made[key] = made
        self._bytes += len(made.body)
        while len(self._made) > self.most or self._bytes > self.most_bytes:
            _, gone = self._made.popitem(last=False)
            self._bytes -= len(gone.body)
