"""The service's parts put together in this process, over real SQLite and real folders, with a clock that a test sets.

1. Only the publication store is a fake, at its port; mail and posts are the real channels' files.
2. `work` does what the running service would do now, through the very jobs that `pipeline.work` finds.
3. Nothing happens by itself: time moves when the test says so.
4. Each question comes from another visitor, or a stranger who asks a thousand things within a second would be put off.
"""

from __future__ import annotations

import email
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from bots.email.channel import EmailChannel
from bots.email.compile import Compiler
from bots.email.outbox import FileTransport
from bots.telegram.outbox import FileTelegram
from config.settings import FeedSettings, OutgoingSettings
from feeds.room import FeedRoom
from syndicator.domain.filters import parse
from syndicator.domain.jobs import harvest_job
from syndicator.domain.model import Cadence, Change, ChannelKind, Problem, SubscriptionState
from syndicator.domain.ports import Again, SourceItem
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.domain.site import FEED_FORMATS, Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.channels import PublicChannel, configure_channels
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.intake import Intake, Tally
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.settling import Settler
from syndicator.pipeline.subscribing import Subscribing
from syndicator.pipeline.work import Work
from syndicator.store import releases, sourcing, subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent
from syndicator.web.app import make_app
from syndicator.web.parts import Parts

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ROUNDS = 40  # of pending work; more would mean that it never ends
BOT = "agency_bot"


def examples(usual: int) -> int:
    """How many examples of a property: few in every run, `TEST_TIMES` as many in a long one."""
    return usual * int(os.environ.get("TEST_TIMES", "1"))


class Never:
    """A turn that nobody else wants."""

    def should_yield(self) -> bool:
        return False


@dataclass
class FakeSource:
    """A publication store: the newest document of each origin, told to whoever has not taken it yet."""

    items: dict[str, Change | Problem] = field(default_factory=dict)
    name: str = "desk"

    async def changes(self, cursor: str, known: Mapping[str, str]) -> AsyncIterator[SourceItem]:
        for number, (origin, item) in enumerate(self.items.items(), 1):
            if known.get(origin) != item.fingerprint:
                yield SourceItem(item, str(number))

    async def watch(self) -> AsyncIterator[None]:
        return
        yield


