"""A screen: a text and the buttons under it, and what a button says when it is pressed. Pure.

Rules, in order:

1. A button says what shall be, not what to flip: pressing it twice, or a press delivered twice, changes nothing more.
2. Callback data are at most 64 bytes (https://core.telegram.org/bots/api#inlinekeyboardbutton), and what a button
   said once it means for ever: chats keep old buttons for years.
3. A screen is plain text, sent without parse mode: nothing that a person or the office wrote becomes markup. It is cut
   where Telegram would refuse it, and so are the labels of buttons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from telegram import ForceReply, InlineKeyboardButton, InlineKeyboardMarkup

from bots.telegram.richtext import clean, units, visible
from syndicator.domain.folding import tokens

__all__ = [
    "SEEK",
    "File",
    "Press",
    "Screen",
    "button",
    "column",
    "cut",
    "label",
    "lines",
    "pager",
    "pressed",
    "question",
    "radio",
    "sought",
]

MAX_TEXT = 4096
SEEK = "look"  # the press that searches for the words which it carries
_LABEL = 60
_CARRIED = 50  # characters of a press
_OCTETS = 64
_HINT = 64
_PRESS = re.compile(r"([a-z]{1,4}):([^:]{0,10}):([0-9]{0,3}):([^:]{0,50})")


@dataclass(frozen=True, slots=True)
class File:
    """A file for the person."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Screen:
    """What the person sees. One with a question (`ForceReply`) or a file is always sent anew: it cannot be edited in.

    Beside a file the text is its caption.
    """

    text: str
    keyboard: InlineKeyboardMarkup | ForceReply | None = None
    file: File | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", cut(self.text, MAX_TEXT))


@dataclass(frozen=True, slots=True)
class Press:
    """A button that was pressed: what it does, with what, from which page, and about what (a topic, a zone)."""

    action: str
    value: str = ""
    page: int = 0
    topic: str = ""

    def __str__(self) -> str:
        return f"{self.action}:{self.value}:{self.page or ''}:{self.topic}"


def pressed(data: str | None) -> Press | None:
    """The press that this callback data stands for; None where it is not ours."""
    found = _PRESS.fullmatch(data or "")
    if found is None:
        return None
    return Press(found[1], found[2], int(found[3] or 0), found[4])


def sought(text: str) -> str:
    """As many whole words of what somebody wrote as fit into a press of `SEEK`; "" for a command, and for no words."""
    words = "" if text.lstrip().startswith("/") else " ".join(clean(text).replace(":", " ").split())
    while words and (len(words) > _CARRIED or len(str(Press(SEEK, topic=words)).encode()) > _OCTETS):
        words = words.rpartition(" ")[0]
    return words if tokens(words) else ""


def label(name: str, otherwise: str) -> str:
    """What somebody wrote, as one short line; `otherwise` where nothing of it can be seen."""
    name = clean(name).replace("\n", " ").strip()[:_LABEL]
    return name if visible(name) else otherwise


def button(text: str, press: Press) -> InlineKeyboardButton:
    """One button."""
    return InlineKeyboardButton(text, callback_data=str(press))


def column(buttons: Sequence[tuple[str, Press]], *, wide: int = 1) -> InlineKeyboardMarkup:
    """Buttons below each other, `wide` in a row."""
    made = [button(text, press) for text, press in buttons]
    return InlineKeyboardMarkup([made[at : at + wide] for at in range(0, len(made), wide)])


def radio(choices: Sequence[tuple[str, Press]], chosen: int | None) -> list[tuple[str, Press]]:
    """Choices of which one holds: it has the mark. None: none of them does."""
    return [(("🔘 " if at == chosen else "▫️ ") + text, press) for at, (text, press) in enumerate(choices)]


def pager(action: str, page: int, pages: int) -> list[InlineKeyboardButton]:
    """A row that leads to the pages before and after; the middle one shows where we are."""
    row = [button("‹", Press(action, "", page - 1))] if page > 0 else []
    row.append(button(f"{page + 1}/{pages}", Press(action, "", page)))
    if page < pages - 1:
        row.append(button("›", Press(action, "", page + 1)))
    return row


def question(text: str, hint: str = "") -> Screen:
    """A question: the person's next message answers it (https://core.telegram.org/bots/api#forcereply)."""
    return Screen(text, ForceReply(input_field_placeholder=hint[:_HINT] or None))


def lines(*parts: str) -> str:
    """Paragraphs, without the empty ones."""
    return "\n\n".join(part for part in parts if part)


def cut(text: str, limit: int) -> str:
    """At most so many UTF-16 units of it, with an ellipsis where some is missing."""
    text = clean(text)
    if units(text) <= limit:
        return text
    return text.encode("utf-16-le")[: (limit - 1) * 2].decode("utf-16-le", errors="ignore") + "…"
