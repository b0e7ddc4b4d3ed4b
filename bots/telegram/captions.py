"""What is said of a picture, and when a release's text can be the caption of one. Pure.

Rules, in order:

1. What a picture shows, and who took it, is told in words wherever it is shown: who cannot see it reads the same, and
   Telegram has no place of its own for either.
2. A caption holds the whole text, or else its lead. An urgent text that does not fit as a whole goes without a photo:
   then the text is what counts.
"""

from __future__ import annotations

from bots.telegram.parts import ITALIC, short_line
from bots.telegram.richtext import Rich, Run, joined
from syndicator.domain.model import Attachment
from syndicator.i18n import Translator

__all__ = ["told_of"]

ALT = 250  # UTF-16 units
CREDIT = 100


def told_of(picture: Attachment | None, reader: Translator) -> Rich:
    """What the picture shows and who took it, as one line; nothing where neither is known."""
    if picture is None:
        return ()
    alt = short_line(picture.alt, ALT, ITALIC)
    credit = short_line(picture.credit, CREDIT, ITALIC)
    if credit:
        before, after = (" (", ")") if alt else ("", "")
        label = reader("Photo: {credit}", credit="\0").split("\0")
        credit = (Run(before + label[0], ITALIC), *credit, Run(label[-1] + after, ITALIC))
    told = joined((alt, credit), ())
    return (Run("🖼 ", ITALIC), *told) if told else ()
