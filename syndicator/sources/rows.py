"""Database rows as changes, and the cursor that says how far a table was read. No I/O.

Rules, in order:

1. A cursor is the (`updated`, `id`) of a row, as JSON text with the values' types, so that they can be bound again.
2. A row needs id, lang, title, body, published and updated; other columns are those of `OPTIONAL`. An empty value
   counts as left out, except in id and updated.
3. A fingerprint is over what a row says; `updated` alone says nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from syndicator.domain.model import BodyFormat, Change, Problem, State
from syndicator.domain.text import BODY_LIMIT, one_line
from syndicator.sources.fields import BadField, Fields, read_fields
from syndicator.sources.fields import moment as read_moment

__all__ = ["NEEDED", "OPTIONAL", "Key", "RowReader"]

NEEDED = ("id", "lang", "title", "body", "published", "updated")
OPTIONAL = (
    "summary",
    "kind",
    "urgency",
    "topics",
    "embargo",
    "link",
    "note",
    "state",
    "reason",
    "rights",
    "image_url",
    "image_alt",
    "image_credit",
)
_IMAGE = "image_"
MILLISECONDS = 100_000_000_000  # a larger number of seconds would be beyond the year 5000
# name -> (type, how to write it, how to read it); datetime before date, which it is too
_TYPES: Mapping[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "text": (str, str, str),
    "whole": (int, str, int),
    "decimal": (Decimal, str, Decimal),
    "uuid": (UUID, str, UUID),
    "float": (float, repr, float),
}


@dataclass(frozen=True, slots=True)
class Key:
    """A row's place in the order: `updated`, then `id`."""

    updated: Any
    id: Any

    def dump(self) -> str:
        """As cursor text.

        Raises:
            ValueError: the database gave a type that cannot be written down.
        """
        return json.dumps({"updated": _write(self.updated), "id": _write(self.id)}, ensure_ascii=False)

    def back(self, span: timedelta) -> Key:
        """The place so much earlier, before every row of that moment; the same place where that cannot be told.

        A number counts seconds since 1970, or milliseconds where it is too large for that.
        """
        try:
            return Key(_earlier(self.updated, span), None)
        except (ValueError, OverflowError):
            return self

    @classmethod
    def load(cls, cursor: str) -> Key:
        """From cursor text.

        Raises:
            ValueError: it is no such text.
        """
        try:
            found = json.loads(cursor)
            return cls(_read(found["updated"]), _read(found["id"]))
        except (KeyError, TypeError, ArithmeticError) as error:
            raise ValueError(f"not a cursor: {cursor[:80]!r}") from error


def _earlier(updated: Any, span: timedelta) -> Any:
    if isinstance(updated, str):
        moment = datetime.fromisoformat(updated) - span
        separator = updated[10] if len(updated) > 10 else ""
        return moment.isoformat(separator, "auto") if separator else moment.date().isoformat()
    if isinstance(updated, (int, float, Decimal)) and not isinstance(updated, bool):
        return updated - int(span.total_seconds()) * (1000 if updated > MILLISECONDS else 1)
    if isinstance(updated, date) and not isinstance(updated, datetime):
        return updated - max(span, timedelta(days=1))
    if isinstance(updated, datetime):
        return updated - span
    raise ValueError(f"a {type(updated).__name__} is no time")


def _write(value: object) -> list[str]:
    for name, (kind, write, _) in _TYPES.items():
        if isinstance(value, kind):
            return [name, write(value)]
    raise ValueError(f"a {type(value).__name__} cannot be a cursor; cast it to a time, a number or a text")


def _read(pair: Sequence[str]) -> Any:
    name, text = pair
    return _TYPES[name][2](text)


@dataclass(frozen=True, slots=True)
class RowReader:
    """Makes changes of rows for the source `name`. Times without a zone are in `zone`."""

    name: str
    body_format: BodyFormat
    zone: ZoneInfo
    languages: tuple[str, ...]

    def read(self, row: Mapping[str, Any]) -> Change | Problem:
        """One row with every needed column."""
        origin = _origin(row)
        try:
            return self._change(row, origin)
        except ValueError as error:
            return Problem(self.name, origin, one_line(str(error)), f"!{_digest(row)}")

    def _change(self, row: Mapping[str, Any], origin: str) -> Change:
        fields = read_fields(self._values(row), self.zone)
        updated = read_moment("updated", row["updated"], self.zone)
        if not fields.key or updated is None:
            raise BadField("id" if not fields.key else "updated", "a value is needed")
        lang = fields.lang.lower()
        if lang not in self.languages:
            raise BadField("lang", f"{', '.join(self.languages)} is allowed, not {lang[:40] or 'nothing'}")
        body = self._body(row["body"], fields)
        return Change(
            source=self.name,
            key=fields.key,
            origin=origin,
            lang=lang,
            title=fields.title,
            body=body,
            fingerprint=_digest(row),
            seen_at=updated,
            body_format=self.body_format,
            summary=fields.summary,
            kind=fields.kind,
            urgency=fields.urgency,
            topics=fields.topics,
            published=fields.published,
            embargo=fields.embargo,
            link=fields.link,
            attachments=fields.attachments,
            rights=fields.rights,
            note=fields.note,
            state=fields.state,
            reason=fields.reason,
        )

    @staticmethod
    def _values(row: Mapping[str, Any]) -> dict[str, object]:
        """The row under front matter's names; empty values are left out."""
        values = {key: value for key, value in row.items() if value is not None and key not in ("body", "updated")}
        image = {key.removeprefix(_IMAGE): values.pop(key) for key in list(values) if key.startswith(_IMAGE)}
        if image.get("url"):
            values["image"] = image
        values["id"] = str(values.get("id", ""))
        return values

    @staticmethod
    def _body(value: object, fields: Fields) -> str:
        if value is not None and not isinstance(value, str):
            raise BadField("body", f"a text is allowed, not a {type(value).__name__}")
        body = value or ""
        if len(body) > BODY_LIMIT:
            raise BadField("body", f"it has {len(body):,} characters; at most {BODY_LIMIT:,} are taken")
        if not fields.title:
            raise BadField("title", "a title is needed")
        if not (body.strip() or fields.summary or fields.link or fields.state is State.WITHDRAWN):
            raise BadField("body", "there is no text")
        return body


def _origin(row: Mapping[str, Any]) -> str:
    """The row's name for people: its id and language."""
    return one_line(f"{_shown(row['id'])}.{_shown(row['lang'])}")


def _shown(value: object) -> str:
    return "?" if value is None else str(value)[:200]


def _digest(row: Mapping[str, Any]) -> str:
    found = hashlib.sha256()
    for key in sorted(row.keys() - {"updated"}):
        value = row[key]
        said = value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value
        text = f"{key}={said!r}".encode("utf-8", "backslashreplace")
        found.update(f"{len(text)} ".encode() + text)
    return found.hexdigest()
