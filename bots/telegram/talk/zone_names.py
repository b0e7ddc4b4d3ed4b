"""Time zones as people name them: by their city, and found again by what a person types.

Rules, in order:

1. A zone is an IANA name that this machine knows: one of a place, or one that is so far from UTC (`Etc/GMT-4`). Those
   that exist only for programs (`posixrules`) are neither offered nor found.
2. What is typed may be the name (`Asia/Baku`), how far it is from UTC (`UTC+4`, as our buttons say it), or a city or a
   country in any of our languages (`zone_places`), whatever its letters' case and marks.
3. A distance in whole hours is that, all year round; one with minutes is the place that keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale

from bots.telegram.talk.zone_places import AREAS, city, plain, zones_by_name
from syndicator.i18n import Translator

__all__ = ["find_zones", "is_zone", "zone_name", "zone_now"]

_TYPED = 64
_MOST = 12  # zones that one name may stand for
_FROM_UTC = re.compile(r"(?:utc|gmt)? ?([+\-−–]) ?([0-9]{1,2})(?:[:.]?([0-9]{2}))?", re.IGNORECASE)
_BUTTON = re.compile(r"(.+?) ?\((?:utc|gmt)[^()]*\)", re.IGNORECASE)
_FIXED = re.compile(r"Etc/(?:UTC|GMT(?:[+-][1-9][0-9]?)?)")
_WITH_MINUTES = {
    "-9:30": "Pacific/Marquesas", "-3:30": "America/St_Johns", "+3:30": "Asia/Tehran", "+4:30": "Asia/Kabul",
    "+5:30": "Asia/Kolkata", "+5:45": "Asia/Kathmandu", "+6:30": "Asia/Yangon", "+8:45": "Australia/Eucla",
    "+9:30": "Australia/Darwin", "+10:30": "Australia/Adelaide", "+12:45": "Pacific/Chatham",
}  # fmt: skip


def zone_now(zone: ZoneInfo, now: datetime, t: Translator) -> str:
    """The city, how far from UTC it is, and what its clocks show."""
    return t("{place}, {time} now", place=zone_name(zone, now, t), time=t.time(now, zone))


def zone_name(zone: ZoneInfo, now: datetime, t: Translator) -> str:
    """The city in the reader's language, and how far from UTC it is now."""
    offset = _offset(zone, now)
    return f"{city(zone.key, t.locale)} ({offset})" if zone.key.partition("/")[0] in AREAS else offset


def is_zone(name: str) -> bool:
    """Whether it is a zone that a person can choose, and that this machine knows."""
    if name.partition("/")[0] not in AREAS and not _FIXED.fullmatch(name) and name != "UTC":
        return False
    try:
        return bool(ZoneInfo(name).key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def find_zones(typed: str, locales: Sequence[Locale], now: datetime) -> Sequence[str]:
    """The zones that somebody may mean, none where there are none. The first call takes 0.2 s: all names are read."""
    typed = typed[:_TYPED].strip()
    if found := _FROM_UTC.fullmatch(typed):
        away = _so_far(found[1], int(found[2]), int(found[3] or 0))
        return (away,) if away and is_zone(away) else ()
    if found := _BUTTON.fullmatch(typed):
        typed = found[1]
    wanted = plain(typed)
    named = zones_by_name(tuple(map(str, locales)), now.year).get(wanted, ()) if wanted else ()
    return tuple(named[:_MOST])


def _so_far(sign: str, hours: int, minutes: int) -> str | None:
    """The zone that is so far from UTC; the signs of `Etc/GMT` are the other way round, as POSIX has them."""
    ahead = sign == "+"
    if minutes:
        return _WITH_MINUTES.get(f"{'+' if ahead else '-'}{hours}:{minutes:02}")
    return f"Etc/GMT{'-' if ahead else '+'}{hours}" if hours else "Etc/UTC"


def _offset(zone: ZoneInfo, now: datetime) -> str:
    """Such as UTC+4, UTC-3:30 or UTC."""
    away = now.astimezone(zone).utcoffset() or timedelta()
    if not away:
        return "UTC"
    minutes = abs(int(away.total_seconds())) // 60
    rest = f":{minutes % 60:02}" if minutes % 60 else ""
    return f"UTC{'−' if away < timedelta() else '+'}{minutes // 60}{rest}"
