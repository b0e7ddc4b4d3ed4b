"""What is wrong with a selection, said to people: the cause, in their language, and what to do.

The lines of `domain.filters` are for those who write filters by hand: they name keys and list what is allowed. Each
begins with the key that is to blame, which is a field of the form here and decides what people are told.
"""

from __future__ import annotations

from collections.abc import Mapping

from syndicator.domain.filters import MAX_VALUES, MAX_WORDS, BadFilter, Cause
from syndicator.i18n import Translator

__all__ = ["FORM", "field_of", "refusal"]

FORM = "form"
"""Where the whole is wrong, and no field by itself."""

_ = str  # marks a text for the catalogues

_FIELDS = ("topic", "not", "kind", "q", "lang")
_NO_TOPIC = _("One of the topics chosen does not exist here any more. Please choose the topics once more.")
_NO_LANGUAGE = _("One of the languages chosen does not exist here. Please choose the languages once more.")
_TOPICS = _("These are too many topics: {values} are the most. Please choose fewer.")
_SAID: Mapping[Cause, str] = {
    Cause.ILLEGAL: _("This selection cannot be used. Please choose the topics and words once more."),
    Cause.UNKNOWN: _NO_TOPIC,
    Cause.WORDLESS: _("The words hold no letter or digit. Please write words, or leave the field empty."),
    Cause.WORDS: _("These are too many words: {count} are the most. Please take out those that matter least."),
    Cause.LENGTH: _("This selection is too long. Please choose fewer topics or words."),
    Cause.NEVER: _("With this selection no release could ever reach you. Please choose other topics."),
}
_SAID_OF: Mapping[tuple[str, Cause], str] = {
    ("topic", Cause.ILLEGAL): _NO_TOPIC,
    ("not", Cause.ILLEGAL): _NO_TOPIC,
    ("kind", Cause.ILLEGAL): _("There is no such kind of release. Please choose the kinds once more."),
    ("lang", Cause.ILLEGAL): _NO_LANGUAGE,
    ("lang", Cause.UNKNOWN): _NO_LANGUAGE,
    ("topic", Cause.LENGTH): _TOPICS,
    ("not", Cause.LENGTH): _TOPICS,
    ("kind", Cause.LENGTH): _("These are too many kinds: {values} are the most. Please choose fewer."),
    ("lang", Cause.LENGTH): _("These are too many languages: {values} are the most. Please choose fewer."),
}


def field_of(error: BadFilter) -> str:
    """The field of a form that is to blame; `FORM` where it is the whole."""
    key = str(error).partition(":")[0]
    return key if key in _FIELDS else FORM


def refusal(error: BadFilter, t: Translator) -> str:
    """Why the selection was not taken."""
    said = _SAID_OF.get((field_of(error), error.cause), _SAID[error.cause])
    return t(said, count=MAX_WORDS, values=MAX_VALUES)
