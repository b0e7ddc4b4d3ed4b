"""How often a bot may call: 30 a second, 1 a second in a chat, 20 a minute in a group or channel.

Rules, in order:

1. Time is what the clock passed in says (seconds), so tests that move their own time meet the same limits.
2. In any second 30 calls that write (sends, edits, deletions, forwards, copies); in a chat one a second, with a small
   burst; in a group or channel 20 in any minute.
3. A call that is too early is 429 with the seconds to wait. Whoever calls again before they are over waits longer,
   twice as long each time; what was under way when the 429 was answered is forgiven.
4. Every 429 is counted, by scope.

The numbers are those of https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this; what holds
inside Telegram is not published, so these are strict windows: a sender has to leave itself a margin.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

PER_SECOND, PER_CHAT, BURST, PER_MINUTE = 30, 1.0, 3, 20
UNDER_WAY = 1.0  # seconds in which calls that crossed the 429 on the line still arrive
LONGEST = 3600


@dataclass
class Window:
    """At most `count` in any `seconds`."""

    count: int
    seconds: float
    times: deque = field(default_factory=deque)

    def wait(self, now):
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        return 0 if len(self.times) < self.count else self.times[0] + self.seconds - now

    def take(self, now):
        self.times.append(now)


@dataclass
class Steady:
    """`rate` a second, at most `burst` at once."""

    rate: float
    burst: int
    due: float = -math.inf

    def wait(self, now):
        return max(0, self.due - (self.burst - 1) / self.rate - now)

    def take(self, now):
        self.due = max(self.due, now) + 1 / self.rate


@dataclass
class Penalty:
    """A 429 that was given: until when, how long it was, and when it was said."""

    until: float
    seconds: int
    said: float


class Limits:
    """The limits of one bot; `on` may be set at any time."""

    def __init__(self, clock, *, on=True, per_second=PER_SECOND, burst=BURST, per_minute=PER_MINUTE):
        self.clock, self.on = clock, on
        self.flooded = Counter()
        self._bot = Window(per_second, 1.0)
        self._chats = defaultdict(lambda: Steady(PER_CHAT, burst))
        self._crowds = defaultdict(lambda: Window(per_minute, 60.0))
        self._penalties = {}

    @property
    def given(self):
        """How many 429s were given."""
        return sum(self.flooded.values())

    def ask(self, chat):
        """Seconds to wait before a call that writes to `chat`; 0, and it is counted, if it may go now."""
        if not self.on:
            return 0
        now = self.clock()
        scopes = {"bot": [self._bot], chat: [self._chats[chat]]}
        if not isinstance(chat, int) or chat < 0:
            scopes[chat].append(self._crowds[chat])
        for scope, rules in scopes.items():
            wait = self._punished(scope, now) or self._early(scope, rules, now)
            if wait:
                self.flooded[scope] += 1
                return wait
        for rules in scopes.values():
            for rule in rules:
                rule.take(now)
        return 0

    def _early(self, scope, rules, now):
        wait = max(rule.wait(now) for rule in rules)
        if wait <= 0:
            return 0
        seconds = math.ceil(wait)
        self._penalties[scope] = Penalty(now + seconds, seconds, now)
        return seconds

    def _punished(self, scope, now):
        """What is left of a 429; longer for who did not heed it."""
        known = self._penalties.get(scope)
        if known is None or now >= known.until:
            self._penalties.pop(scope, None)
            return 0
        if now - known.said > UNDER_WAY:
            seconds = min(LONGEST, known.seconds * 2)
            self._penalties[scope] = known = Penalty(now + seconds, seconds, now)
        return math.ceil(known.until - now)
