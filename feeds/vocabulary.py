"""The topics as a vocabulary: what the code in a feed's categories means, in every language, for programs.

Rules, in order:

1. There is one vocabulary at one address, which names no language: it is the `scheme` of every category in Atom and
   JSON and its `domain` in RSS, whatever language a feed speaks and whichever is the default.
2. A topic is its code, its names by language, its parent's code if it has one, and its feeds.
3. It depends on the configuration only and holds no date, so it changes exactly when the topics do.
"""

from __future__ import annotations

import json
from typing import Any

from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy, Topic

__all__ = ["CONTENT_TYPE", "NAME", "render"]

CONTENT_TYPE = "application/json; charset=utf-8"
NAME = "topics.json"


def render(site: Site, taxonomy: Taxonomy) -> bytes:
    """The vocabulary."""
    document = {
        "id": site.vocabulary,
        "languages": list(site.languages),
        "topics": [_topic(topic, site) for topic in taxonomy.topics],
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8") + b"\n"


def _topic(topic: Topic, site: Site) -> dict[str, Any]:
    said: dict[str, Any] = {
        "code": topic.slug,
        "names": {lang: one_line(topic.name(lang)) for lang in site.languages},
        "feeds": {lang: {fmt: site.feed(lang, topic.slug, fmt) for fmt in FEED_FORMATS} for lang in site.languages},
    }
    return said | ({"parent": topic.parent} if topic.parent else {})
