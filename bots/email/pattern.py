"""Finished bytes with gaps: a mail is encoded once, and for each recipient only the gaps are filled.

Rules, in order:

1. While a text is rendered, a gap is a word of letters and digits that the text itself cannot hold (`Marks`): it
   carries a hash of everything the text is made of, so nobody who writes the text can know it.
2. In quoted-printable a gap stands on a line of its own, between soft line breaks (RFC 2045 section 6.7 rule 5), so
   what fills it is never folded and no line grows beyond 76 characters.
3. No line begins with a dot: what stands here goes over SMTP as it is (RFC 5321 section 4.5.2 asks for nothing more).
4. In finished bytes a gap is `NUL name NUL`; encoded text never holds a NUL.
5. The gaps' names are checked when the pattern is made, and every value when it is filled in. What many mails share
   may be put in before (`partly`), once, from bytes that were made here.
6. A gap named in `LINES` takes whole header lines, or nothing; every other one stays within its line.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from syndicator.domain.text import strip_illegal

__all__ = ["BrokenPattern", "Marks", "Pattern", "gap", "gaps_in", "quoted"]

LINES = frozenset({"subject", "thread"})

_GAP = re.compile(rb"\0([a-z_]+)\0")
_SAFE = re.compile(rb"(?!\.)[\x20-\x7e\x80-\xff]*(?:=\r\n(?!\.)[\x20-\x7e]*)*")
_HEADERS = re.compile(rb"(?:[A-Z][A-Za-z-]*: [\x20-\x7e]+\r\n(?: [\x20-\x7e]*[\x21-\x7e]\r\n)*)*")
_SOFT_BREAK = b"=\r\n"
_DOT = re.compile(rb"^\.(.*)$", re.MULTILINE)
LONGEST = 76


class BrokenPattern(ValueError):
    """A gap is missing, is not expected, or got a value that it must not hold: a defect of ours, never sent."""


def gap(name: str) -> bytes:
    """A gap in finished bytes."""
    return b"\0" + name.encode("ascii") + b"\0"


def gaps_in(data: bytes) -> frozenset[str]:
    """The names of the gaps in finished bytes."""
    return frozenset(name.decode("ascii") for name in _GAP.findall(data))


class Marks:
    """Words that stand for gaps while a text is rendered; `seed` is what the text is made of."""

    def __init__(self, seed: str) -> None:
        digest = hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:32]
        self._start = f"Gap{digest}"
        self.found = re.compile(f"{self._start}([a-z_]+)X")

    def __getitem__(self, name: str) -> str:
        return f"{self._start}{name}X"


def quoted(text: str, marks: Marks | None = None) -> bytes:
    """A text in quoted-printable: UTF-8, lines of at most 76 characters ended by CRLF, gaps on lines of their own."""
    pieces = marks.found.split(strip_illegal(text)) if marks else [strip_illegal(text)]
    out = bytearray()
    after_gap = False
    for place, piece in enumerate(pieces):
        if place % 2:
            if out and (after_gap or not out.endswith(b"\r\n")):
                out += _SOFT_BREAK
            out += gap(piece)
            after_gap = True
        elif piece:
            if after_gap and not piece.startswith("\n"):
                out += _SOFT_BREAK
            out += _quoted(piece)
            after_gap = False
    return bytes(out)


def _quoted(piece: str) -> bytes:
    lines = binascii.b2a_qp(piece.encode("utf-8", "replace"), istext=True)
    if lines.startswith(b".") or b"\n." in lines:
        lines = _DOT.sub(_hidden, lines)
    return lines.replace(b"\n", b"\r\n")


def _hidden(line: re.Match[bytes]) -> bytes:
    """A line that began with a dot; a long one is parted behind it, by a soft break."""
    rest = line[1]
    if len(rest) + len(b"=2E") <= LONGEST:
        return b"=2E" + rest
    return b"=2E=\n" + _DOT.sub(_hidden, rest)


@dataclass(frozen=True, slots=True)
class Pattern:
    """`literals` and the gaps between them, by name: literal, gap, literal, ..., literal."""

    literals: tuple[bytes, ...]
    names: tuple[str, ...]
    size: int = field(init=False, compare=False)
    """Bytes without what fills the gaps."""
    wanted: tuple[str, ...] = field(init=False, compare=False)
    """The gaps' names, each once."""
    _checks: tuple[tuple[str, re.Pattern[bytes]], ...] = field(init=False, compare=False, repr=False)
    _woven: tuple[bytes, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        checks = tuple((name, _HEADERS if name in LINES else _SAFE) for name in dict.fromkeys(self.names))
        woven = [b""] * (2 * len(self.names) + 1)
        woven[::2] = self.literals
        object.__setattr__(self, "size", sum(map(len, self.literals)))
        object.__setattr__(self, "wanted", tuple(name for name, _ in checks))
        object.__setattr__(self, "_checks", checks)
        object.__setattr__(self, "_woven", tuple(woven))

    @classmethod
    def parse(cls, data: bytes, expected: Collection[str]) -> Self:
        """Split finished bytes at their gaps.

        Raises:
            BrokenPattern: the gaps are not those expected, or a line begins with a dot.
        """
        pieces = _GAP.split(data)
        names = tuple(name.decode("ascii") for name in pieces[1::2])
        if set(names) != set(expected):
            raise BrokenPattern(f"gaps {sorted(set(names))} where {sorted(set(expected))} were expected")
        if data.startswith(b".") or b"\n." in data:
            raise BrokenPattern("a line begins with a dot")
        return cls(tuple(pieces[::2]), names)

    def partly(self, values: Mapping[str, bytes]) -> Self:
        """The pattern in which these gaps hold what `quoted` or a header's maker gave; nothing is checked again."""
        literals, names, last = [], [], [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            if name in values:
                last += (values[name], literal)
            else:
                literals.append(b"".join(last))
                names.append(name)
                last = [literal]
        return type(self)((*literals, b"".join(last)), tuple(names))

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The bytes for one recipient.

        Raises:
            BrokenPattern: a value is missing, or holds what its gap must not: a control character, a dot at the
                beginning of a line (soft line breaks are allowed).
        """
        for name, allowed in self._checks:
            if name not in values:
                raise BrokenPattern(f"no value for {name}")
            if not allowed.fullmatch(values[name]):
                raise BrokenPattern(f"the value for {name} holds what it must not")
        filled = list(self._woven)
        filled[1::2] = [values[name] for name in self.names]
        return b"".join(filled)
