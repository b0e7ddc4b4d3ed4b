"""One receiving domain: how much it takes, learned from what it says. Pure; times are seconds since the epoch.

Rules, in order:

1. It takes as much as its ceiling allows, and whatever comes where there is none, until it says otherwise.
2. A domain that asks to slow down is left alone for a while (ten seconds, doubling to an hour while it goes on asking)
   and then gets half of what it got, in mails a second and in mails on their way. What had left before it said so is
   not held against it twice. With rule 3 this is additive increase, multiplicative decrease, as TCP has it (RFC 5681).
3. Each mail that it takes raises both by a step, so that half is made good in about a minute. After an hour without a
   word of it the limit is forgotten.
4. After a pause one mail goes first; the others follow when it was taken.
5. A domain that says nothing until time is out gets one mail at a time, after pauses that double as well, and little
   patience. One that holds mails and has not answered for a while gets no more meanwhile. One that answers, however
   slowly, is not silent.
6. A domain that has not answered yet gets few mails at first, and two more for each answer (slow start, RFC 5681): one
   that holds the line must not hold every connection of ours (what it may hold of them is `relay.queue`'s part). Those
   who find no place come a second later.
7. Urgent mails stand in a line of their own, and the bulk's places come behind it; so do letters to one person, who
   wait for no broadcast. They may run ahead of the rate by a few, a place is kept for them, and at first they get a few
   more than the bulk (rule 6 does not hold for letters to one person).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from bots.email.pace.heard import Heard
from bots.email.pace.limits import Ceiling
from bots.email.pace.line import HORIZON, Bucket, Line, Rank

__all__ = ["Domain"]

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 3600.0
LOWEST_RATE = 0.2  # mails a second
FADE = 3600.0
RECOVERY = 120.0  # seconds in which a rate would be made good from nothing
SILENCE = 15.0  # that a domain may hold mails without a word
ENOUGH_HELD = 4  # mails on their way, for rule 5 to matter
URGENT_AHEAD = 5  # how many urgent mails may go before the bucket has them, and as many more to single people
AT_FIRST, PER_ANSWER, PROVEN = 4, 2, 32  # mails on their way; from so many answers on there is no such limit
QUICK = 2.0  # seconds in which an answer to the first is hoped for
FEW = 3  # places, of which none is kept free
SHORT_PATIENCE = 10.0
PROBE = 5.0  # seconds that the one mail after a pause is given before the others come
BREAKS = 3  # lines in a row that broke: that is this domain's doing
MEASURED = 10.0  # seconds over which the present rate is taken
HELD_LONGEST = 24 * 3600.0  # what a domain may ask for
AGAIN = 1.0  # after which a place may have become free, where nothing is known of how quick it answers


@dataclass(slots=True)
class Domain:
    """See the module. `flying` are the mails on their way."""

    ceiling: Ceiling
    rate: float | None = None
    most: float | None = None
    flying: int = 0
    paused_until: float = 0.0
    asked_at: float = 0.0  # when it last asked to slow down
    is_slow: bool = False  # it let time run out, and has taken nothing since
    is_probing: bool = False
    speaks_for_itself: bool = False  # what sounds like the relay's own word is this domain's
    _pauses: int = 0
    _breaks: int = 0
    _answers: int = 0
    _old: int = 0  # of those on their way, how many had left when it last asked
    _step: float = 0.0
    _heard_at: float = 0.0
    _seen: float = 0.0  # the present rate, as of `_seen_at`
    _seen_at: float = 0.0
    _bucket: Bucket = field(default_factory=Bucket)
    _lines: Mapping[Rank, Line] = field(default_factory=lambda: {rank: Line() for rank in Rank})

    # -- asking
    def free_at(self, now: float, rank: Rank) -> float:
        """When a mail may go as things stand; `now` if at once."""
        self._forget(now)
        if self.paused_until > now:
            return self.paused_until
        if self.flying >= self._places(rank) or self._is_silent(now):
            return now + self._one_place()
        rate = self._rate()
        if rate is None:
            return now
        burst = _burst(rate)
        self._bucket.bound(now, (burst + max(Rank) * URGENT_AHEAD + 1) / rate)
        return self._bucket.free_at(now, rate, burst + rank * URGENT_AHEAD)

    def take(self, now: float) -> None:
        """One goes now."""
        if not self.flying:
            self._heard_at = now  # from now on it owes an answer
        self.flying += 1
        rate = self._rate()
        if rate is not None:
            self._bucket.take(now, rate)

    def book(self, now: float, first: float, rank: Rank) -> float:
        """A place in the line of its rank for one that cannot go now."""
        rate = self._rate()
        if rate is None and self._limit() is None and self.paused_until <= now and now - self._heard_at < QUICK:
            return float(ceil(now + AGAIN))
        step = max(1 / rate if rate else 0.0, self._one_place() if self._limit() is not None else 0.0)
        gap = PROBE if self.is_probing else 0.0
        if rank is Rank.BULK:
            first = max(first, min(self._lines[Rank.URGENT].ends, now + HORIZON))
        return self._lines[rank].book(now, first, step or 1 / max(self._seen_now(now), 1.0), gap)

    def patience(self, timeout: float) -> float:
        """How many seconds an answer is waited for."""
        return min(timeout, SHORT_PATIENCE) if self.is_slow else timeout

    # -- hearing
    def hear(self, heard: Heard, now: float, wait: float) -> None:
        """One that was on its way has been answered; `wait` is for how many seconds it asked, 0 if it named none."""
        self.flying = max(0, self.flying - 1)
        was_old = self._old > 0
        self._old = max(0, self._old - 1)
        if heard is Heard.NOTHING:
            return
        if heard is not Heard.BROKEN:
            self._heard_at, self._breaks = now, 0
            self._answers = 0 if heard is Heard.TIMED_OUT else self._answers + 1
        if heard is Heard.TAKEN:
            self.speaks_for_itself = False
            self._note(now)
            self._raise()
        elif heard in (Heard.SLOW_DOWN, Heard.TIMED_OUT):
            if not was_old:
                self._slow_down(now, silent=heard is Heard.TIMED_OUT)
            self.paused_until = max(self.paused_until, now + wait)
        elif heard is Heard.BROKEN:
            self._breaks += 1
            if self._breaks >= BREAKS and not was_old:
                self._breaks = 0
                self._slow_down(now, silent=True)
        else:
            self.is_probing = self.is_slow = False  # it answers about single mails: it is there

    def pause(self, until: float) -> None:
        """It asked for that before we were started."""
        self.paused_until = max(self.paused_until, until)
        self.asked_at = self.paused_until
        self.is_probing = True

    def lift(self, now: float) -> None:
        """An operator has ended its pause. What it gets stays as it was learned."""
        self.paused_until = min(self.paused_until, now)
        self._pauses, self._lines = 0, {rank: Line() for rank in Rank}

    def is_idle(self, now: float) -> bool:
        """Whether it remembers nothing that matters any more."""
        self._forget(now)
        return not (self.flying or self.paused_until > now or self.is_limited or self._is_waited_for(now))

    def _is_waited_for(self, now: float) -> bool:
        return any(line.ends > now for line in self._lines.values())

    @property
    def is_limited(self) -> bool:
        """Whether it gets less than its ceiling."""
        return self.rate is not None or self.most is not None or self.is_probing

    def _slow_down(self, now: float, *, silent: bool) -> None:
        got = self._rate() or max(self._seen_now(now), 2 * LOWEST_RATE)
        self.rate = max(LOWEST_RATE, got / 2)
        self.most = 1.0 if silent else max(1.0, min(float(self._limit() or self.flying + 1), self.flying + 1.0) / 2)
        self._step = got / 2 / RECOVERY
        self._old = self.flying
        self._pauses += 1
        self.is_probing, self.is_slow = True, silent
        self.asked_at = now
        wait = min(FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 20), LONGEST_PAUSE)
        self.paused_until = max(self.paused_until, now + wait)
        self._bucket.bound(now, 0)

    def _raise(self) -> None:
        self.is_probing = self.is_slow = False
        self._pauses = 0
        if self.rate is not None:
            self.rate += max(self._step, LOWEST_RATE / 10) / self.rate
        if self.most is not None:
            self.most += 1 / self.most

    def _forget(self, now: float) -> None:
        """Rule 3; and after a clock that was set back nothing holds longer than it may."""
        last = max(self.asked_at, self.paused_until)
        if self.is_limited and self.paused_until <= now and not 0 <= now - last < FADE:
            self.rate = self.most = None
            self.is_probing, self._pauses = False, 0
        if now < self.asked_at < self.paused_until:
            self.paused_until -= self.asked_at - now
            self.asked_at = now
        if self.paused_until > now + HELD_LONGEST:
            self.paused_until = now

    # -- numbers
    def _rate(self) -> float | None:
        ceiling = self.ceiling.per_second
        return ceiling if self.rate is None else self.rate if ceiling is None else min(self.rate, ceiling)

    def _limit(self) -> int | None:
        ceiling = self.ceiling.connections
        if self.is_probing:
            return 1 if ceiling is None else min(1, ceiling)
        return ceiling if self.most is None else int(self.most) if ceiling is None else min(int(self.most), ceiling)

    def _places(self, rank: Rank) -> float:
        limit = self._limit()
        if limit is None:
            if self._answers >= PROVEN or rank is Rank.TO_ONE:
                return float("inf")
            return AT_FIRST + PER_ANSWER * self._answers + rank * URGENT_AHEAD
        return limit if rank or limit < FEW else limit - 1  # rule 7: the last place is kept

    def _is_silent(self, now: float) -> bool:
        return self.flying >= ENOUGH_HELD and now - self._heard_at > SILENCE

    def _one_place(self) -> float:
        """In how many seconds one place becomes free, by the present rate."""
        return min(1 / self._seen, SILENCE) if self._seen > 0 else AGAIN

    def _note(self, now: float) -> None:
        self._seen = self._seen_now(now) + 1 / MEASURED
        self._seen_at = now

    def _seen_now(self, now: float) -> float:
        """Mails that it took a second, lately: each counts for less as time passes, over ten seconds or so."""
        return self._seen * max(0.0, 1 - max(0.0, now - self._seen_at) / MEASURED)


def _burst(rate: float) -> float:
    return max(1.0, 2 * rate)
