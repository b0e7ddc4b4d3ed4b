"""When may we send? Pure arithmetic over moments that are passed in.

Rules, in order:

1. A chat that answered 429 is left alone for as long as it said; when two chats did so within ten seconds the bot
   itself is too fast, and all broadcasts pause.
2. A chat takes one message a second; a group or channel besides takes 20 in any minute.
3. The bot sends `per_second` messages, evenly, with a small burst.
4. A slot is taken at the moment it is granted, so lanes that run side by side cannot share one.

The published limits are about 30 a second, 1 a second in a chat, 20 a minute in a group
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this); what holds inside is not published.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["BOT", "Bucket", "Pacer", "Pause", "chat_scope", "is_crowd"]

BOT = "bot"
PER_CHAT = 1.0
CROWD_MESSAGES = 20
CROWD_WINDOW = timedelta(seconds=60)
NOTED = timedelta(seconds=1)
SHARED_TROUBLE = timedelta(seconds=10)
_KEPT_CHATS = 20_000


def chat_scope(chat: int | str) -> str:
    """The name of a chat's pause."""
    return f"chat:{chat}"


def is_crowd(chat: int | str) -> bool:
    """Whether it is a group or channel (a negative id, or a public name) rather than a person."""
    return chat < 0 if isinstance(chat, int) else True


@dataclass(slots=True)
class Bucket:
    """The generic cell rate algorithm (ITU-T I.371): `rate` a second, at most `burst` at once."""

    rate: float
    burst: float = 1
    due: datetime | None = None  # the theoretical arrival time

    def free_at(self, now: datetime) -> datetime:
        """When the next one may go; `now` if at once."""
        if self.due is None:
            return now
        return max(now, self.due - timedelta(seconds=(self.burst - 1) / self.rate))

    def take(self, when: datetime) -> None:
        """One goes at `when`."""
        self.due = max(self.due or when, when) + timedelta(seconds=1 / self.rate)

    def idle(self, now: datetime) -> bool:
        """Whether it remembers nothing that matters any more."""
        return self.due is None or self.due <= now


@dataclass(slots=True)
class _Chat:
    """What one chat was sent lately."""

    bucket: Bucket = field(default_factory=lambda: Bucket(PER_CHAT))
    recent: deque[datetime] = field(default_factory=lambda: deque(maxlen=CROWD_MESSAGES))

    def free_at(self, now: datetime, *, crowd: bool) -> datetime:
        when = self.bucket.free_at(now)
        if crowd and len(self.recent) == CROWD_MESSAGES:
            when = max(when, self.recent[0] + CROWD_WINDOW)
        return when

    def take(self, when: datetime, *, crowd: bool) -> None:
        self.bucket.take(when)
        if crowd:
            self.recent.append(when)

    def idle(self, now: datetime) -> bool:
        return self.bucket.idle(now) and (not self.recent or self.recent[-1] + CROWD_WINDOW <= now)


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause to keep, also over a restart."""

    scope: str
    until: datetime
    reason: str


class Pacer:
    """The paces and pauses of one bot. `paused` are those kept from before, by scope."""

    def __init__(self, per_second: float = 25, paused: Mapping[str, datetime] | None = None) -> None:
        self._bot = Bucket(per_second, burst=max(1.0, per_second / 5))
        self._chats: dict[int | str, _Chat] = {}
        self._paused = dict(paused or {})
        self._trouble: dict[int | str, datetime] = {}

    def restore(self, paused: Mapping[str, datetime]) -> None:
        """Take up pauses that were kept; of two for one scope the longer holds."""
        for scope, until in paused.items():
            self._pause(scope, until)

    def paused_until(self, chat: int | str, now: datetime) -> datetime | None:
        """Until when nothing may go to that chat, or None."""
        ends = (self._paused.get(scope) for scope in (BOT, chat_scope(chat)))
        return max((until for until in ends if until and until > now), default=None)

    def free_at(self, chat: int | str, now: datetime) -> datetime:
        """When a message may go to that chat; `now` if at once."""
        start = self.paused_until(chat, now) or now
        known = self._chats.get(chat)
        free = known.free_at(start, crowd=is_crowd(chat)) if known else start
        return self._bot.free_at(free)

    def reserve(self, chat: int | str, now: datetime, patience: timedelta) -> datetime:
        """When it may go; if that is within `patience` of `now`, the slot is the caller's."""
        when = self.free_at(chat, now)
        if when - now <= patience:
            self._take(chat, when, now)
        return when

    def note(self, chat: int | str, now: datetime) -> None:
        """An answer in a dialogue goes out. It is not held up, and however many come, they hold up others a second."""
        if self._bot.free_at(now) - now <= NOTED:
            self._take(chat, now, now)

    def too_many(self, chat: int | str, seconds: float, now: datetime) -> list[Pause]:
        """The chat answered 429; the pauses that follow from it."""
        until = now + timedelta(seconds=seconds)
        pauses = [Pause(chat_scope(chat), until, "429")]
        self._trouble = {one: at for one, at in self._trouble.items() if now - at <= SHARED_TROUBLE}
        if any(one != chat for one in self._trouble):
            pauses.append(Pause(BOT, until, "429 from two chats"))
        self._trouble[chat] = now
        return [pause for pause in pauses if self._pause(pause.scope, pause.until)]

    def held_until(self, now: datetime) -> datetime | None:
        """Until when the bot as a whole sends nothing, or None."""
        until = self._paused.get(BOT)
        return until if until is not None and until > now else None

    def hold(self, until: datetime) -> None:
        """No broadcast before `until`: the token was refused."""
        self._pause(BOT, until)

    def _pause(self, scope: str, until: datetime) -> bool:
        known = self._paused.get(scope)
        if known is not None and known >= until:
            return False
        self._paused[scope] = until
        return True

    def _take(self, chat: int | str, when: datetime, now: datetime) -> None:
        self._bot.take(when)
        self._chats.setdefault(chat, _Chat()).take(when, crowd=is_crowd(chat))
        if len(self._chats) > _KEPT_CHATS:
            self._forget(now)

    def _forget(self, now: datetime) -> None:
        self._chats = {chat: known for chat, known in self._chats.items() if not known.idle(now)}
        self._paused = {scope: until for scope, until in self._paused.items() if until > now}
