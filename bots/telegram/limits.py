"""When may we send? The paces and pauses of one bot, over moments that are passed in.

Rules, in order:

1. A chat that answered 429 is left alone for as long as it said, and for longer each time it says so again soon after;
   when two chats did so within ten seconds the bot itself is too fast: all broadcasts pause, and go on at half the
   rate for a while. One of the two may have been told in a dialogue, not both: two people who press buttons quickly
   stop no news. Answers in a dialogue never pause.
2. A chat takes one message a second; a group or channel besides takes 20 in any minute. A channel's public name and
   its number are one chat.
3. The bot sends `per_second` messages on average, with a small burst, and in no second more than it may (`ceiling`).
4. Where several wait, the more important goes first (`Rank`), then the one that asked first. A slot is taken at the
   moment it is granted, so lanes that run side by side cannot share one.
5. A new process does not know what the one before sent in its last second: it lets a second pass. What a crowd got in
   its last minute is kept (`spent`), since that second is not enough there.
6. A clock that is set back takes everything with it that was noted here: a second stays a second, and a pause as long
   as it was. What was kept by a process before it holds no longer than it was made for.

The published limits are about 30 a second, 1 a second in a chat, 20 a minute in a group
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this); what holds inside is not published.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from itertools import islice

from bots.telegram.buckets import CROWD_MESSAGES, CROWD_WINDOW, SECOND, Bucket, ChatPace, Trips, Window

__all__ = ["BOT", "Pacer", "Pause", "Rank", "Ticket", "ceiling", "chat_scope", "crowd_scope", "is_crowd"]

BOT = "bot"
NOTED = timedelta(seconds=1)
SHARED_TROUBLE = timedelta(seconds=10)
SOON = timedelta(minutes=10)  # a 429 so soon after a pause of the same scope ended makes the next one longer
LONGEST_STRETCH = 8
EASE = timedelta(minutes=1)  # how long each step of slowing down lasts
MOST_STEPS = 3
FREE_LIMIT, PAID_LIMIT = 30, 1000  # messages a second that the Bot API takes
HEADROOM = 1.2
SPARE = 2
SET_BACK = timedelta(seconds=5)  # clocks that are slewed go back by less
_KEPT_CHATS = 20_000
_LOOKED_AT = 16  # of those who wait before one; how many more there are says nothing exact


class Rank(IntEnum):
    """Who goes first where several wait; the smaller number.

    The office's channels are few: they come even before what is urgent to very many people.
    """

    CHANNEL = 0
    URGENT = 1
    NORMAL = 2
    LATER = 3


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause to keep, also over a restart; of scope `crowd:ID` it says what that crowd got in its last minute."""

    scope: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """Somebody waits to send; the smaller goes first."""

    rank: Rank
    number: int
    chat: int | str = field(compare=False)


def chat_scope(chat: int | str) -> str:
    """The name of a chat's pause."""
    return f"chat:{chat}"


def crowd_scope(chat: int | str) -> str:
    """The name under which is kept what a crowd got."""
    return f"crowd:{chat}"


def is_crowd(chat: int | str) -> bool:
    """Whether it is a group or channel (a negative id, or a public name) rather than a person."""
    return chat < 0 if isinstance(chat, int) else True


def ceiling(per_second: float) -> int:
    """The most that may go in any one second at that average: a fifth more, within what the Bot API takes."""
    limit = FREE_LIMIT if per_second <= FREE_LIMIT else PAID_LIMIT
    return max(1, int(per_second), min(int(per_second * HEADROOM), limit))


