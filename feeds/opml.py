"""OPML 2.0: feeds in a file that a reader imports at once.

Rules, in order:

1. One file a language, where every stream stands once, `all` first; one of all languages, where each language is a
   group; one for any filter. Each feed is `type="rss"` with its RSS address, which is its only one: never a redirect.
2. It depends on the configuration only and holds no date, so it changes exactly when the streams do.

Source: http://opml.org/spec2.opml ("Subscription lists").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # stubs lag behind it

from syndicator.domain.ports import FeedLinks
from syndicator.domain.text import one_line

__all__ = ["CONTENT_TYPE", "INDEX", "render", "render_groups"]

CONTENT_TYPE = "text/x-opml; charset=utf-8"
INDEX = "index.opml"  # no language has five letters, so it is in nobody's way


def render(title: str, streams: Sequence[FeedLinks]) -> bytes:
    """The subscription list of these streams."""
    root, body = _document(title)
    _add(body, streams)
    return _written(root)


def render_groups(title: str, groups: Mapping[str, Sequence[FeedLinks]]) -> bytes:
    """The subscription list of these streams, in groups by name; readers make folders of them."""
    root, body = _document(title)
    for name, streams in groups.items():
        _add(etree.SubElement(body, "outline", text=one_line(name), title=one_line(name)), streams)
    return _written(root)


def _document(title: str) -> tuple[Any, Any]:
    root = etree.Element("opml", version="2.0")
    etree.SubElement(etree.SubElement(root, "head"), "title").text = one_line(title)
    return root, etree.SubElement(root, "body")


def _add(parent: Any, streams: Sequence[FeedLinks]) -> None:
    for one in streams:
        title = one_line(one.title)
        outline = etree.SubElement(parent, "outline", type="rss", text=title, title=title)
        outline.set("xmlUrl", one.rss)
        outline.set("language", one.lang)


def _written(root: Any) -> bytes:
    rendered: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return rendered
