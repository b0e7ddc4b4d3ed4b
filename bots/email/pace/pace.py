"""Pace: who may send now, and when the others. Pure: `now` is passed in, nothing waits here, nothing is stored.

Rules, in order:

1. A mail asks once (`admit`). None means go, and its turn is taken until `done`; a time means that nothing was taken,
   and that its place in the line comes then. The ledger keeps it meanwhile.
2. What holds for all mail (the global rate, a relay that asked for a pause) is asked before anything is claimed
   (`ready_at`), so that a bulk does not go through the ledger twice. What was claimed already may overdraw the global
   rate by a second's worth; the next claim makes up for it.
3. Then the warm-up's cap, then the domain's own pace (`domain`). What must wait has taken nothing.
4. An urgent mail does not stand behind the bulk, is held back by no cap and no global rate, and is counted like any
   other.
5. Where one domain after another asks to slow down and nobody takes anything in between, it is the relay that means it:
   all mail waits for a minute. What a relay says of itself, and one domain's server may say as well, is believed to be
   the relay's when three domains have said it and nobody took anything in between (`is_relays`). Who had said it when
   somebody else took a mail has spoken for itself, and does so until it takes one.
6. Where several processes send (`shared`), the global rate is theirs together: bulk comes with turns that were asked
   for before (`budget`), and what may not wait is counted there. What each domain may be sent, and the warm-up's cap,
   are divided among those who are there (`share`); who does not know how many that are sends to no domain with a
   ceiling. Pauses are worth telling the others sooner.
7. Domains are bounded in number: the one that was asked for longest ago and remembers nothing goes first, then any that
   has nothing on its way and is not paused. A pause is forgotten only where there are twice as many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol

from bots.email.pace.domain import Domain
from bots.email.pace.heard import Heard
from bots.email.pace.limits import Limits
from bots.email.pace.line import Bucket, Line, Rank
from bots.email.pace.share import NO_SHARE, Share
from bots.email.pace.warm_up import WarmUp

__all__ = ["RELAY", "Pace", "Pause"]

RELAY = "relay"
MAIL = "mail:"
MOST_DOMAINS = 10_000
LOOKED_AT = 50  # of the oldest, for one that may be forgotten
AT_MOST = 2  # times as many domains as there should be
WORTH_KEEPING = 60.0  # seconds; a shorter pause is over when a process has started again
WORTH_TELLING = 5.0  # seconds; a shorter pause is over when others have heard of it
OVERDRAWN = 1.0  # seconds' worth of the global rate
SHARED_AGAIN = timedelta(seconds=3)  # until others have been heard of
TURN_AGAIN = 1.0  # seconds until bulk that found no turn of a shared rate comes again
SOON = 0.2  # seconds that mail may be ahead of the global rate before nothing more is claimed
ALL_OF_THEM = 6  # domains
SURE = 3  # domains
DOUBTED = 3600.0  # seconds that such a word counts
RELAY_PAUSE = timedelta(minutes=1)
DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause worth keeping over a restart: scope `relay` or `mail:DOMAIN`."""

    scope: str
    until: datetime
    reason: str


class GlobalRate(Protocol):
    """The global rate as one that several processes keep together; see `budget.SharedRate`."""

    def ready_in(self) -> float:
        """In how many seconds anything may be claimed; 0: now."""
        ...

    def used(self) -> None:
        """One went that may not wait."""
        ...


