"""A release as Telegram messages, and the place that keeps all that was rendered. Pure: the same gives the same.

Rules, in order:

1. One message where it can be: title, full text, hashtags, and a button to the release's page.
2. A text that is too long, or a chat that wants leads, gives its summary or its first paragraphs, and the button leads
   to the rest. An urgent one comes whole, in at most three messages: the site may be hard to reach just then.
3. A major revision says what was corrected, right below the title.
4. A chat that wants photos gets the picture with the text, or its lead, as the caption; where neither fits, a text.
5. Room is kept for the page's address in plain words, for when a button or the markup is refused.
6. The text is in the release's language; what frames it ("Urgent", the button) in the reader's.
7. Nothing is ever blank: a title of which nothing can be seen gives way to the office's name.
8. Everything is rendered once for what it depends on; of that, the newest few are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from bots.telegram import digests, notices
from bots.telegram.body import blocks, checked_link, merged
from bots.telegram.captions import told_of
from bots.telegram.hashtags import hashtag, hashtags
from bots.telegram.parts import BOLD, CAPTION, ITALIC, Button, Part, Style, one_line, short_line
from bots.telegram.richtext import Limits, Rich, Run, fits, joined, plain, shortened, split, unmarked
from syndicator.domain.letters import Item
from syndicator.domain.model import Release, Urgency
from syndicator.domain.site import Site
from syndicator.domain.text import repeats_opening
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Translator

__all__ = ["Part", "Renderings", "Style", "hashtag", "render"]

URGENT_PARTS = 3
FILES = 5
_TITLE = 800
_NOTE = 500
_LEAD = Limits(units=1000, entities=40)
_SHORT_LEAD = Limits(units=400, entities=40)  # where the lead alone is wanted and nobody wrote a summary
_FULL = Style()
_LINE: Rich = (Run("\n"),)


def render(
    release: Release, lang: str, reader: Translator, site: Site, taxonomy: Taxonomy, style: Style = _FULL
) -> tuple[Part, ...]:
    """The messages that carry `release` in its language `lang`, framed in the reader's language.

    Raises:
        LookupError: the release has no text in that language.
    """
    pieces = _Pieces(release, lang, reader, site, taxonomy, style)
    picture = pieces.revision.image
    button = Button(reader("Read on the site"), pieces.page)
    if style.media == "photo" and picture is not None and (caption := _caption(pieces, button.limits(CAPTION))):
        return button.parts([caption], photo=picture)
    preview = pieces.page if picture is not None and style.media != "none" else ""
    return button.parts(_texts(pieces, button.limits()), preview=preview)


class _Pieces:
    """What a release's messages are put together from."""

    def __init__(
        self, release: Release, lang: str, reader: Translator, site: Site, taxonomy: Taxonomy, style: Style
    ) -> None:
        variant = release.variant(lang)
        if variant is None:
            raise LookupError(f"release {release.number} has no text in {lang}")
        self.style = style
        self.urgent = release.urgency is Urgency.URGENT
        self.revision = variant.revision
        self.page = site.release(lang, release.number, variant.slug)
        self.tags = hashtags(release, lang, taxonomy)
        self._title = one_line(self.revision.title) or site.name(lang)
        self._base = site.base_url
        self._reader = reader
        self._blocks = blocks(self.revision.body, site.base_url)

    @cached_property
    def head(self) -> Rich:
        """Urgent or not, the title, and what was corrected."""
        rows: list[Rich] = []
        if self.urgent:
            rows.append((Run(f"❗️ {self._reader('Urgent')}", BOLD),))
        rows.append(short_line(self._title, _TITLE, BOLD))
        if note := short_line(self.revision.note, _NOTE, ITALIC):
            rows.append((Run(f"✏️ {self._reader('Corrected')}: ", BOLD), *note))
        return joined(rows)

    @cached_property
    def body(self) -> Rich:
        """The whole text, with a summary above it that does not only repeat its beginning, and files below."""
        body = merged(self._blocks)
        summary = one_line(self.revision.summary)
        opening: Rich = (Run(summary, ITALIC),) if summary and not repeats_opening(summary, plain(body)) else ()
        return joined((opening, body, self._files()))

    def lead(self) -> Rich:
        """The summary, or the first paragraphs."""
        if summary := one_line(self.revision.summary):
            return shortened((Run(summary),), _LEAD)
        limits = _SHORT_LEAD if self.style.text == "lead" else _LEAD
        taken = self._blocks[:1]
        for block in self._blocks[1:]:
            if not fits(merged([*taken, block]), limits):
                break
            taken.append(block)
        return shortened(merged(taken), _LEAD)

    @cached_property
    def picture(self) -> Rich:
        """What the picture shows, where one is shown."""
        return told_of(self.revision.image, self._reader) if self.style.media != "none" else ()

    def _files(self) -> Rich:
        rows: list[Rich] = []
        for file in self.revision.attachments:
            address = checked_link(file.url, self._base)
            if file.is_image or not address or len(rows) == FILES:
                continue
            name = one_line(file.title) or address.rpartition("/")[2]
            rows.append((Run("📎 "), Run(name[:200], (("a", address),))))
        return joined(rows, _LINE)


