"""Finished bytes with gaps: a mail is encoded once, and for each recipient only the gaps are filled.

Rules, in order:

1. While a text is rendered, a gap is a word of letters and digits that the text itself cannot hold (`Marks`): it
   carries a hash of everything the text is made of, so nobody who writes the text can know it.
2. In quoted-printable a gap stands on a line of its own, between soft line breaks (RFC 2045 section 6.7 rule 5), so
   what fills it is never folded and no line grows beyond 76 characters.
3. In finished bytes a gap is `NUL name NUL`; encoded text never holds a NUL.
4. Every gap is counted when the pattern is made, and every value is checked when it is filled in.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from syndicator.domain.text import strip_illegal

__all__ = ["BrokenPattern", "Marks", "Pattern", "gap", "quoted"]

_GAP = re.compile(rb"\0([a-z_]+)\0")
_SAFE = re.compile(rb"[\x20-\x7e\x80-\xff]*(?:=\r\n[\x20-\x7e]*)*")
_SOFT_BREAK = b"=\r\n"


class BrokenPattern(ValueError):
    """A gap is missing, appears too often, or got a value that it must not hold: a defect of ours, never sent."""


def gap(name: str) -> bytes:
    """A gap in finished bytes."""
    return b"\0" + name.encode("ascii") + b"\0"


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
    return binascii.b2a_qp(piece.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n")


@dataclass(frozen=True, slots=True)
class Pattern:
    """`literals` and the gaps between them, by name: literal, gap, literal, ..., literal."""

    literals: tuple[bytes, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes, expected: Mapping[str, int]) -> Self:
        """Split finished bytes at their gaps.

        Raises:
            BrokenPattern: the gaps are not those expected, each as often as said.
        """
        pieces = _GAP.split(data)
        names = tuple(name.decode("ascii") for name in pieces[1::2])
        if Counter(names) != Counter(expected):
            raise BrokenPattern(f"gaps {dict(Counter(names))} where {dict(expected)} were expected")
        return cls(tuple(pieces[::2]), names)

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The bytes for one recipient.

        Raises:
            BrokenPattern: a value is missing, or holds a control character (soft line breaks excepted).
        """
        for name in set(self.names):
            if name not in values:
                raise BrokenPattern(f"no value for {name}")
            if not _SAFE.fullmatch(values[name]):
                raise BrokenPattern(f"the value for {name} holds a control character")
        filled: list[bytes] = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            filled += (values[name], literal)
        return b"".join(filled)

    @property
    def size(self) -> int:
        """Bytes without what fills the gaps."""
        return sum(map(len, self.literals))
