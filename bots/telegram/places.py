"""Places as Telegram's side of the house names them; what they are is a fact of the domain (`domain.places`)."""

from __future__ import annotations

from syndicator.domain.places import Place

__all__ = ["Place", "chat_id"]


def chat_id(address: str) -> int | str:
    """The chat of an address, as the Bot API takes it: a number, or `@name`; `https://t.me/name` is understood."""
    return Place.parse(address).chat
