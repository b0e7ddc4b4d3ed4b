"""The rules of RSS 2.0 and of the RSS Advisory Board's profile."""

import re

from tests.feeds.rules_common import (
    ATOM,
    CONTENT,
    DC,
    foreign,
    history,
    instant,
    iri,
    language,
    links,
    mail_date,
    media,
    media_type,
    once,
    safe_html,
    served_at,
    tree,
    unique,
    web_address,
    whole_number,
)

CHANNEL_ONCE = {
    "title",
    "link",
    "description",
    "language",
    "copyright",
    "managingEditor",
    "webMaster",
    "pubDate",
    "lastBuildDate",
    "generator",
    "docs",
    "cloud",
    "ttl",
    "image",
    "rating",
    "textInput",
    "skipHours",
    "skipDays",
}
ITEM_ONCE = {"title", "link", "description", "author", "comments", "enclosure", "guid", "pubDate", "source"}
ENCODED, CREATOR, UPDATED = f"{{{CONTENT}}}encoded", f"{{{DC}}}creator", f"{{{ATOM}}}updated"


def rss(body, served, now):
    root, faults = tree(body)
    yield from faults
    if root is None:
        return
    if root.tag != "rss" or root.get("version") != "2.0" or [child.tag for child in root] != ["channel"]:
        yield "document: not RSS 2.0 with one channel"
        return
    channel = root[0]
    for title in re.findall(rb"<title>([^<]*)</title>", body):
        if b"&amp;" in title or b"&lt;" in title:
            yield f"title: & and < are not written in hex: {title!r}"
    yield from _channel(channel, now)
    yield from served_at("channel", channel, served, "application/rss+xml")
    yield from history("channel", channel, served, "application/rss+xml")
    for item in channel.findall("item"):
        yield from _item(item, now)
    yield from unique("guid", [item.findtext("guid") for item in channel.findall("item")])


def _channel(channel, now):
    for name in ("title", "link", "description"):
        if not (channel.findtext(name) or "").strip():
            yield f"channel: no {name}"
    yield from once("channel", channel, CHANNEL_ONCE)
    yield from foreign("channel", channel, "")
    yield from _known("channel", channel, CHANNEL_ONCE | {"category", "item"})
    yield from web_address("channel: link", channel.findtext("link"))
    yield from links("channel", channel)
    yield from language("channel: language", channel.findtext("language"))
    yield from mail_date("channel: lastBuildDate", channel.findtext("lastBuildDate"), now)
    if channel.find("ttl") is not None and not re.fullmatch("[1-9][0-9]*", channel.findtext("ttl") or ""):
        yield f"channel: ttl: not a whole number of minutes: {channel.findtext('ttl')!r}"
    for image in channel.findall("image"):
        yield from web_address("channel: image", image.findtext("url"))
        if not re.search(r"[.](png|gif|jpe?g)$", image.findtext("url") or ""):
            yield f"channel: image: neither PNG, GIF nor JPEG: {image.findtext('url')!r}"
        for side, most in (("width", 144), ("height", 400)):
            if not 0 < int(image.findtext(side) or 1) <= most:
                yield f"channel: image: its {side} is not from 1 to {most}"
        yield from _known("channel: image", image, {"url", "title", "link", "width", "height", "description"})
        for name in ("title", "link"):
            if image.findtext(name) != channel.findtext(name):
                yield f"channel: image: its {name} is not the channel's"


def _known(what, node, names):
    """RSS's own elements have no namespace, and nobody else may go without one."""
    for child in node:
        if "{" not in child.tag and child.tag not in names:
            yield f"{what}: no such element: {child.tag}"


def _item(item, now):
    what = f"item {item.findtext('guid')}"
    yield from once(what, item, ITEM_ONCE | {ENCODED, CREATOR, UPDATED})
    yield from _known(what, item, ITEM_ONCE | {"category"})
    if not (item.findtext("title") or item.findtext("description") or "").strip():
        yield f"{what}: neither title nor description"
    yield from web_address(f"{what}: link", item.findtext("link"))
    yield from _guid(what, item.find("guid"))
    yield from mail_date(f"{what}: pubDate", item.findtext("pubDate"), now)
    if item.find(UPDATED) is not None:
        yield from instant(f"{what}: atom:updated", item.findtext(UPDATED), now)
    if item.find(f"{{{DC}}}language") is not None:
        yield from language(f"{what}: dc:language", item.findtext(f"{{{DC}}}language"))
    yield from _texts(what, item)
    yield from _author(what, item)
    for enclosure in item.findall("enclosure"):
        yield from web_address(f"{what}: enclosure", enclosure.get("url"))
        yield from whole_number(f"{what}: enclosure: length", enclosure.get("length"))
        yield from media_type(f"{what}: enclosure", enclosure.get("type"))
    for category in item.findall("category"):
        if not (category.text or "").strip():
            yield f"{what}: empty category"
        if category.get("domain") is not None:
            yield from iri(f"{what}: category: domain", category.get("domain"))
    yield from links(what, item)
    yield from media(what, item)


def _texts(what, item):
    """The summary comes before the whole text; some readers take the last of them for both."""
    texts = [child for child in item if child.tag in ("description", ENCODED)]
    for child in texts:
        yield from safe_html(f"{what}: {child.tag}", child.text)
    if [child.tag for child in texts] == [ENCODED, "description"]:
        yield f"{what}: description after content:encoded"


def _author(what, item):
    author = item.findtext("author")
    if author is None:
        return
    if not re.match(r"[^\s@]+@[^\s@]+( \(.+\))?$", author):
        yield f"{what}: author: no mail address: {author!r}"
    if item.find(CREATOR) is not None:
        yield f"{what}: author and dc:creator say the same"


def _guid(what, guid):
    if guid is None or not (guid.text or "").strip():
        yield f"{what}: no guid"
    elif guid.get("isPermaLink", "true") == "true":
        yield from web_address(f"{what}: guid", guid.text)
    elif guid.get("isPermaLink") != "false":
        yield f"{what}: guid: isPermaLink is neither true nor false"
    else:
        yield from iri(f"{what}: guid", guid.text)
