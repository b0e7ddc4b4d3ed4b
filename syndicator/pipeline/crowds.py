"""Crowds: how many may be asked at one mail domain in a while, so that nobody's server is flooded by way of us.

Rules, in order:

1. The large providers are everybody's, and take more than we ever send: they have no limit here.
2. At any other domain `TURNS` may be asked within `SPAN`; who comes beyond that gets a turn later. Whoever means harm
   holds up letters to that one domain, and nobody anywhere else. A line is `LONGEST` at most: where it is full, nobody
   gets a turn in it until it is shorter, and it grows no further.
3. Into a domain's line one network puts `SHARE` within `SPAN`; what comes from there beyond that waits before the line,
   so that one place, however many addresses it invents, leaves most of the turns to others.
4. Turns are held in memory, and so are networks: nothing writes them down. Waiting rows know their turn, so a new start
   forgets only who came lately.
5. Where several processes ask (`SharedCrowds`) lines stand in the database, under fingerprints of domain and network:
   `TURNS` at once, and then one after another, as many within `SPAN`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Protocol

from syndicator.domain.tokens import Tokens
from syndicator.store import rates
from syndicator.store.database import Database
from syndicator.store.rates import Budget

__all__ = ["PROVIDERS", "Crowds", "SharedCrowds", "Turns"]

TURNS = 60
SHARE = 20
SPAN = timedelta(minutes=10)
LONGEST = timedelta(days=1)
LINES = 5_000

# fmt: off
PROVIDERS = frozenset((
    "126.com", "163.com", "aol.com", "bk.ru", "fastmail.com", "gmail.com", "gmx.at", "gmx.ch", "gmx.com", "gmx.de",
    "gmx.net", "googlemail.com", "hotmail.co.uk", "hotmail.com", "hotmail.de", "hotmail.fr", "icloud.com",
    "inbox.ru", "internet.ru", "libero.it", "list.ru", "live.com", "live.ru", "mac.com", "mail.com", "mail.ru",
    "me.com", "msn.com", "outlook.com", "outlook.de", "proton.me", "protonmail.com", "qq.com", "rambler.ru",
    "t-online.de", "ukr.net", "web.de", "ya.ru", "yahoo.co.uk", "yahoo.com", "yahoo.com.tr", "yahoo.de", "yahoo.fr",
    "yandex.by", "yandex.com", "yandex.com.tr", "yandex.kz", "yandex.ru", "ymail.com", "zoho.com",
))
# fmt: on


class Lines:
    """Lines by name: `turns` are given within `SPAN`, to who comes beyond that later ones."""

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._given: dict[Hashable, deque[datetime]] = {}  # in the order of each one's latest turn

    def turn(self, name: Hashable, now: datetime) -> datetime | None:
        """The next turn there, `now` if nobody stands before them; it is taken. None: the line is full."""
        given = self._given.pop(name, None) or deque(maxlen=self._turns)
        if given and given[-1] <= now - SPAN:
            given.clear()
        turn = now if len(given) < self._turns else max(now, given[0] + SPAN)
        is_full = turn > now + LONGEST
        if not is_full:
            given.append(turn)
        self._given[name] = given
        if len(self._given) > LINES:
            del self._given[next(iter(self._given))]
        return None if is_full else turn


class Turns(Protocol):
    """Who may be asked, and when; see the module."""

    async def turn(self, domain: str, now: datetime) -> datetime | None:
        """When somebody there may be asked; that turn is taken. None: not within a day (rule 2)."""
        ...

    async def share(self, domain: str, network: str, now: datetime) -> datetime:
        """When a wish from that network stands in that domain's line (rule 3); that place is taken.

        Where the network's own line is full, it is a day from now: too late for a turn, so that it is given up then.
        """
        ...


class Crowds:
    """The turns that were given lately, by domain, and by network and domain."""

    def __init__(self) -> None:
        self._domains = Lines(TURNS)
        self._shares = Lines(SHARE)

    async def turn(self, domain: str, now: datetime) -> datetime | None:
        """See `Turns`."""
        return now if domain in PROVIDERS else self._domains.turn(domain, now)

    async def share(self, domain: str, network: str, now: datetime) -> datetime:
        """See `Turns`."""
        if domain in PROVIDERS or not network:
            return now
        place = self._shares.turn((network, domain), now)
        return now + LONGEST if place is None else place


class SharedCrowds:
    """The same in the database (rule 5); spans are by its clock, as `store.rates` has it."""

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    async def turn(self, domain: str, now: datetime) -> datetime | None:
        """See `Turns`.

        Raises:
            DatabaseTrouble: the database fails; nothing is taken.
        """
        return now if domain in PROVIDERS else await self._taken("crowd", domain, TURNS, now)

    async def share(self, domain: str, network: str, now: datetime) -> datetime:
        """See `Turns`.

        Raises:
            DatabaseTrouble: the database fails; nothing is taken.
        """
        if domain in PROVIDERS or not network:
            return now
        place = await self._taken("share", f"{network} {domain}", SHARE, now)
        return now + LONGEST if place is None else place

    async def _taken(self, kind: str, whose: str, turns: int, now: datetime) -> datetime | None:
        name = f"{kind}:{self._tokens.fingerprint(kind, whose)}"
        line = Budget(name, turns, SPAN, turns, LONGEST + SPAN)
        async with self._database.writing() as session:
            wait = await rates.reserve(session, line, 1)
        return None if wait is None else now + max(wait, timedelta())
