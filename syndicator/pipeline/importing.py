"""Subscribers from a CSV file with the columns in `COLUMNS`.

Rules, in order:

1. `timezone` and `text_only` may be left out or empty; everything else needs its column. A missing or unknown column
   refuses the file.
2. A bad row is reported by its line, with what is allowed, and left out; the good ones are taken.
3. Without a record of consent nobody is subscribed: its three columns must be filled. Who unsubscribed since is
   reported and left out too (`store.importing`), and so is a mail address that is kept out (`store.suppressions`):
   no file brings it back, only its owner's own yes.
4. Importing the same file twice changes nothing.
5. A file of any length beside a running service: a group of rows is one short transaction, and others may write
   between two of them.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Suppressed
from syndicator.domain.filters import BadFilter, parse
from syndicator.domain.model import Cadence, ChannelKind
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.pipeline.addresses import email_address
from syndicator.store import suppressions
from syndicator.store.database import Database
from syndicator.store.importing import Wish, enrol
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
    "text_only",
)
OPTIONAL = {"timezone", "text_only"}
E = TypeVar("E", ChannelKind, Cadence)
YES_NO = {"yes": True, "no": False, "": False}
FILTERS = 10_000  # distinct texts kept in mind
PEOPLE = (ChannelKind.TELEGRAM, ChannelKind.EMAIL)  # programs subscribe at the hub, and confirm by themselves
GROUP = 1000
GAP_SECONDS = 0.1  # a writer that waits for its turn on SQLite asks again within that time


@dataclass(frozen=True, slots=True)
class Row(Wish):
    """One subscriber's wish, checked, and where it stands."""

    line: int = 0


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that was left out, and why. `kept_out`: the address is to get nothing."""

    line: int
    reason: str
    kept_out: bool = False


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
    check = _Check(site, taxonomy)
    for raw in reader:
        try:
            yield check.row(raw, reader.line_num)
        except ValueError as error:
            yield BadRow(reader.line_num, str(error).splitlines()[0])


async def import_rows(database: Database, rows: Sequence[Row], now: datetime, *, tokens: Tokens) -> list[BadRow]:
    """Subscribe everyone, active at once (their consent is recorded); gives those who must be left out."""
    bad: list[BadRow] = []
    for start in range(0, len(rows), GROUP):
        group = rows[start : start + GROUP]
        async with database.writing() as session:
            kept_out = await _kept_out(session, group, tokens)
            wanted = [row for place, row in enumerate(group) if place not in kept_out]
            left_out = await enrol(session, wanted, now)
        bad += [BadRow(group[place].line, _suppressed(why), kept_out=True) for place, why in kept_out.items()]
        bad += [BadRow(wanted[place].line, _unsubscribed(when)) for place, when in left_out.items()]
        await asyncio.sleep(GAP_SECONDS)
    return bad


async def _kept_out(session: AsyncSession, rows: Sequence[Row], tokens: Tokens) -> Mapping[int, Suppressed]:
    """Which rows are of mail addresses that are to get nothing, by position."""
    prints = {
        place: tokens.fingerprint("address", row.address)
        for place, row in enumerate(rows)
        if row.channel is ChannelKind.EMAIL
    }
    found = await suppressions.many(session, prints.values())
    return {place: found[one] for place, one in prints.items() if one in found}


class _Check:
    """What all rows share; people want the same few filters, so that each is read once."""

    def __init__(self, site: Site, taxonomy: Taxonomy) -> None:
        self._site = site
        self._zones = available_timezones()
        self._filter = lru_cache(FILTERS)(partial(parse, languages=site.languages, topics=taxonomy.slugs))

    def row(self, raw: Mapping[str, str | None], line: int) -> Row:
        """A row as it is meant, or a ValueError with what is wrong and what is allowed."""
        site = self._site
        value = {name: (raw.get(name) or "").strip() for name in COLUMNS}
        channel = _one_of(value, "channel", PEOPLE)
        timezone = value["timezone"] or site.timezone
        if timezone not in self._zones:
            raise ValueError(f"timezone: {timezone!r} is no IANA time zone such as Asia/Baku")
        if value["language"] not in site.languages:
            raise ValueError(f"language: {value['language']!r} is not one of {', '.join(site.languages)}")
        for name in ("consent_at", "consent_source", "consent_text"):
            if not value[name]:
                raise ValueError(f"{name}: is empty; nobody is subscribed without a record of consent")
        try:
            found = self._filter(value["filter"])
        except BadFilter as error:
            raise ValueError(f"filter: {error}") from None
        return Row(
            channel=channel,
            address=_address(channel, value["address"]),
            language=value["language"],
            timezone=timezone,
            filter=found,
            cadence=_one_of(value, "cadence", tuple(Cadence)),
            consent=Consent(_moment(value["consent_at"], site), value["consent_source"], value["consent_text"]),
            text_only=_yes(channel, value["text_only"]),
            line=line,
        )


def _one_of(value: Mapping[str, str], name: str, kinds: Sequence[E]) -> E:
    for kind in kinds:
        if kind == value[name]:
            return kind
    raise ValueError(f"{name}: {value[name]!r} is not one of {', '.join(kinds)}")


def _address(channel: ChannelKind, address: str) -> str:
    if channel is ChannelKind.TELEGRAM:
        if not address.lstrip("-").isdigit():
            raise ValueError(f"address: {address!r} is no Telegram chat id (a whole number)")
        return address
    return email_address(address)


def _yes(channel: ChannelKind, text: str) -> bool:
    if text not in YES_NO:
        raise ValueError(f"text_only: {text!r} is not yes or no")
    if YES_NO[text] and channel is not ChannelKind.EMAIL:
        raise ValueError(f"text_only: it is for email; {channel.value} has no HTML to do without")
    return YES_NO[text]


def _moment(text: str, site: Site) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"consent_at: {text!r} is no ISO 8601 time such as 2026-11-22T10:00:00+04:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(site.timezone))).astimezone(UTC)


def _unsubscribed(when: datetime) -> str:
    return f"unsubscribed on {when.date().isoformat()}, after this consent"


def _suppressed(why: Suppressed) -> str:
    return f"the address is kept out ({why.value}): only its owner's own yes brings it back"
