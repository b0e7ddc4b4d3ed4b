"""Subscribers from a CSV file with the columns in `COLUMNS`.

Rules, in order:

1. `timezone` may be left out or empty; everything else needs its column. A missing or unknown column refuses the file.
2. A bad row is reported by its line, with what is allowed, and left out; the good ones are taken.
3. Without a record of consent nobody is subscribed: its three columns must be filled.
4. Importing the same file twice changes nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from syndicator.domain.filters import BadFilter, Filter, parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.pipeline.addresses import email_address
from syndicator.store import subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent

__all__ = ["COLUMNS", "GROUP", "BadRow", "Row", "import_rows", "read_rows"]

COLUMNS = (
    "address",
    "channel",
    "language",
    "timezone",
    "filter",
    "cadence",
    "consent_at",
    "consent_source",
    "consent_text",
)
OPTIONAL = {"timezone"}
GROUP = 500
E = TypeVar("E", ChannelKind, Cadence)


@dataclass(frozen=True, slots=True)
class Row:
    """One subscriber's wish, checked."""

    channel: ChannelKind
    address: str
    language: str
    timezone: str
    filter: Filter
    cadence: Cadence
    consent: Consent


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that was left out, and why."""

    line: int
    reason: str


def read_rows(lines: Iterable[str], site: Site, taxonomy: Taxonomy) -> Iterator[Row | BadRow]:
    """Check a CSV file row by row.

    Raises:
        ValueError: the header lacks a column or has one that is not known.
    """
    reader = csv.DictReader(lines)
    header = set(reader.fieldnames or ())
    if missing := [c for c in COLUMNS if c not in header and c not in OPTIONAL]:
        raise ValueError(f"line 1: column {missing[0]!r} is missing; needed are {', '.join(COLUMNS)}")
    if unknown := header - set(COLUMNS):
        raise ValueError(f"line 1: column {min(unknown)!r} is unknown; allowed are {', '.join(COLUMNS)}")
    zones = available_timezones()
    for raw in reader:
        try:
            yield _row(raw, site, taxonomy, zones)
        except ValueError as error:
            yield BadRow(reader.line_num, str(error).splitlines()[0])


async def import_rows(database: Database, rows: Sequence[Row], now: datetime) -> int:
    """Subscribe everyone, active at once (their consent is recorded); returns how many rows."""
    for start in range(0, len(rows), GROUP):
        async with database.writing() as session:
            for row in rows[start : start + GROUP]:
                subscriber = await subscriptions.ensure(
                    session, row.channel, row.address, language=row.language, timezone=row.timezone, now=now
                )
                await subscriptions.subscribe(
                    session,
                    subscriber.id,
                    row.filter,
                    cadence=row.cadence,
                    state=SubscriptionState.ACTIVE,
                    consent=row.consent,
                    now=now,
                )
    return len(rows)


def _row(raw: dict[str, str | None], site: Site, taxonomy: Taxonomy, zones: Collection[str]) -> Row:
    value = {name: (raw.get(name) or "").strip() for name in COLUMNS}
    channel = _one_of(value, "channel", ChannelKind)
    timezone = value["timezone"] or site.timezone
    if timezone not in zones:
        raise ValueError(f"timezone: {timezone!r} is no IANA time zone such as Asia/Baku")
    if value["language"] not in site.languages:
        raise ValueError(f"language: {value['language']!r} is not one of {', '.join(site.languages)}")
    for name in ("consent_at", "consent_source", "consent_text"):
        if not value[name]:
            raise ValueError(f"{name}: is empty; nobody is subscribed without a record of consent")
    try:
        found = parse(value["filter"], languages=site.languages, topics=taxonomy.slugs)
    except BadFilter as error:
        raise ValueError(f"filter: {error}") from None
    consent = Consent(_moment(value["consent_at"], site), value["consent_source"], value["consent_text"])
    return Row(
        channel,
        _address(channel, value["address"]),
        value["language"],
        timezone,
        found,
        _one_of(value, "cadence", Cadence),
        consent,
    )


def _one_of(value: dict[str, str], name: str, kind: type[E]) -> E:
    try:
        return kind(value[name])
    except ValueError:
        raise ValueError(f"{name}: {value[name]!r} is not one of {', '.join(kind)}") from None


def _address(channel: ChannelKind, address: str) -> str:
    if channel is ChannelKind.TELEGRAM:
        if not address.lstrip("-").isdigit():
            raise ValueError(f"address: {address!r} is no Telegram chat id (a whole number)")
        return address
    return email_address(address)


def _moment(text: str, site: Site) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"consent_at: {text!r} is no ISO 8601 time such as 2026-11-22T10:00:00+04:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(site.timezone))).astimezone(UTC)
