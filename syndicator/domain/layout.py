"""Layout: sanitised tags become blocks in good order. Input is balanced and safe already, as nh3 writes it.

Rules, in order:

1. Words stand inline in a block: loose ones get a paragraph, in a list a list item.
2. A block inside a paragraph, a heading or inline formatting ends that first; formatting and links go on after it.
3. A tag is written when its first content comes, so nothing empty remains; only table cells may be empty.
4. Two line breaks in a paragraph are a new paragraph; none begins or ends a block.
5. Blocks nest at most `DEEPEST` deep and inline tags never in their own kind, so the work is linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["DEEPEST", "lay_out"]

DEEPEST = 24
REPEATS = 50

_PIECE = re.compile(r"<(/?)([a-z0-9-]+)([^>]*)>|([^<]+)")
_SPACE = re.compile(r"[ \t\n\r\f]+")
_INLINE = frozenset({"a", "strong", "em", "code", "sub", "sup"})
_LINES = frozenset({"p", "h2", "h3", "h4", "pre"})  # blocks that hold words and nothing else
_LISTS = frozenset({"ul", "ol"})
_CELLS = frozenset({"td", "th"})
_ROWS = frozenset({"thead", "tbody"})
_PARENTS = {
    "li": _LISTS,
    "td": frozenset({"tr"}),
    "th": frozenset({"tr"}),
    "tr": _ROWS,
    "thead": frozenset({"table"}),
    "tbody": frozenset({"table"}),
}


@dataclass(slots=True, eq=False)
class _Inline:
    """Formatting or a link that the source is in. A long link is not repeated for ever, or it could fill the memory."""

    name: str
    tag: str
    repeats: int = 0

    def again(self) -> bool:
        self.repeats += 1
        return self.repeats <= REPEATS or len(self.tag) < 10


@dataclass(slots=True, eq=False)
class _Open:
    """A tag open in the result; `written` once something stood in it, `implied` for a list item that nobody wrote."""

    name: str
    tag: str
    written: bool = False
    implied: bool = False
    inline: _Inline | None = None


def lay_out(html: str) -> str:
    """The same content in good order."""
    writer = _Writer()
    for closing, name, attributes, text in _PIECE.findall(html):
        if text:
            writer.text(text)
        elif closing:
            writer.end()
        else:
            writer.start(name.removeprefix("x-"), attributes)
    return writer.finish()


class _Writer:
    """Writes the result from left to right.

    `source` holds what became of each tag the source has open, `wanted` the inline ones among them, `open` what is
    open in the result. `fresh` says that no word stands in the line yet; `breaks` counts line breaks that wait for one.
    """

    def __init__(self) -> None:
        self.out: list[str] = []
        self.source: list[_Open | _Inline | None] = []
        self.wanted: list[_Inline] = []
        self.open: list[_Open] = []
        self.fresh = True
        self.breaks = 0

    def start(self, name: str, attributes: str) -> None:
        if name == "br":
            self._break()
        elif name == "hr":
            self._end_line()
            self._imply_item()
            self._write_tags()
            self.out.append("<hr>")
        elif name in _INLINE:
            self.source.append(self._inline(name, attributes))
        else:
            self.source.append(self._block(name, attributes))

    def end(self) -> None:
        ended = self.source.pop()
        if isinstance(ended, _Inline):
            if ended in self.wanted:
                self.wanted.remove(ended)
            if self.open and self.open[-1].inline is ended:
                self._close()
        else:
            self._end_line()
            while ended in self.open:
                self._close()

    def text(self, text: str) -> None:
        if self._top() == "pre":
            text = text.lstrip("\n") if self.fresh else text
        else:
            text = _SPACE.sub(" ", text)
            if self.fresh or self.breaks:
                text = text.lstrip()
            elif self.out[-1].endswith(" "):
                text = text.lstrip(" ")
        if text:
            self._words(text)

    def finish(self) -> str:
        self._end_line()
        while self.open:
            self._close()
        return "".join(self.out)

    def _inline(self, name: str, attributes: str) -> _Inline:
        """A tag inside its own kind, or a link that leads nowhere, is not wanted."""
        inline = _Inline(name, f"<{name}{attributes}>")
        if all(other.name != name for other in self.wanted) and (name != "a" or "href=" in attributes):
            self.wanted.append(inline)
        return inline

    def _block(self, name: str, attributes: str) -> _Open | None:
        self._end_line()
        if name == "li" and self.open and self.open[-1].implied:
            self._close()
        if name != "li":
            self._imply_item()
        if name in _PARENTS and self._top() not in _PARENTS[name]:
            if name not in _CELLS and name != "li":
                return None
            name, attributes = "p", ""
        if len(self.open) >= DEEPEST:
            return None
        self.open.append(_Open(name, f"<{name}{attributes}>"))
        if name in _CELLS:
            self._write_tags()
        return self.open[-1]

    def _break(self) -> None:
        if self._top() == "pre":
            self.text("\n")
        elif not self.fresh:
            self.breaks += 1

    def _words(self, text: str) -> None:
        if text.isspace() and self._top() != "pre":
            self.out.append(text)  # a space between words opens nothing: it may turn out to be the last
            return
        self._imply_item()
        split = self.breaks > 1 and self._top() == "p"
        if split:
            self._end_line()
        if split or self._top() in {"", "blockquote"}:
            self.open.append(_Open("p", "<p>"))
        self.out.append("<br>" * min(self.breaks, 2))
        for inline in self.wanted:
            if all(tag.inline is not inline for tag in self.open) and inline.again():
                self.open.append(_Open(inline.name, inline.tag, inline=inline))
        self._write_tags()
        self.out.append(text)
        self.fresh, self.breaks = False, 0

    def _imply_item(self) -> None:
        if self._top() in _LISTS:
            self.open.append(_Open("li", "<li>", implied=True))

    def _end_line(self) -> None:
        """No more words in this line: ends formatting, and the paragraph or heading round it."""
        if not self.fresh and self._top() != "pre":
            self._trim()
        while self.open and (self.open[-1].inline or self.open[-1].name in _LINES):
            self._close()
        self.fresh, self.breaks = True, 0

    def _trim(self) -> None:
        """Take white space off the end of the line; text never begins with "<", a tag always does."""
        while not self.out[-1].startswith("<"):
            self.out[-1] = self.out[-1].rstrip()
            if self.out[-1]:
                return
            self.out.pop()

    def _close(self) -> None:
        tag = self.open.pop()
        if tag.written:
            self.out.append(f"</{tag.name}>")

    def _write_tags(self) -> None:
        for tag in self.open:
            if not tag.written:
                tag.written = True
                self.out.append(tag.tag)

    def _top(self) -> str:
        """The innermost block that is open."""
        return next((tag.name for tag in reversed(self.open) if not tag.inline), "")
