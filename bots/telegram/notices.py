"""What is said when a release was corrected or withdrawn. Pure.

Rules, in order:

1. A correction's notice replies to the corrected copy and says what changed, note by note, the oldest first. It does
   not repeat the title that stands above it: the next correction may change that, and this notice would still say it.
   Only where the copy is no longer there, or is a digest's, the title says what is meant, and leads to the page.
2. A withdrawal's notice says of what day the release was and why it went, and asks people not to rely on it. Nothing
   of it repeats title or text, not even the address: that names the release by its number alone. It fits below a photo
   that can no longer be taken away.
3. Notes and reasons are in the release's language, the frame is in the reader's.
"""

from __future__ import annotations

from collections.abc import Sequence

from bots.telegram.parts import BOLD, CAPTION, Button, Part, one_line, short_line
from bots.telegram.richtext import BLANK, Rich, Run, joined, shortened
from syndicator.domain.model import Release
from syndicator.domain.site import Site
from syndicator.i18n import Translator

__all__ = ["correction", "withdrawal"]

NOTE = 600  # UTF-16 units
NOTES = 6  # the newest; a reader who missed more finds them on the page
TITLE = 400
REASON = 600
_LINE: Rich = (Run("\n"),)


def correction(
    release: Release, lang: str, reader: Translator, site: Site, notes: Sequence[str] = (), *, titled: bool = False
) -> tuple[Part, ...]:
    """The reply that says what was corrected.

    Raises:
        LookupError: the release has no text in that language.
    """
    variant = release.variant(lang)
    if variant is None:
        raise LookupError(f"release {release.number} has no text in {lang}")
    button = Button(reader("Read on the site"), site.release(lang, release.number, variant.slug if titled else ""))
    head: Rich = (Run(f"✏️ {reader('Corrected')}", BOLD),)
    if titled:
        title = short_line(one_line(variant.revision.title) or site.name(lang), TITLE, (("a", button.url), *BOLD))
        head = (*head, Run(": ", BOLD), *title)
    told = list(dict.fromkeys(line for note in notes if (line := one_line(note))))[-NOTES:]
    if not told:
        told = [one_line(variant.revision.note) or reader("The text has been corrected.")]
    dot = "• " if len(told) > 1 else ""
    said = joined(((Run(dot), *short_line(note, NOTE)) if dot else short_line(note, NOTE) for note in told), _LINE)
    return button.parts([shortened(joined((head, said)), button.limits())])


def withdrawal(release: Release, lang: str, reader: Translator, site: Site) -> tuple[Part, ...]:
    """The notice of a release that was withdrawn; it needs no text in `lang`."""
    button = Button(reader("Details"), site.release(lang, release.number, ""))
    date = reader.date(release.public_at, site.zone)
    rows: list[Rich] = [
        (Run(f"🚫 {reader('Withdrawn')}", BOLD),),
        (
            Run(reader("Our release of {date} has been withdrawn.", date=date)),
            Run(" "),
            Run(reader("Please do not rely on it and do not pass it on.")),
        ),
    ]
    if reason := short_line(release.reason_in(lang), REASON):
        rows.append((Run(f"{reader('Reason')}: ", BOLD), *reason))
    return button.parts([shortened(joined(rows, BLANK), button.limits(CAPTION))])
