"""Filters, kinds and sizes in words, for people. Pure."""

from __future__ import annotations

from babel import Locale
from babel.numbers import format_decimal

from syndicator.domain.filters import BadFilter, Filter, parse
from syndicator.domain.folding import unescape
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator

__all__ = ["filter_in_words", "kind_name", "language_name", "size_in_words", "stored_in_words"]

_ = str  # marks a text for the catalogues where it is not yet translated

_KINDS = {
    "news": _("News"),
    "notice": _("Notice"),
    "statement": _("Statement"),
    "report": _("Report"),
    "event": _("Event"),
}

_UNITS = ((1_000_000, "MB"), (1_000, "kB"), (1, "B"))


def kind_name(kind: str, t: Translator) -> str:
    """What a kind is called; one that nobody foresaw is shown as the office wrote it."""
    return t(_KINDS[kind]) if kind in _KINDS else kind


def language_name(lang: str, t: Translator) -> str:
    """What a language is called in the reader's."""
    return t.locale.languages.get(lang) or lang


def stored_in_words(text: str, taxonomy: Taxonomy, t: Translator) -> str:
    """A stored filter in words; one that an older version wrote and this one refuses is shown as it stands."""
    try:
        return filter_in_words(parse(text), taxonomy, t)
    except BadFilter:
        return text


def filter_in_words(wanted: Filter, taxonomy: Taxonomy, t: Translator) -> str:
    """What somebody gets with this filter, as one line."""
    said = [_names(wanted.topics, taxonomy, t) if wanted.topics else t("All topics")]
    if wanted.without:
        said.append(t("except {topics}", topics=_names(wanted.without, taxonomy, t)))
    if wanted.kinds:
        said.append(t("only {kinds}", kinds=", ".join(kind_name(kind, t) for kind in wanted.kinds)))
    if wanted.words:
        quoted = [t("“{word}”", word=unescape(word)) for word in wanted.words]
        said.append(t("with the words {words}", words=", ".join(quoted)))
    if wanted.langs:
        said.append(t("in this order: {languages}", languages=", ".join(language_name(x, t) for x in wanted.langs)))
    return "; ".join(said)


def _names(slugs: tuple[str, ...], taxonomy: Taxonomy, t: Translator) -> str:
    topics = ((slug, taxonomy.get(slug)) for slug in slugs)
    return ", ".join(topic.name(t.lang) if topic else slug for slug, topic in topics)


def size_in_words(length: int, locale: Locale) -> str:
    """A file's size in decimal units, such as `1.2 MB`; empty where it is not known."""
    if length <= 0:
        return ""
    size, unit = next((size, unit) for size, unit in _UNITS if length >= size)
    return f"{format_decimal(round(length / size, 1), locale=locale)} {unit}"
