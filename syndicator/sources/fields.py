"""The named values of a release as an editor or a database row writes them, checked one by one.

Rules, in order:

1. Only the keys of `KEYS` exist; another one is most likely a typing error and is refused with the list of all.
2. A value is text, a list or a mapping. Nothing is guessed from its looks: `no` is a text, `2026-01-01` too, until
   the key says that it is a time. An empty value counts as left out.
3. A time without an offset is in the office's zone; a day without a time is its first minute.
4. A withdrawal may give its reason as `reason` or, where that is left out, as `note`.
5. Every refusal is one line: the key, what is allowed, what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from syndicator.domain.model import Attachment, State, Urgency
from syndicator.domain.taxonomy import is_slug
from syndicator.domain.text import one_line, strip_illegal

__all__ = ["KEYS", "BadField", "Fields", "media_type", "moment", "read_fields"]

KEYS = (
    "id",
    "title",
    "summary",
    "lang",
    "kind",
    "urgency",
    "topics",
    "published",
    "embargo",
    "link",
    "image",
    "images",
    "attachments",
    "rights",
    "note",
    "state",
    "reason",
)
LENGTHS = {"id": 200, "title": 500, "rights": 500}  # characters
LENGTH = 5_000  # of every other text
MOST_ATTACHMENTS = 50
MOST_TOPICS = 50
YEARS = range(1970, 2200)
STATES = (State.PUBLIC, State.DRAFT, State.WITHDRAWN)
MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
    ".csv": "text/csv",
    ".txt": "text/plain",
}

_SPACE_BEFORE_OFFSET = re.compile(r"\s+(?=(?:Z|[+-]\d\d(?::?\d\d)?)$)")
_REMOTE = re.compile("https?://", re.IGNORECASE)
_Choice = TypeVar("_Choice", bound=StrEnum)


class BadField(ValueError):
    """One clear line, without the place: `key` says where to look."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key


@dataclass(frozen=True, slots=True)
class Fields:
    """What was written, checked. `key` is "" where no id was given; a local file's `Attachment.path` is relative."""

    key: str = ""
    title: str = ""
    summary: str = ""
    lang: str = ""
    kind: str = "news"
    urgency: Urgency = Urgency.NORMAL
    topics: tuple[str, ...] | None = None
    published: datetime | None = None
    embargo: datetime | None = None
    link: str = ""
    attachments: tuple[Attachment, ...] = ()
    rights: str = ""
    note: str = ""
    state: State = State.PUBLIC
    reason: str = ""


def read_fields(values: Mapping[str, object], zone: ZoneInfo) -> Fields:
    """Check all values.

    Raises:
        BadField: one of them is unknown or not allowed.
    """
    for key in values:
        if key not in KEYS:
            raise BadField(_shown(key), f"unknown key; allowed are {', '.join(KEYS)}")
    given = {key: value for key, value in values.items() if value not in (None, "")}
    texts = {key: _text(key, given.get(key, "")) for key in ("title", "summary", "lang", "rights", "note", "reason")}
    state = _choice("state", given.get("state", State.PUBLIC), STATES)
    if state is State.WITHDRAWN and not texts["reason"]:
        texts["reason"] = texts["note"]
    return Fields(
        key=_text("id", given.get("id", "")),
        kind=_kind(given.get("kind", "news")),
        urgency=_choice("urgency", given.get("urgency", Urgency.NORMAL), tuple(Urgency)),
        topics=_topics(given["topics"]) if "topics" in given else None,
        published=moment("published", given.get("published"), zone),
        embargo=moment("embargo", given.get("embargo"), zone),
        link=_address("link", _text("link", given["link"])) if "link" in given else "",
        attachments=_attachments(given),
        state=state,
        **texts,
    )


def media_type(name: str) -> str:
    """The type that a file's name promises; the media store looks at the bytes."""
    return MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")


