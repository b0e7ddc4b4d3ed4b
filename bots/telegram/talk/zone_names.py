"""Time zones as people name them: by their city, and found again by what a person types.

Rules, in order:

1. A zone is an IANA name that this machine knows. Those that exist only for programs (`Etc/GMT-4`, `posixrules`) are
   neither offered nor found.
2. What is typed may be the name (`Asia/Baku`), or a city in any of our languages, whatever its letters' case and marks.
3. A city that stands for several zones stands for the first of them by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location

from syndicator.domain.folding import fold
from syndicator.i18n import Translator

__all__ = ["find_zone", "is_zone", "zone_name", "zone_now"]

_AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
_TYPED = 64
_ALIASES: Mapping[str, str] = get_global("zone_aliases")
_FORMER: dict[str, list[str]] = {}
for _was, _name in _ALIASES.items():
    _FORMER.setdefault(_name, []).append(_was)


def zone_now(zone: ZoneInfo, now: datetime, t: Translator) -> str:
    """The city, how far from UTC it is, and what its clocks show."""
    return t("{place}, {time} now", place=zone_name(zone, now, t), time=t.time(now, zone))


def zone_name(zone: ZoneInfo, now: datetime, t: Translator) -> str:
    """The city in the reader's language, and how far from UTC it is now."""
    offset = _offset(zone, now)
    return f"{_city(zone.key, t.locale)} ({offset})" if zone.key.partition("/")[0] in _AREAS else offset


def is_zone(name: str) -> bool:
    """Whether it names a place's zone that this machine knows."""
    if name.partition("/")[0] not in _AREAS:
        return False
    try:
        return bool(ZoneInfo(name).key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def find_zone(typed: str, locales: Sequence[Locale]) -> str | None:
    """The zone that somebody means; None where there is none. The first call takes 0.2 s, for all names are read."""
    wanted = _plain(typed[:_TYPED])
    return _places(tuple(map(str, locales))).get(wanted) if wanted else None


def _in_force(zone: str, known: Collection[str]) -> str:
    """The name that a zone goes by, where it has several: cities are told by it."""
    name = str(_ALIASES.get(zone, zone))
    return name if name in known else zone


@lru_cache(maxsize=8)
def _places(locales: tuple[str, ...]) -> Mapping[str, str]:
    """Every name that a zone goes by; full names win over cities, and the first zone of a city over later ones."""
    known = available_timezones()
    places = sorted(zone for zone in known if zone.partition("/")[0] in _AREAS or zone == "UTC")
    found = {_plain(zone): _in_force(zone, known) for zone in places}
    for zone in places:
        found.setdefault(_plain(zone.rpartition("/")[2]), found[_plain(zone)])
    for name in locales:
        locale = Locale.parse(name)
        for zone in places:
            found.setdefault(_plain(_city(zone, locale)), found[_plain(zone)])
    return found


def _plain(name: str) -> str:
    return " ".join(fold(name).replace("_", " ").replace("-", " ").split())


def _city(zone: str, locale: Locale) -> str:
    """Under whichever of its names the language knows it."""
    name = _ALIASES.get(zone, zone)
    known = (locale.time_zones.get(one, {}).get("city") for one in (name, *_FORMER.get(name, ())))
    return next(filter(None, known), "") or str(get_timezone_location(name, locale=locale, return_city=True))


def _offset(zone: ZoneInfo, now: datetime) -> str:
    """Such as UTC+4, UTC-3:30 or UTC."""
    away = now.astimezone(zone).utcoffset() or timedelta()
    if not away:
        return "UTC"
    minutes = abs(int(away.total_seconds())) // 60
    rest = f":{minutes % 60:02}" if minutes % 60 else ""
    return f"UTC{'−' if away < timedelta() else '+'}{minutes // 60}{rest}"
