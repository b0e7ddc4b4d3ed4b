"""Topics as hashtags that Telegram makes tappable. Pure.

Rules, in order:

1. A tag is the topic's name in the text's language: letters, digits and underscores, never digits alone.
2. A release's own topics come first, then those above them: whoever taps a topic finds what stands below it too, as
   everywhere here.
3. At most `MOST`; what two topics share is written once.
"""

from __future__ import annotations

import unicodedata

from bots.telegram.richtext import Rich, Run, visible
from syndicator.domain.model import Release
from syndicator.domain.topics import Taxonomy

__all__ = ["hashtag", "hashtags"]

MOST = 8
LENGTH = 64  # characters after the sign; Telegram takes 256, nobody reads that many


def hashtags(release: Release, lang: str, taxonomy: Taxonomy) -> Rich:
    """The release's topics as one line of tags; nothing if there are none."""
    slugs = [*release.topics, *(above for slug in release.topics for above in taxonomy.ancestors(slug))]
    topics = [topic for slug in slugs if (topic := taxonomy.get(slug))]
    tags = dict.fromkeys(tag for topic in topics if (tag := hashtag(topic.name(lang))))
    return (Run(" ".join(list(tags)[:MOST])),) if tags else ()


def hashtag(name: str) -> str:
    """`#Name_of_the_topic`: letters, digits and underscores, not digits alone; "" where nothing is left."""
    letters = [_tag_letter(char) for char in unicodedata.normalize("NFC", name)]
    words = "".join(letters).split()
    tag = ""
    for word in words:
        longer = f"{tag}_{word}" if tag else word[:LENGTH]
        if len(longer) > LENGTH:
            break
        tag = longer
    return f"#{tag}" if any(char.isalpha() for char in tag) else ""


def _tag_letter(char: str) -> str:
    if char in "'’ʼ":  # inside a word
        return ""
    category = unicodedata.category(char)
    good = (category[0] == "L" and visible(char)) or category == "Nd"
    return char if good else " "
