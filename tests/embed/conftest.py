"""Our site on one port, a partner's on another, both real servers; the store is real SQLite, time stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar, web

from config.settings import FeedSettings, OutgoingSettings
from feeds.room import FeedRoom
from syndicator.domain.model import Release, Revision, State, Urgency
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.subscribing import Subscribing
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.store.releases import Draft
from syndicator.web.app import make_app
from syndicator.web.parts import Parts
from tests.program import free_port


@dataclass
class Press:
    """Our service; `answer` asks it as a stranger would."""

    room: FeedRoom
    parts: Parts
    site: Site
    database: Database
    session: ClientSession
    now: datetime
    runner: web.AppRunner | None = None

    async def open(self) -> None:
        app = make_app(self.parts, self.room.routes(), self.room.templates())
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        host, _, port = self.site.base_url.removeprefix("http://").partition(":")
        await web.TCPSite(self.runner, host, int(port)).start()

    async def close(self) -> None:
        if self.runner:
            await self.runner.cleanup()
        self.runner = None

    async def publish(self, title: str | dict[str, str], key: str = "a", **more: Any) -> Release:
        titles = title if isinstance(title, dict) else dict.fromkeys(self.site.languages, title)
        for lang, words in titles.items():
            revision = Revision(
                0,
                0,
                words,
                more.get("summary", "A short summary."),
                "<p>From Monday.</p>",
                more.get("text", "From Monday."),
                attachments=tuple(more.get("attachments", ())),
                note=more.get("note", ""),
            )
            draft = Draft(
                source="test",
                key=key,
                lang=lang,
                slug=more.get("slug", "office-hours"),
                kind="news",
                urgency=more.get("urgency", Urgency.NORMAL),
                state=more.get("state", State.PUBLIC),
                public_at=more.get("public_at", self.now - timedelta(hours=1)),
                revision=revision,
                topics=tuple((slug, "source", "") for slug in more.get("topics", ("visas",))),
            )
            async with self.database.writing() as session:
                recorded = await releases.record(session, draft, site_uids=self.site, now=self.now)
        return recorded.release

    async def withdraw(self, release: Release, reason: str) -> None:
        async with self.database.writing() as session:
            await releases.withdraw(session, release.number, reason, self.now)

    async def spread(self) -> None:
        """Bring the feeds up to date, as the service does after each change."""
        await self.room.publisher.refresh(self.now)

    async def answer(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("http") else self.site.base_url + path
        async with self.session.request(method, url, headers=named, allow_redirects=False) as got:
            return got.status, got.headers, await got.text()

    async def text(self, path: str) -> str:
        status, _, text = await self.answer(path)
        assert status == 200, (path, status, text)
        return text


@dataclass
class Partner:
    """Somebody else's site: pages that a test writes, each under a policy."""

    port: int
    pages: dict[str, tuple[str, str]] = field(default_factory=dict)
    feed: dict[str, Any] | None = None  # for who pretends to be us

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, name: str, body: str, policy: str = "", attributes: str = ' lang="en"', head: str = "") -> str:
        head = f'<meta charset=utf-8><meta name=viewport content="width=device-width"><title>Partner</title>{head}'
        text = f"<!doctype html><html{attributes}><head>{head}</head><body>{body}</body></html>"
        self.pages[name] = (text, policy)
        return f"{self.origin}/{name}"

    async def serve(self, request: web.Request) -> web.Response:
        if request.path.startswith("/feeds/") and self.feed is not None:
            return web.json_response(self.feed, headers={"Access-Control-Allow-Origin": "*"})
        text, policy = self.pages.get(request.match_info["name"], ("", "default-src 'none'"))
        headers = {"Content-Security-Policy": policy} if policy else {}
        return web.Response(text=text, content_type="text/html", headers=headers)


@pytest.fixture
def site(site: Site) -> Site:
    return Site(f"http://127.0.0.1:{free_port()}", site.names, site.languages, site.default_language, site.timezone)


@pytest.fixture(scope="session")
def texts() -> Texts:
    return Texts.load(("az", "en", "ru"))


@pytest.fixture
async def press(site, taxonomy, texts, sqlite_database, tmp_path: Path, now, monkeypatch) -> AsyncIterator[Press]:
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)  # no test pulls the plug
    held: list[Press] = []

    def clock() -> datetime:
        return held[0].now if held else now

    room = FeedRoom(
        FeedSettings(directory=str(tmp_path / "feeds"), entries=50, max_age=60),
        sqlite_database,
        site=site,
        taxonomy=taxonomy,
        texts=texts,
        metrics=Metrics(),
        folder=tmp_path / "feeds",
        clock=clock,
        wake=lambda: None,
        outgoing=OutgoingSettings(),
    )
    tokens = Tokens(b"a secret of the test, 32 bytes..")
    parts = Parts(
        site=site,
        texts=texts,
        taxonomy=taxonomy,
        database=sqlite_database,
        subscribing=Subscribing(sqlite_database, tokens, site=site, wake=lambda: None),
        catalogue=room,
        publisher=room.publisher,
        media=MediaFolder(tmp_path / "media", 1_000_000),
        metrics=Metrics(),
        tokens=tokens,
        clock=clock,
    )
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        opened = Press(room, parts, site, sqlite_database, session, now)
        held.append(opened)
        await opened.open()
        yield opened
        await opened.close()


@pytest.fixture
async def partner() -> AsyncIterator[Partner]:
    served = Partner(free_port())
    app = web.Application()
    app.add_routes([web.get("/{name:.*}", served.serve)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", served.port).start()
    yield served
    await runner.cleanup()
