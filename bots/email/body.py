"""A release's body for a mail: whole blocks, as many as fit, in HTML and in plain text.

The body is the clean subset already (`domain.text.clean`). Rules, in order:

1. A body is cut between its top-level blocks, never inside a tag.
2. What counts is its size on the wire: a Cyrillic letter takes six bytes in quoted-printable, in both parts.
3. A first block that alone is too large is shown as the beginning of its text.
4. In plain text a link's address stands after its words, unless they name it already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

from bots.email.pattern import quoted
from syndicator.domain.text import excerpt, plain

__all__ = ["Body", "blocks", "cut", "plain_text"]

VOID = frozenset({"br", "hr", "img"})
_LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
_SHORT = 1_200  # characters shown of a first block that is too large


@dataclass(frozen=True, slots=True)
class Body:
    """What a mail shows of a release. `whole` is False if it ends before the release does."""

    html: str
    text: str
    whole: bool


def cut(html: str, budget: int) -> Body:
    """As much of a clean body as fits into `budget` bytes of quoted-printable, both parts counted."""
    taken: list[str] = []
    texts: list[str] = []
    for block in blocks(html):
        text = plain_text(block)
        budget -= len(quoted(block)) + len(quoted(text))
        if budget < 0:
            if not taken:
                short = excerpt(text, _SHORT)
                taken, texts = [f"<p>{escape(short)}</p>"], [short]
            return Body("\n".join(taken), "\n\n".join(texts), whole=False)
        taken.append(block)
        texts.append(text)
    return Body("\n".join(taken), "\n\n".join(filter(None, texts)), whole=True)


def blocks(html: str) -> Sequence[str]:
    """The top-level elements of clean HTML, in order; loose text between them is one of its own."""
    splitter = _Splitter()
    splitter.feed(html)
    splitter.close()
    splitter.flush()
    return splitter.blocks


class _Splitter(HTMLParser):
    """Copies the source and cuts it wherever nothing is open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.blocks: list[str] = []
        self._piece: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's own
        if not self._depth:
            self.flush()
        self._piece.append(self.get_starttag_text() or "")
        if tag not in VOID:
            self._depth += 1
        elif not self._depth:
            self.flush()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID or not self._depth:
            return
        self._piece.append(f"</{tag}>")
        self._depth -= 1
        if not self._depth:
            self.flush()

    def handle_data(self, data: str) -> None:
        self._piece.append(data)

    def handle_entityref(self, name: str) -> None:
        self._piece.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._piece.append(f"&#{name};")

    def flush(self) -> None:
        piece = "".join(self._piece).strip()
        self._piece.clear()
        if piece:
            self.blocks.append(piece)


def plain_text(html: str) -> str:
    """Clean HTML as plain text in which a link's address stands after its words."""
    return plain(_LINK.sub(_with_address, html))


def _with_address(link: re.Match[str]) -> str:
    address, words = link[1].removeprefix("mailto:").removeprefix("tel:"), link[2]
    return words if not address or address in words else f"{words} ({address})"
