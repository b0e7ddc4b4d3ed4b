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
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
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
from bots.watch import alert_questions, open_watchman
from config.logs import set_up_logs
from config.settings import Settings
from feeds.moved import ask_moves
from feeds.preview import feed_previews
from feeds.room import FeedRoom
from syndicator.cli.app import make_cli
from syndicator.cli.desk import Check, Desk
from syndicator.cli.opening import open_desk
from syndicator.clock import OneClock
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import ALONE
from syndicator.house.rooms import Rooms
from syndicator.house.service import Service
from syndicator.pipeline.attending import Attending
from syndicator.pipeline.bell import Bell
from syndicator.pipeline.digests import schedule_of
from syndicator.pipeline.doctor import questions
from syndicator.pipeline.office import Office, open_office
from syndicator.pipeline.roles import EVERY_ROLE, Role
from syndicator.pipeline.service import Guard, serve
from syndicator.sources.opening import open_sql
from syndicator.store import migrate
from syndicator.store.clocks import ask_clock
from syndicator.store.database import Database, MissingDatabase, shown
from syndicator.store.locks import SingleRun


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
        clock=office.clock,
        wake=wake,
        outgoing=office.settings.outgoing,
        shared=office.settings.engine.kind == "procrastinate",
        tokens=office.tokens,
    )


def open_rooms(office: Office, bell: Bell, attending: Attending, roles: Collection[Role] = EVERY_ROLE) -> Rooms:
    """Every room of a running service with these roles. Nothing is started."""
    settings, database = office.settings, office.database
    common: dict[str, Any] = {"site": office.site, "metrics": office.metrics, "clock": office.clock}
    words: dict[str, Any] = {"texts": office.texts, "taxonomy": office.taxonomy, "wake": bell.ring}
    return Rooms(
        feeds=open_feeds(office, Path(settings.feeds.directory), bell.ring),
        email=open_email(
            settings,
            database,
            tokens=office.tokens,
            attendance=attending,
            works=Role.WORKER in roles,
            **common,
            **words,
        ),
        telegram=open_telegram(
            settings.telegram,
            database,
            chats=office.subscribing,
            folder=office.media,
            schedule=schedule_of(settings.digests),
            attendance=attending if settings.engine.kind == "procrastinate" else ALONE,
            speaks=Role.BOT in roles,
            **common,
            **words,
        ),
        watchman=lambda publisher: open_watchman(settings, database, publisher=publisher, **common),
    )


class Root:
    """The wiring that commands get; see `syndicator.cli.desk.Wiring`."""

    def __init__(self) -> None:
        self._clock = OneClock()

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[Desk]:
        """A desk on an existing, current database."""
        self.log_trouble()
        database = Database(settings.database.url)
        try:
            if not await migrate.is_current(database):
                raise MissingDatabase(f"{shown(settings.database.url)}: the schema is not current; run `migrate`")
            if settings.engine.kind == "procrastinate":
                from syndicator.engine import schema  # noqa: PLC0415  # it comes with an extra
                from syndicator.engine.cluster import open_post  # noqa: PLC0415

                if not await schema.is_there(settings.database.url):
                    raise MissingDatabase(f"{shown(settings.database.url)}: there is no queue yet; run `migrate`")
                database.attach(open_post(self._clock))
                await ask_clock(database, self._clock.agree)
            yield make_desk(await open_office(settings, database, wake=lambda: None, clock=self._clock))
        finally:
            await database.close()

    async def serve(self, settings: Settings, roles: Collection[Role] = EVERY_ROLE) -> None:
        """Run the service, or the share of it that these roles say, until it is told to stop."""
        set_up_logs()
        with SingleRun(settings.database.url, shared=settings.engine.kind == "procrastinate") as lock:
            await self.migrate(settings)
            bell, attending = Bell(), Attending()
            database = Database(settings.database.url)
            if settings.engine.kind == "procrastinate":
                await ask_clock(database, self._clock.agree)
            office = await open_office(settings, database, wake=bell.ring, clock=self._clock)
            stop = asyncio.Event()
            guard = Guard(lock.held, stop)
            rooms = open_rooms(office, bell, attending, roles)
            service = Service(office, rooms, bell, attending, roles, self._clock.agree)
            await serve([*service.parts(), guard], stop)
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
        asked += email_questions(settings.email, site, self._clock)
        if settings.feeds.moved:
            asked.append(("moved addresses", ask_moves(settings)))
        asked += telegram_questions(settings.telegram, self._clock, site.base_url)
        asked += alert_questions(settings, site, self._clock)
        return [Check(name, ask) for name, ask in asked]

    def log_trouble(self) -> None:
        """Log what an operator must see, for a command that opens no desk."""
        set_up_logs(logging.WARNING)

    def clock(self) -> datetime:
        """The one clock of the program."""
        return self._clock()

    def tells(self) -> Mapping[ChannelKind, Collection[MessageKind]]:
        """What each way out has words for."""
        return {ChannelKind.EMAIL: EmailChannel.tells, ChannelKind.TELEGRAM: TELLS}


def make_desk(office: Office) -> Desk:
    """What commands work with."""
    compiler = open_compiler(office.settings, site=office.site, texts=office.texts, taxonomy=office.taxonomy)
    styles = styles_in_use(office.settings.telegram)
    previews = {
        "telegram": telegram_preview(office.site, office.texts, office.taxonomy, styles),
        "email": email_preview(compiler, office.site.timezone, office.clock),
        **feed_previews(office.site, office.texts, office.taxonomy),
    }

    async def build_feeds(out: Path) -> int:
        return await open_feeds(office, out, lambda: None).build_all(office.clock())

    return open_desk(office, previews, build_feeds)


gc.enable()


def main() -> None:
    """The program."""
    gc.freeze()
    make_cli(Root())()


if __name__ == "__main__":
    main()
