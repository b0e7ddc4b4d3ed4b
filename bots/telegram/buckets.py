"""What was sent lately, and when the next may follow: the arithmetic of one limit each, over moments passed in.

Rules, in order:

1. A peer counts a message at a moment between its sending and its answer that nobody but the peer knows. What is in
   flight counts as sent just now, and what was answered counts from its answer: then no delay on the way, however
   long, can bring more into one of the peer's windows than into ours.
2. That costs a round trip for each place in a window. Where the window is short beside it (the bot's second), a part of
   the round trip that is the same for all is taken off again: it moves what the peer sees, and presses nothing
   together. A tenth of a second (a fifth, of long ones) is left for a line that becomes quicker meanwhile (`Trips`).
3. Nothing here waits, and nothing reads a clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["CROWD_MESSAGES", "CROWD_WINDOW", "Bucket", "ChatPace", "Trips", "Window"]

SECOND = timedelta(seconds=1)
HAIR = timedelta(milliseconds=1)  # a window is as long as it says, and no float's rounding shorter
PER_CHAT = 1  # a second
CROWD_MESSAGES = 20
CROWD_WINDOW = timedelta(seconds=60)
LOOK_AGAIN = timedelta(milliseconds=20)  # where only an answer that is under way can make room
ENOUGH_TRIPS, KEPT_TRIPS = 20, 200
LEFT, LEFT_SHARE = timedelta(milliseconds=100), 0.2  # what 25 a second can spare of 30, and of long trips


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


class Window:
    """At most `most` in any window of `length`, counted as rule 1 says."""

    __slots__ = ("_length", "_most", "answered", "flying")

    def __init__(self, most: int, length: timedelta = SECOND) -> None:
        self._most = most
        self._length = length + HAIR
        self.answered: deque[datetime] = deque(maxlen=most)  # the newest; older ones cannot matter
        self.flying = 0

    def free_at(self, now: datetime, spare: int = 0) -> datetime:
        """When the next one may go, `spare` left free, as things stand; where that hangs on an answer, when to look."""
        over = self.flying + len(self.answered) - self._most + spare
        if over < 0:
            return now
        if over < len(self.answered):
            return max(now, self.answered[over] + self._length)
        return now + LOOK_AGAIN

    def begin(self) -> None:
        """One goes out now."""
        self.flying += 1

    def end(self, now: datetime) -> None:
        """One was answered, or is given up."""
        self.flying = max(0, self.flying - 1)
        self.answered.append(max(now, self.answered[-1]) if self.answered else now)

    def join(self, other: Window) -> None:
        """What was counted there counts here."""
        self.answered = deque(sorted((*self.answered, *other.answered)), maxlen=self._most)
        self.flying += other.flying

    def set_back(self, by: timedelta) -> None:
        """The clock was set back, and what was counted with it."""
        self.answered = deque((one - by for one in self.answered), maxlen=self._most)

    def within(self, now: datetime) -> int:
        """How many count now."""
        return self.flying + sum(one + self._length > now for one in self.answered)


@dataclass(slots=True)
class Trips:
    """How long the latest messages took, there and back."""

    lately: deque[timedelta] = field(default_factory=lambda: deque(maxlen=KEPT_TRIPS))

    def counted_at(self, sent: datetime, answered: datetime) -> datetime:
        """From when that message counts, as rule 2 says; it is one of the latest from now on."""
        self.lately.append(answered - sent)
        shortest = min(self.lately)
        left = max(LEFT, shortest * LEFT_SHARE)
        if len(self.lately) < ENOUGH_TRIPS or shortest <= left:
            return answered
        return answered - (shortest - left)


@dataclass(slots=True)
class ChatPace:
    """One chat's own: a message a second and, in a crowd, 20 in any minute. `sent` is when the one in flight went."""

    second: Window = field(default_factory=lambda: Window(PER_CHAT))
    minute: Window = field(default_factory=lambda: Window(CROWD_MESSAGES, CROWD_WINDOW))
    sent: datetime | None = None

    def free_at(self, now: datetime, *, crowd: bool) -> datetime:
        """When the next one may go there."""
        free = self.second.free_at(now)
        return max(free, self.minute.free_at(now)) if crowd else free

    def begin(self, *, crowd: bool) -> None:
        """One goes out now."""
        self.second.begin()
        if crowd:
            self.minute.begin()

    def end(self, now: datetime, *, crowd: bool) -> None:
        """It was answered."""
        self.second.end(now)
        if crowd:
            self.minute.end(now)

    def set_back(self, by: timedelta) -> None:
        """The clock was set back, and what was counted with it."""
        self.sent = self.sent and self.sent - by
        self.second.set_back(by)
        self.minute.set_back(by)

    def idle(self, now: datetime) -> bool:
        """Whether it remembers nothing that matters any more."""
        return not self.second.within(now) and not self.minute.within(now)

    def join(self, other: ChatPace) -> None:
        """The same chat was known by another name too: all of it counts."""
        self.sent = max((one for one in (self.sent, other.sent) if one is not None), default=None)
        self.second.join(other.second)
        self.minute.join(other.minute)
