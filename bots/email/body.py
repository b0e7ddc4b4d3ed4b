"""A release's body for a mail: whole blocks, as many as fit, in HTML and in plain text.

The body is the clean subset already (`domain.text.clean`). Rules, in order:

1. A body is cut between its top-level blocks, never inside a tag.
2. What counts is its size on the wire: a Cyrillic letter takes six bytes in quoted-printable, in both parts.
3. A first block that alone is too large is shown as the beginning of its text.
4. In plain text a link's address stands after its words, unless they name it already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

from bots.email.pattern import quoted
from syndicator.domain.text import BODY_LIMIT, excerpt, plain

__all__ = ["Body", "blocks", "cut", "plain_text"]

VOID = frozenset({"br", "hr", "img"})
_LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
_READ = 30_000  # characters read at a time
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
    for block in blocks(html, budget):
        if len(block) > budget:
            return _beginning(taken, texts, block)
        text = plain_text(block)
        cost = len(quoted(block)) + len(quoted(text))
        if cost > budget:
            return _beginning(taken, texts, block)
        budget -= cost
        taken.append(block)
        texts.append(text)
    return Body("\n".join(taken), "\n\n".join(filter(None, texts)), whole=True)


def _beginning(taken: list[str], texts: list[str], left_out: str) -> Body:
    """What fits; where nothing does, the first words of the block that was left out."""
    if taken:
        return Body("\n".join(taken), "\n\n".join(filter(None, texts)), whole=False)
    start = left_out if len(left_out) < _READ else left_out[: left_out.rfind("<", 1, _READ)]
    short = excerpt(plain(start), _SHORT)
    return Body(f"<p>{escape(short)}</p>" if short else "", short, whole=False)


def blocks(html: str, longest: int = BODY_LIMIT) -> Iterator[str]:
    """The top-level elements of clean HTML, in order; loose text between them is one of its own.

    Reading ends with a block longer than `longest`, which may then be cut short: nobody pays for what nobody gets.
    """
    splitter = _Splitter()
    for start in range(0, len(html), _READ):
        splitter.feed(html[start : start + _READ])
        yield from splitter.take()
        if splitter.pending > longest:
            break
    else:
        splitter.close()
    splitter.flush()
    yield from splitter.take()


class _Splitter(HTMLParser):
    """Copies the source and cuts it wherever nothing is open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.pending = 0  # characters of the block being read
        self._blocks: list[str] = []
        self._piece: list[str] = []
        self._depth = 0

    def take(self) -> list[str]:
        """The blocks that are complete; each is given once."""
        taken, self._blocks = self._blocks, []
        return taken

    def _add(self, piece: str) -> None:
        self._piece.append(piece)
        self.pending += len(piece)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's own
        if not self._depth:
            self.flush()
        self._add(self.get_starttag_text() or "")
        if tag not in VOID:
            self._depth += 1
        elif not self._depth:
            self.flush()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID or not self._depth:
            return
        self._add(f"</{tag}>")
        self._depth -= 1
        if not self._depth:
            self.flush()

    def handle_data(self, data: str) -> None:
        self._add(data)

    def handle_entityref(self, name: str) -> None:
        self._add(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._add(f"&#{name};")

    def flush(self) -> None:
        piece = "".join(self._piece).strip()
        self._piece.clear()
        self.pending = 0
        if piece:
            self._blocks.append(piece)


def plain_text(html: str) -> str:
    """Clean HTML as plain text in which a link's address stands after its words."""
    return plain(_LINK.sub(_with_address, html))


def _with_address(link: re.Match[str]) -> str:
    address, words = link[1].removeprefix("mailto:").removeprefix("tel:"), link[2]
    return words if not address or _dense(address) in _dense(words) else f"{words} ({address})"


def _dense(text: str) -> str:
    """Without what people write into a telephone number to make it readable."""
    return re.sub(r"[\s()-]", "", text)
