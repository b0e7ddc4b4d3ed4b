"""The topics an office sorts its releases by: a small forest, read from the topic file.

Rules, in order:

1. A slug is lower-case ASCII words joined by "-" or "_", at most 64 characters; `all` and `custom` are taken.
2. A topic names itself in at least one language; its parent is another topic of the file, and no circle closes.
3. Its words are phrases with a weight, by language; a negative weight speaks against it.
4. `topic=parent` includes the children: a release's topics are closed with all ancestors when a filter asks.
5. A topic that was renamed says what it `was`, the oldest slug first. An old slug is no topic, but it goes on meaning
   the new one: whoever holds it (a release, a subscription, an address) finds the topic, and matches whatever the new
   slug matches. Permanent ids are minted under the first slug that a topic had.
6. A taxonomy never changes. A slug it does not know is kept as it is: the file may have moved on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from syndicator.domain.folding import tokens

__all__ = ["RESERVED", "BadTopics", "Taxonomy", "Topic", "is_slug"]

RESERVED = frozenset({"all", "custom"})
THRESHOLD = 4
LIMIT = 4

_SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_LANG = re.compile(r"[a-z]{2,8}(?:-[a-z0-9]{1,8})*")
_TOPIC_KEYS = ("slug", "parent", "was", "name", "words")
_TOP_KEYS = ("threshold", "limit", "topic")
_WEIGHT = 100
_FORMER = 20  # slugs that one topic may have had


class BadTopics(ValueError):
    """The topic file cannot be used; the message is one line that says where and why."""


def is_slug(text: str) -> bool:
    """Whether this can name a topic or a kind."""
    return len(text) <= 64 and _SLUG.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Topic:
    """One subject label. `words` is language -> phrase -> weight; `was` its former slugs, the oldest first."""

    slug: str
    names: Mapping[str, str]
    parent: str | None = None
    words: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    was: tuple[str, ...] = ()

    def name(self, lang: str) -> str:
        """Its name in that language; failing that its first name, failing that its slug."""
        return self.names.get(lang) or next(iter(self.names.values()), self.slug)


class Taxonomy:
    """All topics, in the order of the file. `threshold` and `limit` rule the classifier."""

    __slots__ = ("_ancestors", "_by_slug", "_descendants", "limit", "renamed", "slugs", "threshold", "topics")

    topics: tuple[Topic, ...]
    slugs: tuple[str, ...]
    renamed: Mapping[str, str]
    """Former slugs, each with the one in force."""
    threshold: float
    limit: int

    def __init__(self, topics: Iterable[Topic] = (), threshold: float = THRESHOLD, limit: int = LIMIT) -> None:
        ordered = tuple(topics)
        _check_family(ordered)
        by_slug = {topic.slug: topic for topic in ordered}
        ancestors = {slug: _ancestors(slug, by_slug) for slug in by_slug}
        members: dict[str, set[str]] = {slug: {slug} for slug in by_slug}
        for slug, above in ancestors.items():
            for ancestor in above:
                members[ancestor].add(slug)
        renamed = {old: topic.slug for topic in ordered for old in topic.was}
        for old, slug in renamed.items():
            for holder in (slug, *ancestors[slug]):
                members[holder].add(old)
        values = {
            "topics": ordered,
            "slugs": tuple(by_slug),
            "renamed": MappingProxyType(renamed),
            "threshold": threshold,
            "limit": limit,
            "_by_slug": MappingProxyType(by_slug),
            "_ancestors": MappingProxyType(ancestors),
            "_descendants": MappingProxyType({slug: frozenset(below) for slug, below in members.items()}),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    _by_slug: Mapping[str, Topic]
    _ancestors: Mapping[str, tuple[str, ...]]
    _descendants: Mapping[str, frozenset[str]]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a taxonomy never changes: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a taxonomy never changes: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taxonomy) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.slugs, self.threshold, self.limit))

    def __repr__(self) -> str:
        return f"Taxonomy({', '.join(self.slugs)})"

    def _key(self) -> tuple[tuple[Topic, ...], float, int]:
        return (self.topics, self.threshold, self.limit)

    @classmethod
    def empty(cls) -> Self:
        """An office that sorts by nothing."""
        return cls()

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """The parsed topic file.

        Raises:
            BadTopics: the file breaks a rule; the message names the topic and the rule.
        """
        _refuse_unknown("topic file", data, _TOP_KEYS)
        rows = data.get("topic", [])
        if not isinstance(rows, list):
            raise BadTopics("topic file: topics are written as [[topic]] tables")
        topics = [_topic(number, row) for number, row in enumerate(rows, 1)]
        threshold = _number("topic file: threshold", data.get("threshold", THRESHOLD))
        if threshold <= 0:
            raise BadTopics(f"topic file: threshold is {threshold:g}; it must be above 0")
        limit = data.get("limit", LIMIT)
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise BadTopics(f"topic file: limit is {limit!r}; it must be a whole number, 1 or more")
        return cls(topics, threshold, limit)

    def current(self, slug: str) -> str:
        """The slug in force: the new one for a former slug, any other as it is."""
        return self.renamed.get(slug, slug)

    def original(self, slug: str) -> str:
        """The slug that its topic had first; one that is no topic's as it is."""
        topic = self.get(slug)
        return topic.was[0] if topic is not None and topic.was else self.current(slug)

    def get(self, slug: str) -> Topic | None:
        """The topic of that slug, or that had it once; or None."""
        return self._by_slug.get(self.current(slug))

    def ancestors(self, slug: str) -> tuple[str, ...]:
        """Its parent, its parent's parent and so on; nothing for an unknown slug."""
        return self._ancestors.get(self.current(slug), ())

    def closure(self, slugs: Iterable[str]) -> frozenset[str]:
        """These slugs with all their ancestors, and every slug that one of them had before."""
        found = {member for slug in slugs for member in (slug, self.current(slug), *self.ancestors(slug))}
        return frozenset(found.union(*(self._former(slug) for slug in found)))

    def descendants(self, slug: str) -> frozenset[str]:
        """The slug itself and everything below it, with every slug that one of them had before."""
        return self._descendants.get(self.current(slug), frozenset((slug,)))

    def _former(self, slug: str) -> tuple[str, ...]:
        topic = self._by_slug.get(slug)
        return topic.was if topic else ()


