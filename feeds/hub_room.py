"""The hub's room: what makes feeds known to those who listen, put together once.

1. Without a hub of ours nobody can subscribe here, and leases of earlier end; other hubs are told all the same.
2. Our own hub is never among the others: it does not call itself.
3. A feed names other hubs only if they are told of it: streams do, custom feeds name ours alone, archives none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from config.settings import FeedSettings, OutgoingSettings
from feeds.hub import Hub
from feeds.hub_askers import Askers, OwnAskers, SharedAskers
from feeds.hub_routes import hub_routes
from feeds.hub_topics import CustomTopics, Streams, Topics
from feeds.websub import WebSubChannel
from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import Channel, Clock, Workplace
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.net import Outgoing
from syndicator.store.database import Database

__all__ = ["HubRoom"]


class HubRoom:
    """Hub, channel and routes; nothing is opened before it is used.

    With `tokens`, the site's, several machines answer, and share what they grant (`hub_askers`).
    """

    def __init__(
        self,
        settings: FeedSettings,
        outgoing: OutgoingSettings,
        database: Database,
        *,
        site: Site,
        taxonomy: Taxonomy,
        streams: Streams,
        custom: CustomTopics | None,
        clock: Clock,
        wake: Callable[[], None],
        tokens: Tokens | None = None,
    ) -> None:
        self._askers: Askers = OwnAskers() if tokens is None else SharedAskers(database, tokens)
        self._database, self._site, self._clock, self._wake = database, site, clock, wake
        others = [address for address in settings.hubs if address.rstrip("/") != site.hub]
        self._is_hub = settings.hub
        self._outgoing = Outgoing(outgoing.allow, agent=f"Syndicator (+{site.base_url})")
        self._topics = Topics(streams, site, taxonomy, clock, custom)
        self._hub = Hub(
            database, self._outgoing, self._topics, site, hubs=others, clock=clock, wake=wake, takes=settings.hub
        )
        self._channel = WebSubChannel(database, self._outgoing, self._topics, hub_address=site.hub, hubs=others)

    def routes(self) -> Sequence[web.RouteDef]:
        """The hub's address, if we are one."""
        if not self._is_hub:
            return ()
        return hub_routes(
            self._database,
            self._topics,
            own=self._site.base_url,
            allow=self._outgoing.allow,
            askers=self._askers,
            clock=self._clock,
            wake=self._wake,
        )

    def workplaces(self) -> Sequence[Workplace]:
        """The hub's work; without any hub it is to let go of what is left of earlier."""
        return (self._hub,)

    def channels(self) -> Mapping[ChannelKind, Channel]:
        """The ledger's way to subscribers and hubs."""
        return {ChannelKind.WEBSUB: self._channel}
