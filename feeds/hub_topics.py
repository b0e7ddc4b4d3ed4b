"""Topics: which addresses the hub distributes, and what stands there now.

Rules, in order:

1. A topic is a live feed of ours at its canonical address, as its `self` link says it (WebSub section 4): a stream or a
   custom feed. Another spelling is refused, and told the right one. A month's archive is none: it names no hub.
2. A topic's name is its address after `/feeds/`. Whatever has a name here can be asked for its bytes.
3. A stream's version is known at once; a custom feed is made to know it.
4. Topics and languages that were dropped or renamed take their feeds with them: a name that would not be taken today is
   no topic any more, whoever holds a lease of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from yarl import URL

from feeds.build import CONTENT_TYPES
from feeds.custom import in_force
from feeds.files import Stored
from feeds.streams import equal_stream
from syndicator.domain.filters import BadFilter, Filter, canonical, parse
from syndicator.domain.ports import Clock
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.topics import Taxonomy

__all__ = ["BadTopic", "Content", "CustomTopics", "Streams", "Topics", "is_custom"]

LONGEST = 1000  # bytes of a name; names stand in unique keys, whose size databases bound
_CUSTOM = "custom."


class BadTopic(ValueError):
    """One clear line: why that address is no topic. `status` is the HTTP status that says so."""

    def __init__(self, line: str, status: int = 400) -> None:
        super().__init__(line)
        self.status = status


@dataclass(frozen=True, slots=True)
class Content:
    """A topic as it stands. `address` is absolute."""

    address: str
    body: bytes
    etag: str
    content_type: str


class Streams(Protocol):
    """What the publisher tells of the feeds that are always there."""

    @property
    def built(self) -> int:
        """Up to which change of the store they stand; -1 before the first refresh."""
        ...

    def knows(self, name: str) -> bool:
        """Whether there is such a feed."""
        ...

    def find(self, name: str) -> Stored | None:
        """The feed as it stands."""
        ...

    def etags(self) -> Mapping[str, str]:
        """The versions of everything that is served."""
        ...


class CustomTopics(Protocol):
    """What makes custom feeds."""

    async def find(self, wanted: Filter, fmt: str, now: datetime) -> Stored:
        """The feed of a filter.

        Raises:
            BadFilter: nothing can match it any more.
            OSError: it cannot be made now.
        """
        ...


def is_custom(name: str) -> bool:
    """Whether that topic is a custom feed."""
    return name.startswith(_CUSTOM)


class Topics:
    """Every topic of this site; `custom` is None where custom feeds are none."""

    def __init__(
        self, streams: Streams, site: Site, taxonomy: Taxonomy, clock: Clock, custom: CustomTopics | None = None
    ) -> None:
        self._streams, self._custom = streams, custom
        self._site, self._taxonomy, self._clock = site, taxonomy, clock

    @property
    def built(self) -> int:
        """Up to which change of the store feeds stand; -1: they are still being built."""
        return self._streams.built

    def address(self, name: str) -> str:
        """Where a topic stands."""
        return f"{self._site.base_url}/feeds/{name}"

    def name_of(self, address: str) -> str:
        """The name of the topic at that address.

        Raises:
            BadTopic: it is none, or spelled otherwise.
        """
        start = f"{self._site.base_url}/feeds/"
        if not address.startswith(start):
            raise BadTopic(f"hub.topic: this hub distributes feeds at {start} alone", 404)
        name = address.removeprefix(start)
        if len(name) > LONGEST:
            raise BadTopic(f"hub.topic: at most {LONGEST} bytes after {start} are allowed")
        if is_custom(name) and self._custom is not None:
            return self._canonical(name)
        if name.rpartition(".")[2] in FEED_FORMATS and self._streams.knows(name):
            return name
        plain = address.partition("?")[0].partition("#")[0]
        if plain != address and self._streams.knows(plain.removeprefix(start)):
            raise BadTopic(f"hub.topic: the feed's address is {plain}")
        raise BadTopic("hub.topic: there is no feed at this address", 404)

    def current(self, name: str) -> str | None:
        """The version of a stream; None where there is none, or none yet."""
        stored = self._streams.find(name)
        return None if stored is None else stored.etag

    def stands(self, name: str) -> bool:
        """Whether there is still such a topic, also if it is not built yet."""
        if not is_custom(name):
            return self._streams.knows(name)
        try:
            return self._custom is not None and self._canonical(name) == name
        except BadTopic:
            return False

    def always(self) -> Mapping[str, str]:
        """The versions of all streams, by name; lists left out."""
        known = self._streams.etags().items()
        return {
            name: etag for name, etag in known if name.rpartition(".")[2] in FEED_FORMATS and self._streams.knows(name)
        }

    async def find(self, name: str) -> Content | None:
        """The topic as it stands; None where it is no more.

        Raises:
            OSError: it cannot be made now.
        """
        path, _, query = name.partition("?")
        fmt = path.rpartition(".")[2]
        stored = await self._made(query, fmt) if is_custom(name) else self._streams.find(name)
        if stored is None:
            return None
        return Content(self.address(name), stored.body, stored.etag, CONTENT_TYPES[fmt])

    async def _made(self, query: str, fmt: str) -> Stored | None:
        if self._custom is None or not self.stands(f"{_CUSTOM}{fmt}?{query}"):
            return None
        try:
            return await self._custom.find(parse(query), fmt, self._clock())
        except BadFilter:
            return None

    def _canonical(self, name: str) -> str:
        """A custom feed's name, if it is spelled as its `self` link has it."""
        path, _, query = name.partition("?")
        fmt = path.removeprefix(_CUSTOM)
        if fmt not in FEED_FORMATS:
            raise BadTopic("hub.topic: there is no feed at this address", 404)
        try:
            wanted = parse(query, languages=self._site.languages, topics=self._taxonomy.slugs)
            wanted = wanted if not wanted.langs else in_force(wanted, self._site, self._taxonomy)
        except BadFilter as error:
            raise BadTopic(f"hub.topic: {error}") from None
        stream = equal_stream(wanted, self._site, self._taxonomy)
        if stream is not None:
            raise BadTopic(f"hub.topic: the feed's address is {self._site.feed(stream.lang, stream.topic, fmt)}")
        if not wanted.langs:
            raise BadTopic("hub.topic: the feed's address names its language, as its self link does")
        right = f"{_CUSTOM}{fmt}?{canonical(wanted)}"
        if right != name and URL(self.address(right)) != URL(self.address(name)):
            raise BadTopic(f"hub.topic: the feed's address is {self.address(right)}")
        if len(right.encode()) > LONGEST:
            raise BadTopic(f"hub.topic: at most {LONGEST} bytes after {self._site.base_url}/feeds/ are allowed")
        return right
