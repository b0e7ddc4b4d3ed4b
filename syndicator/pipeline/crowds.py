"""Crowds: how many may be asked at one mail domain in a while, so that nobody's server is flooded by way of us.

Rules, in order:

1. The large providers are everybody's, and take more than we ever send: they have no limit here.
2. At any other domain `TURNS` may be asked within `SPAN`; who comes beyond that is not refused but gets a turn later.
   Whoever means harm holds up letters to that one domain, by hours at most, and nobody anywhere else.
3. A turn that would come after `PATIENCE` is none: nobody waits for a letter that long.
4. Turns are held in memory. Waiting rows know theirs, so a new start forgets only who came lately.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

__all__ = ["PROVIDERS", "Crowds"]

TURNS = 60
SPAN = timedelta(minutes=10)
PATIENCE = timedelta(hours=6)
DOMAINS = 5_000

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


class Crowds:
    """The turns that were given lately, by domain."""

    def __init__(self) -> None:
        self._given: dict[str, deque[datetime]] = {}  # in the order of each one's latest turn

    def turn(self, domain: str, now: datetime) -> datetime | None:
        """When somebody there may be asked, `now` if nobody stands before them; that turn is taken. None: never."""
        if domain in PROVIDERS:
            return now
        given = self._given.pop(domain, None) or deque(maxlen=TURNS)
        if given and given[-1] <= now - SPAN:
            given.clear()
        turn = now if len(given) < TURNS else max(now, given[0] + SPAN)
        self._given[domain] = given
        if turn > now + PATIENCE:
            return None
        given.append(turn)
        if len(self._given) > DOMAINS:
            del self._given[next(iter(self._given))]
        return turn
