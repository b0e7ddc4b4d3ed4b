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
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

gc.disable()

from bots.email.channel import EmailChannel
from bots.email.doctor import email_questions
from bots.email.opening import open_compiler, open_email
from bots.email.preview import email_preview
from bots.telegram.aims import TELLS
from bots.telegram.doctor import telegram_questions
from bots.telegram.opening import open_telegram
from bots.telegram.preview import styles_in_use, telegram_preview
from bots.watch import open_watchman
from config.logs import set_up_logs
from config.settings import Settings
from feeds.moved import ask_moves
from feeds.preview import feed_previews
from feeds.room import FeedRoom
from syndicator.cli.app import make_cli
from syndicator.cli.desk import Check, Desk
from syndicator.cli.opening import open_desk
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import ALONE, Channel, Engine, Workplace
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.pipeline.attending import Attending
from syndicator.pipeline.bell import Bell, Hanging
from syndicator.pipeline.belt import Belt
from syndicator.pipeline.channels import configure_channels, public_channels
from syndicator.pipeline.digests import schedule_of
from syndicator.pipeline.doctor import questions
from syndicator.pipeline.media_shared import SharedMedia
from syndicator.pipeline.office import Office, open_office
from syndicator.pipeline.opening import Stories
from syndicator.pipeline.roles import EVERY_ROLE, SEATS, Role, works_on
from syndicator.pipeline.scheduler import Scheduler
from syndicator.pipeline.seats import Seat
from syndicator.pipeline.service import SENDING, Guard, Part, Running, in_turn, serve
from syndicator.pipeline.watchman import Watchman
from syndicator.pipeline.work import Work
from syndicator.sources.opening import open_sql
from syndicator.store import ledger, migrate, releases
from syndicator.store.database import Database, MissingDatabase, shown
from syndicator.store.locks import SingleRun
from syndicator.store.recovery import recover_dead
from syndicator.web.app import make_app
from syndicator.web.health import make_monitor
from syndicator.web.opening import Wellbeing, open_pages
from syndicator.web.parts import Parts
from syndicator.web.server import WebServer

LOOK_SECONDS = 0.5  # between two looks for what commands write, where one process has the database to itself
BELT_SECONDS = 2.0  # between two looks for what others have changed, beside being told
ENDING = 2.0  # seconds of a stop for what a process does for itself alone


def clock() -> datetime:
    """The one clock of the program."""
    return datetime.now(UTC)


def open_feeds(office: Office, folder: Path, wake: Callable[[], None]) -> FeedRoom:
    """The room that keeps feeds in that folder."""
    return FeedRoom(
        office.settings.feeds,
        office.database,
        site=office.site,
        taxonomy=office.taxonomy,
        texts=office.texts,
        metrics=office.metrics,
        folder=folder,
        clock=clock,
        wake=wake,
        outgoing=office.settings.outgoing,
        shared=office.settings.engine.kind == "procrastinate",
    )


