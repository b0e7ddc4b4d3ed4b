"""Filters, kinds, sizes, spans and time zones in words, for pages and mails alike. Pure; see `locale/*/common.po`.

Rules, in order:

1. A filter is said as one line; one that cannot be read is shown as it stands. Its words are folded; where a text is at
   hand in which somebody typed them (`typed`), they are spelled as there. Of many topics some may be named, and the
   others counted (`most`).
2. A size is rounded to one decimal of the largest unit that it fills, and named as the reader's language names it:
   1.2 MB, 1,2 МБ. What would round to 1,000 of a unit is one of the next.
3. A span is said in whole days where it is some, else in hours.
4. A time zone is named by its city; one that is so far from UTC, by how far; any other as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import get_timezone_location
from babel.numbers import format_decimal
from babel.units import format_unit

from syndicator.domain.filters import BadFilter, Filter, parse
from syndicator.domain.folding import tokens, unescape
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator

__all__ = [
    "KINDS",
    "filter_in_words",
    "kind_name",
    "language_name",
    "link_works_for",
    "size_in_words",
    "spelling",
    "stored_in_words",
    "zone_in_words",
]

_ = str  # marks a text for the catalogues where it is not yet translated

_KINDS = {
    "news": _("News"),
    "notice": _("Notice"),
    "statement": _("Statement"),
    "report": _("Report"),
    "event": _("Event"),
}

KINDS = tuple(_KINDS)
"""The kinds that have names here; an office may have others."""

_UNITS = ((1_000_000_000, "gigabyte"), (1_000_000, "megabyte"), (1_000, "kilobyte"))
_FILLED = 0.99995  # from here on a size, in the next smaller unit and rounded, would read as 1,000
_BYTE = {"ru": "Б"}  # Babel's short form is a word in other languages
_SPELLED = {("Europe/Kyiv", "az"): "Kiyev", ("Europe/Kyiv", "ru"): "Киев"}  # a name that Babel's data do not have yet
_AWAY = str.maketrans("+-", "−+")  # the signs of `Etc/GMT-4` are the other way round, as POSIX has them


def kind_name(kind: str, t: Translator) -> str:
    """What a kind is called; one that nobody foresaw is shown as the office wrote it."""
    return t(_KINDS[kind]) if kind in _KINDS else kind


def language_name(lang: str, t: Translator) -> str:
    """What a language is called in the reader's."""
    return t.locale.languages.get(lang) or lang


def stored_in_words(text: str, taxonomy: Taxonomy, t: Translator, *, typed: str = "") -> str:
    """A stored filter in words; one that an older version wrote and this one refuses is shown as it stands."""
    try:
        return filter_in_words(parse(text), taxonomy, t, typed=typed)
    except BadFilter:
        return text


def filter_in_words(
    wanted: Filter, taxonomy: Taxonomy, t: Translator, *, typed: str = "", most: int | None = None
) -> str:
    """What somebody gets with this filter, as one line; `most` topics wanted, and as many not wanted, are named."""
    said = [_names(wanted.topics, taxonomy, t, most) if wanted.topics else t("All topics")]
    if wanted.without:
        said.append(t("except {topics}", topics=_names(wanted.without, taxonomy, t, most)))
    if wanted.kinds:
        said.append(t("only {kinds}", kinds=", ".join(kind_name(kind, t) for kind in wanted.kinds)))
    if wanted.words:
        spelled = spelling(wanted.words, typed)
        quoted = [t("“{word}”", word=spelled[word]) for word in wanted.words]
        said.append(t("with the words {words}", words=", ".join(quoted)))
    if wanted.langs:
        said.append(t("in this order: {languages}", languages=", ".join(language_name(x, t) for x in wanted.langs)))
    return "; ".join(said)


def spelling(words: Collection[str], typed: str) -> Mapping[str, str]:
    """How each of a filter's words is shown: as it first stands in that text, or else folded."""
    found = {word: unescape(word) for word in words}
    for run in reversed(re.findall(r"\w+", typed)):
        said = tokens(run)
        if len(said) == 1 and said[0] in found:
            found[said[0]] = run
    return found


def _names(slugs: tuple[str, ...], taxonomy: Taxonomy, t: Translator, most: int | None) -> str:
    topics = ((slug, taxonomy.get(slug)) for slug in slugs[:most])
    names = ", ".join(topic.name(t.lang) if topic else slug for slug, topic in topics)
    left = 0 if most is None else len(slugs) - most
    return t("{names} and {count} more", names=names, count=left) if left > 0 else names


def size_in_words(length: int, locale: Locale) -> str:
    """A file's size in decimal units, such as `1.2 MB`; empty where it is not known."""
    if length <= 0:
        return ""
    for size, unit in _UNITS:
        rounded = round(length / size, 1)
        if length >= size * _FILLED:
            return str(format_unit(rounded, f"digital-{unit}", length="short", locale=locale))
    return f"{format_decimal(length, locale=locale)} {_BYTE.get(locale.language, 'B')}"


def zone_in_words(zone: ZoneInfo, lang: str) -> str:
    """Such as Baku, UTC+4 or EET."""
    area, slash, rest = zone.key.partition("/")
    if area == "Etc":
        return rest.replace("GMT", "UTC").translate(_AWAY)
    known = _SPELLED.get((zone.key, lang))
    return known or (str(get_timezone_location(zone, locale=lang, return_city=True)) if slash else area)


def link_works_for(span: timedelta, t: Translator) -> str:
    """How long a link works, as a sentence."""
    hours = max(1, round(span / timedelta(hours=1)))
    if hours % 24 == 0:
        return t.plural("The link works for {count} day.", "The link works for {count} days.", hours // 24)
    return t.plural("The link works for {count} hour.", "The link works for {count} hours.", hours)
