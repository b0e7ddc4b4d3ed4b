"""What one process keeps for the next: pauses, and how much a crowd got in its last minute.

Rules, in order:

1. It is known by its scope: `bot`, `chat:ID`, or `crowd:ID` for what that group or channel got.
2. What is kept says how long it was made for: a pause at the end of its reason, a crowd's count by the minute that it
   is about. After a clock that was set back it holds no longer than that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bots.telegram.buckets import CROWD_MESSAGES, CROWD_WINDOW, SECOND

__all__ = [
    "BOT",
    "KINDS",
    "Pause",
    "chat_scope",
    "count_of",
    "crowd_scope",
    "made_for",
    "no_longer",
    "parted",
    "spent_by",
]

BOT = "bot"
_CHAT, _CROWD = "chat", "crowd"
KINDS = frozenset({BOT, _CHAT, _CROWD})  # other scopes are other channels'


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause to keep, also over a restart; of scope `crowd:ID` it says what that crowd got in its last minute."""

    scope: str
    until: datetime
    reason: str


def chat_scope(chat: int | str) -> str:
    """The name of a chat's pause."""
    return f"{_CHAT}:{chat}"


def crowd_scope(chat: int | str) -> str:
    """The name under which is kept what a crowd got."""
    return f"{_CROWD}:{chat}"


def parted(scope: str) -> tuple[str, int | str]:
    """Of what kind a scope is (`bot`, `chat`, `crowd`), and which chat it is about."""
    kind, _, rest = scope.partition(":")
    return kind, int(rest) if rest.lstrip("-").isdecimal() else rest


def spent_by(crowd: int | str, number: int, now: datetime) -> Pause:
    """That so many messages went to that crowd in the minute before `now`."""
    return Pause(crowd_scope(crowd), now + CROWD_WINDOW + SECOND, f"{number} in the last minute")


def count_of(kept: Pause) -> int:
    """How many `spent_by` told of; the most there may be where it does not say."""
    return int(kept.reason.split()[0]) if kept.reason[:1].isdecimal() else CROWD_MESSAGES


def made_for(reason: str, length: timedelta) -> str:
    """The reason of a pause to keep: its length stands at the end."""
    return f"{reason}: {length.total_seconds():.0f} s"


def no_longer(kept: Pause, now: datetime) -> Pause:
    """The same, within rule 2; what says nothing of its length is taken as it is."""
    said = re.search(r": ([0-9]{1,9}) s$", kept.reason)
    length = timedelta(seconds=int(said[1])) if said else None
    if kept.scope.startswith(f"{_CROWD}:"):
        length = CROWD_WINDOW + SECOND
    return kept if length is None else replace(kept, until=min(kept.until, now + length))