@dataclass(frozen=True)
class Answer:
    """What a visitor got; `body` is decoded from any content coding."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class House:
    """All of it. `client` stands for the outside world."""

    def __init__(self, url: str, folder: Path, site: Site, taxonomy: Taxonomy, texts: Texts) -> None:
        self.site, self.taxonomy, self.folder, self.now = site, taxonomy, folder, START
        self._visitors = 0
        self.database = database = Database(url)
        self.source, self.metrics, self.tokens = FakeSource(), Metrics(), Tokens(b"a secret of the test, 32 bytes..")
        self.outbox, self.feeds = folder / "outbox", folder / "feeds"
        self.media = MediaFolder(folder / "media", 20_000_000)
        shared: dict[str, Any] = {"clock": lambda: self.now}
        self.intake = Intake(
            database,
            site=site,
            taxonomy=taxonomy,
            media=self.media,
            announce_for=timedelta(hours=72),
            metrics=self.metrics,
            wake=_nothing,
            **shared,
        )
        self.room = FeedRoom(
            FeedSettings(directory=str(self.feeds), entries=50, max_age=60),
            database,
            site=site,
            taxonomy=taxonomy,
            texts=texts,
            folder=self.feeds,
            metrics=self.metrics,
            wake=_nothing,
            outgoing=OutgoingSettings(),
            **shared,
        )
        self.publisher = self.room.publisher
        compiler = Compiler(
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            sender="news@press.example.org",
            bounce_address="bounces@press.example.org",
        )
        channels = {
            ChannelKind.EMAIL: EmailChannel(compiler, FileTransport(self.outbox)),
            ChannelKind.TELEGRAM: FileTelegram(self.outbox, site=site, texts=texts, taxonomy=taxonomy),
        }
        policies = dict.fromkeys(channels, RetryPolicy(3, ResendUnknown.ONCE))
        settler = Settler(database, policies=policies, metrics=self.metrics, **shared)
        self._work = Work(
            database,
            sources={self.source.name: self.source},
            intake=self.intake,
            fanout=Fanout(
                database,
                site=site,
                taxonomy=taxonomy,
                tells={kind: channel.tells for kind, channel in channels.items()},
                wake=_nothing,
                **shared,
            ),
            delivery=Delivery(
                database,
                channels,
                tokens=self.tokens,
                settler=settler,
                wake=_nothing,
                **shared,
            ),
            settler=settler,
            publisher=self.publisher,
            channels=list(channels),
            wake=_nothing,
            workplaces=[self.room.archives],
            **shared,
        )
        parts = Parts(
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            database=database,
            subscribing=Subscribing(database, self.tokens, site=site, wake=_nothing),
            catalogue=self.room,
            publisher=self.publisher,
            media=self.media,
            metrics=self.metrics,
            tokens=self.tokens,
            telegram_name=lambda: BOT,
            contact="press@press.example.org",
            **shared,
        )
        self.client: TestClient[Any, Any] = TestClient(
            TestServer(make_app(parts, self.room.routes(), self.room.templates())), auto_decompress=True
        )

    # -- the office
    async def harvest(self) -> Tally:
        return await self.intake.harvest(self.source)

    async def problems(self) -> list[str]:
        """Why documents were left out."""
        async with self.database.reading() as session:
            return [problem.reason for problem in await sourcing.problems(session)]

    async def withdraw(self, number: int, reason: str) -> None:
        """By command."""
        async with self.database.writing() as session:
            await releases.withdraw(session, number, reason, self.now)

    async def work(self) -> None:
        """Harvest, then do all that is due now, as the engine would."""
        handlers = self._work.handlers()
        await handlers["harvest"](harvest_job(self.source.name, self.now), Never())
        for _ in range(ROUNDS):
            due = [job for job in await self._work.pending(self.now) if job.due <= self.now]
            if not due:
                return
            for job in sorted(due, key=lambda one: one.priority):
                while isinstance(await handlers[job.name](job, Never()), Again):
                    pass
        raise AssertionError("the work never ends")

    # -- readers
    async def subscribe(self, address: str, lang: str, filter_: str = "") -> None:
        async with self.database.writing() as session:
            subscriber = await subscriptions.ensure(
                session, ChannelKind.EMAIL, address, language=lang, timezone=self.site.timezone, now=self.now
            )
            await subscriptions.subscribe(
                session,
                subscriber.id,
                parse(filter_),
                cadence=Cadence.IMMEDIATE,
                state=SubscriptionState.ACTIVE,
                consent=Consent(self.now, "desk", "I want these messages"),
                now=self.now,
            )

    async def carry(self, *channels: tuple[str, str]) -> None:
        """Telegram channels of the office: (chat, language)."""
        found = [PublicChannel(chat, parse(""), lang) for chat, lang in channels]
        await configure_channels(self.database, ChannelKind.TELEGRAM, found, site=self.site, now=self.now)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        self._visitors = (self._visitors + 1) % 60_000
        visitor = f"10.1.{self._visitors // 250}.{self._visitors % 250}"
        named = {"X-Forwarded-For": visitor} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, path, headers=named, allow_redirects=False) as answer:
            kept = {k.lower(): v for k, v in answer.headers.items() if k.lower() not in ("date", "server")}
            return Answer(answer.status, kept, await answer.read())

    def feed_names(self) -> Sequence[str]:
        topics = ("all", *self.taxonomy.slugs)
        return [f"/feeds/{lang}/{t}.{fmt}" for lang in self.site.languages for t in topics for fmt in FEED_FORMATS]

    def archive_names(self) -> Sequence[str]:
        """The months of everything in each language: all that there are, and those around now."""
        around = {f"{self.now + timedelta(days=days):%Y-%m}" for days in (-31, 0, 31)}
        months = sorted(around | set(self.room.archives._present or ()))
        langs = self.site.languages
        return [f"/feeds/{lang}/all/{month}.{fmt}" for lang in langs for month in months for fmt in FEED_FORMATS]

    def mails(self) -> dict[str, EmailMessage]:
        found = sorted(self.outbox.glob("*.eml"))
        return {path.name: email.message_from_bytes(path.read_bytes(), EmailMessage, policy=default) for path in found}

    def posts(self) -> dict[str, dict[str, Any]]:
        return {path.name: json.loads(path.read_text()) for path in sorted(self.outbox.glob("*.json"))}

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file the service has written, by inode and time; the database aside."""
        kept = [path for name in ("outbox", "feeds", "media") for path in (self.folder / name).rglob("*")]
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept if path.is_file()}


def _nothing() -> None:
    """Nobody to wake: the test says when to work."""


@asynccontextmanager
async def opened(house: House) -> AsyncIterator[House]:
    await house.client.start_server()
    try:
        yield house
    finally:
        await house.client.close()
        await house.database.close()
