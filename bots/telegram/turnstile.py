"""How much of one chat's is listened to: what a person can do, and not what a program can.

Rules, in order:

1. A chat has a token bucket: `BURST` updates at once, then one every `EVERY` seconds. Whoever is through it is told so
   once, and not listened to until half of it is full again; what came meanwhile is not made up.
2. That the bot was blocked, or may be written to again, is always heard: it is the last word that counts.
3. The office's own chats have no limit.
4. The last `KNOWN` chats are remembered; which of them is a matter of this process alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from time import monotonic

from telegram import Update

from syndicator.domain.places import Place

__all__ = ["BURST", "EVERY", "KNOWN", "Turnstile", "Way"]

BURST = 30
EVERY = 2.0  # seconds: 30 a minute
KNOWN = 10_000


class Way(Enum):
    """What becomes of an update: handled, answered with "slow down", or passed over."""

    IN = "in"
    SLOWER = "slower"
    OUT = "out"


@dataclass(slots=True)
class _Chat:
    left: float
    at: float
    shut: bool = False


class Turnstile:
    """One for each bot. `free` are the office's own chats as the configuration writes them; `clock` gives seconds."""

    def __init__(self, free: Collection[int | str] = (), clock: Callable[[], float] = monotonic) -> None:
        self._free = {str(Place.parse(str(chat)).chat).lower() for chat in free if chat}
        self._clock = clock
        self._chats: OrderedDict[int, _Chat] = OrderedDict()

    def way(self, update: Update) -> Way:
        """Count it, and say what becomes of it."""
        who = update.effective_chat or update.effective_user
        if who is None or update.my_chat_member is not None:
            return Way.IN
        if self._free & {str(who.id), f"@{who.username}".lower()}:
            return Way.IN
        return self._count(who.id)

    def _count(self, number: int) -> Way:
        now = self._clock()
        chat = self._chats.pop(number, None) or _Chat(BURST, now)
        self._chats[number] = chat
        if len(self._chats) > KNOWN:
            self._chats.popitem(last=False)
        chat.left, chat.at = min(BURST, chat.left + (now - chat.at) / EVERY), now
        if chat.shut and chat.left < BURST / 2:
            return Way.OUT
        if chat.left < 1:
            chat.shut = True
            return Way.SLOWER
        chat.left, chat.shut = chat.left - 1, False
        return Way.IN
