"""The rules of JSON Feed 1.1."""

import json
from collections import Counter

from tests.feeds.rules_common import instant, iri, language, media_type, safe_html, unique, web_address

_ANY = {"title": str, "language": str, "authors": list}
_TOP = _ANY | {
    "version": str,
    "home_page_url": str,
    "feed_url": str,
    "description": str,
    "user_comment": str,
    "next_url": str,
    "icon": str,
    "favicon": str,
    "expired": bool,
    "hubs": list,
    "items": list,
}
_ITEM = _ANY | {
    "id": str,
    "url": str,
    "external_url": str,
    "content_html": str,
    "content_text": str,
    "summary": str,
    "image": str,
    "banner_image": str,
    "date_published": str,
    "date_modified": str,
    "tags": list,
    "attachments": list,
}
_ATTACHMENT = {"url": str, "mime_type": str, "title": str, "size_in_bytes": int, "duration_in_seconds": int}
_AUTHOR = {"name": str, "url": str, "avatar": str}
_WEB = (
    "home_page_url",
    "feed_url",
    "next_url",
    "icon",
    "favicon",
    "url",
    "external_url",
    "image",
    "banner_image",
    "avatar",
)


def json_feed(body, served, now):
    twice = []

    def members(pairs):
        twice.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return dict(pairs)

    try:
        feed = json.loads(body.decode("utf-8"), object_pairs_hook=members)
    except ValueError as error:
        yield f"document: not JSON in UTF-8: {error}"
        return
    yield from (f"document: a member named twice: {name}" for name in twice)
    yield from _nulls("feed", feed)
    yield from _members("feed", feed, _TOP, ("version", "title", "items"))
    if feed.get("version") != "https://jsonfeed.org/version/1.1":
        yield f"feed: not version 1.1: {feed.get('version')!r}"
    if feed.get("feed_url") != served:
        yield f"feed: feed_url is not the address that was served: {feed.get('feed_url')!r}"
    if feed.get("next_url") == served:
        yield "feed: next_url is this very document"
    for hub in feed.get("hubs") or []:
        yield from _members("feed: hub", hub, {"type": str, "url": str}, ("type", "url"))
    items = [item for item in feed.get("items") or [] if isinstance(item, dict)]
    for item in items:
        yield from _json_item(item, now)
    yield from unique("id", [item.get("id") for item in items])


def _json_item(item, now):
    what = f"item {item.get('id')}"
    yield from _members(what, item, _ITEM, ("id",))
    if not isinstance(item.get("content_html", item.get("content_text")), str):
        yield f"{what}: no content"
    for name in ("date_published", "date_modified"):
        if name in item:
            yield from instant(f"{what}: {name}", str(item[name]), now)
    if isinstance(item.get("id"), str):
        yield from iri(f"{what}: id", item["id"])
    yield from safe_html(f"{what}: content_html", str(item.get("content_html", "")))
    for tag in item.get("tags", []):
        if not isinstance(tag, str) or not tag.strip():
            yield f"{what}: a tag that says nothing: {tag!r}"
    for file in item.get("attachments", []):
        yield from _members(f"{what}: attachment", file, _ATTACHMENT, ("url", "mime_type"))
        yield from media_type(f"{what}: attachment", file.get("mime_type"))


def _members(what, value, known, needed):
    for name in needed:
        if name not in value or value[name] == "":
            yield f"{what}: no {name}"
    for name, said in value.items():
        if name.startswith("_"):
            continue
        if name not in known:
            yield f"{what}: no such member: {name}"
        elif not isinstance(said, known[name]) or (known[name] is int and isinstance(said, bool)):
            yield f"{what}: {name} is not a {known[name].__name__}"
        elif name in _WEB:
            yield from web_address(f"{what}: {name}", said)
        elif name == "language":
            yield from language(f"{what}: language", said)
    if "authors" in known:
        yield from _authors(what, value.get("authors") or [])


def _authors(what, authors):
    for author in authors:
        yield from _members(f"{what}: author", author, _AUTHOR, ())
        if not author:
            yield f"{what}: author: says nothing"


def _nulls(what, value):
    if value is None:
        yield f"{what}: null"
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from _nulls(f"{what}.{name}", inner)
