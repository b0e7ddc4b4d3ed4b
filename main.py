"""The composition root: the one place where concrete things meet. It hands them to the commands.

Rules, in order:

1. Importing this file opens nothing; a desk or a service is opened when a command asks.
2. What one part needs of another it gets here, as an argument; no part looks for another by itself.
3. `run` on SQLite holds the one lock; commands write beside it, and it notices.
4. A start is quick: what loads stays for good, so no garbage is looked for meanwhile (that alone takes a quarter of the
   time); the web server listens before feeds are built; what only some offices need is loaded where it is needed.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

gc.disable()

from bots.email.doctor import email_questions
from bots.email.opening import open_compiler, open_email
from bots.email.preview import email_preview
from bots.telegram.doctor import telegram_questions
from bots.telegram.opening import open_telegram
from bots.telegram.preview import styles_in_use, telegram_preview
from config.logs import set_up_logs
from config.settings import Settings
from config.topics import load_topics
from feeds.moved import ask_moves
from feeds.preview import feed_previews
from feeds.room import FeedRoom
from syndicator.cli.app import make_cli
from syndicator.cli.desk import Check, Desk
from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import Source
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.bell import Bell
from syndicator.pipeline.channels import configure_channels, public_channels
from syndicator.pipeline.digests import schedule_of
from syndicator.pipeline.doctor import questions
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.opening import open_stories
from syndicator.pipeline.scheduler import Scheduler
from syndicator.pipeline.service import SENDING, Guard, Part, Running, in_turn, serve
from syndicator.pipeline.subscribing import Subscribing
from syndicator.sources.opening import open_source, open_sql
from syndicator.sources.single import DocumentReader
from syndicator.store import ledger, meta, migrate
from syndicator.store.database import Database, MissingDatabase, shown
from syndicator.store.locks import SingleRun
from syndicator.web.app import make_app
from syndicator.web.parts import Parts
from syndicator.web.server import WebServer


def clock() -> datetime:
    """The one clock of the program."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Office:
    """What commands and service alike stand on."""

    settings: Settings
    site: Site
    texts: Texts
    taxonomy: Taxonomy
    database: Database
    tokens: Tokens
    metrics: Metrics
    media: MediaFolder
    sources: Mapping[str, Source]
    intake: Intake
    subscribing: Subscribing

    def feeds(self, folder: Path, wake: Callable[[], None]) -> FeedRoom:
        """Keeps feeds in that folder."""
        return FeedRoom(
            self.settings.feeds,
            self.database,
            site=self.site,
            taxonomy=self.taxonomy,
            texts=self.texts,
            metrics=self.metrics,
            folder=folder,
            clock=clock,
            wake=wake,
            outgoing=self.settings.outgoing,
        )


async def open_office(settings: Settings, database: Database, wake: Callable[[], None]) -> Office:
    """Read what lies beside the settings, and put the common things together."""
    site = settings.as_site()
    site = replace(site, minted_under=await meta.authority(database, site.host))
    taxonomy = load_topics(settings.topics_path)
    secret = settings.site.secret
    tokens = Tokens(secret.get_secret_value().encode() if secret else await meta.secret(database))
    metrics = Metrics()
    media = MediaFolder(Path(settings.media.directory), settings.media.max_bytes)
    intake = Intake(
        database,
        site=site,
        taxonomy=taxonomy,
        media=media,
        announce_for=timedelta(hours=settings.engine.announce_hours),
        clock=clock,
        metrics=metrics,
        wake=wake,
    )
    return Office(
        settings=settings,
        site=site,
        texts=Texts.load(site.languages),
        taxonomy=taxonomy,
        database=database,
        tokens=tokens,
        metrics=metrics,
        media=media,
        sources={source.name: open_source(source, site) for source in settings.sources},
        intake=intake,
        subscribing=Subscribing(database, tokens, site=site, wake=wake, reach=settings.digests.reach),
    )


