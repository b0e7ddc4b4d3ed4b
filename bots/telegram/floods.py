"""What follows from a 429: pauses that grow while trouble comes back, and half the rate after one of the whole bot.

Rules, in order:

1. A chat that answered 429 is left alone for as long as it said, and for longer each time it says so again soon after.
2. When two chats did so within ten seconds the bot itself is too fast: all broadcasts pause, and go on at half the rate
   for a while. One of the two may have been told in a dialogue, not both: two people who press buttons quickly stop no
   news.
3. Of two pauses for one scope the longer holds.
4. Nothing here waits, and nothing reads a clock. Chats come under the one name that they are counted by.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bots.telegram.kept import BOT, Pause, chat_scope, made_for

__all__ = ["Floods"]

SHARED_TROUBLE = timedelta(seconds=10)
SOON = timedelta(minutes=10)  # a 429 so soon after a pause of the same scope ended makes the next one longer
LONGEST_STRETCH = 8
EASE = timedelta(minutes=1)  # how long each step of slowing down lasts
MOST_STEPS = 3


class Floods:
    """The pauses of one bot and its chats, and how much slower it goes."""

    def __init__(self) -> None:
        self._paused: dict[str, datetime] = {}
        self._trouble: dict[int | str, tuple[datetime, bool]] = {}  # when, and whether in dialogues alone
        self._stretch: dict[int | str, int] = {}
        self._slow_steps, self._eases_at = 0, datetime.min.replace(tzinfo=UTC)

    def until(self, chat: int | str, now: datetime) -> datetime | None:
        """Until when nothing may go to that chat, or None."""
        ends = (self._paused.get(scope) for scope in (BOT, chat_scope(chat)))
        return max((until for until in ends if until and until > now), default=None)

    def bot_until(self) -> datetime | None:
        """The end of the whole bot's latest pause, past or not."""
        return self._paused.get(BOT)

    def any(self, now: datetime) -> bool:
        """Whether anything is paused at `now`, the bot or any chat."""
        return any(until > now for until in self._paused.values())

    def pause(self, scope: str, until: datetime) -> bool:
        """Keep silent until then; False if it was so already."""
        known = self._paused.get(scope)
        if known is not None and known >= until:
            return False
        self._paused[scope] = until
        return True

    def too_many(self, chat: int | str, seconds: float, now: datetime, *, in_dialogue: bool = False) -> list[Pause]:
        """The chat answered 429; the pauses that follow from it. `in_dialogue`: to an answer, to no broadcast."""
        until = now + timedelta(seconds=seconds * self._stretched(chat, now))
        pauses = [Pause(chat_scope(chat), until, made_for("429", until - now))]
        self._trouble = {one: known for one, known in self._trouble.items() if now - known[0] <= SHARED_TROUBLE}
        others = [talked for one, (_, talked) in self._trouble.items() if one != chat]
        if others and not (in_dialogue and all(others)):
            whole = now + timedelta(seconds=seconds * self._stretched(BOT, now))
            pauses.append(Pause(BOT, whole, made_for("429 from two chats", whole - now)))
            self._slow_down(whole, now)
        self._trouble[chat] = (now, in_dialogue and self._trouble.get(chat, (now, True))[1])
        return [pause for pause in pauses if self.pause(pause.scope, pause.until)]

    def slowed(self, rate: float, now: datetime) -> float:
        """What is left of that rate at `now`."""
        while self._slow_steps and now >= self._eases_at:
            self._slow_steps -= 1
            self._eases_at += EASE
        return float(rate / 2**self._slow_steps)

    def rename(self, name: str, number: int) -> None:
        """That chat is counted by its number from now on."""
        if (until := self._paused.pop(chat_scope(name), None)) is not None:
            self.pause(chat_scope(number), until)

    def set_back(self, by: timedelta) -> None:
        """The clock was set back, and what was noted with it: a pause stays as long as it was."""
        self._paused = {scope: until - by for scope, until in self._paused.items()}
        self._trouble = {chat: (when - by, talked) for chat, (when, talked) in self._trouble.items()}
        if self._slow_steps:
            self._eases_at -= by

    def forget(self, now: datetime) -> None:
        """Let go of what matters no more."""
        self._paused = {scope: until for scope, until in self._paused.items() if until + SOON > now}
        self._stretch = {who: times for who, times in self._stretch.items() if self._last(who) is not None}

    def _stretched(self, who: int | str, now: datetime) -> int:
        """How many times as long as asked the pause is to be: twice as long each time trouble comes back soon."""
        last = self._last(who)
        if last is None or now - last > SOON:
            self._stretch[who] = 1
        elif last <= now:  # a pause has ended, and here it is again; what was on its way during one is no news
            self._stretch[who] = min(self._stretch.get(who, 1) * 2, LONGEST_STRETCH)
        return self._stretch.get(who, 1)

    def _slow_down(self, whole: datetime, now: datetime) -> None:
        """Half the rate after this pause; several 429s of one trouble are one step."""
        last = self.bot_until()
        if last is None or last <= now:
            self._slow_steps = min(self._slow_steps + 1, MOST_STEPS)
        self._eases_at = max(self._eases_at, whole + EASE)

    def _last(self, who: int | str) -> datetime | None:
        return self._paused.get(BOT if who == BOT else chat_scope(who))
