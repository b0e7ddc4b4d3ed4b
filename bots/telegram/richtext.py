"""Text with marks, measured and cut the way Telegram counts, and written as the HTML it reads.

Rules, in order:

1. Text is a row of runs; a run's marks stand outermost first, in one order, so the HTML nests by itself.
2. Lengths are UTF-16 code units, as Telegram counts them; cuts fall between code points, never inside one, and
   rather between paragraphs, lines, sentences or words than inside a word.
3. Only what Telegram's HTML style knows is written: b, i, u, s, a, code, pre, blockquote. Everything else was
   turned into plain characters before (https://core.telegram.org/bots/api#html-style).
4. A cut never tears markup: the text is cut, and each side is written anew.
5. Addresses, hashtags, commands, times and the like become entities by themselves. Each place where one may begin is
   counted, so rather too many than too few.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice

__all__ = [
    "BLANK",
    "Limits",
    "Mark",
    "Rich",
    "Run",
    "clean",
    "fits",
    "head",
    "html",
    "joined",
    "plain",
    "shortened",
    "size",
    "split",
    "stripped",
    "units",
    "unmarked",
    "visible",
]

Mark = tuple[str, str]
"""A tag and its address (`a` only; otherwise empty)."""

_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # letters and symbols that show nothing
_BREAKS = ("\n\n", "\n")
_SENTENCE = re.compile(r"[.!?…][\"»”)]*\s")
_FOUND = re.compile(
    r"[@#$](?=\S)"  # mentions, addresses of mail, hashtags, currencies
    r"|/(?<!\w/)(?=\w)"  # commands; the first stroke of an address
    r"|(?<=\S)\.(?=[^\W\d_])"  # names of hosts
    r"|\d(?=\.\d{1,3}\.\d{1,3}\.\d)"  # their numbers
    r"|\d(?=:\d\d)"  # times, which media players jump to
    r"|[0-9](?=[0-9 -]{12})"  # numbers of bank cards
)
_UNCLEAN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")
_JOINER = "\u200d"
_MAX_CLUSTER = 24


@dataclass(frozen=True, slots=True)
class Run:
    """Characters that share their marks."""

    text: str
    marks: tuple[Mark, ...] = ()


Rich = tuple[Run, ...]
BLANK: Rich = (Run("\n\n"),)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may hold: UTF-16 units after parsing, entities, and bytes of HTML before parsing."""

    units: int = 4096
    entities: int = 100
    octets: int = 16_000


def clean(text: str) -> str:
    """Without control characters, bidirectional overrides and halves of surrogate pairs; newlines stay."""
    return _UNCLEAN.sub(_cleaned, text.replace("\r\n", "\n"))


def _cleaned(found: re.Match[str]) -> str:
    char = found[0]
    if char in "\u2028\u2029":
        return "\n"
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    return " " if char in "\t\r\v\f\x85" else ""


def visible(text: str) -> bool:
    """Whether anything of it can be seen; Telegram refuses a message of which nothing can."""
    return any(_shows(unicodedata.category(char)) and char not in _BLANK_LETTERS for char in text)


def _shows(category: str) -> bool:
    # "Cn" may be an emoji that is newer than our tables.
    return category[0] in "LNPS" or category == "Cn"