class Pacer:
    """The paces and pauses of one bot. `begun` is when this process started; None: none sent anything before it."""

    def __init__(self, per_second: float = 25, *, begun: datetime | None = None) -> None:
        self.per_second = per_second
        self._bot = Bucket(per_second, burst=max(1.0, per_second / 2))
        self._second = Window(ceiling(per_second))
        self._trips = Trips()
        self._headroom = ceiling(per_second) - max(1, int(per_second))
        self._hushed_until = begun + SECOND if begun else None
        self._chats: dict[int | str, ChatPace] = {}
        self._noted: deque[datetime] = deque(maxlen=3)
        self._names: dict[str, int] = {}  # public names, folded, by the number that Telegram calls them
        self._paused: dict[str, datetime] = {}
        self._trouble: dict[int | str, tuple[datetime, bool]] = {}  # when, and whether in dialogues alone
        self._stretch: dict[int | str, int] = {}
        self._slow_steps, self._eases_at = 0, datetime.min.replace(tzinfo=UTC)
        self._latest: datetime | None = None
        self._waiting: list[Ticket] = []
        self._tickets = 0

    # -- names, and what a restart brings
    def same(self, name: int | str, number: int | str) -> None:
        """That public name and that number are one chat: what counts for one counts for both."""
        if not isinstance(name, str) or not isinstance(number, int):
            return
        folded = name.casefold()
        if self._names.get(folded) == number:
            return
        self._names[folded] = number
        if (known := self._chats.pop(folded, None)) is not None:
            self._chats.setdefault(number, ChatPace()).join(known)
        if (until := self._paused.pop(chat_scope(folded), None)) is not None:
            self._pause(chat_scope(number), until)

    def restore(self, kept: Iterable[Pause], now: datetime | None = None) -> None:
        """Take up what was kept; of two pauses for one scope the longer holds. `now` bounds it by rule 6."""
        for one in kept if now is None else (_no_longer(one, now) for one in kept):
            kind, _, rest = one.scope.partition(":")
            chat: int | str = int(rest) if rest.lstrip("-").isdecimal() else rest
            if kind == "crowd":
                self._crowded(self.known(chat), one)
            else:
                self._pause(chat_scope(self.known(chat)) if kind == "chat" else one.scope, one.until)

    def _crowded(self, chat: int | str, kept: Pause) -> None:
        number = int(kept.reason.split()[0]) if kept.reason[:1].isdecimal() else CROWD_MESSAGES
        pace = ChatPace()
        pace.minute.answered.extend([kept.until - CROWD_WINDOW] * min(number, CROWD_MESSAGES))
        self._chats.setdefault(chat, ChatPace()).join(pace)

    def spent(self, chat: int | str, now: datetime) -> Pause | None:
        """What is to be kept of a crowd before its next message goes at `now`; None for a person."""
        chat = self.known(chat)
        if not is_crowd(chat):
            return None
        known = self._chats.get(chat)
        number = known.minute.within(now) if known else 0
        return Pause(crowd_scope(chat), now + CROWD_WINDOW + SECOND, f"{number} in the last minute")

    # -- pauses
    def paused_until(self, chat: int | str, now: datetime) -> datetime | None:
        """Until when nothing may go to that chat, or None."""
        ends = (self._paused.get(scope) for scope in (BOT, chat_scope(self.known(chat))))
        return max((until for until in ends if until and until > now), default=None)

    def is_paused(self, now: datetime) -> bool:
        """Whether anything is paused at `now`, the bot or any chat."""
        return any(until > now for until in self._paused.values())

    def held_until(self, now: datetime) -> datetime | None:
        """Until when the bot as a whole sends nothing, or None."""
        self._follow(now)
        ends = [one for one in (self._paused.get(BOT), self._hushed_until) if one is not None and one > now]
        return max(ends, default=None)

    def hold(self, until: datetime) -> None:
        """No broadcast before `until`: the token was refused."""
        self._pause(BOT, until)

    def too_many(self, chat: int | str, seconds: float, now: datetime, *, in_dialogue: bool = False) -> list[Pause]:
        """The chat answered 429; the pauses that follow from it. `in_dialogue`: to an answer, to no broadcast."""
        chat = self.known(chat)
        until = now + timedelta(seconds=seconds * self._stretched(chat, now))
        self._follow(now)
        pauses = [Pause(chat_scope(chat), until, _made_for("429", until - now))]
        self._trouble = {one: known for one, known in self._trouble.items() if now - known[0] <= SHARED_TROUBLE}
        others = [talked for one, (_, talked) in self._trouble.items() if one != chat]
        if others and not (in_dialogue and all(others)):
            whole = now + timedelta(seconds=seconds * self._stretched(BOT, now))
            pauses.append(Pause(BOT, whole, _made_for("429 from two chats", whole - now)))
            self._slow_down(whole, now)
        self._trouble[chat] = (now, in_dialogue and self._trouble.get(chat, (now, True))[1])
        return [pause for pause in pauses if self._pause(pause.scope, pause.until)]

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
        last = self._paused.get(BOT)
        if last is None or last <= now:
            self._slow_steps = min(self._slow_steps + 1, MOST_STEPS)
        self._eases_at = max(self._eases_at, whole + EASE)

    def _ease(self, now: datetime) -> None:
        while self._slow_steps and now >= self._eases_at:
            self._slow_steps -= 1
            self._eases_at += EASE
        self._bot.rate = self.per_second / 2**self._slow_steps

    def _pause(self, scope: str, until: datetime) -> bool:
        known = self._paused.get(scope)
        if known is not None and known >= until:
            return False
        self._paused[scope] = until
        return True

    # -- slots
    def free_at(self, chat: int | str, now: datetime) -> datetime:
        """When a message may go to that chat; `now` if at once."""
        self._ease(now)
        return self._bot_free_at(self._chat_free_at(self.known(chat), now))

    def unused(self, now: datetime) -> bool:
        """Whether nearly as many slots were left over as can be saved up: more could have gone."""
        spare = timedelta(seconds=self._bot.burst / self._bot.rate / 4)
        return self._bot.due is None or self._bot.due <= now + spare

    def used_up(self, now: datetime) -> bool:
        """Whether the next slot is still to come."""
        return self._bot_free_at(now) > now

    def ask(self, chat: int | str, rank: Rank = Rank.NORMAL) -> Ticket:
        """Somebody wants to send; ask `turn` with it until it is theirs, or `leave`."""
        self._tickets += 1
        ticket = Ticket(rank, self._tickets, chat)
        insort(self._waiting, ticket)
        return ticket

    def turn(self, ticket: Ticket, now: datetime) -> datetime:
        """`now`: it is theirs, and `answered` is due once the answer has come. Otherwise when to ask again."""
        self._follow(now)
        chat, when = self.known(ticket.chat), self.free_at(ticket.chat, now)
        if before := self._before(ticket, when):
            return when + timedelta(seconds=before / self._bot.rate)
        if when <= now:
            self.leave(ticket)
            self._begin(chat, now)
        return when

    def _before(self, ticket: Ticket, when: datetime) -> int:
        """How many of those that go first could take a slot at that time, as far as it is looked at."""
        first = bisect_left(self._waiting, ticket)
        return sum(
            self._chat_free_at(self.known(one.chat), when) <= when
            for one in islice(self._waiting, min(first, _LOOKED_AT))
        )

    def leave(self, ticket: Ticket) -> None:
        """They no longer wait; safe to call twice."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)

    def answered(self, chat: int | str, now: datetime) -> None:
        """What was granted has been answered, in whatever way."""
        self._follow(now)
        chat = self.known(chat)
        known = self._chats.get(chat)
        sent = known.sent if known is not None else None
        self._second.end(now if sent is None else self._trips.counted_at(sent, now))
        if known is not None:
            known.end(now, crowd=is_crowd(chat))

    def note(self, chat: int | str, now: datetime) -> None:
        """An answer in a dialogue goes out. It is not held up, and however many come, they hold up others a second."""
        self._follow(now)
        chat = self.known(chat)
        if self._bot.free_at(now) - now <= NOTED:
            self._bot.take(now)
            self._second.begin()
            self._second.end(now)
        self._noted.append(now)
        pace = self._chats.setdefault(chat, ChatPace())
        pace.begin(crowd=is_crowd(chat))
        pace.end(now, crowd=is_crowd(chat))

    def known(self, chat: int | str) -> int | str:
        """The one name under which a chat is counted: its number, where that has been learned."""
        if isinstance(chat, int):
            return chat
        folded = chat.casefold()
        return self._names.get(folded, folded)

    def _chat_free_at(self, chat: int | str, now: datetime) -> datetime:
        start = max(self.paused_until(chat, now) or now, self._hushed_until or now)
        known = self._chats.get(chat)
        return known.free_at(start, crowd=is_crowd(chat)) if known else start

    def _bot_free_at(self, when: datetime) -> datetime:
        return max(self._bot.free_at(when), self._second.free_at(when, self._spare(when)))

    def _spare(self, when: datetime) -> int:
        """What a second leaves to answers in dialogues: more while people write, never what the average needs."""
        lately = sum(one + SECOND * 2 > when for one in self._noted)
        return min(SPARE + lately, self._headroom)

    def _begin(self, chat: int | str, now: datetime) -> None:
        self._bot.take(now)
        self._second.begin()
        pace = self._chats.setdefault(chat, ChatPace())
        pace.begin(crowd=is_crowd(chat))
        pace.sent = now
        if len(self._chats) > _KEPT_CHATS:
            self._forget(now)

    def _follow(self, now: datetime) -> None:
        """Rule 6; `now` is the present, and no moment to come."""
        if self._latest is not None and now < self._latest - SET_BACK:
            self._set_back(self._latest - now)
            self._latest = now
        self._latest = max(now, self._latest or now)

    def _set_back(self, by: timedelta) -> None:
        self._bot.due = self._bot.due and self._bot.due - by
        self._second.set_back(by)
        for chat in self._chats.values():
            chat.set_back(by)
        self._noted = deque((one - by for one in self._noted), maxlen=self._noted.maxlen)
        self._paused = {scope: until - by for scope, until in self._paused.items()}
        self._trouble = {chat: (when - by, talked) for chat, (when, talked) in self._trouble.items()}
        self._hushed_until = self._hushed_until and self._hushed_until - by
        if self._slow_steps:
            self._eases_at -= by

    def _forget(self, now: datetime) -> None:
        self._chats = {chat: known for chat, known in self._chats.items() if not known.idle(now)}
        self._paused = {scope: until for scope, until in self._paused.items() if until + SOON > now}
        self._stretch = {who: times for who, times in self._stretch.items() if self._last(who) is not None}

    def _last(self, who: int | str) -> datetime | None:
        return self._paused.get(BOT if who == BOT else chat_scope(who))


def _made_for(reason: str, length: timedelta) -> str:
    """The reason of a pause to keep: its length stands at the end."""
    return f"{reason}: {length.total_seconds():.0f} s"


def _no_longer(kept: Pause, now: datetime) -> Pause:
    """Rule 6; what says nothing of its length is taken as it is."""
    said = re.search(r": ([0-9]{1,9}) s$", kept.reason)
    length = timedelta(seconds=int(said[1])) if said else None
    if kept.scope.startswith("crowd:"):
        length = CROWD_WINDOW + SECOND
    return kept if length is None else replace(kept, until=min(kept.until, now + length))
