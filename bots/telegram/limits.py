"""When may we send? The slots of one bot, over moments that are passed in.

Rules, in order:

1. Nothing is broadcast to a chat that is paused, or by a bot that is (`floods`). Answers in a dialogue never pause.
2. A chat takes one message a second; a group or channel besides takes 20 in any minute. A channel's public name and
   its number are one chat.
3. The bot sends `per_second` messages on average, with a small burst, and in no second more than it may (`ceiling`).
4. Where several wait, the more important goes first (`Rank`), then the one that asked first. A slot is taken at the
   moment it is granted, so lanes that run side by side cannot share one.
5. A new process does not know what the one before sent in its last second: it lets a second pass, and so does one that
   takes over (`begin`). What a crowd got in its last minute is kept (`spent`): that second is not enough there.
6. A clock that is set back takes everything with it that was noted here: a second stays a second, and a pause as long
   as it was. What was kept by a process before it holds no longer than it was made for (`kept`).

The published limits are about 30 a second, 1 a second in a chat, 20 a minute in a group
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this); what holds inside is not published.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import islice

from bots.telegram.buckets import CROWD_MESSAGES, CROWD_WINDOW, SECOND, Bucket, ChatPace, Trips, Window
from bots.telegram.floods import Floods
from bots.telegram.kept import BOT, Pause, chat_scope, count_of, no_longer, parted, spent_by

__all__ = ["Pacer", "Rank", "Ticket", "ceiling", "is_crowd"]

NOTED = timedelta(seconds=1)
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


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """Somebody waits to send; the smaller goes first."""

    rank: Rank
    number: int
    chat: int | str = field(compare=False)


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
        self._floods = Floods()
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
        self._floods.rename(folded, number)

    def begin(self, now: datetime) -> None:
        """Another process may have sent until now: see rule 5."""
        self._follow(now)
        self._hushed_until = max(now + SECOND, self._hushed_until or now)

    def restore(self, kept: Iterable[Pause], now: datetime | None = None) -> None:
        """Take up what was kept; of two pauses for one scope the longer holds. `now` bounds it by rule 6."""
        for one in kept if now is None else (no_longer(one, now) for one in kept):
            kind, chat = parted(one.scope)
            if kind == "crowd":
                self._crowded(self.known(chat), one)
            else:
                self._floods.pause(chat_scope(self.known(chat)) if kind == "chat" else one.scope, one.until)

    def _crowded(self, chat: int | str, kept: Pause) -> None:
        pace = ChatPace()
        pace.minute.answered.extend([kept.until - CROWD_WINDOW] * min(count_of(kept), CROWD_MESSAGES))
        self._chats.setdefault(chat, ChatPace()).join(pace)

    def spent(self, chat: int | str, now: datetime) -> Pause | None:
        """What is to be kept of a crowd before its next message goes at `now`; None for a person."""
        chat = self.known(chat)
        if not is_crowd(chat):
            return None
        known = self._chats.get(chat)
        number = known.minute.within(now) if known else 0
        return spent_by(chat, number, now)

    # -- pauses
    def paused_until(self, chat: int | str, now: datetime) -> datetime | None:
        """Until when nothing may go to that chat, or None."""
        return self._floods.until(self.known(chat), now)

    def is_paused(self, now: datetime) -> bool:
        """Whether anything is paused at `now`, the bot or any chat."""
        return self._floods.any(now)

    def held_until(self, now: datetime) -> datetime | None:
        """Until when the bot as a whole sends nothing, or None."""
        self._follow(now)
        ends = [one for one in (self._floods.bot_until(), self._hushed_until) if one is not None and one > now]
        return max(ends, default=None)

    def hold(self, until: datetime) -> None:
        """No broadcast before `until`: the token was refused."""
        self._floods.pause(BOT, until)

    def too_many(self, chat: int | str, seconds: float, now: datetime, *, in_dialogue: bool = False) -> list[Pause]:
        """The chat answered 429; the pauses that follow from it. `in_dialogue`: to an answer, to no broadcast."""
        self._follow(now)
        return self._floods.too_many(self.known(chat), seconds, now, in_dialogue=in_dialogue)

    # -- slots
    def free_at(self, chat: int | str, now: datetime) -> datetime:
        """When a message may go to that chat; `now` if at once."""
        self._bot.rate = self._floods.slowed(self.per_second, now)
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
        self._hushed_until = self._hushed_until and self._hushed_until - by
        self._floods.set_back(by)

    def _forget(self, now: datetime) -> None:
        self._chats = {chat: known for chat, known in self._chats.items() if not known.idle(now)}
        self._floods.forget(now)
