"""What may be asked, read strictly: each parameter said once, for reading it and for the OpenAPI document.

Rules, in order:

1. A filter's parameters are those of every other channel, and `domain.filters` reads them.
2. An unknown parameter is refused, so that a misspelt one is not taken for none; and so is one given twice.
3. A time is RFC 3339 with an offset, or a date, which begins at midnight in the office's zone.
4. A cursor is opaque: it comes from a `next` and says where a list was left, nothing else.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from syndicator.domain.filters import MAX_VALUES, MAX_WORDS, BadFilter, Filter, canonical
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.store.releases import Place
from syndicator.web.api.problems import Refused
from syndicator.web.asked import asked_filter

__all__ = ["CHANGES", "RELEASES", "SEARCH", "USUAL_LIMIT", "Asked", "Parameter", "query_of", "read", "write_cursor"]

USUAL_LIMIT = 20
MAX_LIMIT = 100
MAX_TYPED = 500
GREATEST = 2**31 - 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt](\d\d:\d\d:\d\d)(?:\.\d{1,6})?([Zz]|[ +-]\d\d:\d\d))?", re.ASCII)
_CURSOR = re.compile(r"(-?\d{1,18})\.(\d{1,10})", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_FILTER = ("lang", "topic", "not", "kind", "q")
_SLUG = {"type": "string", "pattern": "^[a-z0-9]+([-_][a-z0-9]+)*$", "maxLength": 64}
_TIMES = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; `listed` ones take several values with commas between."""

    name: str
    about: str
    schema: Mapping[str, Any]
    example: Any
    listed: bool = False
    required: bool = False


def _several(name: str, about: str, items: Mapping[str, Any], example: Sequence[str]) -> Parameter:
    schema = {"type": "array", "items": items, "maxItems": MAX_VALUES}
    return Parameter(name, about, schema, example, listed=True)


_LANG = _several(
    "lang",
    "Languages in order of preference: of each release comes one version, the first of these that it has. "
    "Without it every version counts.",
    {"type": "string"},
    ["en", "az"],
)
_TOPIC = _several("topic", "Any of these topics; one includes those below it.", _SLUG, ["visas"])
_NOT = _several("not", "None of these topics, nor any below them.", _SLUG, ["office"])
_KIND = _several("kind", "Any of these kinds.", _SLUG, ["news", "notice"])
_WORDS = Parameter(
    "q",
    f"All of these words, at most {MAX_WORDS}, each as the beginning of a word of title, summary or text. "
    "Case, Azerbaijani letters and ё do not matter.",
    {"type": "string", "maxLength": MAX_TYPED},
    "viza",
)
_SINCE = Parameter("since", "Not before this time: RFC 3339, or a date in the office's zone.", _TIMES, "2026-11-01")
_UNTIL = Parameter("until", "Before this time, which is not included.", _TIMES, "2026-11-21T09:00:00Z")
_BY = Parameter(
    "by",
    "Which time `since` and `until` bound: publication, or the newest correction. The order stays that of publication.",
    {"type": "string", "enum": ["published", "updated"], "default": "published"},
    "published",
)
_LIMIT = Parameter(
    "limit",
    "How many releases at most.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": USUAL_LIMIT},
    50,
)
_PLACE = Parameter(
    "cursor",
    "Where to go on, as `next` says it. Opaque.",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "MTc5NTI1MTYwMDAwMDAwMC4xMg",
)
_CHANGE = Parameter(
    "since",
    "The `change` of the answer before; 0 for everything from the beginning.",
    {"type": "integer", "minimum": 0, "maximum": GREATEST, "default": 0},
    0,
)

