"""OPML 2.0: all feeds of one language in a file that a reader imports at once.

Rules, in order:

1. One file a language; every stream stands in it once, as `type="rss"` with its RSS address, `all` first.
2. It depends on the configuration only and holds no date, so it changes exactly when the streams do.

Source: http://opml.org/spec2.opml ("Subscription lists").
"""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree  # type: ignore[import-untyped]  # stubs lag behind it

from syndicator.domain.ports import FeedLinks

__all__ = ["CONTENT_TYPE", "render"]

CONTENT_TYPE = "text/x-opml; charset=utf-8"


def render(title: str, streams: Sequence[FeedLinks]) -> bytes:
    """The subscription list of these streams."""
    root = etree.Element("opml", version="2.0")
    head = etree.SubElement(root, "head")
    etree.SubElement(head, "title").text = title
    body = etree.SubElement(root, "body")
    for one in streams:
        outline = etree.SubElement(body, "outline", type="rss", text=one.title, title=one.title)
        outline.set("xmlUrl", one.rss)
        outline.set("language", one.lang)
    rendered: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return rendered