class Service:
    """Every room of one process, put together; `parts` is what is started, in order."""

    def __init__(self, office: Office, bell: Bell, roles: Collection[Role]) -> None:
        self.office, self.bell, self.roles = office, bell, roles
        self.shares = office.settings.engine.kind == "procrastinate"
        self.attending = Attending()
        self.feeds = open_feeds(office, Path(office.settings.feeds.directory), bell.ring)
        common: dict[str, Any] = {
            "site": office.site,
            "texts": office.texts,
            "taxonomy": office.taxonomy,
            "clock": clock,
        }
        more: dict[str, Any] = {"metrics": office.metrics, "wake": bell.ring}
        self.email = open_email(office.settings, office.database, tokens=office.tokens, **common, **more)
        self.telegram = open_telegram(
            office.settings.telegram,
            office.database,
            chats=office.subscribing,
            folder=office.media,
            schedule=schedule_of(office.settings.digests),
            attendance=self.attending if self.shares else ALONE,
            **common,
            **more,
        )
        self.websub = self.feeds.channels()[ChannelKind.WEBSUB]
        ways: list[Channel] = [self.email.channel, self.telegram.channel, self.websub]
        self.channels = {channel.kind: channel for channel in ways}
        self.stories = Stories(
            office,
            self.feeds.publisher,
            {ChannelKind.EMAIL: self.email.channel} if self.shares else self.channels,
            {kind: channel.tells for kind, channel in self.channels.items()},
            wake=bell.ring,
            attendance=self.attending,
        )

    def parts(self) -> list[Part]:
        """The running service, in the order of its start."""
        return self._among_others() if self.shares else self._alone()

    # -- one process that has the database to itself
    def _alone(self) -> list[Part]:
        rooms = (*self.feeds.workplaces(), *self.feeds.hub(), *self.telegram.workplaces, *self.email.workplaces)
        engine = self._engine(self.stories.whole(*rooms), self.channels.values())
        self.bell.hang(engine.wake)
        return [
            Running(begin=self._resume, end=self.office.database.close),
            *(Running(end=channel.close) for channel in self.channels.values()),
            self._web(Wellbeing({role: self._stand if role is Role.WEB else lambda: True for role in Role})),
            Running(begin=lambda: self.feeds.publisher.refresh(clock())),
            *([self.telegram.bot] if self.telegram.bot else []),  # before the engine, and so after it at the end
            *self.email.parts,  # before the engine as well: mail keeps the pace that was kept
            *self.email.fetching,
            Running(begin=engine.start, end=lambda: in_turn(SENDING, engine.stop, self.stories.delivery.finish)),
            Belt(self.office.database.data_version, LOOK_SECONDS, engine.wake),
            self._scheduler(engine),
            self._watchman(serves=True),
        ]

    # -- one of many
    def _among_others(self) -> list[Part]:
        from syndicator.engine.cluster import ClusterEngine  # noqa: PLC0415  # it comes with an extra

        is_web, plans = Role.WEB in self.roles, Role.SCHEDULER in self.roles
        works = Role.WORKER in self.roles
        rooms = self.feeds.workplaces() if is_web else ()
        here = self._engine(self.stories.here(*rooms, feeds=is_web, digests=plans), ())
        shared = self.stories.shared()
        seats = self._seats()
        engine = ClusterEngine(
            self.office.settings.database.url,
            shared.handlers(),
            shared.pending,
            clock=clock,
            metrics=self.office.metrics,
            lanes=self._lanes([self.email.channel]),
            works_on=works_on(self.roles),
            plans=plans,
            seats={name: seat for name, seat in seats.items() if SEATS[name] in self.roles},
            heard=self.bell.ring,
            bereaved=self._recover_dead,
        )
        self.attending.ask(engine.attendance)
        self.office.database.attach(engine.post)
        for wake in (here.wake, engine.wake):
            self.bell.hang(wake)
        is_well = {Role.WEB: lambda: self._stand() and engine.attendance.is_sure()}
        well = Wellbeing(
            {role: is_well.get(role, engine.attendance.is_sure) for role in Role if role in self.roles},
            {name: partial(getattr, seat, "taken") for name, seat in seats.items()},
        )
        return [
            Running(begin=self._configure, end=self.office.database.close),
            Running(end=engine.leave),  # counts as alive until the last answer is written
            *([self.office.media] if isinstance(self.office.media, SharedMedia) else []),
            *(Running(end=channel.close) for channel in self.channels.values()),
            *([self._web(well)] if is_web else self._monitor(well)),
            *([Running(begin=lambda: self.feeds.publisher.refresh(clock()))] if is_web else []),
            *(self.telegram.lobby.parts() if self.telegram.lobby else []),
            *(self.email.parts if works else []),
            Running(begin=here.start, end=lambda: here.stop(ENDING)),
            Running(begin=engine.start, end=lambda: in_turn(SENDING, engine.stop, self.stories.delivery.finish)),
            Belt(self._changes, BELT_SECONDS, self.bell.ring),
            *([self._scheduler(engine)] if plans else []),
            self._watchman(serves=is_web),
        ]

    def _seats(self) -> Mapping[str, Seat]:
        return {
            "telegram": Seat("telegram", lambda: self._seat(self.telegram.channel, self.telegram.workplaces)),
            "hub": Seat("hub", lambda: self._seat(self.websub, self.feeds.hub())),
            **({"inbound": Seat("inbound", lambda: self.email.fetching)} if self.email.fetching else {}),
        }

    def _seat(self, channel: Channel, rooms: Sequence[Workplace]) -> list[Part]:
        """What whoever has a channel to itself runs."""
        work, delivery = self.stories.seat(channel, *rooms)
        engine = self._engine(work, [channel])
        if channel is self.telegram.channel:
            sits: Part = self.telegram.seat(lambda: engine, delivery.finish)
        else:
            sits = Running(begin=engine.start, end=lambda: in_turn(SENDING, engine.stop, delivery.finish))
        return [Hanging(self.bell, engine.wake), sits]

    # -- what both are made of
    def _lanes(self, channels: Iterable[Channel]) -> Mapping[str, int]:
        return {channel.kind.value: channel.lanes for channel in channels}

    def _engine(self, work: Work, channels: Iterable[Channel]) -> EmbeddedEngine:
        lanes = self._lanes(channels)
        return EmbeddedEngine(work.handlers(), work.pending, clock=clock, metrics=self.office.metrics, lanes=lanes)

    def _scheduler(self, engine: Engine) -> Scheduler:
        sources = {s.name: (self.office.sources[s.name], s.interval) for s in self.office.settings.sources}
        return Scheduler(engine, sources=sources, clock=clock)

    def _watchman(self, *, serves: bool) -> Watchman:
        office, publisher = self.office, self.feeds.publisher
        common: dict[str, Any] = {"site": office.site, "metrics": office.metrics, "clock": clock}
        return open_watchman(office.settings, office.database, publisher=publisher if serves else None, **common)

    def _web(self, well: Wellbeing) -> WebServer:
        web = self.office.settings.web
        app = make_app(self._pages(well), [*self.feeds.routes(), *self.telegram.routes()], self.feeds.templates())
        return WebServer(app, web.host, web.port, front=self.feeds.front())

    def _monitor(self, well: Wellbeing) -> Sequence[WebServer]:
        monitoring = self.office.settings.monitoring
        if not monitoring.port:
            return ()
        return (WebServer(make_monitor(self._pages(well, serves=False)), monitoring.host, monitoring.port),)

    def _pages(self, well: Wellbeing, *, serves: bool = True) -> Parts:
        publisher = self.feeds.publisher
        return open_pages(self.office, self.feeds, publisher, lambda: self.telegram.username, well, serves=serves)

    def _stand(self) -> bool:
        """Whether feeds have been built."""
        return self.feeds.publisher.newest() is not None

    async def _configure(self) -> None:
        """Bring the configured channels in line."""
        office = self.office
        channels = public_channels(office.settings, office.site, office.taxonomy)
        await configure_channels(office.database, ChannelKind.TELEGRAM, channels, site=office.site, now=clock())

    async def _resume(self) -> None:
        """The same, and take up what a crash left in flight."""
        await self._configure()
        async with self.office.database.writing() as session:
            await ledger.recover(session, clock())

    async def _recover_dead(self) -> None:
        """What processes had in flight that are no more is due again."""
        await self.office.database.again(lambda session: recover_dead(session, clock()))

    async def _changes(self) -> int:
        async with self.office.database.reading() as session:
            return await releases.last_change(session)


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
            if settings.engine.kind == "procrastinate":
                from syndicator.engine.cluster import open_post  # noqa: PLC0415  # it comes with an extra

                database.attach(open_post(clock))
            yield make_desk(await open_office(settings, database, wake=lambda: None, clock=clock))
        finally:
            await database.close()

    async def serve(self, settings: Settings, roles: Collection[Role] = EVERY_ROLE) -> None:
        """Run the service, or the share of it that these roles say, until it is told to stop."""
        set_up_logs()
        with SingleRun(settings.database.url, shared=settings.engine.kind == "procrastinate") as lock:
            await self.migrate(settings)
            bell = Bell()
            office = await open_office(settings, Database(settings.database.url), wake=bell.ring, clock=clock)
            stop = asyncio.Event()
            guard = Guard(lock.held, stop)
            await serve([*Service(office, bell, roles).parts(), guard], stop)
            if guard.failed:
                raise lock.lost()

    async def migrate(self, settings: Settings) -> None:
        """Bring the database to the newest schema, and the queue's tables to its library's, where there is a queue."""
        await migrate.upgrade(settings.database.url)
        if settings.engine.kind == "procrastinate":
            from syndicator.engine import schema  # noqa: PLC0415  # it comes with an extra

            await schema.upgrade(settings.database.url)

    def checks(self, settings: Settings) -> Sequence[Check]:
        """What the doctor asks."""
        site = settings.as_site()
        asked = list(questions(settings, lambda source: open_sql(source, site)))
        asked += email_questions(settings.email, site, clock)
        if settings.feeds.moved:
            asked.append(("moved addresses", ask_moves(settings)))
        asked += telegram_questions(settings.telegram, clock, site.base_url)
        return [Check(name, ask) for name, ask in asked]

    def clock(self) -> datetime:
        """The one clock of the program."""
        return clock()

    def tells(self) -> Mapping[ChannelKind, Collection[MessageKind]]:
        """What each way out has words for."""
        return {ChannelKind.EMAIL: EmailChannel.tells, ChannelKind.TELEGRAM: TELLS}


def make_desk(office: Office) -> Desk:
    """What commands work with."""
    compiler = open_compiler(office.settings, site=office.site, texts=office.texts, taxonomy=office.taxonomy)
    styles = styles_in_use(office.settings.telegram)
    previews = {
        "telegram": telegram_preview(office.site, office.texts, office.taxonomy, styles),
        "email": email_preview(compiler, office.site.timezone, clock),
        **feed_previews(office.site, office.texts, office.taxonomy),
    }

    async def build_feeds(out: Path) -> int:
        return await open_feeds(office, out, lambda: None).build_all(clock())

    return open_desk(office, previews, build_feeds)


gc.enable()


def main() -> None:
    """The program."""
    gc.freeze()
    make_cli(Root())()


if __name__ == "__main__":
    main()
