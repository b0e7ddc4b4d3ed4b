"""An entry: what all three formats say of one language version, decided once so that they cannot differ.

Rules, in order:

1. The id is the variant's uid and never changes; in a feed that mixes languages it is the release's, so that a late
   translation is not a new entry. `published` is the release's `public_at`, fixed; `updated` moves
   with major revisions and with withdrawal only (RFC 4287 §4.2.15), and is never before `published`.
2. A note is said at the top of the text, with the date of its revision in the office's zone, wherever it stands:
   a release that a feed first sees corrected says so too.
3. A withdrawn release keeps its id and its marked title and gives its reason, in the entry's language if it was said in
   that; nothing of its old text is left.
4. The lead picture stands at the top of the content, other pictures and files at its end, unless the body has them.
5. Addresses are absolute, ASCII and http(s) only; what is no media type becomes that of unknown bytes; a topic without
   a code is left out; characters that XML 1.0 forbids are stripped once more.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from syndicator.domain.model import Attachment, Release, State, Variant
from syndicator.domain.site import Site
from syndicator.domain.text import one_line, strip_illegal
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts, Translator

__all__ = ["Category", "Entry", "Sibling", "entry_key", "entry_of", "moment"]

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]*/[A-Za-z0-9][\w!#$&^.+-]*", re.ASCII)
_URL_SAFE = "%/:?#[]@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class Category:
    """A topic as feeds name it: its code, the vocabulary it belongs to, and its localised label."""

    term: str
    scheme: str
    label: str


@dataclass(frozen=True, slots=True)
class Sibling:
    """The same release in another language."""

    lang: str
    url: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, ready for any format. `summary`, `title`, `rights` and `note` are plain text, `content` is HTML."""

    number: int
    uid: str
    lang: str
    title: str
    url: str
    published: datetime
    updated: datetime
    summary: str
    content: str
    author: str
    home: str
    kind: str
    urgency: str
    state: str
    categories: tuple[Category, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    external_url: str = ""
    rights: str = ""
    note: str = ""
    withdrawn_at: datetime | None = None
    reason: str = ""

    @property
    def image(self) -> Attachment | None:
        """The lead picture, if any."""
        return next((a for a in self.attachments if a.is_image), None)

    @property
    def enclosure(self) -> Attachment | None:
        """The one file RSS may name: the lead picture or else the first file, of those whose length is known."""
        measured = [a for a in self.attachments if a.length > 0]
        return next((a for a in measured if a.is_image), measured[0] if measured else None)


def moment(when: datetime) -> datetime:
    """The time in UTC to the second, as all formats write it."""
    return when.astimezone(UTC).replace(microsecond=0)


def entry_key(release: Release, variant: Variant, *, mixed: bool = False) -> Hashable:
    """What decides an entry's bytes, the site and the renderer being the same; equal keys share a fragment."""
    uid = release.uid if mixed else variant.uid
    siblings = tuple((v.lang, v.slug) for v in release.variants)
    ended = (release.withdrawn_at, release.updated_at) if release.state is State.WITHDRAWN else ()
    times = (release.public_at, variant.updated_at, *ended)
    words = (release.state, release.reason_in(variant.lang), release.kind, release.urgency, release.topics)
    return (uid, variant.lang, variant.revision.number, siblings, times, words)


def entry_of(
    release: Release, variant: Variant, site: Site, taxonomy: Taxonomy, texts: Texts, *, mixed: bool = False
) -> Entry:
    """The entry of one language version; for a withdrawn release, the notice that stands in its place.

    `mixed` is for feeds that hold several languages.
    """
    lang, revision = variant.lang, variant.revision
    published = moment(release.public_at)
    entry = Entry(
        number=release.number,
        uid=strip_illegal(release.uid if mixed else variant.uid),
        lang=lang,
        title=one_line(revision.title) or f"№ {release.number}",
        url=_address(site.release(lang, release.number, variant.slug), site),
        published=published,
        updated=max(moment(variant.updated_at), published),
        summary=one_line(revision.summary),
        content="",
        author=one_line(site.name(lang)),
        home=site.home(lang),
        kind=release.kind,
        urgency=release.urgency.value,
        state=release.state.value,
        categories=tuple(_categories(release, lang, site, taxonomy)),
        siblings=tuple(_siblings(release, lang, site)),
    )
    if release.state is State.WITHDRAWN:
        return _withdrawn(entry, release, site, texts(lang))
    entry = replace(
        entry,
        attachments=tuple(_attachments(revision.attachments, site)),
        external_url=_address(revision.link, site),
        rights=one_line(revision.rights),
        note=strip_illegal(revision.note).strip(),
    )
    return replace(entry, content=_content(entry, variant.updated_at, strip_illegal(revision.body), site, texts(lang)))


def _withdrawn(entry: Entry, release: Release, site: Site, say: Translator) -> Entry:
    when = release.withdrawn_at or release.updated_at or release.public_at
    reason = one_line(release.reason_in(entry.lang))
    notice = say("This release was withdrawn on {date}.", date=say.date(when, site.zone))
    because = f"<p>{escape(say('Reason: {reason}', reason=reason))}</p>" if reason else ""
    return replace(
        entry,
        title=say("Withdrawn: {title}", title=entry.title),
        updated=max(moment(when), entry.published),
        summary=f"{notice} {reason}".strip(),
        content=f"<p><strong>{escape(notice)}</strong></p>{because}",
        withdrawn_at=moment(when),
        reason=reason,
    )


def _content(entry: Entry, noted: datetime, body: str, site: Site, say: Translator) -> str:
    parts = []
    if entry.note:
        mark = say("Corrected on {date}:", date=say.date(noted, site.zone))
        parts.append(f"<p><strong>{escape(mark)}</strong> {escape(entry.note)}</p>")
    lead = entry.image
    if lead is not None and not _shown(lead, body):
        parts.append(_figure(lead))
    parts.append(body)
    parts.extend(_figure(a) for a in entry.attachments if a.is_image and a is not lead and not _shown(a, body))
    files = [a for a in entry.attachments if not a.is_image and not _shown(a, body)]
    if files:
        items = "".join(f'<li><a href="{escape(a.url)}">{escape(a.title or _file_name(a))}</a></li>' for a in files)
        parts.append(f"<p>{escape(say('Attachments'))}</p><ul>{items}</ul>")
    return "".join(parts)


def _figure(picture: Attachment) -> str:
    caption = " · ".join(escape(text) for text in (picture.title, picture.credit) if text)
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><img src="{escape(picture.url)}" alt="{escape(picture.alt)}" />{below}</figure>'


def _shown(attachment: Attachment, body: str) -> bool:
    return f'"{escape(attachment.url)}"' in body


def _file_name(attachment: Attachment) -> str:
    return attachment.url.rstrip("/").rpartition("/")[2] or attachment.url


def _categories(release: Release, lang: str, site: Site, taxonomy: Taxonomy) -> Iterator[Category]:
    for slug in dict.fromkeys(map(taxonomy.current, release.topics)):
        topic = taxonomy.get(slug)
        if code := one_line(slug):
            yield Category(code, site.vocabulary, (one_line(topic.name(lang)) if topic else "") or code)


def _siblings(release: Release, lang: str, site: Site) -> Iterator[Sibling]:
    for other in release.variants:
        if other.lang != lang and other.lang in site.languages:
            yield Sibling(other.lang, _address(site.release(other.lang, release.number, other.slug), site))


def _attachments(attachments: tuple[Attachment, ...], site: Site) -> Iterator[Attachment]:
    for one in attachments:
        url = _address(one.url, site)
        if url:
            yield replace(
                one,
                url=url,
                media_type=one.media_type if _MEDIA_TYPE.fullmatch(one.media_type) else "application/octet-stream",
                title=one_line(one.title),
                alt=one_line(one.alt),
                credit=one_line(one.credit),
            )


def _address(url: str, site: Site) -> str:
    """The address, absolute and in ASCII; nothing for one that is neither http(s) nor site-relative."""
    url = strip_illegal(url).strip()
    if url.startswith("/") and not url.startswith("//"):
        url = site.absolute(url)
    if not url.lower().startswith(("http://", "https://")):
        return ""
    return quote(url, safe=_URL_SAFE)
