"""A filter: what a reader wants, as one value with one text form. The same text serves every channel.

Rules, in order:

1. A filter reads `lang=az,en&topic=refugees,statelessness&not=visas&kind=notice&q=asan+visa`: a query string.
2. `topic` is any-of and `not` none-of, both over a release's topics with all their ancestors, so a parent includes
   its children. `kind` is any-of. `q` is all words, each matching as the beginning of a word of title, summary
   or body in the language version the reader gets.
3. `lang` is an order of preference. A reader gets one version, the first of the list that exists, or none.
   Without `lang` the reader's own language counts, and their choice about another one.
4. Every filter that exists is in normal form, so equal meaning is an equal value and an equal text.
5. No regular expressions, and bounds on everything: a filter's cost is known before it runs.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from urllib.parse import quote, unquote_plus

from syndicator.domain.folding import tokens, unescape
from syndicator.domain.model import OtherLanguage, Reader, Release, Urgency
from syndicator.domain.topics import RESERVED, Taxonomy, is_slug

__all__ = [
    "MAX_LENGTH",
    "MAX_VALUES",
    "MAX_WORDS",
    "BadFilter",
    "Cause",
    "Facts",
    "Filter",
    "canonical",
    "choose_language",
    "hits",
    "parse",
    "takes",
    "wants",
]

MAX_LENGTH = 2000
MAX_VALUES = 20
MAX_WORDS = 10
EVERYTHING = "all"

_FIELDS = {"lang": "langs", "topic": "topics", "not": "without", "kind": "kinds", "q": "words"}
_LANG = re.compile(r"[a-z]{2,8}(?:-[a-z0-9]{1,8})*")


class Cause(StrEnum):
    """Why a filter cannot be used, for who says it in words of their own."""

    ILLEGAL = "illegal"
    """It is not written as a filter is."""
    UNKNOWN = "unknown"
    """It names a topic or a language that there is not."""
    WORDLESS = "wordless"
    """Its words hold no letter or digit."""
    WORDS = "words"
    """It has more words than a filter may."""
    LENGTH = "length"
    """It is too long, or names too many values."""
    NEVER = "never"
    """Nothing could ever match."""


class BadFilter(ValueError):
    """A filter that cannot be used. The message is one line: which key, what is wrong, what is allowed."""

    def __init__(self, message: str, cause: Cause = Cause.ILLEGAL) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader wants, in normal form, whoever made it and however it was written.

    `langs` keep their order. The others are sorted and unique; `words` are folded, and one that begins another
    is left out since the longer implies it. A topic both wanted and refused cannot decide and is left out too.

    Raises:
        BadFilter: a value is illegal, a bound is passed, or nothing could ever match.
    """

    langs: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        without = _slugs("not", self.without)
        normal = {
            "langs": _langs(self.langs),
            "topics": _topics(self.topics, without),
            "without": without,
            "kinds": _slugs("kind", self.kinds),
            "words": _words(self.words),
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        length = len(canonical(self))
        if length > MAX_LENGTH:
            line = f"filter: it is {length} characters long when written out; allowed are {MAX_LENGTH}"
            raise BadFilter(line, Cause.LENGTH)


def parse(text: str, *, languages: Collection[str] | None = None, topics: Collection[str] | None = None) -> Filter:
    """Read a filter's text; any order, repeated keys, percent-encoding or not. "" is the filter that takes all.

    `languages` and `topics`, where given, are the only ones allowed: for people who type. What is stored is
    read without them, since a topic may have left the file meanwhile.

    Raises:
        BadFilter: the text breaks a rule.
    """
    if len(text) > MAX_LENGTH:
        raise BadFilter(f"filter: the text is {len(text)} characters long; allowed are {MAX_LENGTH}", Cause.LENGTH)
    found: dict[str, list[str]] = {key: [] for key in _FIELDS}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        key = _decoded(name).strip().lower()
        if key not in found:
            raise BadFilter(f"filter: unknown key {_shown(key)}; allowed are {', '.join(_FIELDS)}")
        found[key].extend(_decoded(value).split("," if key != "q" else None))
    wanted = Filter(**{field: tuple(found[key]) for key, field in _FIELDS.items()})
    _check_known("lang", wanted.langs, languages)
    _check_known("topic", wanted.topics, topics)
    _check_known("not", wanted.without, topics)
    return wanted


def canonical(wanted: Filter) -> str:
    """The one text of a filter: `parse(canonical(f)) == f`."""
    parts = [
        ("lang", ",".join(wanted.langs)),
        ("topic", ",".join(wanted.topics)),
        ("not", ",".join(wanted.without)),
        ("kind", ",".join(wanted.kinds)),
        ("q", "+".join(quote(unescape(word), safe="") for word in wanted.words)),
    ]
    return "&".join(f"{key}={value}" for key, value in parts if value)


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a release decides whether a filter takes it. `tokens` maps each language to its folded words."""

    topics: tuple[str, ...]
    kind: str
    urgency: Urgency
    tokens: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, release: Release) -> Facts:
        """The facts of a release as it stands; one pass over its texts."""
        words = {
            variant.lang: frozenset(
                word
                for text in (variant.revision.title, variant.revision.summary, variant.revision.text)
                for word in tokens(text)
            )
            for variant in release.variants
        }
        return cls(release.topics, release.kind, release.urgency, MappingProxyType(words))


def choose_language(
    wanted: Filter, reader: Reader, available: Collection[str], urgency: Urgency, order: Sequence[str]
) -> str | None:
    """The one language version a reader gets of a release, or None. `order` is the site's languages, best first."""
    if wanted.langs:
        return _first(wanted.langs, available)
    if reader.lang in available:
        return reader.lang
    always = reader.other_language is OtherLanguage.ALWAYS
    urgent = reader.other_language is OtherLanguage.URGENT and urgency is Urgency.URGENT
    return _first(order, available) if always or urgent else None


def wants(wanted: Filter, facts: Facts, reader: Reader, taxonomy: Taxonomy, order: Sequence[str]) -> str | None:
    """The language this reader gets the release in if the filter takes it; otherwise None."""
    return takes(wanted, facts, reader, taxonomy.closure(facts.topics), order)


def takes(wanted: Filter, facts: Facts, reader: Reader, about: Collection[str], order: Sequence[str]) -> str | None:
    """`wants`, where the release's topics and all above them are known already."""
    lang = choose_language(wanted, reader, facts.tokens.keys(), facts.urgency, order)
    if lang is None or (wanted.kinds and facts.kind not in wanted.kinds):
        return None
    if (wanted.topics and not set(wanted.topics) & set(about)) or set(wanted.without) & set(about):
        return None
    return lang if len(hits(wanted.words, facts.tokens[lang])) == len(wanted.words) else None


def hits(words: Iterable[str], tokens: Collection[str]) -> frozenset[str]:
    """Which of these folded words begin one of the tokens. Sorts the tokens once, then one bisection a word."""
    asked = frozenset(words)
    if not asked:
        return asked
    ordered = _ordered(tokens) if isinstance(tokens, frozenset) else tuple(sorted(tokens))
    return frozenset(word for word in asked if _begins(word, ordered))


@lru_cache(maxsize=8)
def _ordered(tokens: frozenset[str]) -> tuple[str, ...]:
    """Sorted once for all filters that look at the same text; a frozenset keeps its hash."""
    return tuple(sorted(tokens))


def _begins(word: str, ordered: tuple[str, ...]) -> bool:
    place = bisect_left(ordered, word)
    return place < len(ordered) and ordered[place].startswith(word)


def _first(preferred: Iterable[str], available: Collection[str]) -> str | None:
    return next((lang for lang in preferred if lang in available), None)


def _langs(values: Iterable[str]) -> tuple[str, ...]:
    langs = tuple(dict.fromkeys(_plain(values)))
    for lang in langs:
        if not _LANG.fullmatch(lang):
            raise BadFilter(f"lang: {_shown(lang)} is no language code; az, en and ru are")
    return _bounded("lang", langs)


def _slugs(key: str, values: Iterable[str]) -> tuple[str, ...]:
    slugs = tuple(sorted(set(_plain(values))))
    for slug in slugs:
        if not is_slug(slug):
            raise BadFilter(f"{key}: {_shown(slug)} is illegal; allowed are a-z, 0-9, and - or _ between, at most 64")
        if slug in RESERVED and key != "kind" and (key, slug) != ("topic", EVERYTHING):
            never = "; nothing could ever match" if slug == EVERYTHING else ""
            raise BadFilter(f'{key}: "{slug}" is reserved and no topic{never}', Cause.NEVER if never else Cause.UNKNOWN)
    return _bounded(key, slugs)


def _topics(values: Iterable[str], without: tuple[str, ...]) -> tuple[str, ...]:
    wanted = _slugs("topic", values)
    if EVERYTHING in wanted:
        return ()
    left = tuple(slug for slug in wanted if slug not in without)
    if wanted and not left:
        line = f"topic: it can never match, every topic is also in not ({', '.join(wanted)})"
        raise BadFilter(line, Cause.NEVER)
    return left


def _words(values: Iterable[str]) -> tuple[str, ...]:
    written = [value for value in values if value.strip()]
    folded = sorted({token for value in written for token in tokens(unescape(value))})
    if written and not folded:
        raise BadFilter(f"q: {_shown(' '.join(written))} holds no letter or digit", Cause.WORDLESS)
    # Sorted, a word that begins others stands right before one of them.
    kept = [word for word, after in pairwise([*folded, ""]) if not after.startswith(word)]
    if len(kept) > MAX_WORDS:
        raise BadFilter(f"q: {len(kept)} words; at most {MAX_WORDS} are allowed", Cause.WORDS)
    return tuple(kept)


def _plain(values: Iterable[str]) -> list[str]:
    return [plain for value in values if (plain := value.strip().lower())]


def _bounded(key: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > MAX_VALUES:
        raise BadFilter(f"{key}: {len(values)} values; at most {MAX_VALUES} are allowed", Cause.LENGTH)
    return values


def _check_known(key: str, values: Iterable[str], allowed: Collection[str] | None) -> None:
    if allowed is None:
        return
    for value in values:
        if value not in allowed:
            close = get_close_matches(value, allowed, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            line = f"{key}: {_shown(value)} is unknown; {hint}allowed are {', '.join(allowed) or 'none'}"
            raise BadFilter(line, Cause.UNKNOWN)


def _decoded(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise BadFilter(f"filter: {_shown(text)} is not percent-encoded UTF-8") from None


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:39] + "…")
