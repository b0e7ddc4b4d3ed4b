"""Links that open the bot at a topic. Pure: the pages that show them and the bot that hears them agree through this.

Rules, in order:

1. A topic is named by its slug, a long one by a digest of it: the same name stands in the callback data of buttons,
   which have 64 bytes for all they say.
2. What follows `start=` is at most 64 characters of [A-Za-z0-9_-] (https://core.telegram.org/bots/features#deep-linking),
   and every such name is.
"""

from __future__ import annotations

from hashlib import sha256

__all__ = ["bot_link", "topic_key"]

_LONG = 40


def topic_key(slug: str) -> str:
    """A topic's short name in callback data and deep links."""
    return slug if len(slug) <= _LONG else sha256(slug.encode()).hexdigest()[:_LONG]


def bot_link(name: str, topic: str = "") -> str:
    """The address that opens the bot of that name, with a topic where one is given; "" without a bot."""
    if not name:
        return ""
    return f"https://t.me/{name}?start={topic_key(topic)}" if topic else f"https://t.me/{name}"