def _shown(value: object) -> str:
    text = one_line(str(value) if isinstance(value, str | int | float) else type(value).__name__)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _text(key: str, value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadField(key, f"a text is allowed, not a {_kind_of(value)}")
    limit = LENGTHS.get(key, LENGTH)
    if len(value) > limit:
        raise BadField(key, f"at most {limit:,} characters are allowed, not {len(value):,}")
    return one_line(value)


def _kind_of(value: object) -> str:
    if isinstance(value, Mapping):
        return "mapping"
    return "list" if isinstance(value, Sequence) else type(value).__name__


def _choice(key: str, value: object, allowed: Sequence[_Choice]) -> _Choice:
    found = _text(key, value).lower()
    for choice in allowed:
        if choice.value == found:
            return choice
    names = [choice.value for choice in allowed]
    raise BadField(key, f"{', '.join(names[:-1])} or {names[-1]} is allowed, not {_shown(found)}")


def _kind(value: object) -> str:
    kind = _text("kind", value).lower()
    if not is_slug(kind):
        raise BadField("kind", f"one lower-case word such as news, notice or event is allowed, not {_shown(kind)}")
    return kind


def _topics(value: object) -> tuple[str, ...]:
    given: Iterable[object] = value.split(",") if isinstance(value, str) else _list("topics", value, MOST_TOPICS)
    slugs = [slug for item in given if (slug := _text("topics", item).lower())]
    for slug in slugs:
        if not is_slug(slug):
            raise BadField("topics", f"slugs such as work-permits are allowed, not {_shown(slug)}")
    return tuple(dict.fromkeys(slugs))


def _list(key: str, value: object, most: int) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise BadField(key, f"a list is allowed, not a {_kind_of(value)}")
    if len(value) > most:
        raise BadField(key, f"at most {most} are allowed, not {len(value):,}")
    return value


def moment(key: str, value: object, zone: ZoneInfo) -> datetime | None:
    """A time in UTC; None stays None.

    Raises:
        BadField: it is no time, or in a year out of reason.
    """
    if value is None:
        return None
    allowed = "a time such as 2026-11-21T16:20:00+04:00 is allowed"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(_SPACE_BEFORE_OFFSET.sub("", value.strip()))
        except ValueError:
            raise BadField(key, f"{allowed}, not {_shown(value)}") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise BadField(key, f"{allowed}, not a {_kind_of(value)}")
    if value.year not in YEARS:
        raise BadField(key, f"a year from {YEARS[0]} to {YEARS[-1]} is allowed, not {value.year}")
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def _address(key: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and (parts.port is None or True)
    except ValueError:
        good = False
    if not good or " " in url or "\\" in url:
        raise BadField(key, f"an address that begins with https:// is allowed, not {_shown(url)}")
    return url


def _attachments(given: Mapping[str, object]) -> tuple[Attachment, ...]:
    pictures = [*_several("image", given), *_several("images", given)]
    files = _several("attachments", given)
    found = [_picture(key, item) for key, item in pictures] + [_file(key, item) for key, item in files]
    if len(found) > MOST_ATTACHMENTS:
        raise BadField("attachments", f"at most {MOST_ATTACHMENTS} are allowed, not {len(found)}")
    return tuple(found)


def _several(key: str, given: Mapping[str, object]) -> list[tuple[str, Mapping[str, object]]]:
    """A list of mappings, or a single one; a text alone stands for its `src`."""
    value = given.get(key, ())
    items = [value] if isinstance(value, str | Mapping) else _list(key, value, MOST_ATTACHMENTS)
    return [(key, _mapping(key, item)) for item in items]


def _mapping(key: str, item: object) -> Mapping[str, object]:
    if isinstance(item, str):
        return {"src": item}
    if not isinstance(item, Mapping):
        raise BadField(key, f"a file name, or src with alt, credit and title, is allowed, not a {_kind_of(item)}")
    return item


def _picture(key: str, item: Mapping[str, object]) -> Attachment:
    url, path, promised = _place(key, item, ("src", "url", "alt", "credit", "title"))
    if path is not None and not promised.startswith("image/"):
        raise BadField(key, f"a jpg, png, gif, webp or avif file is allowed, not {_shown(path.as_posix())}")
    return Attachment(
        url=url,
        path=path,
        media_type=promised if promised.startswith("image/") else "image/jpeg",
        alt=_text(key, item.get("alt") or ""),
        credit=_text(key, item.get("credit") or ""),
        title=_text(key, item.get("title") or ""),
    )


def _file(key: str, item: Mapping[str, object]) -> Attachment:
    url, path, promised = _place(key, item, ("src", "url", "title"))
    title = _text(key, item.get("title") or "")
    named = path.name if path is not None else PurePosixPath(unquote(urlsplit(url).path)).name
    return Attachment(url=url, path=path, media_type=promised, title=title or one_line(named))


def _place(key: str, item: Mapping[str, object], allowed: Sequence[str]) -> tuple[str, Path | None, str]:
    """Where the bytes are: an address or a relative path, and the type that its name promises."""
    for name in item:
        if name not in allowed:
            raise BadField(key, f"{_shown(name)}: unknown key; allowed are {', '.join(allowed)}")
    places = [place for name in ("src", "url") if (place := item.get(name))]
    if len(places) != 1 or not isinstance(places[0], str):
        raise BadField(key, "one src (a file in the folder) or one url is needed")
    place = strip_illegal(places[0]).strip()
    if len(place) > LENGTH:
        raise BadField(key, f"an address of at most {LENGTH:,} characters is allowed")
    if _REMOTE.match(place) or item.get("url"):
        url = _address(key, place)
        return url, None, media_type(unquote(urlsplit(url).path))
    if not place or place.startswith(("/", "\\")) or urlsplit(place).scheme:
        raise BadField(key, f"a file in the folder or an https:// address is allowed, not {_shown(place)}")
    return "", Path(place), media_type(place)
