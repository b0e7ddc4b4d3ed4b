"""What a mail says, as plain values for the templates; no HTML is written here.

Rules, in order:

1. A picture is shown only if the site itself serves it; any other is named by a link (no request may tell who reads).
2. A time names its zone: a release's is the office's, as on its page; when something was sent to somebody is their own.
   A digest is in the reader's zone, which parts its days, and says so once.
3. What comes from outside has bounds here, so that any release makes a mail that fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_date

from bots.email.body import Body
from syndicator.domain.model import Attachment, Release, Revision, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.text import excerpt, one_line, repeats_opening
from syndicator.i18n import Translator
from syndicator.wording import size_in_words, zone_in_words

__all__ = [
    "Entry",
    "FileView",
    "ReleaseView",
    "days_in_words",
    "entry_view",
    "moment_there",
    "notes_of",
    "opening",
    "reason_of",
    "release_view",
    "subject",
    "zone_of",
]

TITLE = 300  # characters
SUMMARY = 1_500
NOTE = 800
NOTES = 6  # the newest; a reader who missed more finds them on the page
FILES = 20
NAME = 200
ADDRESS = 1_000
LEAD = 280
PREVIEW = 140
_TOP = re.compile("<thead>.*?</thead>", re.DOTALL)
_HEADING = re.compile(r"<th(?=[ >])(?! scope)")


@dataclass(frozen=True, slots=True)
class FileView:
    """A picture or a file; `url` is absolute."""

    url: str
    title: str
    length: int
    alt: str
    credit: str

    def size(self, t: Translator) -> str:
        """Its size in words, or ""."""
        return size_in_words(self.length, t.locale)


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release in one language. `html` is clean and safe as it is; everything else is escaped where it is shown."""

    lang: str
    title: str
    summary: str
    note: str
    urgent: bool
    public_at: datetime
    html: str
    text: str
    whole: bool
    image: FileView | None
    files: tuple[FileView, ...]
    rights: str
    page: str


def release_view(release: Release, variant: Variant, body: Body, site: Site) -> ReleaseView:
    """What the templates show of a release."""
    revision = variant.revision
    shown = next((a for a in revision.attachments if a.is_image and _is_link(a.url) and _is_ours(a.url, site)), None)
    files = [_file(a, site) for a in revision.attachments if a is not shown and _is_link(a.url)]
    return ReleaseView(
        lang=variant.lang,
        title=_title(revision, variant.lang, site),
        summary="" if repeats_opening(revision.summary, revision.text) else _short(revision.summary, SUMMARY),
        note=_short(revision.note, NOTE),
        urgent=release.urgency is Urgency.URGENT,
        public_at=release.public_at,
        html=_scrolling(body.html),
        text=body.text,
        whole=body.whole,
        image=_file(shown, site) if shown else None,
        files=tuple(files[:FILES]),
        rights=_short(revision.rights, NAME),
        page=site.release(variant.lang, release.number, variant.slug),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A release in a digest."""

    lang: str
    title: str
    lead: str
    note: str
    urgent: bool
    public_at: datetime
    page: str


def entry_view(release: Release, lang: str, site: Site) -> Entry:
    """What a digest shows of a release.

    Raises:
        LookupError: it has no text in that language.
    """
    variant = release.variant(lang)
    if variant is None:
        raise LookupError(f"release {release.number} has no text in {lang}")
    revision = variant.revision
    title = _title(revision, lang, site)
    lead = _short(revision.summary.strip() or revision.text, LEAD)
    return Entry(
        lang=lang,
        title=title,
        lead="" if repeats_opening(lead, title) else lead,
        note=_short(revision.note, LEAD),
        urgent=release.urgency is Urgency.URGENT,
        public_at=release.public_at,
        page=site.release(lang, release.number, variant.slug),
    )


def subject(
    release: Release, variant: Variant, t: Translator, *, follows: bool = False, came_back: bool = False
) -> str:
    """The subject: the title, and before it what a reader must see first."""
    title = _short(variant.revision.title, TITLE)
    if came_back:
        title = t("Published again: {title}", title=title)
    elif follows or one_line(variant.revision.note):
        title = t("Corrected: {title}", title=title)
    return t("Urgent: {title}", title=title) if release.urgency is Urgency.URGENT else title


def opening(variant: Variant) -> str:
    """The words that stand beside the subject in a list of mails."""
    revision = variant.revision
    return _short(revision.summary.strip() or revision.text, PREVIEW)


def notes_of(notes: Sequence[str]) -> tuple[str, ...]:
    """Notes as they are shown: each once, the newest of them, oldest first."""
    return tuple(dict.fromkeys(line for note in notes if (line := _short(note, NOTE))))[-NOTES:]


def reason_of(release: Release, lang: str) -> str:
    """Why it was withdrawn, or ""."""
    return _short(release.reason_in(lang), NOTE)


@lru_cache(maxsize=256)
def days_in_words(first: date, last: date, t: Translator) -> str:
    """Such as 20 November 2026, 14–20 November 2026, 28 December 2025 – 3 January 2026."""
    ends = _written(last, "d MMMM y", t)
    if first == last:
        return ends
    if first.year != last.year:
        return f"{_written(first, 'd MMMM y', t)} – {ends}"
    return f"{first.day}–{ends}" if first.month == last.month else f"{_written(first, 'd MMMM', t)} – {ends}"


def moment_there(when: datetime, zone: ZoneInfo, t: Translator) -> str:
    """Such as 20 November 2026, 09:00 (Baku time)."""
    return t("{moment} ({place} time)", moment=t.moment(when, zone), place=zone_in_words(zone, t.lang))


def _written(day: date, form: str, t: Translator) -> str:
    return str(format_date(day, form, locale=t.locale))


@lru_cache(maxsize=1024)
def zone_of(name: str, otherwise: ZoneInfo) -> ZoneInfo:
    """A reader's time zone; the office's where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return otherwise


def _short(text: str, limit: int) -> str:
    """The beginning of a text on one line; of one without end no more is read than it takes."""
    return excerpt(text[: 8 * limit], limit)


def _title(revision: Revision, lang: str, site: Site) -> str:
    return _short(revision.title, TITLE) or site.name(lang)


def _scrolling(html: str) -> str:
    """Tables too wide for a phone scroll by themselves, and their headings say of what they are.

    The body is clean, so its tags are written in one way.
    """
    headed = _TOP.sub(lambda top: _HEADING.sub('<th scope="col"', top[0]), html)
    headed = _HEADING.sub('<th scope="row"', headed)
    return headed.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")


def _is_link(url: str) -> bool:
    return url.startswith(("https://", "http://", "/")) and len(url) <= ADDRESS


def _is_ours(url: str, site: Site) -> bool:
    return (url.startswith("/") and not url.startswith("//")) or url.startswith(site.base_url + "/")


def _file(attachment: Attachment, site: Site) -> FileView:
    url = site.absolute(one_line(attachment.url).replace(" ", "%20"))
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    alt = _short(attachment.alt, NAME)
    title = _short(attachment.title, NAME) or alt or _short(name, NAME) or url
    return FileView(url, title, attachment.length, alt, _short(attachment.credit, NAME))