def _ancestors(slug: str, by_slug: Mapping[str, Topic]) -> tuple[str, ...]:
    found: list[str] = []
    parent = by_slug[slug].parent
    while parent is not None:
        if parent == slug or parent in found:
            raise BadTopics(f'topic "{slug}": its parents form a circle: {" > ".join((slug, *found, parent))}')
        found.append(parent)
        parent = by_slug[parent].parent
    return tuple(found)


def _check_family(topics: tuple[Topic, ...]) -> None:
    known = Counter(topic.slug for topic in topics)
    for topic in topics:
        if known[topic.slug] > 1:
            raise BadTopics(f'topic "{topic.slug}": the slug is used {known[topic.slug]} times; each must be its own')
        if topic.parent is not None and topic.parent not in known:
            raise BadTopics(f'topic "{topic.slug}": its parent "{topic.parent}" is not in the file')
    _check_former(topics, known)


def _check_former(topics: tuple[Topic, ...], known: Mapping[str, int]) -> None:
    """A former slug leads to one topic, or nobody could tell whose it was."""
    heirs: dict[str, str] = {}
    for topic in topics:
        for old in topic.was:
            if old in known:
                raise BadTopics(f'topic "{topic.slug}": was "{old}", but that is the slug of a topic; take it out')
            if old in heirs:
                raise BadTopics(f'topic "{topic.slug}": was "{old}", but so was "{heirs[old]}"; keep one of the two')
            heirs[old] = topic.slug


def _topic(number: int, row: object) -> Topic:
    if not isinstance(row, Mapping):
        raise BadTopics(f"topic {number}: write it as a [[topic]] table")
    slug = row.get("slug")
    if not isinstance(slug, str) or not is_slug(slug):
        raise BadTopics(f"topic {number}: slug is {slug!r}; allowed are a-z, 0-9, and - or _ between, at most 64")
    if slug in RESERVED:
        raise BadTopics(f'topic {number}: the slug "{slug}" is reserved; choose another')
    where = f'topic "{slug}"'
    _refuse_unknown(where, row, _TOPIC_KEYS)
    parent = row.get("parent")
    if parent is not None and not isinstance(parent, str):
        raise BadTopics(f"{where}: parent is {parent!r}; it must be the slug of another topic")
    names, words = _names(where, row.get("name")), _words(where, row.get("words", {}))
    return Topic(slug, names, parent, words, _was(where, row.get("was", [])))


def _was(where: str, former: object) -> tuple[str, ...]:
    if not isinstance(former, list) or len(former) > _FORMER:
        raise BadTopics(f"{where}: was is {former!r}; it must be a list of former slugs, at most {_FORMER}")
    for old in former:
        if not isinstance(old, str) or not is_slug(old) or old in RESERVED:
            raise BadTopics(f"{where}: was holds {old!r}; it must be a former slug: a-z, 0-9, and - or _ between")
    return tuple(former)


def _names(where: str, names: object) -> Mapping[str, str]:
    if not isinstance(names, Mapping) or not names:
        raise BadTopics(f'{where}: it has no names; write name = {{ az = "...", en = "..." }}')
    for lang, name in names.items():
        _check_lang(f"{where}: name", lang)
        if not isinstance(name, str) or not name.strip():
            raise BadTopics(f"{where}: name.{lang} is {name!r}; it must be a text")
    return MappingProxyType({lang: " ".join(name.split()) for lang, name in names.items()})


def _words(where: str, words: object) -> Mapping[str, Mapping[str, float]]:
    if not isinstance(words, Mapping):
        raise BadTopics(f'{where}: words are written as [topic.words.en] "phrase" = weight')
    return MappingProxyType({lang: _phrases(f"{where}: words.{lang}", lang, words[lang]) for lang in words})


def _phrases(where: str, lang: object, phrases: object) -> Mapping[str, float]:
    _check_lang(where, lang)
    if not isinstance(phrases, Mapping):
        raise BadTopics(f'{where}: write "phrase" = weight')
    first: dict[tuple[str, ...], str] = {}
    for phrase, weight in phrases.items():
        folded = tuple(tokens(phrase))
        if not folded:
            raise BadTopics(f"{where}: {phrase!r} holds no letter or digit")
        if folded in first:
            raise BadTopics(f'{where}: "{phrase}" and "{first[folded]}" are the same after folding; keep one')
        first[folded] = phrase
        if _number(f'{where}: "{phrase}"', weight) == 0:
            raise BadTopics(f'{where}: "{phrase}" has weight 0 and says nothing')
    return MappingProxyType(dict(phrases))


def _check_lang(where: str, lang: object) -> None:
    if not isinstance(lang, str) or not _LANG.fullmatch(lang):
        raise BadTopics(f"{where}: {lang!r} is no language code; az, en and ru are")


def _number(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _WEIGHT:
        raise BadTopics(f"{where} is {value!r}; it must be a number from -{_WEIGHT} to {_WEIGHT}")
    return value


def _refuse_unknown(where: str, row: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for key in row:
        if key not in allowed:
            raise BadTopics(f'{where}: unknown key "{key}"; allowed are {", ".join(allowed)}')
