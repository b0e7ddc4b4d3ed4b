"""A release's clean body as blocks of marked text, ready to be cut into messages.

Rules, in order:

1. Paragraphs, headings, list items, table rows, quotes and code each become a block; a heading is a bold line, an item
   begins with "• " or its number, the cells of a row are parted by " | ".
2. A link becomes one only where Telegram makes it one: http and https with a real host. Of mailto and tel the
   address itself is shown, and clients make it tappable; any other link is its text.
3. Inside code nothing else is marked; a quote inside a quote is the same quote.
4. Small digits keep their meaning: H₂O and m² stay what they are. What has no small form as a whole stays plain, so
   that 2nd never becomes 2ⁿd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from bots.telegram.richtext import BLANK, Mark, Rich, Run, clean, plain, stripped, visible

__all__ = ["Block", "blocks", "checked_link", "merged"]

_INLINE = {"strong": "b", "b": "b", "em": "i", "i": "i", "u": "u", "ins": "u", "s": "s", "del": "s", "code": "code"}
_ORDER = ("b", "i", "u", "s")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = frozenset({"p", "div", "ul", "ol", "li", "table", "tr", "hr", "blockquote", "pre", "caption", *_HEADINGS})
_SPACE = re.compile(r"[ \t\n\r\f]+")
_SMALL = {
    "sup": str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ"),
    "sub": str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎"),
}
_MAX_LINK = 2048
_INDENT = "\u2003"


@dataclass(frozen=True, slots=True)
class Block:
    """A piece that stands by itself. Equal `group`s (list, table) follow on the next line; `quote` names its quote."""

    rich: Rich
    group: str = ""
    quote: int = 0


def checked_link(href: str, base: str = "") -> str:
    """The address if Telegram would link it, else "". A site-relative one is completed with `base`."""
    href = clean(href).strip().replace(" ", "%20").replace("\n", "")
    if href.startswith("/") and not href.startswith("//"):
        href = base + href
    try:
        parts = urlsplit(href)
        host = parts.hostname or ""
    except ValueError:
        return ""
    good = parts.scheme in ("http", "https") and "." in host and len(href) <= _MAX_LINK
    return href if good else ""


def blocks(body: str, base: str = "") -> list[Block]:
    """The body's blocks in order; blank ones are left out."""
    reader = _Reader(base)
    reader.feed(clean(body))
    reader.close()
    reader.flush()
    return reader.found


def merged(found: list[Block]) -> Rich:
    """The blocks as one text; blank lines between them, except inside a list or table."""
    runs: list[Run] = []
    last: Block | None = None
    for block in found:
        if last is not None:
            line = "\n" if block.group and block.group == last.group else plain(BLANK)
            quoted = block.quote and block.quote == last.quote
            runs.append(Run(line, (("blockquote", ""),) if quoted else ()))
        runs.extend(block.rich)
        last = block
    return tuple(runs)


@dataclass
class _List:
    """A list that is open; `number` is None for bullets."""

    number: int | None = None


@dataclass
class _State:
    """What stands open around the text being read."""

    depth: dict[str, int] = field(default_factory=dict)
    lists: list[_List] = field(default_factory=list)
    quotes: int = 0
    quote: int = 0
    pre: int = 0
    table: int = 0
    row: bool = False
    href: str = ""
    shown_address: str = ""
    shift: str = ""


def _small(text: str, shift: str) -> str:
    """The text raised or lowered, if all of it can be."""
    forms = _SMALL[shift]
    return text.translate(forms) if all(ord(letter) in forms for letter in text if not letter.isspace()) else text