class Pace:
    """See the module. One for each relay and process."""

    def __init__(self, limits: Limits, *, most_domains: int = MOST_DOMAINS, shared: GlobalRate | None = None) -> None:
        self._limits = limits
        self._shared = shared
        self._share = Share() if shared is None else NO_SHARE
        self._worth = WORTH_KEEPING if shared is None else WORTH_TELLING
        self._most = most_domains
        self._domains: OrderedDict[str, Domain] = OrderedDict()
        self._all = Bucket()
        self._line = Line()
        self._relay_until = self._relay_since = 0.0
        self._in_a_row: set[str] = set()
        self._suspects: dict[str, float] = {}
        self._to_keep: dict[str, Pause] = {}
        self.warm_up = WarmUp(limits.warm_up, limits.per_second * DAY, limits.zone)
        self.warm_up.share = self._share

    # -- what a transport asks
    def ready_at(self, now: datetime) -> datetime | None:
        """None if anything at all may go; else when."""
        moment = now.timestamp()
        self._mind_the_clock(moment)
        until = max(moment, self._relay_until)
        if self._shared is not None:
            until = max(until, moment + self._shared.ready_in())
        elif self._all.due > moment + SOON:  # a wait for some mails' worth, not one for each
            until = max(until, self._all.due)
        return datetime.fromtimestamp(until, UTC) if until > moment else None

    def admit(
        self, domain: str, now: datetime, *, urgent: bool = False, to_one: bool = False, has_turn: bool = False
    ) -> datetime | None:
        """Ask for a turn for one mail to that domain (ASCII, lower case).

        None: it goes now, and `done` must be called for it. A time: it does not; its place comes then. `to_one`: a
        letter to one person, who waits for it; such a letter is urgent. `has_turn`: it has one of the rate that is
        shared, which is used only if it goes.
        """
        rank = Rank.TO_ONE if to_one else Rank.URGENT if urgent else Rank.BULK
        moment = now.timestamp()
        self._mind_the_clock(moment)
        state = self._of(domain, moment)
        if rank is Rank.BULK and self.warm_up.is_full(moment):
            return datetime.fromtimestamp(self.warm_up.book(moment), UTC)
        if rank is Rank.BULK and self.warm_up.is_used(moment):
            return now + SHARED_AGAIN
        free = state.free_at(moment, rank)
        when = max(free, self._relay_until)
        if when > moment:
            only_relay = rank is not Rank.BULK and free <= moment
            place = when if only_relay else state.book(moment, when, rank)
            return datetime.fromtimestamp(max(place, moment + 0.001), UTC)
        if rank is Rank.BULK and (free := self._all_free_at(moment, has_turn=has_turn)) > moment:
            return datetime.fromtimestamp(self._line.book(moment, free, 1 / self._limits.per_second), UTC)
        state.take(moment)
        if self._shared is None:
            self._all.take(moment, self._limits.per_second)
        elif not has_turn:
            self._shared.used()
        self.warm_up.flying += 1
        return None

    def _all_free_at(self, moment: float, *, has_turn: bool) -> float:
        """When the rate of all mail lets bulk go."""
        if self._shared is not None:
            return moment if has_turn else moment + max(TURN_AGAIN, self._shared.ready_in())
        rate = self._limits.per_second
        return self._all.free_at(moment, rate, max(1.0, OVERDRAWN * rate))

    def done(self, domain: str, heard: Heard, now: datetime, *, wait: timedelta | None = None) -> None:
        """The turn is over, and this is what the domain said; `wait` is for how long it asked, where it said so."""
        moment = now.timestamp()
        state = self._of(domain, moment)
        before = state.paused_until
        state.hear(heard, moment, wait.total_seconds() if wait is not None else 0.0)
        self.warm_up.flying = max(0, self.warm_up.flying - 1)
        if heard is Heard.TAKEN:
            self.warm_up.taken(moment)
            self._in_a_row.clear()
            self._clear(self._limits.group_of(domain)[0])
        elif heard is Heard.SLOW_DOWN:
            self._in_a_row.add(self._limits.group_of(domain)[0])
            if len(self._in_a_row) >= ALL_OF_THEM:
                self._in_a_row.clear()
                self.relay_paused(now + RELAY_PAUSE, now, "every domain asks to slow down")
        if state.paused_until > before and state.paused_until - moment >= self._worth:
            self._keep(MAIL + self._limits.group_of(domain)[0], state.paused_until, heard.value)

    def is_relays(self, domain: str, now: datetime) -> bool:
        """That domain is said to have said what a relay says of itself: whether it was the relay (rule 5)."""
        moment = now.timestamp()
        if self._of(domain, moment).speaks_for_itself:
            return False
        self._suspects = {name: at for name, at in self._suspects.items() if 0 <= moment - at < DOUBTED}
        if len(self._suspects) < SURE:
            self._suspects[self._limits.group_of(domain)[0]] = moment
        return len(self._suspects) >= SURE

    def patience(self, domain: str) -> float:
        """How many seconds an answer about that domain is waited for: less where one was waited for in vain."""
        state = self._domains.get(self._limits.group_of(domain)[0])
        return state.patience(self._limits.timeout) if state is not None else self._limits.timeout

    def relay_paused(self, until: datetime, now: datetime, reason: str = "", *, said: bool = True) -> None:
        """The relay as a whole takes nothing until then; the longer of two holds.

        It has `said` so, or this machine alone may not reach it: the others find that out for themselves.
        """
        moment = until.timestamp()
        if moment > self._relay_until:
            self._relay_until, self._relay_since = moment, now.timestamp()
            if moment - now.timestamp() >= self._worth and (said or self._shared is None):
                self._keep(RELAY, moment, reason or "paused")

    def relay_answers(self) -> None:
        """It took or answered something: a pause of the relay is over."""
        self._relay_until = 0.0

    # -- what the keeper asks
    def unkept(self) -> list[Pause]:
        """Pauses that are worth keeping and were not handed out yet."""
        found = list(self._to_keep.values())
        self._to_keep.clear()
        return found

    def restore(self, pauses: Iterable[Pause], now: datetime) -> None:
        """Take up what was kept."""
        for one in pauses:
            if one.until <= now:
                continue
            if one.scope == RELAY:
                self._relay_until = max(self._relay_until, one.until.timestamp())
                self._relay_since = now.timestamp()
            elif one.scope.startswith(MAIL):
                self._of(one.scope.removeprefix(MAIL), now.timestamp()).pause(one.until.timestamp())

    def lift(self, scope: str, now: datetime) -> None:
        """An operator has ended that pause: one mail goes first."""
        if scope == RELAY:
            self._relay_until = 0.0
        elif (state := self._domains.get(scope.removeprefix(MAIL))) is not None:
            state.lift(now.timestamp())

    def share(self, share: Share) -> None:
        """How much of what is divided is ours from now on (rule 6)."""
        if share != self._share:
            self._share = self.warm_up.share = share
            for name, state in self._domains.items():
                state.ceiling = share.of_ceiling(self._limits.group_of(name)[1])

    def counts(self, now: datetime) -> Mapping[str, int]:
        """Domains that get less than their ceiling, and those that are left alone now."""
        moment = now.timestamp()
        return {
            "slowed": sum(one.is_limited for one in self._domains.values()),
            "paused": sum(one.paused_until > moment for one in self._domains.values()),
        }

    def _clear(self, taker: str) -> None:
        """The relay works: what others said was their own word (rule 5)."""
        for name in self._suspects:
            if name != taker and (state := self._domains.get(name)) is not None:
                state.speaks_for_itself = True
        self._suspects.clear()

    def _keep(self, scope: str, until: float, reason: str) -> None:
        self._to_keep[scope] = Pause(scope, datetime.fromtimestamp(until, UTC), reason)

    def _of(self, domain: str, now: float) -> Domain:
        name, ceiling = self._limits.group_of(domain)
        state = self._domains.get(name)
        if state is None:
            if len(self._domains) >= self._most:
                self._make_room(now)
            state = self._domains[name] = Domain(self._share.of_ceiling(ceiling))
        else:
            self._domains.move_to_end(name)
        return state

    def _mind_the_clock(self, now: float) -> None:
        """After one that was set back nothing holds longer than it may."""
        self._all.bound(now, 5 * max(OVERDRAWN, 1 / self._limits.per_second))
        if now < self._relay_since < self._relay_until:
            self._relay_until -= self._relay_since - now
            self._relay_since = now

    def _make_room(self, now: float) -> None:
        """Rule 7. What is not found among those of one look is found at the next one: these go to the end."""
        oldest = list(islice(self._domains, LOOKED_AT))
        free = [name for name in oldest if not self._domains[name].flying]
        idle = [name for name in free if self._domains[name].is_idle(now)]
        awake = [name for name in free if self._domains[name].paused_until <= now]
        going = idle + awake + (free if len(self._domains) >= AT_MOST * self._most else [])
        for name in list(dict.fromkeys(going))[: len(self._domains) - self._most + 1]:
            del self._domains[name]
        if len(self._domains) >= self._most:
            for name in oldest:
                if name in self._domains:
                    self._domains.move_to_end(name)
