"""Months: which a release belongs to, and what the archive of one says of itself (RFC 5005 section 4).

Rules, in order:

1. A month is one of the office's calendar, in its zone, written `YYYY-MM`; a release belongs to that of `public_at`.
2. An archive has its live feed's id, an address of its own, and says where the live feed and its neighbours are:
   the nearest months, older and newer, in which the stream has an entry.
3. A translation is named only where it has the same month.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date

from feeds.streams import Addresses, Channel, Stream, Translation
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.text import strip_illegal
from syndicator.i18n import Translator

__all__ = ["MONTH", "archive_channel", "archive_name", "month_addresses", "month_of", "parse_name", "span"]

MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_NAME = re.compile(rf"(?P<lang>[^/]+)/(?P<topic>[^/]+)/(?P<month>{MONTH.pattern})\.(?P<fmt>[a-z]+)")


def month_of(when: datetime, zone: ZoneInfo) -> str:
    """The month of that moment in the office's zone."""
    there = when.astimezone(zone)
    return f"{there.year:04}-{there.month:02}"


def span(month: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the month begins, and when the next one does, in UTC."""
    year, number = int(month[:4]), int(month[5:])
    first = datetime(year, number, 1, tzinfo=zone)
    following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=zone)
    return first.astimezone(UTC), following.astimezone(UTC)


def archive_name(stream: Stream, month: str, fmt: str) -> str:
    """The archive's name among the feeds' files: `az/all/2026-10.rss`."""
    return f"{stream.lang}/{stream.topic}/{month}.{fmt}"


def parse_name(name: str) -> tuple[Stream, str] | None:
    """Stream and month of an archive's name; None for what is not one."""
    found = _NAME.fullmatch(name)
    if found is None or found["fmt"] not in FEED_FORMATS:
        return None
    return Stream(found["lang"], found["topic"]), found["month"]


def month_addresses(stream: Stream, month: str, site: Site) -> Addresses:
    """Where the month of a stream stands, by format."""
    return {fmt: site.archive(stream.lang, stream.topic, month, fmt) for fmt in FEED_FORMATS}


def archive_channel(
    live: Channel,
    month: str,
    *,
    older: str | None,
    newer: str | None,
    translated: Collection[str],
    site: Site,
    say: Translator,
) -> Channel:
    """The month of a live feed; `translated` are the languages in which its topic has the same month."""

    def at(lang: str, then: str | None) -> Addresses:
        return month_addresses(Stream(lang, live.topic), then, site) if then else {}

    named = format_date(datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC), "LLLL y", locale=say.locale)
    return replace(
        live,
        title=strip_illegal(f"{live.title}, {named}"),
        addresses=at(live.lang, month),
        siblings=tuple(Translation(o.lang, at(o.lang, month)) for o in live.siblings if o.lang in translated),
        current=live.addresses,
        older=at(live.lang, older),
        newer=at(live.lang, newer),
    )
