"""HTTP's questions about a finished feed, answered as pure functions.

Rules, in order:

1. `If-None-Match` wins over `If-Modified-Since` (RFC 9110 §13.2.2); it compares weakly, knows lists and `*` (§13.1.2).
2. A validator that a compressing proxy has marked (`"abc-gzip"`) still counts as ours.
3. `If-Modified-Since` counts whole seconds; a date that cannot be read, or lies in the future, is ignored (§13.1.3).
4. Of the codings a reader accepts, the one with the greatest q wins, ours in the order offered; identity, unless it is
   ruled out, when none fits (§12.5.3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["choose_coding", "not_modified"]

_TAG = re.compile(r'\s*(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_PROXY_MARK = re.compile(r"(?:-|;|--)(?:gzip|br|df|zstd)$")
_QUALITY = re.compile(r"^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$")
_LONGEST = 8192


def not_modified(
    etag: str,
    last_modified: datetime,
    if_none_match: str | None,
    if_modified_since: str | None,
    now: datetime,
) -> bool:
    """Whether the reader has it already. `etag` is quoted."""
    if if_none_match is not None:
        return _matches(etag.strip('"'), if_none_match[:_LONGEST])
    if if_modified_since is None:
        return False
    try:
        since = parsedate_to_datetime(if_modified_since)
    except (ValueError, OverflowError):  # a zone of more hours than a clock can count is as unreadable as a word
        return False
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return last_modified.replace(microsecond=0) <= since <= now


def _matches(opaque: str, header: str) -> bool:
    if header.strip() == "*":
        return True
    position = 0
    while (found := _TAG.match(header, position)) is not None:
        if opaque in (found[1], _PROXY_MARK.sub("", found[1])):
            return True
        position = found.end()
    return False


def choose_coding(accept: str | None, offered: Sequence[str]) -> str:
    """The content coding to answer in: one of `offered`, or `identity`."""
    if accept is None:
        return "identity"
    wishes = _wishes(accept[:_LONGEST])
    any_other = wishes.get("*", 0.0)
    best, quality = "identity", wishes.get("identity", 0.0001)
    for coding in offered:
        wish = wishes.get(coding, wishes.get(f"x-{coding}", any_other))
        if wish > quality:
            best, quality = coding, wish
    return best


def _wishes(accept: str) -> dict[str, float]:
    wishes: dict[str, float] = {}
    for part in accept.split(","):
        coding, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = float(value) if _QUALITY.match(value.strip()) else 0.0
        if coding:
            wishes[coding] = quality
    return wishes
