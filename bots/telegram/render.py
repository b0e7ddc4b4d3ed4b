"""A release as Telegram messages. Pure: the same release gives the same messages.

Rules, in order:

1. One message where it can be: title, full text, hashtags, and a button to the release's page.
2. A text that is too long gives its summary, or its first paragraphs, and the button leads to the rest. An urgent
   one comes whole, in at most three messages, since the site may be hard to reach just then.
3. A major revision says what was corrected, right below the title.
4. Room is kept for the page's address in plain words, for when a button or the markup is refused.
5. The text is in the release's language; what frames it ("Urgent", the button) in the reader's.
6. Nothing is ever blank: a title of which nothing can be seen gives way to the office's name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass

from bots.telegram.body import Block, blocks, checked_link, merged
from bots.telegram.richtext import (
    Limits,
    Mark,
    Rich,
    Run,
    clean,
    fits,
    html,
    joined,
    plain,
    shortened,
    split,
    units,
    unmarked,
    visible,
)
from syndicator.domain.model import Release, Revision, Urgency
from syndicator.domain.site import Site
from syndicator.domain.text import repeats_opening
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator

__all__ = ["Part", "Renderings", "hashtag", "render"]

URGENT_PARTS = 3
_ENTITIES = 80  # Telegram takes 100 and adds those that it finds by itself: hashtags, addresses
_TITLE = Limits(units=800)
_NOTE = Limits(units=500)
_LEAD = Limits(units=1000, entities=40)
_TAGS = 8
_TAG_LENGTH = 64
_FILES = 5
_BOLD: tuple[Mark, ...] = (("b", ""),)
_ITALIC: tuple[Mark, ...] = (("i", ""),)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Part:
    """One message. `button` and `url` stand on the last part; `preview` is the page whose picture is shown, or "".

    `plain` is the same text without markup, and `link` the page in words; both together stay within the limits.
    """

    html: str
    plain: str
    button: str = ""
    url: str = ""
    link: str = ""
    preview: str = ""


def render(release: Release, lang: str, reader: Translator, site: Site, taxonomy: Taxonomy) -> tuple[Part, ...]:
    """The messages that carry `release` in its language `lang`, framed in the reader's language.

    Raises:
        LookupError: the release has no text in that language.
    """
    variant = release.variant(lang)
    if variant is None:
        raise LookupError(f"release {release.number} has no text in {lang}")
    revision = variant.revision
    url = site.release(lang, release.number, variant.slug)
    button = reader("Read on the site")
    link = f"{button}: {url}"
    limits = Limits(units=4096 - units(link) - 2, entities=_ENTITIES)
    texts = _texts(release, lang, revision, reader, site, taxonomy, limits)
    preview = url if revision.image else ""
    last = len(texts) - 1
    return tuple(
        Part(
            html(text),
            plain(text),
            button if index == last else "",
            url if index == last else "",
            link if index == last else "",
            "" if index else preview,
        )
        for index, text in enumerate(texts)
    )


def _texts(
    release: Release,
    lang: str,
    revision: Revision,
    reader: Translator,
    site: Site,
    taxonomy: Taxonomy,
    limits: Limits,
) -> list[Rich]:
    head = joined(_head(release, lang, revision, reader, site), (Run("\n\n"),))
    tags = _tags(release, lang, taxonomy)
    body = blocks(revision.body, site.base_url)
    summary = _SPACES.sub(" ", clean(revision.summary)).strip()
    told = plain(merged(body))
    opening: Rich = (Run(summary, _ITALIC),) if visible(summary) and not repeats_opening(summary, told) else ()
    whole = joined((head, opening, merged(body), _files(revision, site), tags))
    if fits(whole, limits):
        return [whole]
    if release.urgency is Urgency.URGENT:
        parts = split(whole, limits)
        if len(parts) <= URGENT_PARTS:
            return parts
    lead = (Run(summary),) if visible(summary) else _lead(body)
    short = joined((head, shortened(lead, _LEAD), tags))
    return [short if fits(short, limits) else shortened(unmarked(short), limits)]


def _head(release: Release, lang: str, revision: Revision, reader: Translator, site: Site) -> list[Rich]:
    title = _SPACES.sub(" ", clean(revision.title)).strip()
    if not visible(title):
        title = site.name(lang)
    rows: list[Rich] = []
    if release.urgency is Urgency.URGENT:
        rows.append((Run(f"❗️ {reader('Urgent')}", _BOLD),))
    rows.append(shortened((Run(title, _BOLD),), _TITLE))
    note = _SPACES.sub(" ", clean(revision.note)).strip()
    if visible(note):
        rows.append(shortened((Run(f"✏️ {reader('Corrected')}: ", _BOLD), Run(note, _ITALIC)), _NOTE))
    return rows


def _lead(body: list[Block]) -> Rich:
    taken: list[Block] = []
    for block in body:
        if taken and not fits(merged([*taken, block]), _LEAD):
            break
        taken.append(block)
    return merged(taken)


def _files(revision: Revision, site: Site) -> Rich:
    rows: list[Rich] = []
    for file in revision.attachments:
        address = checked_link(file.url, site.base_url)
        if file.is_image or not address or len(rows) == _FILES:
            continue
        name = _SPACES.sub(" ", clean(file.title)).strip()
        name = name if visible(name) else address.rpartition("/")[2]
        rows.append((Run("📎 "), Run(name[:200], (("a", address),))))
    return joined(rows, (Run("\n"),))


def _tags(release: Release, lang: str, taxonomy: Taxonomy) -> Rich:
    topics = [topic for slug in release.topics if (topic := taxonomy.get(slug))]
    tags = dict.fromkeys(tag for topic in topics if (tag := hashtag(topic.name(lang))))
    return (Run(" ".join(list(tags)[:_TAGS])),) if tags else ()


def hashtag(name: str) -> str:
    """`#Name_of_the_topic`: letters, digits and underscores, not digits alone; "" where nothing is left."""
    letters = [_tag_letter(char) for char in unicodedata.normalize("NFC", name)]
    words = "".join(letters).split()
    tag = ""
    for word in words:
        longer = f"{tag}_{word}" if tag else word[:_TAG_LENGTH]
        if len(longer) > _TAG_LENGTH:
            break
        tag = longer
    return f"#{tag}" if any(char.isalpha() for char in tag) else ""


def _tag_letter(char: str) -> str:
    if char in "'’ʼ":  # inside a word
        return ""
    category = unicodedata.category(char)
    good = (category[0] == "L" and visible(char)) or category == "Nd"
    return char if good else " "


class Renderings:
    """Renders once for each (release as it stands, text's language, reader's language); keeps the newest few."""

    def __init__(self, site: Site, taxonomy: Taxonomy, size: int = 128) -> None:
        self._site = site
        self._taxonomy = taxonomy
        self._size = size
        self._kept: OrderedDict[tuple[object, ...], tuple[Part, ...]] = OrderedDict()

    def of(self, release: Release, lang: str, reader: Translator) -> tuple[Part, ...]:
        """The messages of a release.

        Raises:
            LookupError: the release has no text in that language.
        """
        variant = release.variant(lang)
        revision = variant.revision.number if variant else 0
        key = (release.number, release.change, release.major, revision, lang, reader.lang)
        parts = self._kept.get(key)
        if parts is None:
            parts = render(release, lang, reader, self._site, self._taxonomy)
            self._kept[key] = parts
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return parts
