"""A custom feed as bytes: what it says of itself, its entries, the subscription list. Pure but for the log.

Rules, in order:

1. Entries are made as for streams, by the same functions; one that cannot be rendered is logged and left out.
2. The feed is named by its filter in words, in the first of its languages; its page is the one where people choose.
3. A feed of one language names the feeds of the same filter in the others, unless it looks for words: those are of
   one language.
4. The subscription list of a filter is its feed and, where it takes several topics, each topic's own stream. A filter
   that takes just what a stream holds is that stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from feeds import build, opml
from feeds.entry import entry_of
from feeds.streams import Channel, Logo, Stream, Translation, custom_links, custom_title, links
from syndicator.domain.filters import Filter, canonical
from syndicator.domain.model import Release, Variant
from syndicator.domain.ports import FeedLinks
from syndicator.domain.site import Site
from syndicator.domain.text import strip_illegal
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.wording import filter_in_words

__all__ = ["Writer"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the custom feeds of one site; every filter names its languages. `max_age` is in seconds."""

    site: Site
    taxonomy: Taxonomy
    texts: Texts
    max_age: int
    hubs: tuple[str, ...] = ()
    logo: Logo | None = None

    def channel(self, wanted: Filter) -> Channel:
        """What the feed says of itself."""
        site, lang, query = self.site, wanted.langs[0], canonical(wanted)
        say, office = self.texts(lang), strip_illegal(site.name(lang))
        found = self._links(wanted)
        said = replace(wanted, langs=()) if len(wanted.langs) == 1 else wanted
        about = strip_illegal(filter_in_words(said, self.taxonomy, say))
        return Channel(
            uid=site.custom_uid(canonical(self._as_first_named(wanted))),
            lang=lang,
            title=custom_title(wanted, lang, site, self.taxonomy, self.texts),
            description=say("Releases of {office} chosen by: {filter}", office=office, filter=about),
            page=site.custom_page(lang, query),
            author=office,
            home=site.home(lang),
            addresses={"rss": found.rss, "atom": found.atom, "json": found.json},
            siblings=tuple(self._translations(wanted)),
            logo=self.logo,
        )

    def fragment(self, release: Release, variant: Variant, *, mixed: bool) -> build.Fragment | None:
        """One entry; None for one that cannot be rendered."""
        try:
            return build.fragment_of(entry_of(release, variant, self.site, self.taxonomy, self.texts, mixed=mixed))
        except Exception as error:  # noqa: BLE001  # one bad record must never stop a feed, whatever is wrong with it
            reason = f"{type(error).__name__}: {error}"
            log.error("release cannot be rendered; left out", release=release.number, lang=variant.lang, reason=reason)  # noqa: TRY400  # one line says it
            return None

    def feed(self, wanted: Filter, fmt: str, fragments: Sequence[build.Fragment]) -> bytes:
        """The feed with these entries, newest first."""
        return build.render(fmt, self.channel(wanted), fragments, self.max_age, self.hubs)

    def subscriptions(self, wanted: Filter) -> bytes:
        """The subscription list."""
        own = self._links(wanted)
        topics = wanted.topics if len(wanted.topics) > 1 else ()
        streams = [
            links(Stream(lang, slug), self.site, self.taxonomy, self.texts)
            for slug in topics
            for lang in wanted.langs
            if self.taxonomy.get(slug) is not None
        ]
        return opml.render(own.title, [own, *streams])

    def _as_first_named(self, wanted: Filter) -> Filter:
        """The filter in the slugs that its topics had first: what its id goes by."""
        topics, without = (tuple(sorted(map(self.taxonomy.original, of))) for of in (wanted.topics, wanted.without))
        return replace(wanted, topics=topics, without=without)

    def _links(self, wanted: Filter) -> FeedLinks:
        return custom_links(wanted, wanted.langs[0], self.site, self.taxonomy, self.texts)

    def _translations(self, wanted: Filter) -> list[Translation]:
        if len(wanted.langs) > 1 or wanted.words:
            return []
        others = [lang for lang in self.site.languages if lang not in wanted.langs]
        found = ((lang, self._links(replace(wanted, langs=(lang,)))) for lang in others)
        return [Translation(lang, {"rss": one.rss, "atom": one.atom, "json": one.json}) for lang, one in found]
