"""What is wrong with a selection of topics and words, said to people: the cause, in their language, and what to do.

The lines of `domain.filters` are for those who write filters by hand: they name keys and list what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping

from syndicator.domain.filters import MAX_WORDS, BadFilter, Cause
from syndicator.i18n import Translator

__all__ = ["refusal"]

_ = str  # marks a text for the catalogues

_SAID: Mapping[Cause, str] = {
    Cause.ILLEGAL: _("This selection cannot be used. Please choose the topics and words once more."),
    Cause.UNKNOWN: _("One of the topics chosen does not exist here any more. Please choose the topics once more."),
    Cause.WORDLESS: _("The words hold no letter or digit. Please write words, or leave the field empty."),
    Cause.WORDS: _("These are too many words: {count} are the most. Please take out those that matter least."),
    Cause.LENGTH: _("This selection is too long. Please choose fewer topics or words."),
    Cause.NEVER: _("With this selection no release could ever reach you. Please choose other topics."),
}


def refusal(error: BadFilter, t: Translator) -> str:
    """Why the selection was not taken."""
    return t(_SAID[error.cause], count=MAX_WORDS)
