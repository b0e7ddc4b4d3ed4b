"""What a mail says, as plain values for the templates; no HTML is written here.

Rules, in order:

1. A picture is shown only if the site itself serves it; any other is named by a link (no request may tell who reads).
2. Times are in the office's zone and the reader's language.
3. Why somebody gets a mail is said in words, from the canonical filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from bots.email.body import Body
from syndicator.domain.model import Attachment, Release, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.text import one_line, repeats_opening
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator
from syndicator.wording import size_in_words, stored_in_words

__all__ = ["FileView", "ReleaseView", "reason", "release_view", "subject"]


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
    shown = next((a for a in revision.attachments if a.is_image and _is_ours(a.url, site)), None)
    files = tuple(_file(a, site) for a in revision.attachments if a is not shown and _is_link(a.url))
    return ReleaseView(
        lang=variant.lang,
        title=one_line(revision.title),
        summary="" if repeats_opening(revision.summary, revision.text) else one_line(revision.summary),
        note=one_line(revision.note),
        urgent=release.urgency is Urgency.URGENT,
        public_at=release.public_at,
        html=_scrolling(body.html),
        text=body.text,
        whole=body.whole,
        image=_file(shown, site) if shown else None,
        files=files,
        rights=one_line(revision.rights),
        page=site.release(variant.lang, release.number, variant.slug),
    )


def subject(release: Release, variant: Variant, t: Translator) -> str:
    """The subject: the title, and before it what a reader must see first."""
    title = one_line(variant.revision.title)
    if one_line(variant.revision.note):
        title = t("Corrected: {title}", title=title)
    return t("Urgent: {title}", title=title) if release.urgency is Urgency.URGENT else title


def reason(filter_text: str, taxonomy: Taxonomy, t: Translator) -> str:
    """What somebody asked for, in words, on one line."""
    return one_line(stored_in_words(filter_text, taxonomy, t))


def _scrolling(html: str) -> str:
    """Tables too wide for a phone scroll by themselves; the body is clean, so its tags are written in one way."""
    return html.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")


def _is_link(url: str) -> bool:
    return url.startswith(("https://", "http://", "/"))


def _is_ours(url: str, site: Site) -> bool:
    return (url.startswith("/") and not url.startswith("//")) or url.startswith(site.base_url + "/")


def _file(attachment: Attachment, site: Site) -> FileView:
    url = site.absolute(one_line(attachment.url).replace(" ", "%20"))
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    title = one_line(attachment.title) or one_line(attachment.alt) or one_line(name) or url
    return FileView(url, title, attachment.length, one_line(attachment.alt), one_line(attachment.credit))
