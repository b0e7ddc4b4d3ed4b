"""Which language a text is written in, where nobody said so: az, en or ru.

Rules, in order:

1. More Cyrillic letters than Latin ones: ru.
2. Latin: the letters that Azerbaijani has beside a-z speak for az, most of all in small words (names travel: Türkiye,
   Şahin), and so do its commonest words; the commonest English words speak for en. The stronger side has it.
3. Neither speaks: en, since it is the one that needs no other letters.
4. No Latin or Cyrillic letter at all: nobody can tell.
"""

from __future__ import annotations

import re
from collections import Counter

from syndicator.domain.characters import lower

__all__ = ["detect_language"]

SAMPLE = 20_000  # characters; a language shows itself early

_LATIN = re.compile("[A-Za-zÀ-ÖØ-öø-ɏə]")
_CYRILLIC = re.compile("[Ѐ-ԯ]")
_WORD = re.compile(r"[^\W\d_]+")
_STRONG = frozenset("əğışƏĞİŞ")
_WEAK = frozenset("çöüÇÖÜ")
_ENGLISH_WORDS = (
    "the of and in to for is are was were be been with on by at from has have had that this as it its will not "
    "an or which who new how about more than their our your you we all can"
)
_AZERBAIJANI_WORDS = "ilə bu olan bir da ki o var üzrə görə üçün və də haqqında olunur edilir yeni"
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_AZERBAIJANI = frozenset(_AZERBAIJANI_WORDS.split())


def detect_language(text: str) -> tuple[str | None, str]:
    """The language and the reason in words, for the log; None where no letter tells."""
    sample = text[:SAMPLE]
    latin, cyrillic = len(_LATIN.findall(sample)), len(_CYRILLIC.findall(sample))
    if not latin and not cyrillic:
        return None, "no Latin or Cyrillic letter in it"
    if cyrillic > latin:
        return "ru", f"ru by its script: {cyrillic} Cyrillic letters, {latin} Latin ones"
    return _latin(_WORD.findall(sample))


def _latin(words: list[str]) -> tuple[str, str]:
    letters = Counter(letter for word in words for letter in word if letter in _STRONG or letter in _WEAK)
    # "I" is a capital ı in Azerbaijani, so one English word must not be read by Azerbaijani rules.
    english = Counter(plain for word in words if (plain := lower(word, "en")) in _ENGLISH)
    azerbaijani = Counter(plain for word in words if (plain := lower(word, "az")) in _AZERBAIJANI)
    for_az = sum(map(_weight, words)) + 2 * azerbaijani.total()
    for_en = 2 * english.total()
    if for_az > for_en:
        return (
            ("az", f"az by its letters: {_most(letters)}")
            if letters
            else ("az", f"az by its words: {_most(azerbaijani)}")
        )
    if for_en:
        return "en", f"en by its words: {_most(english)}"
    return "en", "en, as its Latin letters show no other language"


def _weight(word: str) -> float:
    """How much a word's letters speak for Azerbaijani; a name says less."""
    strong = not _STRONG.isdisjoint(word)
    if not strong and _WEAK.isdisjoint(word):
        return 0
    name = word[0].isupper()
    return (1 if name else 3) if strong else (0.5 if name else 1)


def _most(found: Counter[str]) -> str:
    return ", ".join(item for item, _ in found.most_common(4))
