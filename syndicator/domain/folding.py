"""Folding: what makes two spellings the same word, for search and for filters.

Rules, in order:

1. Each character is folded alone: compatibility form, case, then without its marks. So the cost is linear,
   however many marks a hostile text piles up, and composed and decomposed spellings agree.
2. İ, I, ı and i are one letter, since nobody types them all; ə is e, and ö ü ğ ş ç lose their marks. Cyrillic ё is е,
   but й stays й: it is a letter of its own.
3. Invisible characters (soft hyphen, joiners, bidi marks) vanish; controls and surrogates become a space.
4. A token is a run of letters and digits, cut at 64 of them. What is neither a-z, 0-9 nor a Cyrillic letter of
   `KEPT` is written as `zz` and six hex digits, so that FTS5 (unicode61, remove_diacritics 0) and array_to_tsvector
   see exactly these tokens, and a prefix of a word stays a prefix of its token. The one price: a search for a bare
   `z` also finds words that begin with such a letter.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["TOKEN_LENGTH", "fold", "tokens", "unescape"]

TOKEN_LENGTH = 64
KEPT = "a-z0-9а-яієґ"

_SPECIAL = {"й": "й", "Й": "й", "ı": "i", "ə": "e", "ǝ": "e", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe"}
_LONGEST = 8  # a sign that stands for a whole phrase (U+FDFA is 18 characters) would swell a text: it is a space
_CACHED = 20_000  # every letter of the living alphabets; a hostile text cannot fill the memory with the rest

_RUN = re.compile(r"[^\W_]+")
_PLAIN = re.compile(f"[{KEPT}]+")
_FOREIGN = re.compile(f"[^{KEPT}]")
_ESCAPE = re.compile(r"zz([0-9a-f]{6})")


def fold(text: str) -> str:
    """The text with everything levelled that a reader would not want to type exactly. Folding twice changes nothing."""
    if "\u0306" in text:
        text = text.replace("и\u0306", "й").replace("И\u0306", "й")
    return text.translate(_FOLDS)


def tokens(text: str) -> list[str]:
    """The words of a text, folded, in order; the same for what is searched and what is searched for."""
    return [_escape(run[:TOKEN_LENGTH]) for run in _RUN.findall(fold(text))]


def unescape(token: str) -> str:
    """A token as people read it: `tokens(unescape(token)) == [token]`."""
    return _ESCAPE.sub(_letter, token) if "zz" in token else token


class _Folds(dict[int, str]):
    """A table for `str.translate` that fills itself."""

    def __missing__(self, code: int) -> str:
        folded = _fold_character(chr(code))
        if len(self) < _CACHED:
            self[code] = folded
        return folded


_FOLDS = _Folds()


def _fold_character(character: str) -> str:
    folded = _fold_once(character)
    while (again := "".join(map(_fold_once, folded))) != folded:
        folded = again
    return folded if len(folded) <= _LONGEST else " "


def _fold_once(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    if category in {"Cc", "Cs"}:
        return " "
    loose = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", character).casefold())
    return "".join(c for c in loose if not unicodedata.category(c).startswith("M"))


def _escape(run: str) -> str:
    if _PLAIN.fullmatch(run):
        return run
    return _FOREIGN.sub(lambda found: f"zz{ord(found[0]):06x}", run)


def _letter(escaped: re.Match[str]) -> str:
    """The letter behind an escape; a text that merely looks like one stays as it is."""
    code = int(escaped[1], 16)
    if code > 0x10FFFF:
        return escaped[0]
    letter = chr(code)
    return letter if tokens(letter) == [escaped[0]] else escaped[0]