async def parts_of(office: Office, bell: Bell) -> list[Part]:
    """The running service, in the order of its start."""
    settings, database = office.settings, office.database
    feeds = office.feeds(Path(settings.feeds.directory), bell.ring)
    publisher = feeds.publisher
    email = open_email(
        settings,
        database,
        site=office.site,
        texts=office.texts,
        taxonomy=office.taxonomy,
        tokens=office.tokens,
        metrics=office.metrics,
        clock=clock,
        wake=bell.ring,
    )
    telegram = open_telegram(
        settings.telegram,
        database,
        site=office.site,
        texts=office.texts,
        taxonomy=office.taxonomy,
        chats=office.subscribing,
        folder=office.media,
        clock=clock,
        metrics=office.metrics,
        wake=bell.ring,
        schedule=schedule_of(settings.digests),
    )
    channels = {ChannelKind.EMAIL: email.channel, ChannelKind.TELEGRAM: telegram.channel, **feeds.channels()}
    stories = open_stories(
        settings,
        database,
        site=office.site,
        taxonomy=office.taxonomy,
        tokens=office.tokens,
        metrics=office.metrics,
        sources=office.sources,
        intake=office.intake,
        subscribing=office.subscribing,
        publisher=publisher,
        channels=channels,
        workplaces=(*feeds.workplaces(), *telegram.workplaces, *email.workplaces),
        clock=clock,
        wake=bell.ring,
    )
    engine = EmbeddedEngine(
        stories.work.handlers(),
        stories.work.pending,
        clock=clock,
        metrics=office.metrics,
        lanes={kind.value: channel.lanes for kind, channel in channels.items()},
    )
    bell.hang(engine.wake)
    pages = Parts(
        site=office.site,
        texts=office.texts,
        taxonomy=office.taxonomy,
        database=database,
        subscribing=office.subscribing,
        catalogue=feeds,
        publisher=publisher,
        media=office.media,
        metrics=office.metrics,
        tokens=office.tokens,
        clock=clock,
        trusted_proxies=settings.web.trusted_proxies,
        telegram_name=lambda: telegram.username,
        contact=settings.site.contact,
        confirm_for=settings.retention.confirm_for,
        retention=settings.retention,
    )
    app = make_app(pages, [*feeds.routes(), *telegram.routes()], feeds.templates())
    scheduler = Scheduler(
        engine,
        database,
        sources={s.name: (office.sources[s.name], s.interval) for s in settings.sources},
        pending_for=settings.retention.confirm_for,
        clock=clock,
        hourly=[stories.retention.run],
    )
    return [
        Running(begin=lambda: resume(office), end=database.close),
        *(Running(end=channel.close) for channel in channels.values()),
        WebServer(app, settings.web.host, settings.web.port, front=feeds.front()),
        Running(begin=lambda: publisher.refresh(clock())),
        *([telegram.bot] if telegram.bot else []),  # before the engine, and so after it at the end: it sends by it
        *email.parts,  # before the engine as well: mail keeps the pace that was kept
        Running(begin=engine.start, end=lambda: in_turn(SENDING, engine.stop, stories.delivery.finish)),
        scheduler,
    ]


async def resume(office: Office) -> None:
    """Bring the configured channels in line, and take up what a crash left in flight."""
    channels = public_channels(office.settings, office.site, office.taxonomy)
    now = clock()
    await configure_channels(office.database, ChannelKind.TELEGRAM, channels, site=office.site, now=now)
    async with office.database.writing() as session:
        await ledger.recover(session, now)


class Root:
    """The wiring that commands get; see `syndicator.cli.desk.Wiring`."""

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[Desk]:
        """A desk on an existing, current database."""
        set_up_logs(logging.WARNING)
        database = Database(settings.database.url)
        try:
            if not await migrate.is_current(database):
                raise MissingDatabase(f"{shown(settings.database.url)}: the schema is not current; run `migrate`")
            office = await open_office(settings, database, wake=lambda: None)
            yield make_desk(office)
        finally:
            await database.close()

    async def serve(self, settings: Settings) -> None:
        """Run the whole service until it is told to stop."""
        set_up_logs()
        with SingleRun(settings.database.url) as lock:
            await migrate.upgrade(settings.database.url)
            bell = Bell()
            office = await open_office(settings, Database(settings.database.url), wake=bell.ring)
            stop = asyncio.Event()
            guard = Guard(lock.held, stop)
            await serve([*await parts_of(office, bell), guard], stop)
            if guard.failed:
                raise lock.lost()

    async def migrate(self, settings: Settings) -> None:
        """Bring the database to the newest schema."""
        await migrate.upgrade(settings.database.url)

    def checks(self, settings: Settings) -> Sequence[Check]:
        """What the doctor asks."""
        site = settings.as_site()
        asked = list(questions(settings, lambda source: open_sql(source, site)))
        asked += email_questions(settings.email, site, clock)
        if settings.feeds.moved:
            asked.append(("moved addresses", ask_moves(settings)))
        asked += telegram_questions(settings.telegram, clock, site.base_url)
        return [Check(name, ask) for name, ask in asked]


def make_desk(office: Office) -> Desk:
    """What commands work with."""
    reader = DocumentReader(office.site.languages, office.site.default_language, office.site.zone)

    compiler = open_compiler(office.settings, site=office.site, texts=office.texts, taxonomy=office.taxonomy)

    async def build_feeds(out: Path) -> int:
        return await office.feeds(out, lambda: None).build_all(clock())

    return Desk(
        settings=office.settings,
        site=office.site,
        texts=office.texts,
        taxonomy=office.taxonomy,
        database=office.database,
        tokens=office.tokens,
        intake=office.intake,
        sources=office.sources,
        read_file=reader.read,
        examine=office.media.examine,
        previews={
            "telegram": telegram_preview(
                office.site, office.texts, office.taxonomy, styles_in_use(office.settings.telegram)
            ),
            "email": email_preview(compiler, office.site.timezone, clock),
            **feed_previews(office.site, office.texts, office.taxonomy),
        },
        build_feeds=build_feeds,
        clock=clock,
    )


gc.enable()


def main() -> None:
    """The program."""
    gc.freeze()
    make_cli(Root())()


if __name__ == "__main__":
    main()
