"""The public site over a real, empty SQLite database; the feeds, the media and the wake-up call are fakes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from syndicator.domain.filters import Filter, canonical
from syndicator.domain.model import Attachment, Release, Revision, State, Urgency
from syndicator.domain.ports import FeedLinks
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.subscribing import Subscribing
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.store.releases import Draft
from syndicator.web.app import make_app
from syndicator.web.parts import Parts
from tests.web.people import People


@dataclass
class FakeCatalogue:
    """Every stream of the site, as the feeds' room would name them."""

    site: Site
    taxonomy: Taxonomy

    def links(self, lang: str) -> Sequence[FeedLinks]:
        names = {"all": self.site.name(lang)} | {topic.slug: topic.name(lang) for topic in self.taxonomy.topics}
        return [
            FeedLinks(lang, slug, name, *(self.site.feed(lang, slug, fmt) for fmt in FEED_FORMATS))
            for slug, name in names.items()
        ]

    def link(self, lang: str, topic: str) -> FeedLinks | None:
        return next((link for link in self.links(lang) if link.topic == topic), None)

    def custom(self, wanted: Filter, lang: str) -> FeedLinks:
        query = canonical(wanted if wanted.langs else replace(wanted, langs=(lang,)))
        return FeedLinks(lang, "custom", query, *(self.site.custom_feed(query, fmt) for fmt in (*FEED_FORMATS, "opml")))

    def hubs(self) -> Sequence[str]:
        return [self.site.hub]


@dataclass
class FakePublisher:
    """Feeds were checked when the test says so."""

    checked: datetime | None = None

    async def refresh(self, now: datetime) -> int:
        self.checked = now
        return 0

    async def stale(self) -> bool:
        return self.checked is None

    def newest(self) -> datetime | None:
        return self.checked


@dataclass
class FakeMedia:
    """A folder behind /media/."""

    folder: Path

    async def keep(self, attachment: Attachment) -> Attachment:
        raise OSError("pages keep nothing")

    async def find(self, url: str) -> Path | None:
        return self.path(url)

    def path(self, url: str) -> Path | None:
        name = url.removeprefix("/media/")
        found = self.folder / name
        return found if "/" not in name and found.is_file() else None


@dataclass
class FakeClock:
    """Time stands still until the test moves it."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


@dataclass
class Newsroom:
    """Puts releases into the store as intake would."""

    database: Database
    site: Site
    clock: FakeClock
    keys: Any = field(default_factory=lambda: itertools.count(1))

    async def publish(
        self,
        title: str | dict[str, str] = "Office hours change",
        *,
        body: str = "<p>From Monday.</p>",
        text: str = "From Monday.",
        summary: str = "A short summary.",
        state: State = State.PUBLIC,
        public_at: datetime | None = None,
        topics: Sequence[str] = (),
        kind: str = "news",
        urgency: Urgency = Urgency.NORMAL,
        key: str = "",
        **more: Any,
    ) -> Release:
        titles = title if isinstance(title, dict) else dict.fromkeys(self.site.languages, title)
        key = key or f"release-{next(self.keys)}"
        for lang, words in titles.items():
            draft = Draft(
                source="test",
                key=key,
                lang=lang,
                slug=more.get("slug", "office-hours"),
                kind=kind,
                urgency=urgency,
                state=state,
                public_at=public_at or self.clock(),
                revision=Revision(
                    0,
                    0,
                    words,
                    summary,
                    body,
                    text,
                    link=more.get("link", ""),
                    attachments=tuple(more.get("attachments", ())),
                    rights=more.get("rights", ""),
                    note=more.get("note", ""),
                ),
                topics=tuple((slug, "source", "") for slug in topics),
            )
            async with self.database.writing() as session:
                recorded = await releases.record(session, draft, site_uids=self.site, now=self.clock())
        return recorded.release

    async def withdraw(self, release: Release, reason: str) -> None:
        async with self.database.writing() as session:
            await releases.withdraw(session, release.number, reason, self.clock())


@pytest.fixture
def clock(now: datetime) -> FakeClock:
    return FakeClock(now)


@pytest.fixture
def newsroom(sqlite_database: Database, site: Site, clock: FakeClock) -> Newsroom:
    return Newsroom(sqlite_database, site, clock)


@pytest.fixture
def publisher(now: datetime) -> FakePublisher:
    return FakePublisher(now)


@pytest.fixture
def media_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def texts() -> Texts:
    return Texts.load(("az", "en", "ru"))


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(b"a secret of the test, 32 bytes..")


@pytest.fixture
def parts(
    site: Site,
    texts: Texts,
    taxonomy: Taxonomy,
    sqlite_database: Database,
    publisher: FakePublisher,
    media_folder: Path,
    tokens: Tokens,
    clock: FakeClock,
) -> Parts:
    return Parts(
        site=site,
        texts=texts,
        taxonomy=taxonomy,
        database=sqlite_database,
        subscribing=Subscribing(sqlite_database, tokens, site=site, wake=lambda: None),
        catalogue=FakeCatalogue(site, taxonomy),
        publisher=publisher,
        media=FakeMedia(media_folder),
        metrics=Metrics(),
        tokens=tokens,
        clock=clock,
        telegram_name=lambda: "aldera_bot",
        contact="press@example.org",
    )


@pytest.fixture
def people(parts: Parts) -> People:
    return People(parts)


@dataclass
class Visitor:
    """A browser that keeps nothing and follows nothing."""

    client: TestClient[Any, Any]

    async def get(self, path: str, **kwargs: Any) -> ClientResponse:
        return await self.client.get(path, allow_redirects=False, **kwargs)

    async def head(self, path: str, **kwargs: Any) -> ClientResponse:
        return await self.client.head(path, allow_redirects=False, **kwargs)

    async def post(self, path: str, data: Any = None, **kwargs: Any) -> ClientResponse:
        return await self.client.post(path, data=data, allow_redirects=False, **kwargs)

    async def text(self, path: str) -> str:
        """The page at that address, which must be there."""
        answer = await self.get(path)
        assert answer.status == 200, (path, answer.status)
        return await answer.text()


@pytest.fixture
async def open_site() -> AsyncIterator[Callable[[Parts], Awaitable[Visitor]]]:
    """Opens the site made of these parts; it is closed with the test."""
    clients = []

    async def opened(parts: Parts, **kwargs: Any) -> Visitor:
        client: TestClient[Any, Any] = TestClient(TestServer(make_app(parts, **kwargs)))
        await client.start_server()
        clients.append(client)
        return Visitor(client)

    yield opened
    for client in clients:
        await client.close()


@pytest.fixture
async def visitor(parts: Parts, open_site: Callable[[Parts], Awaitable[Visitor]]) -> Visitor:
    return await open_site(parts)