class _Reader(HTMLParser):
    """Reads the clean subset; a tag that it does not know is passed over, its text stays."""

    def __init__(self, base: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Block] = []
        self._base = base
        self._state = _State()
        self._runs: list[Run] = []
        self._prefix = ""
        self._group = 0
        self._link_from = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a mark or begin a block."""
        state = self._state
        if tag in _BLOCKS:
            self._begin(tag)
        elif tag in _INLINE:
            state.depth[_INLINE[tag]] = state.depth.get(_INLINE[tag], 0) + 1
        elif tag == "a":
            self._open_link(next((value or "" for name, value in attrs if name == "href"), ""))
        elif tag == "br":
            self._add("\n", raw=True)
        elif tag in ("sub", "sup"):
            state.shift = tag
        elif tag in ("td", "th"):
            if self._runs:
                self._add(" | ", raw=True)
            if tag == "th":
                state.depth["b"] = state.depth.get("b", 0) + 1

    def handle_endtag(self, tag: str) -> None:
        """Close a mark or end a block."""
        state = self._state
        if tag in _BLOCKS:
            self._end(tag)
        elif tag in _INLINE or tag == "th":
            mark = _INLINE.get(tag, "b")
            state.depth[mark] = max(0, state.depth.get(mark, 0) - 1)
        elif tag == "a":
            self._close_link()
        elif tag in ("sub", "sup"):
            state.shift = ""

    def handle_data(self, data: str) -> None:
        """Take text, white space as HTML means it."""
        state = self._state
        data = clean(data)  # a character reference may have hidden a control character
        if state.pre:
            self._add(data, raw=True)
            return
        if state.shift:
            data = _small(data, state.shift)
        data = _SPACE.sub(" ", data)
        ends_open = not self._runs or self._runs[-1].text[-1:] in (" ", "\n")
        self._add(data.lstrip(" ") if ends_open else data)

    def flush(self) -> None:
        """End the block that is being read."""
        rich = stripped(tuple(self._runs))
        self._runs = []
        self._link_from = 0
        if not visible(plain(rich)):
            return
        state = self._state
        prefix, self._prefix = self._prefix, ""
        if state.lists:
            prefix = _INDENT * (len(state.lists) - 1) + (prefix or _INDENT)
            quoted = (("blockquote", ""),) if state.quotes else ()
            rich = (Run(prefix, quoted), *rich)
        group = str(self._group) if state.lists or state.table else ""
        self.found.append(Block(rich, group, state.quote if state.quotes else 0))

    def _begin(self, tag: str) -> None:
        state = self._state
        if state.row and tag != "tr":
            self._add(" ")
            return
        self.flush()
        if tag in ("ul", "ol"):
            self._group += not state.lists
            state.lists.append(_List(0 if tag == "ol" else None))
        elif tag == "li":
            self._prefix = self._next_prefix()
        elif tag == "blockquote":
            state.quotes += 1
            state.quote += state.quotes == 1
        elif tag == "pre":
            state.pre += 1
        elif tag == "table":
            self._group += not state.table
            state.table += 1
        elif tag == "tr":
            state.row = True
        elif tag in _HEADINGS:
            state.depth["b"] = state.depth.get("b", 0) + 1
        elif tag == "hr":
            self._add("———", raw=True)
            self.flush()

    def _end(self, tag: str) -> None:
        state = self._state
        if state.row and tag not in ("tr", "table"):
            return
        self.flush()
        if tag in ("ul", "ol") and state.lists:
            state.lists.pop()
            self._prefix = ""
        elif tag == "blockquote":
            state.quotes = max(0, state.quotes - 1)
        elif tag == "pre":
            state.pre = max(0, state.pre - 1)
        elif tag == "table":
            state.table, state.row = max(0, state.table - 1), False
        elif tag == "tr":
            state.row = False
        elif tag in _HEADINGS:
            state.depth["b"] = max(0, state.depth.get("b", 0) - 1)

    def _next_prefix(self) -> str:
        lists = self._state.lists
        if not lists or lists[-1].number is None:
            return "• "
        lists[-1].number += 1
        return f"{lists[-1].number}. "

    def _open_link(self, href: str) -> None:
        self._close_link()
        state = self._state
        scheme, _, rest = href.strip().partition(":")
        if scheme.lower() in ("mailto", "tel"):
            state.shown_address = clean(unquote(rest.partition("?")[0])).strip()
        state.href = checked_link(href, self._base)
        self._link_from = len(self._runs)

    def _close_link(self) -> None:
        state = self._state
        address, state.shown_address, state.href = state.shown_address, "", ""
        said = "".join(run.text for run in self._runs[self._link_from :])
        if address and _dense(address) not in _dense(said):
            self._add(f" ({address})", raw=True)

    def _add(self, text: str, *, raw: bool = False) -> None:
        if not text or (not raw and not self._runs and not text.strip()):
            return
        marks = self._marks()
        if self._runs and self._runs[-1].marks == marks and not self._state.href and not self._state.shown_address:
            self._runs[-1] = Run(self._runs[-1].text + text, marks)
        else:
            self._runs.append(Run(text, marks))

    def _marks(self) -> tuple[Mark, ...]:
        state = self._state
        outer: tuple[Mark, ...] = (("blockquote", ""),) if state.quotes else ()
        if state.pre:
            return (*outer, ("pre", ""))
        if state.depth.get("code"):
            return (*outer, ("code", ""))
        link: tuple[Mark, ...] = (("a", state.href),) if state.href else ()
        return (*outer, *link, *((mark, "") for mark in _ORDER if state.depth.get(mark)))


def _dense(text: str) -> str:
    """Without what people write into a telephone number to make it readable."""
    return re.sub(r"[\s()-]", "", text)
