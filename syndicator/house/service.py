"""The running service: the parts of one process, in the order of its start; they end in the opposite one.

Rules, in order:

1. Alone (`engine.kind` embedded) one process has every role, and one engine for all there is to do.
2. Among others, shared work stands in the queue; beside it each process has an engine for what it does HERE, and one
   for each seat that it takes (`pipeline.roles`). It counts as alive until the last answer of what it sent is written.
3. Who writes rings the bell; all engines hear it, and so they do what other processes tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import Channel, Engine, Part, Workplace
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.house.rooms import Rooms
from syndicator.pipeline.attending import Attending
from syndicator.pipeline.bell import Bell, Hanging
from syndicator.pipeline.belt import Belt
from syndicator.pipeline.channels import configure_channels, public_channels
from syndicator.pipeline.media_shared import SharedMedia
from syndicator.pipeline.office import Office
from syndicator.pipeline.opening import Stories
from syndicator.pipeline.roles import SEATS, Role, works_on
from syndicator.pipeline.scheduler import Scheduler
from syndicator.pipeline.seats import Seat
from syndicator.pipeline.service import SEATED, SENDING, Running, in_turn
from syndicator.pipeline.work import Work
from syndicator.store import ledger, releases
from syndicator.store.recovery import recover_dead
from syndicator.web.app import make_app
from syndicator.web.health import make_monitor
from syndicator.web.opening import Wellbeing, open_pages
from syndicator.web.parts import Parts
from syndicator.web.server import WebServer

__all__ = ["Service"]

LOOK_SECONDS = 0.5  # between two looks for what commands write, where one process has the database to itself
BELT_SECONDS = 2.0  # between two looks for what others have changed, beside being told
ENDING = 2.0  # seconds of a stop for what a process does for itself alone


class Service:
    """One process.

    `attending` is what its rooms ask whether it counts as alive; `agreed` hears what the database's clock says, among
    others (`syndicator.clock`).
    """

    def __init__(
        self,
        office: Office,
        rooms: Rooms,
        bell: Bell,
        attending: Attending,
        roles: Collection[Role],
        agreed: Callable[[datetime, float], None],
    ) -> None:
        self.office, self.bell, self.attending, self.roles = office, bell, attending, roles
        self.agreed = agreed
        self.feeds, self.email, self.telegram = rooms.feeds, rooms.email, rooms.telegram
        self.clock, self.watchman = office.clock, rooms.watchman
        self.channels = rooms.channels
        self.websub = self.channels[ChannelKind.WEBSUB]
        shares = self._shares = office.settings.engine.kind == "procrastinate"
        self.stories = Stories(
            office,
            self.feeds.publisher,
            {ChannelKind.EMAIL: self.email.channel} if shares else self.channels,
            {kind: channel.tells for kind, channel in self.channels.items()},
            wake=bell.ring,
            attendance=attending,
        )

    def parts(self) -> list[Part]:
        """The running service, in the order of its start."""
        return self._among_others() if self._shares else self._alone()

    # -- one process that has the database to itself
    def _alone(self) -> list[Part]:
        rooms = (*self.feeds.workplaces(), *self.feeds.hub(), *self.telegram.workplaces, *self.email.workplaces)
        engine = self._engine(self.stories.whole(*rooms), self.channels.values())
        self.bell.hang(engine.wake)
        return [
            Running(begin=self._resume, end=self.office.database.close),
            *(Running(end=channel.close) for channel in self.channels.values()),
            self._web(Wellbeing({role: self._stand if role is Role.WEB else lambda: True for role in Role})),
            Running(begin=lambda: self.feeds.publisher.refresh(self.clock())),
            *([self.telegram.bot] if self.telegram.bot else []),  # before the engine, and so after it at the end
            *self.email.parts,  # before the engine as well: mail keeps the pace that was kept
            *self.email.fetching,
            Running(begin=engine.start, end=lambda: in_turn(SENDING, engine.stop, self.stories.delivery.finish)),
            Belt(self.office.database.data_version, LOOK_SECONDS, engine.wake),
            self._scheduler(engine),
            self.watchman(self.feeds.publisher),
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
            clock=self.clock,
            metrics=self.office.metrics,
            lanes=self._lanes([self.email.channel]),
            works_on=works_on(self.roles),
            plans=plans,
            seats={name: seat for name, seat in seats.items() if SEATS[name] in self.roles},
            heard=self.bell.ring,
            bereaved=self._recover_dead,
            agreed=self.agreed,
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
            *([Running(begin=lambda: self.feeds.publisher.refresh(self.clock()))] if is_web else []),
            *(self.telegram.lobby.parts() if self.telegram.lobby else []),
            *(self.email.parts if works else []),
            Running(begin=here.start, end=lambda: here.stop(ENDING)),
            Running(begin=engine.start, end=lambda: in_turn(SENDING, engine.stop, self.stories.delivery.finish)),
            Belt(self._changes, BELT_SECONDS, self.bell.ring),
            *([self._scheduler(engine)] if plans else []),
            self.watchman(self.feeds.publisher if is_web else None),
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
            sits = Running(begin=engine.start, end=lambda: in_turn(SEATED, engine.stop, delivery.finish))
        return [Hanging(self.bell, engine.wake), sits]

    # -- what both are made of
    def _lanes(self, channels: Iterable[Channel]) -> Mapping[str, int]:
        return {channel.kind.value: channel.lanes for channel in channels}

    def _engine(self, work: Work, channels: Iterable[Channel]) -> EmbeddedEngine:
        lanes = self._lanes(channels)
        return EmbeddedEngine(work.handlers(), work.pending, clock=self.clock, metrics=self.office.metrics, lanes=lanes)

    def _scheduler(self, engine: Engine) -> Scheduler:
        sources = {s.name: (self.office.sources[s.name], s.interval) for s in self.office.settings.sources}
        return Scheduler(engine, sources=sources, clock=self.clock)

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
        await configure_channels(office.database, ChannelKind.TELEGRAM, channels, site=office.site, now=self.clock())

    async def _resume(self) -> None:
        """The same, and take up what a crash left in flight."""
        await self._configure()
        async with self.office.database.writing() as session:
            await ledger.recover(session, self.clock())

    async def _recover_dead(self) -> None:
        """What processes had in flight that are no more is due again."""
        await self.office.database.again(lambda session: recover_dead(session, self.clock()))

    async def _changes(self) -> int:
        async with self.office.database.reading() as session:
            return await releases.last_change(session)