def units(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def plain(rich: Rich) -> str:
    """The characters alone."""
    return "".join(run.text for run in rich)


def unmarked(rich: Rich) -> Rich:
    """The same text without any mark."""
    return (Run(plain(rich)),)


def joined(parts: Iterable[Rich], between: Rich = BLANK) -> Rich:
    """The parts that hold something, with `between` between them."""
    runs: list[Run] = []
    for part in parts:
        if part:
            runs.extend((*between, *part) if runs else part)
    return tuple(runs)


def html(rich: Rich) -> str:
    """Telegram's HTML; tags open and close once for each stretch of text that they cover."""
    written: list[str] = []
    opened: list[Mark] = []
    for run in rich:
        shared = _shared(opened, run.marks)
        written.extend(f"</{tag}>" for tag, _ in reversed(opened[shared:]))
        written.extend(_opening(mark) for mark in run.marks[shared:])
        opened = list(run.marks)
        written.append(escape(run.text, quote=False))
    written.extend(f"</{tag}>" for tag, _ in reversed(opened))
    return "".join(written)


def _opening(mark: Mark) -> str:
    tag, href = mark
    return f'<{tag} href="{escape(href)}">' if href else f"<{tag}>"


def _shared(opened: Sequence[Mark], marks: Sequence[Mark]) -> int:
    count = 0
    for one, other in zip(opened, marks, strict=False):
        if one != other:
            break
        count += 1
    return count


def size(rich: Rich) -> Limits:
    """How much of a message it takes. Sizes of texts that are joined by unmarked ones add up."""
    text = plain(rich)
    opened: Sequence[Mark] = ()
    entities = sum(1 for _ in _FOUND.finditer(text))
    for run in rich:
        entities += len(run.marks) - _shared(opened, run.marks)
        opened = run.marks
    return Limits(units(text), entities, len(html(rich).encode()))


def fits(rich: Rich, limits: Limits) -> bool:
    """Whether all of it can be one message."""
    own = size(rich)
    return own.units <= limits.units and own.entities <= limits.entities and own.octets <= limits.octets


def _reach(rich: Rich, limits: Limits) -> int:
    """How many characters from the beginning one message can hold."""
    length = entities = octets = place = 0
    opened: Sequence[Mark] = ()
    found = _found(plain(rich), limits.entities)
    for run in rich:
        fresh = run.marks[_shared(opened, run.marks) :]
        opened = run.marks
        entities += len(fresh)
        octets += sum(len((_opening(mark) + f"</{mark[0]}>").encode()) for mark in fresh)
        if entities > limits.entities or octets > limits.octets:
            return place
        for char in run.text:
            length += 2 if char > "\uffff" else 1
            octets += len(escape(char, quote=False).encode())
            entities += place in found
            if length > limits.units or octets > limits.octets or entities > limits.entities:
                return place
            place += 1
    return place


def _found(text: str, most: int) -> frozenset[int]:
    """The places where Telegram may find entities by itself, one more than `most` of them at most."""
    return frozenset(match.start() for match in islice(_FOUND.finditer(text), most + 1))


def split(rich: Rich, limits: Limits) -> list[Rich]:
    """Cut into messages, each within the limits, none of them blank."""
    parts: list[Rich] = []
    rest = stripped(rich)
    while visible(plain(rest)):
        part, rest = head(rest, limits)
        if visible(plain(part)):
            parts.append(part)
    return parts


def head(rich: Rich, limits: Limits) -> tuple[Rich, Rich]:
    """The longest good beginning that fits, and what is left; the beginning holds one character at least.

    A limit that even one marked character would pass is met by dropping the marks.
    """
    text = plain(rich)
    reach = _reach(rich, limits)
    if reach >= len(text):
        return rich, ()
    if reach == 0:
        first = _cut(rich, 1)
        return unmarked(first[0]), stripped(first[1])
    before, after = _cut(rich, _good_place(text, reach))
    return stripped(before), stripped(after)


def shortened(rich: Rich, limits: Limits) -> Rich:
    """All of it, or a good beginning with an ellipsis that still fits."""
    if fits(rich, limits):
        return rich
    room = Limits(limits.units - 1, limits.entities, limits.octets - len("…".encode()))
    before, _ = head(rich, room)
    last = before[-1].marks if before else ()
    return (*before, Run("…", last))


def _good_place(text: str, reach: int) -> int:
    low = reach // 2
    for mark in _BREAKS:
        place = text.rfind(mark, low, reach + 1)
        if place > 0:
            return place
    sentences = [match.end() for match in _SENTENCE.finditer(text, low, reach)]
    if sentences:
        return sentences[-1]
    place = text.rfind(" ", low, reach + 1)
    return place if place > 0 else _between_clusters(text, reach)


def _between_clusters(text: str, reach: int) -> int:
    for place in range(reach, max(reach - _MAX_CLUSTER, 0), -1):
        joins = unicodedata.category(text[place])[0] == "M" or _JOINER in (text[place], text[place - 1])
        if not joins:
            return place
    return reach


def _cut(rich: Rich, place: int) -> tuple[Rich, Rich]:
    before: list[Run] = []
    for index, run in enumerate(rich):
        if place < len(run.text):
            left = (Run(run.text[:place], run.marks),) if place else ()
            return (*before, *left), (Run(run.text[place:], run.marks), *rich[index + 1 :])
        before.append(run)
        place -= len(run.text)
    return tuple(before), ()


def stripped(rich: Rich) -> Rich:
    """Without white space at either end."""
    runs = list(rich)
    while runs and not (text := runs[0].text.lstrip()):
        runs.pop(0)
    if runs:
        runs[0] = Run(text, runs[0].marks)
    while runs and not (text := runs[-1].text.rstrip()):
        runs.pop()
    if runs:
        runs[-1] = Run(text, runs[-1].marks)
    return tuple(runs)