RELEASES = (_LANG, _TOPIC, _NOT, _KIND, _WORDS, _SINCE, _UNTIL, _BY, _LIMIT, _PLACE)
SEARCH = tuple(Parameter("q", p.about, p.schema, p.example, required=True) if p is _WORDS else p for p in RELEASES)
CHANGES = (_CHANGE, _LIMIT)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, every part of it within its bounds."""

    wanted: Filter = field(default_factory=Filter)
    since: datetime | None = None
    until: datetime | None = None
    by_update: bool = False
    limit: int = USUAL_LIMIT
    after: Place | None = None
    change: int = 0


def read(query: Sequence[tuple[str, str]], allowed: Sequence[Parameter], site: Site, taxonomy: Taxonomy) -> Asked:
    """The parameters as values.

    Raises:
        Refused: one is unknown, given twice, missing or out of its bounds; the line says which and what is allowed.
    """
    given = _given(query, allowed)
    followed = allowed is CHANGES
    return Asked(
        wanted=_filter(given, site, taxonomy),
        since=None if followed else _time("since", given.get("since"), site),
        until=_time("until", given.get("until"), site),
        by_update=_choice("by", given.get("by"), ("published", "updated")) == "updated",
        limit=_number("limit", given.get("limit"), 1, MAX_LIMIT, USUAL_LIMIT),
        after=_read_cursor(given.get("cursor")),
        change=_number("since", given.get("since"), 0, GREATEST, 0) if followed else 0,
    )


def query_of(asked: Asked, **more: str) -> str:
    """The query string of a list, in its one form; `more` are further parameters."""
    times = {
        name: moment.isoformat().replace("+00:00", "Z")
        for name, moment in (("since", asked.since), ("until", asked.until))
        if moment is not None
    }
    own = times | ({"by": "updated"} if asked.by_update else {})
    own |= {} if asked.limit == USUAL_LIMIT else {"limit": str(asked.limit)}
    return "&".join(filter(None, (canonical(asked.wanted), urlencode(own | more, safe=":"))))


def write_cursor(place: Place) -> str:
    """A place in a list as text."""
    microseconds = (place.public_at - _EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(f"{microseconds}.{place.number}".encode()).decode().rstrip("=")


def _given(query: Sequence[tuple[str, str]], allowed: Sequence[Parameter]) -> dict[str, str]:
    names = [parameter.name for parameter in allowed]
    given: dict[str, str] = {}
    for name, value in query:
        if name not in names:
            raise Refused(f"{_shown(name)}: there is no such parameter here; allowed are {', '.join(names) or 'none'}")
        if name in given and name not in _FILTER:
            raise Refused(f"{name}: it is given twice; once is allowed", name)
        between = " " if name == "q" else ","
        given[name] = f"{given[name]}{between}{value}" if name in given else value
    for parameter in allowed:
        if parameter.required and not given.get(parameter.name, "").strip():
            raise Refused(f"{parameter.name}: it is missing; give 1 to {MAX_WORDS} words", parameter.name)
    return given


def _filter(given: Mapping[str, str], site: Site, taxonomy: Taxonomy) -> Filter:
    asked = [(name, given[name]) for name in _FILTER if name in given]
    for name, text in asked:
        if name == "q" and len(text) > MAX_TYPED:
            raise Refused(f"q: {len(text)} characters; at most {MAX_TYPED} are allowed", name)
        if name != "q" and text.count(",") >= MAX_VALUES:
            raise Refused(f"{name}: {text.count(',') + 1} values; at most {MAX_VALUES} are allowed", name)
    try:
        return asked_filter(asked, taxonomy, site.languages)
    except BadFilter as error:
        key = str(error).partition(":")[0]
        raise Refused(str(error), key if key in _FILTER else None) from error


def _time(name: str, text: str | None, site: Site) -> datetime | None:
    if text is None:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise Refused(_bad_time(name, text), name)
    try:
        if found[3] is None:
            return datetime.fromisoformat(found[1]).replace(tzinfo=site.zone).astimezone(UTC)
        # In a query string "+" is a space: who did not encode it means an offset all the same.
        return datetime.fromisoformat(text.upper().replace(" ", "+")).astimezone(UTC)
    except OverflowError:  # in UTC it falls outside the years that there are
        return datetime.min.replace(tzinfo=UTC) if text.startswith("0") else datetime.max.replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused(_bad_time(name, text), name) from error


def _bad_time(name: str, text: str) -> str:
    return f"{name}: {_shown(text)} is no time; 2026-11-21T09:00:00Z and 2026-11-21 are"


def _choice(name: str, text: str | None, allowed: tuple[str, ...]) -> str:
    if text is not None and text not in allowed:
        raise Refused(f"{name}: {_shown(text)} is unknown; allowed are {', '.join(allowed)}", name)
    return text or allowed[0]


def _number(name: str, text: str | None, least: int, most: int, usual: int) -> int:
    if text is None:
        return usual
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise Refused(f"{name}: {_shown(text)} is not allowed; whole numbers from {least} to {most} are", name)
    return int(text)


def _read_cursor(text: str | None) -> Place | None:
    if text is None:
        return None
    try:
        found = _CURSOR.fullmatch(urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii"))
        if found is not None and len(text) <= 64 and int(found[2]) <= GREATEST:
            return Place(_EPOCH + timedelta(microseconds=int(found[1])), int(found[2]))
    except (ValueError, OverflowError):
        pass
    raise Refused("cursor: it is not one of ours; take it from `next` of an earlier answer, unchanged", "cursor")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
