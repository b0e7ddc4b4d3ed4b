"""Plain text out of the clean subset of HTML, for messages, search and summaries.

Rules, in order:

1. Blocks stand apart by an empty line; items and rows follow each other without one.
2. An item begins with "• " or its number, two spaces further in for each list round it. A row is one line,
   its cells parted by " | ".
3. Of a link its words remain. A line break is a line break.
"""

from __future__ import annotations

import re
from html import unescape

__all__ = ["plain"]

_PIECE = re.compile(r"<(/?)([a-z0-9]+)[^>]*>|([^<]+)")
_BLOCKS = frozenset({"p", "h2", "h3", "h4", "pre", "blockquote", "ul", "ol", "table", "hr"})
_LISTS = frozenset({"ul", "ol"})
_CELLS = frozenset({"td", "th"})
_GAPS = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[ \t]{2,}|\t")


def plain(html: str) -> str:
    """The readable text of a body that `clean` made."""
    reader = _Reader()
    for closing, name, text in _PIECE.findall(html):
        if text:
            reader.text(unescape(text))
        elif closing:
            reader.end(name)
        else:
            reader.start(name)
    return reader.finish()


class _Reader:
    """Collects lines. `counts` holds the next number of each list round us, 0 for bullets; `cells` the row's cells."""

    def __init__(self) -> None:
        self.blocks: list[str] = []  # finished lines, "" where a gap is wanted
        self.line: list[str] = []
        self.counts: list[int] = []
        self.cells: list[str] | None = None
        self.cell_depth = 0
        self.mark = ""
        self.pre = False

    def text(self, text: str) -> None:
        self.line.append(text if self.pre else text.replace("\n", " "))

    def start(self, name: str) -> None:
        if name == "br":
            self.line.append(" " if self.cell_depth else "\n")
        elif name in _CELLS:
            self._start_cell()
        elif self.cell_depth:
            self.line.append(" " if name in _BLOCKS or name in {"li", "tr"} else "")
        elif name in _BLOCKS or name in {"li", "tr"}:
            self._start_block(name)

    def end(self, name: str) -> None:
        if name in _CELLS:
            self._end_cell()
        elif self.cell_depth:
            self.line.append(" " if name in _BLOCKS or name in {"li", "tr"} else "")
        elif name == "tr":
            self.line.append(" | ".join(self.cells or []))
            self._flush()
        elif name in _BLOCKS or name == "li":
            self._end_block(name)

    def finish(self) -> str:
        self._flush()
        return _GAPS.sub("\n\n", "\n".join(self.blocks)).strip("\n")

    def _start_cell(self) -> None:
        self.cell_depth += 1
        self.line = self.line if self.cell_depth > 1 else []

    def _end_cell(self) -> None:
        self.cell_depth -= 1
        if not self.cell_depth and self.cells is not None:
            self.cells.append(" ".join("".join(self.line).split()))
            self.line = []

    def _start_block(self, name: str) -> None:
        self._flush()
        if name == "tr":
            self.cells = []
        elif name == "li":
            self.mark = self._item()
        else:
            self._gap()
            self.pre = name == "pre"
            if name in _LISTS:
                self.counts.append(int(name == "ol"))

    def _end_block(self, name: str) -> None:
        self._flush()
        if name == "li":
            self.mark = ""
            return
        if name in _LISTS:
            self.counts.pop()
        self.pre = False
        self._gap()

    def _item(self) -> str:
        number = self.counts[-1] if self.counts else 0
        if not number:
            return "• "
        self.counts[-1] += 1
        return f"{number}. "

    def _gap(self) -> None:
        """An empty line, except inside a list."""
        if not self.counts and self.blocks and self.blocks[-1]:
            self.blocks.append("")

    def _flush(self) -> None:
        text = "".join(self.line)
        self.line = []
        lines = text.rstrip().split("\n") if self.pre else [_SPACES.sub(" ", part).strip() for part in text.split("\n")]
        if not any(lines):
            return
        indent = "  " * (len(self.counts) - 1)
        for line in lines:
            self.blocks.append(f"{indent}{self.mark}{line}" if self.counts else line)
            self.mark = "  " if self.counts else ""
