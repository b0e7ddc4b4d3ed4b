"""A world in which a pacer is tried: lanes, a network that takes its time, and a peer that counts, all in virtual time.

The peer counts as the Bot API says it does, and knows nothing of how the pacer works: a message counts at the moment
the peer handles it, somewhere between its sending and its answer.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from bots.telegram.limits import Rank

__all__ = ["Peer", "World", "sent"]


@dataclass
class Peer:
    """What arrived when, and how often more came than is allowed."""

    per_second: int = 30
    taken: list = field(default_factory=list)  # (moment, chat)

    def take(self, moment, chat):
        self.taken.append((moment, chat))

    def excesses(self):
        """Everything that was more than allowed, in words."""
        moments = sorted(moment for moment, _ in self.taken)
        found = [f"bot at {m}" for m in _too_close(moments, self.per_second, timedelta(seconds=1))]
        for chat in {chat for _, chat in self.taken}:
            theirs = sorted(moment for moment, one in self.taken if one == chat)
            found += [f"chat {chat} at {m}" for m in _too_close(theirs, 1, timedelta(seconds=1))]
            if isinstance(chat, str) or chat < 0:
                found += [f"crowd {chat} at {m}" for m in _too_close(theirs, 20, timedelta(seconds=60))]
        return found

    def rate(self):
        moments = sorted(moment for moment, _ in self.taken)
        return (len(moments) - 1) / (moments[-1] - moments[0]).total_seconds()


def sent(pacer, chats, start):
    """When each of these arrives, in seconds after `start`: each has a lane, and the line no delay."""
    peer = Peer()
    World(pacer, peer, start, lanes=len(chats), back=lambda: 0.0).send((0, chat, Rank.NORMAL) for chat in chats)
    return [(moment - start).total_seconds() for moment, _ in peer.taken]


def _too_close(moments, most, window):
    return [b for a, b in zip(moments, moments[most:], strict=False) if b - a < window]


class World:
    """Lanes that send what is wished for. `out` and `back` give the seconds to the peer, and of its answer back."""

    def __init__(self, pacer, peer, start, *, lanes=8, out=lambda: 0.0, back=lambda: 0.01):
        self.pacer, self.peer, self.start, self.lanes = pacer, peer, start, lanes
        self.out, self.back = out, back
        self.events, self.order, self.waiting, self.went = [], count(), [], []

    def send(self, wishes, notes=()):
        """Every wish (seconds after start, chat, rank); returns the chats in the order in which they went.

        `notes` are answers in a dialogue (seconds, chat), which wait for nobody.
        """
        self.waiting = sorted(wishes, key=lambda wish: wish[0])[::-1]
        for seconds, chat in notes:
            self._at(self.start + timedelta(seconds=seconds), lambda now, chat=chat: self._say(now, chat))
        for _ in range(self.lanes):
            self._at(self.start, self._lane)
        while self.events:
            now, _, do = heapq.heappop(self.events)
            do(now)
        return self.went

    def _at(self, moment, do):
        heapq.heappush(self.events, (moment, next(self.order), do))

    def _lane(self, now):
        if not self.waiting:
            return
        due = self.start + timedelta(seconds=self.waiting[-1][0])
        if due > now:
            self._at(due, self._lane)
            return
        _, chat, rank = self.waiting.pop()
        self._wait(now, self.pacer.ask(chat, rank), chat)

    def _wait(self, now, ticket, chat):
        when = self.pacer.turn(ticket, now)
        if when > now:
            self._at(when, lambda later: self._wait(later, ticket, chat))
            return
        self.went.append(chat)
        handled = now + timedelta(seconds=self.out())
        self.peer.take(handled, chat)
        self._at(handled + timedelta(seconds=self.back()), lambda later: self._done(later, chat))

    def _done(self, now, chat):
        self.pacer.answered(chat, now)
        self._lane(now)

    def _say(self, now, chat):
        self.pacer.note(chat, now)
        self.peer.take(now, chat)