def _caption(pieces: _Pieces, limits: Limits) -> Rich:
    """The text of a photo; nothing where it has to be a message without one."""
    whole = joined((pieces.head, pieces.body, pieces.picture, pieces.tags))
    if pieces.style.text == "full" and fits(whole, limits):
        return whole
    if pieces.urgent and pieces.style.text == "full":
        return ()
    short = joined((pieces.head, pieces.lead(), pieces.picture, pieces.tags))
    return short if fits(short, limits) else ()


def _texts(pieces: _Pieces, limits: Limits) -> list[Rich]:
    whole = [joined((pieces.head, pieces.body, told, pieces.tags)) for told in (pieces.picture, ())]
    if pieces.style.text == "full":
        for text in whole:
            if fits(text, limits):
                return [text]
        if pieces.urgent and len(parts := split(whole[0], limits)) <= URGENT_PARTS:
            return parts
    short = joined((pieces.head, pieces.lead(), pieces.picture, pieces.tags))
    return [short if fits(short, limits) else shortened(unmarked(short), limits)]


class Renderings:
    """Renders once for each thing as it stands and each reader's language; keeps the newest few."""

    def __init__(self, site: Site, taxonomy: Taxonomy, size: int = 128) -> None:
        self._site = site
        self._taxonomy = taxonomy
        self._size = size
        self._kept: OrderedDict[tuple[object, ...], tuple[Part, ...]] = OrderedDict()

    def of(self, release: Release, lang: str, reader: Translator, style: Style = _FULL) -> tuple[Part, ...]:
        """The messages of a release.

        Raises:
            LookupError: the release has no text in that language.
        """
        return self._once(
            ("release", *_version(release, lang), reader.lang, style),
            lambda: render(release, lang, reader, self._site, self._taxonomy, style),
        )

    def digest(
        self,
        items: Sequence[Item],
        reader: Translator,
        now: datetime,
        zone: ZoneInfo | None = None,
        *,
        followed: bool = False,
        more: int = 0,
    ) -> tuple[Part, ...]:
        """The messages of a digest; none where nothing of it is left.

        Days are those of `zone` (the office's where none is given). With `followed`, a copy that was sent is rendered
        again: it says that something was withdrawn since, and that there were `more` than it showed.
        """
        versions = tuple((*_version(i.release, i.lang), digests.standing_of(i.release, now)) for i in items)
        at = zone or self._site.zone
        return self._once(
            ("digest", versions, reader.lang, at.key, followed, more),
            lambda: digests.digest(items, reader, self._site, now, at, followed=followed, more=more),
        )

    def correction(
        self, release: Release, lang: str, reader: Translator, notes: Sequence[str] = (), *, titled: bool = False
    ) -> tuple[Part, ...]:
        """The reply to a corrected copy: what changed, note by note, the oldest first; with the title where asked.

        Raises:
            LookupError: the release has no text in that language.
        """
        return self._once(
            ("correction", *_version(release, lang), reader.lang, tuple(notes), titled),
            lambda: notices.correction(release, lang, reader, self._site, notes, titled=titled),
        )

    def withdrawal(self, release: Release, lang: str, reader: Translator) -> tuple[Part, ...]:
        """The notice that a release was withdrawn, without its title or text."""
        return self._once(
            ("withdrawal", *_version(release, lang), release.reason_in(lang), reader.lang),
            lambda: notices.withdrawal(release, lang, reader, self._site),
        )

    def _once(self, key: tuple[object, ...], made: Callable[[], tuple[Part, ...]]) -> tuple[Part, ...]:
        parts = self._kept.get(key)
        if parts is None:
            parts = self._kept[key] = made()
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return parts


def _version(release: Release, lang: str) -> tuple[object, ...]:
    """What a rendering depends on. Topics and urgency may change without a word, and still must be rendered anew."""
    variant = release.variant(lang)
    text = (variant.revision.number, variant.slug) if variant else ()
    said = (release.urgency, release.topics, release.public_at)
    return (release.number, release.change, release.major, *said, lang, *text)
