"""A digest: what was published in some days, as one message or a few. Pure.

Rules, in order:

1. The heading names the days on which its releases were published, in the reader's language and zone. It goes by the
   releases and not by the clock, so that a copy that is rendered again has the same one.
2. Each release once: its title, which leads to the page, and one line of its lead. Urgent ones come first, then the
   newest. They are not grouped by topic: many have several, and would stand where half of their readers do not look.
3. What was corrected says so, with its newest note. What was withdrawn is left out; a copy that follows a withdrawal
   says that something was, and nothing more of it.
4. A message is never cut inside an entry. At most `MOST` entries stand in at most `PARTS` messages; what is more is
   counted, and the site has it. What is not shown was not told: the ledger hears which ones were (`Listed`), and a copy
   that follows still counts the others.
5. With nothing left to tell there is no message; a copy that follows says at least what became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date

from bots.telegram.parts import BOLD, ITALIC, Button, Listed, Part, one_line, short_line
from bots.telegram.richtext import Limits, Rich, Run, joined, shortened, size
from syndicator.domain.letters import Item
from syndicator.domain.model import Release, Revision, Standing, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.text import repeats_opening
from syndicator.domain.visibility import standing
from syndicator.i18n import Translator

__all__ = ["digest", "standing_of"]

MOST = 25
PARTS = 5
TITLE = 250  # UTF-16 units
LEAD = 160
NOTE = 200
_LOOKED_AT = 2000  # characters of a text, for the line that it gives
_LINE: Rich = (Run("\n"),)


def standing_of(release: Release, now: datetime) -> Standing:
    """What may be shown of it now."""
    return standing(release.state, release.public_at, release.opened_at, now)


def digest(
    items: Sequence[Item],
    reader: Translator,
    site: Site,
    now: datetime,
    zone: ZoneInfo,
    *,
    followed: bool = False,
    more: int = 0,
) -> tuple[Part, ...]:
    """The messages of a digest; none where nothing is left of it.

    `zone` is the reader's. With `followed` it is a copy that stands in the chat already and follows what changed;
    `more` is how many beside these items it did not show.
    """
    once = list({item.release.number: item for item in items}.values())
    shown = [item for item in once if standing_of(item.release, now) is Standing.PUBLIC]
    gone = [item for item in once if standing_of(item.release, now) is Standing.WITHDRAWN] if followed else []
    if not shown and not gone:
        return ()
    button = Button(reader("Read on the site"), site.home(reader.lang))
    limits = button.limits()
    shown.sort(key=lambda item: (item.release.public_at, item.release.number), reverse=True)
    shown.sort(key=lambda item: item.release.urgency is not Urgency.URGENT)
    heading: Rich = (Run(f"🗞 {_heading([*shown, *gone], reader, zone)}", BOLD),)
    entries = [shortened(_entry(item, reader, site), limits) for item in shown[:MOST]]
    while True:
        hidden = more + len(shown) - len(entries)
        ending = _ending(hidden, len(gone), reader)
        packed = _packed([heading, *entries, *ending], limits)
        if len(packed) <= PARTS:
            first, *others = button.parts(packed)
            numbers = tuple(item.release.number for item in shown[: len(entries)])
            return (replace(first, listed=Listed(numbers, hidden)), *others)
        entries.pop()


def _ending(more: int, gone: int, reader: Translator) -> list[Rich]:
    """What is not shown, and why."""
    rows: list[Rich] = []
    if more:
        rows.append((Run(reader.plural("And {count} more on the site.", "And {count} more on the site.", more)),))
    if gone:
        one, many = "{count} release has been withdrawn since.", "{count} releases have been withdrawn since."
        rows.append((Run("🚫 "), Run(reader.plural(one, many, gone), ITALIC)))
    return rows


def _heading(items: Sequence[Item], reader: Translator, zone: ZoneInfo) -> str:
    days = [item.release.public_at.astimezone(zone).date() for item in items]
    return reader("News, {days}", days=_span(min(days), max(days), reader))


def _span(first: date, last: date, reader: Translator) -> str:
    """Such as 20 November, 14–20 November, 28 October – 3 November; the message itself has the year."""
    begins, ends = (str(format_date(day, "d MMMM", locale=reader.locale)) for day in (first, last))
    if first == last:
        return ends
    same_month = (first.year, first.month) == (last.year, last.month)
    return f"{first.day}–{ends}" if same_month else f"{begins} – {ends}"


def _entry(item: Item, reader: Translator, site: Site) -> Rich:
    release = item.release
    variant = release.variant(item.lang) or release.variants[0]
    return joined((_title(release, variant, reader, site), *_lines(variant.revision, reader)), _LINE)


def _title(release: Release, variant: Variant, reader: Translator, site: Site) -> Rich:
    page = site.release(variant.lang, release.number, variant.slug)
    said = one_line(variant.revision.title) or site.name(variant.lang)
    title = short_line(said, TITLE, (("a", page), *BOLD))
    urgent: Rich = (Run(f"❗️ {reader('Urgent')}: ", BOLD),) if release.urgency is Urgency.URGENT else ()
    return (*urgent, *title)


def _lines(revision: Revision, reader: Translator) -> list[Rich]:
    rows: list[Rich] = []
    if note := short_line(revision.note, NOTE, ITALIC):
        rows.append((Run(f"✏️ {reader('Corrected')}: ", BOLD), *note))
    lead = one_line(revision.summary) or one_line(revision.text[:_LOOKED_AT])
    if lead and not repeats_opening(lead, one_line(revision.title)):
        rows.append(short_line(lead, LEAD))
    return rows


def _packed(pieces: Sequence[Rich], limits: Limits) -> list[Rich]:
    """As few messages as hold them all, in order."""
    packed: list[list[Rich]] = []
    units = entities = octets = 0
    for piece in pieces:
        own = size(piece)
        units, entities, octets = units + own.units + 2, entities + own.entities, octets + own.octets + 2
        if not packed or units > limits.units or entities > limits.entities or octets > limits.octets:
            packed.append([])
            units, entities, octets = own.units, own.entities, own.octets
        packed[-1].append(piece)
    return [joined(part) for part in packed]
