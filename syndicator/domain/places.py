"""Where a post goes: a chat, and in a forum one of its topics. Pure.

Rules, in order:

1. A chat is a number or a public name, `@press`. Addresses of t.me are understood: `https://t.me/press` is `@press`,
   `https://t.me/c/1234567890` is the chat -1001234567890; a number behind either is the topic.
2. A place is written `CHAT` or `CHAT/TOPIC`, and read back as the same place.
3. Two ways to write the same place are one place: names are the same in capitals and without.
4. The topic 1 is what everybody sees first in a forum, “General”: calls do not name it, so a place in it is the chat
   itself (https://core.telegram.org/api/forum#forum-topics).
5. What is neither is taken as it is, and Telegram will say that there is no such chat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Place", "place_address"]

GENERAL = 1
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_TOPIC = r"(?:/(?P<thread>[1-9][0-9]{0,9}))?/?"
_WRITTEN = re.compile(r"(?P<chat>-?[0-9]{1,19}|@[A-Za-z][A-Za-z0-9_]{3,31})" + _TOPIC)
_PRIVATE = re.compile(r"(?:https?://)?t\.me/c/(?P<chat>[1-9][0-9]{0,15})" + _TOPIC)
_NAMED = re.compile(r"(?:https?://)?t\.me/(?P<chat>[A-Za-z][A-Za-z0-9_]{3,31})" + _TOPIC)


@dataclass(frozen=True, slots=True)
class Place:
    """A chat as the Bot API takes it (a number, or `@name`), and the topic of a forum, if any."""

    chat: int | str
    thread: int | None = None

    @classmethod
    def parse(cls, address: str) -> Place:
        """Read an address."""
        address = address.strip()
        found = _WRITTEN.fullmatch(address)
        if found is not None:
            return cls(_chat(found["chat"]), _thread(found["thread"]))
        if (found := _PRIVATE.fullmatch(address)) is not None:
            return cls(int(f"-100{found['chat']}"), _thread(found["thread"]))
        if (found := _NAMED.fullmatch(address)) is not None:
            return cls(f"@{found['chat']}", _thread(found["thread"]))
        return cls(address)

    def __str__(self) -> str:
        return f"{self.chat}/{self.thread}" if self.thread else str(self.chat)

    @property
    def key(self) -> tuple[int | str, int | None]:
        """Equal for equal places, however their names were written."""
        return (self.chat.casefold() if isinstance(self.chat, str) else self.chat, self.thread)

    def within(self, chat: int | str) -> Place:
        """The same topic of what Telegram calls the chat."""
        return Place(chat, self.thread)


def place_address(chat: str, thread: int | None) -> str:
    """The address of a configured chat: as it was written, with its topic behind it if one is named.

    Raises:
        ValueError: the chat as written names another topic.
    """
    written = _topic(chat)
    if thread is None or written == thread:
        return chat
    if written is not None:
        raise ValueError(f"telegram.channels: thread: {chat} names topic {written} and not {thread}; name it once")
    return f"{chat.strip().rstrip('/')}/{thread}"


def _chat(text: str) -> int | str:
    return int(text) if _NUMBER.fullmatch(text) else text


def _thread(text: str | None) -> int | None:
    number = int(text) if text else GENERAL
    return None if number == GENERAL else number


def _topic(address: str) -> int | None:
    """The topic that an address names, `GENERAL` too."""
    address = address.strip()
    forms = (form.fullmatch(address) for form in (_WRITTEN, _PRIVATE, _NAMED))
    return next((int(found["thread"]) for found in forms if found and found["thread"]), None)
