"""What readers may choose in forms, in words: how often, for how long a pause, in which time zone. Pure.

Rules, in order:

1. A pause ends at the beginning of a day of the reader's own clock, tomorrow at the earliest and within two years; or
   when they say so.
2. Time zones: the office's own first, then one or more for every offset that people live in, named by a city in the
   reader's language. Who has another one keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from syndicator.domain.model import Cadence
from syndicator.i18n import Translator
from syndicator.wording import zone_in_words

__all__ = ["LONGEST", "cadence_of", "cadences", "day_of", "pause_until", "zone_of", "zones"]

_ = str  # marks a text for the catalogues where it is not yet translated

CADENCES: Mapping[Cadence, str] = {
    Cadence.IMMEDIATE: _("At once, each release by itself"),
    Cadence.DAILY: _("Once a day, in one letter"),
    Cadence.WEEKLY: _("Once a week, in one letter"),
}
SPANS: Mapping[str, int] = {"week": 7, "month": 30, "quarter": 91}
LONGEST = timedelta(days=731)

# fmt: off
_OFFERED = (
    "Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Chicago",
    "America/New_York", "America/Halifax", "America/Sao_Paulo", "Atlantic/Cape_Verde", "Europe/London",
    "Europe/Lisbon", "Europe/Berlin", "Europe/Paris", "Europe/Rome", "Africa/Lagos", "Europe/Kyiv", "Europe/Athens",
    "Africa/Cairo", "Africa/Johannesburg", "Asia/Jerusalem", "Europe/Istanbul", "Europe/Minsk", "Europe/Moscow",
    "Asia/Riyadh", "Africa/Nairobi", "Asia/Tehran", "Asia/Baku", "Asia/Tbilisi", "Asia/Yerevan", "Asia/Dubai",
    "Europe/Samara", "Asia/Kabul", "Asia/Tashkent", "Asia/Ashgabat", "Asia/Almaty", "Asia/Yekaterinburg",
    "Asia/Karachi", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Dhaka", "Asia/Bishkek", "Asia/Novosibirsk",
    "Asia/Bangkok", "Asia/Jakarta", "Asia/Shanghai", "Asia/Singapore", "Asia/Tokyo", "Asia/Seoul",
    "Australia/Adelaide", "Australia/Sydney", "Asia/Vladivostok", "Pacific/Auckland",
)
# fmt: on


def cadences(t: Translator) -> Sequence[tuple[str, str]]:
    """How often, in words."""
    return [(cadence.value, t(said)) for cadence, said in CADENCES.items()]


def cadence_of(written: str) -> Cadence | None:
    """The cadence that a form names; None for none that there is."""
    return next((one for one in Cadence if one.value == written), None)


def zone_of(name: str, fallback: ZoneInfo) -> ZoneInfo:
    """The zone of that name, where this machine knows it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return fallback


def zones(office: str, held: str, t: Translator, now: datetime) -> Sequence[tuple[str, str]]:
    """The zones to choose from, with their names: the office's, the reader's, then from west to east."""
    first = tuple(dict.fromkeys((office, held)))
    rest = [one for one in _by_offset(now.date()) if one not in first]
    return [(one, _named(one, t.lang, now.date())) for one in (*first, *rest)]


@lru_cache(maxsize=4)
def _by_offset(day: date) -> tuple[str, ...]:
    noon = datetime.combine(day, time(12))
    return tuple(sorted(_OFFERED, key=lambda one: noon.replace(tzinfo=ZoneInfo(one)).utcoffset() or timedelta()))


@lru_cache(maxsize=1024)
def _named(zone: str, lang: str, day: date) -> str:
    try:
        here = datetime.combine(day, time(12), ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return zone
    return f"{zone_in_words(ZoneInfo(zone), lang)} (UTC{_signed(here.utcoffset() or timedelta())})"


def _signed(offset: timedelta) -> str:
    """`+4`, `+5:45`, or nothing."""
    minutes = round(abs(offset) / timedelta(minutes=1))
    if not minutes:
        return ""
    sign = "+" if offset > timedelta() else "\N{MINUS SIGN}"
    return f"{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def day_of(written: str) -> date | None:
    """The date in a form's field; None where it is none."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def pause_until(span: str, written: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When a pause ends: `span` is one of `SPANS`, `date` (then `written` says which) or `open` for no end.

    Raises:
        ValueError: neither; or the date is none, has begun, or is too far away.
    """
    if span == "open":
        return None
    today = now.astimezone(zone).date()
    day = today + timedelta(days=SPANS[span]) if span in SPANS else day_of(written) if span == "date" else None
    if day is None or not today < day <= today + LONGEST:
        raise ValueError("this is no day for a pause to end")
    return datetime.combine(day, time(), zone)
