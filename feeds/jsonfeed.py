"""JSON Feed 1.1, from the same entries as the XML formats.

Rules, in order:

1. `items` is the last member of the document, so that cached items are spliced in without parsing.
2. What the format has no name for stands in `_syndicator`, with a link to what it means.
3. A member that has nothing to say is left out.

Source: https://www.jsonfeed.org/version/1.1/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from feeds.entry import Entry
from feeds.streams import Channel, Logo
from syndicator.domain.model import Attachment

__all__ = ["BETWEEN", "CLOSE", "VERSION", "item", "shell", "splice"]

VERSION = "https://jsonfeed.org/version/1.1"
BETWEEN, CLOSE = b",", b"]}"


def shell(channel: Channel, hubs: Sequence[str] = ()) -> bytes:
    """The document without its items."""
    logo = channel.logo or Logo()
    document = {
        "version": VERSION,
        "title": channel.title,
        "home_page_url": channel.page,
        "feed_url": channel.addresses["json"],
        "description": channel.description,
        "authors": [{"name": channel.author, "url": channel.home}],
        "language": channel.lang,
        **_filled({"next_url": channel.older.get("json"), "icon": logo.icon or logo.logo, "favicon": logo.icon}),
        **({"hubs": [{"type": "WebSub", "url": hub} for hub in hubs]} if hubs else {}),
        "_syndicator": {
            "id": channel.uid,
            **_filled({"topic": channel.topic}),
            "translations": [{"language": other.lang, "url": other.addresses["json"]} for other in channel.siblings],
            **_archive(channel),
        },
        "items": [],
    }
    return _dump(document)


def _archive(channel: Channel) -> Mapping[str, Any]:
    """What RFC 5005 calls these, since the format has a name for the older one only."""
    if not channel.current:
        return {}
    return {"archive": True, "current": channel.current["json"]} | _filled({"newer": channel.newer.get("json")})


def splice(document: bytes, items: Sequence[bytes]) -> bytes:
    """The document with its items."""
    return document.removesuffix(CLOSE) + BETWEEN.join(items) + CLOSE


def item(entry: Entry) -> bytes:
    """One entry."""
    members: dict[str, Any] = {
        "id": entry.uid,
        "url": entry.url,
        "external_url": entry.external_url,
        "title": entry.title,
        "content_html": entry.content,
        "summary": entry.summary,
        "image": entry.image.url if entry.image else "",
        "date_published": entry.published.isoformat(),
        "date_modified": entry.updated.isoformat(),
        "authors": [{"name": entry.author, "url": entry.home}],
        "tags": [topic.label for topic in entry.categories],
        "language": entry.lang,
        "attachments": [_attachment(file) for file in entry.attachments],
        "_syndicator": _own(entry),
    }
    return _dump(_filled(members) | {"content_html": entry.content})


def _own(entry: Entry) -> Mapping[str, Any]:
    return _filled(
        {
            "number": entry.number,
            "kind": entry.kind,
            "urgency": entry.urgency,
            "state": entry.state,
            "topics": [
                {"code": topic.term, "scheme": topic.scheme, "label": topic.label} for topic in entry.categories
            ],
            "translations": [{"language": other.lang, "url": other.url} for other in entry.siblings],
            "rights": entry.rights,
            "correction": entry.note,
            "withdrawn_at": entry.withdrawn_at.isoformat() if entry.withdrawn_at else "",
            "reason": entry.reason,
        }
    )


def _attachment(file: Attachment) -> Mapping[str, Any]:
    named = {"url": file.url, "mime_type": file.media_type, "title": file.title, "size_in_bytes": max(0, file.length)}
    picture = _filled({"alt": file.alt, "credit": file.credit}) if file.is_image else {}
    return _filled(named | {"_syndicator": picture})


def _filled(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
