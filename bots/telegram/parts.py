"""What one Telegram message is made of, and how a chat wants its posts: values that all that is rendered shares.

Rules, in order:

1. A part is one message: its text with markup, the same text without it, and one button at most, on the last part.
2. Text and the page's address in words together stay within the limits, for when a button or the markup is refused.
3. A picture is shown by the page's large preview or as a photo of its own. A photo's text is its caption, which may be
   a quarter as long (https://core.telegram.org/bots/api#sendphoto).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bots.telegram.richtext import Limits, Mark, Rich, Run, clean, html, plain, shortened, units, visible
from syndicator.domain.model import Attachment

__all__ = ["BOLD", "ITALIC", "Button", "Listed", "Part", "Style", "one_line", "short_line"]

CAPTION = 1024  # UTF-16 units after parsing
MESSAGE = 4096
ENTITIES = 96  # of Telegram's 100; the page's address in words, and what it is parted by, need the others
BOLD: tuple[Mark, ...] = (("b", ""),)
ITALIC: tuple[Mark, ...] = (("i", ""),)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Style:
    """How a chat wants its posts.

    `text`: all of it where it fits in one message, or the lead. `media`: a picture as the page's large preview, as a
    photo with the text as its caption, or not at all.
    """

    text: Literal["full", "lead"] = "full"
    media: Literal["preview", "photo", "none"] = "preview"

    @property
    def without_photo(self) -> Style:
        """The same, for when a picture cannot be sent or was refused."""
        return replace(self, media="preview") if self.media == "photo" else self


@dataclass(frozen=True, slots=True)
class Listed:
    """What a digest shows: releases by number, and how many `more` the site has."""

    numbers: tuple[int, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Part:
    """One message. `button` and `url` stand on the last part; `preview` is the page whose picture is shown, or "".

    `plain` is the same text without markup, and `link` the page in words; both together stay within the limits.
    With `photo` it is that picture, and the text is its caption. `Style.without_photo` renders what takes its place.
    The first message of a digest has in `listed` what all of it shows.
    """

    html: str
    plain: str
    button: str = ""
    url: str = ""
    link: str = ""
    preview: str = ""
    photo: Attachment | None = None
    listed: Listed | None = None


@dataclass(frozen=True, slots=True)
class Button:
    """A button that leads to an address, and what says the same in words."""

    label: str
    url: str

    @property
    def words(self) -> str:
        """For when there is no button."""
        return f"{self.label}: {self.url}"

    def limits(self, most: int = MESSAGE) -> Limits:
        """What a message of `most` units has room for beside the button in words."""
        return Limits(units=most - units(self.words) - 2, entities=ENTITIES)

    def parts(self, texts: Sequence[Rich], preview: str = "", photo: Attachment | None = None) -> tuple[Part, ...]:
        """The texts as messages: the picture on the first, the button on the last."""
        parts = [Part(html(text), plain(text)) for text in texts]
        if parts:
            parts[-1] = replace(parts[-1], button=self.label, url=self.url, link=self.words)
            parts[0] = replace(parts[0], preview="" if photo else preview, photo=photo)
        return tuple(parts)


def one_line(text: str) -> str:
    """What somebody wrote as one clean line; "" where nothing of it can be seen."""
    line = _SPACES.sub(" ", clean(text)).strip()
    return line if visible(line) else ""


def short_line(text: str, most: int, marks: tuple[Mark, ...] = ()) -> Rich:
    """What somebody wrote as one line of at most `most` units; nothing where nothing of it can be seen."""
    line = one_line(text)
    return shortened((Run(line, marks),), Limits(units=most)) if line else ()
