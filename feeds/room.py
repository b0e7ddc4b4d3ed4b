"""The feeds' room: its parts put together once, for the composition root, and what the program needs of them.

Rules, in order:

1. Nothing is opened here; parts get what they need as arguments.
2. The room is the pages' `FeedCatalogue`: they learn of feeds through that port alone.
3. What a part has to do beside answering (archives, the hub) is a `Workplace` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from aiohttp import web

from config.settings import FeedSettings, OutgoingSettings
from feeds.answering import Answering
from feeds.archives import Archives
from feeds.archives_routes import archive_routes
from feeds.custom import CustomFeeds
from feeds.custom_asked import AskedFilters
from feeds.custom_library import StoreLibrary
from feeds.custom_routes import custom_routes
from feeds.embed.room import TEMPLATES, embed_routes
from feeds.front import FeedFront
from feeds.hub_room import HubRoom
from feeds.logo import picture_routes, read_pictures
from feeds.moved import check_moves, moved_routes
from feeds.publisher import Publisher
from feeds.routes import feed_routes
from feeds.streams import custom_links, streams
from syndicator.domain.filters import Filter
from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import Channel, Clock, FeedLinks, Workplace
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store.database import Database

__all__ = ["FeedRoom", "hubs_of"]


def hubs_of(settings: FeedSettings, site: Site) -> tuple[str, ...]:
    """The hubs that feeds name, ours first."""
    return (*([site.hub] if settings.hub else []), *settings.hubs)


class FeedRoom:
    """Everything that feeds offer. `folder` is where they are kept; `wake` tells the engine that something is to do.

    `shared`: other machines keep the same feeds, each in a folder of its own.
    """

    def __init__(
        self,
        settings: FeedSettings,
        database: Database,
        *,
        site: Site,
        taxonomy: Taxonomy,
        texts: Texts,
        metrics: Metrics,
        folder: Path,
        clock: Clock,
        wake: Callable[[], None],
        outgoing: OutgoingSettings,
        shared: bool = False,
        tokens: Tokens | None = None,
    ) -> None:
        self._site, self._taxonomy, self._texts = site, taxonomy, texts
        self._wake, self._outgoing = wake, outgoing
        self._metrics = metrics
        self._hubs = hubs = hubs_of(settings, site)
        own_hub = hubs[:1] if settings.hub else ()  # only streams are told to other hubs, see `feeds.hub_room`
        pictures = self._pictures = read_pictures(settings.logo, site)
        self.publisher = Publisher(
            database,
            site=site,
            taxonomy=taxonomy,
            texts=texts,
            directory=folder,
            entries=settings.entries,
            max_age=settings.max_age,
            hubs=hubs,
            metrics=metrics,
            clock=clock,
            logo=pictures.logo,
            pictures=pictures.bodies,
            refreshed=wake,
        )
        self.archives = Archives(
            database,
            self.publisher,
            site=site,
            taxonomy=taxonomy,
            texts=texts,
            directory=folder,
            metrics=metrics,
            clock=clock,
        )
        self._answering = Answering(site.base_url, settings.max_age, hubs, clock, shared)
        self._moved = check_moves(settings.moved, site, taxonomy)
        self._asked = AskedFilters(database)
        library = StoreLibrary(database, taxonomy, self._asked)
        self.customs = CustomFeeds(
            library,
            site=site,
            taxonomy=taxonomy,
            texts=texts,
            entries=settings.entries,
            max_age=settings.max_age,
            hubs=own_hub,
            logo=pictures.logo,
        )
        self._beside = replace(self._answering, hubs=own_hub, _kept={})
        self._hub = HubRoom(
            settings,
            outgoing,
            database,
            site=site,
            taxonomy=taxonomy,
            streams=self.publisher,
            custom=self.customs,
            clock=clock,
            wake=wake,
            tokens=tokens if shared else None,
        )
        self._embeds = embed_routes(database, library, site=site, taxonomy=taxonomy, texts=texts, clock=clock)

    # -- the catalogue
    def links(self, lang: str) -> Sequence[FeedLinks]:
        """Every stream of that language."""
        return self.publisher.links(lang)

    def link(self, lang: str, topic: str) -> FeedLinks | None:
        """One stream."""
        return self.publisher.link(lang, self._taxonomy.current(topic))

    def custom(self, wanted: Filter, lang: str) -> FeedLinks:
        """The feed of a filter."""
        return custom_links(wanted, lang, self._site, self._taxonomy, self._texts)

    def hubs(self) -> Sequence[str]:
        """Who pushes them."""
        return self._hubs

    # -- what the program plugs in
    def routes(self) -> list[web.RouteDef]:
        """Every address of the room."""
        moved = moved_routes(self._moved, self._site, self._taxonomy)
        customs = custom_routes(self.customs, self._beside)
        archives = archive_routes(self.archives, replace(self._answering, hubs=(), _kept={}))
        lives = feed_routes(self.publisher, self._answering)
        pictures = picture_routes(self._pictures, self._site, self._answering.clock)
        return [*moved, *pictures, *customs, *lives, *archives, *self._hub.routes(), *self._embeds]

    def templates(self) -> Sequence[Path]:
        """Where the room's pages have their templates."""
        return (TEMPLATES,)

    def front(self) -> FeedFront:
        """The fast way to the streams."""
        return FeedFront(self.publisher, self._answering, self._metrics, streams(self._site, self._taxonomy))

    def workplaces(self) -> Sequence[Workplace]:
        """What has work of its own, on whichever machine keeps a folder of feeds."""
        return (self.archives, self._asked)

    def hub(self) -> Sequence[Workplace]:
        """The hub's work: one process at a time does it, and sends by the `channels`."""
        return self._hub.workplaces()

    def channels(self) -> Mapping[ChannelKind, Channel]:
        """The ways out that lead to other programs."""
        return self._hub.channels()

    async def build_all(self, now: datetime) -> int:
        """Every live feed and every archive, as of `now`; returns how many files were written.

        Raises:
            OSError: the store cannot be read or the folder cannot be written; what was there stays.
        """
        return await self.publisher.refresh(now) + await self.archives.build_all(now)
