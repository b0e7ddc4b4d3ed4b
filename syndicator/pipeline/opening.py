"""From the settings to the stories: what sends, what settles, what looks at applications, what forgets, put together.

Rules, in order:

1. Nothing is opened or started here; parts get what they need as arguments.
2. What the rooms outside bring (ways out, work of their own) is handed in; here it meets the stories.
3. One process has one `Settler`: what it owes is one debt, whoever sent. Who has a channel to itself (`seat`) has a
   `Delivery` of its own, which ends with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import ALONE, Attendance, Channel, FeedPublisher, Workplace
from syndicator.pipeline.applying import Applications
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.digests import Digests
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.office import Office
from syndicator.pipeline.retention import Retention
from syndicator.pipeline.returning import Consequences
from syndicator.pipeline.settling import Settler, policies
from syndicator.pipeline.tidying import Tidying
from syndicator.pipeline.work import HERE, SEAT, SHARED, Work

__all__ = ["Stories"]


class Stories:
    """What engines run. `channels` are those that this process sends by in the open, `tells` what every channel tells.

    `wake` tells the engines that something is due.
    """

    def __init__(
        self,
        office: Office,
        publisher: FeedPublisher,
        channels: Mapping[ChannelKind, Channel],
        tells: Mapping[ChannelKind, Collection[MessageKind]],
        *,
        wake: Callable[[], None],
        attendance: Attendance = ALONE,
    ) -> None:
        settings, database, clock = office.settings, office.database, office.clock
        self._office, self._publisher, self._wake, self._attendance = office, publisher, wake, attendance
        self._settler = Settler(
            database,
            policies=policies(settings),
            clock=clock,
            metrics=office.metrics,
            consequences=Consequences(office.tokens),
            attendance=attendance,
        )
        self._fanout = Fanout(database, site=office.site, taxonomy=office.taxonomy, tells=tells, clock=clock, wake=wake)
        self._channels = channels
        self.delivery = self._delivery(channels)
        self._digests = Digests(database, settings.digests, clock=clock, wake=wake)
        self._applications = Applications(office.subscribing, clock=clock)
        retention = Retention(
            database, settings.retention, site=office.site, tokens=office.tokens, clock=clock, metrics=office.metrics
        )
        self._tidying = Tidying(
            database, pending_for=settings.retention.confirm_for, clock=clock, hourly=[retention.run]
        )

    def whole(self, *places: Workplace) -> Work:
        """All there is to do, for the only process; `places` are the rooms' own."""
        return self._work(SHARED | HERE, self.delivery, *places, self._digests, self._applications, self._tidying)

    def shared(self) -> Work:
        """What stands in the queue, for whoever takes it."""
        return self._work(SHARED, self.delivery, self._applications, self._tidying)

    def here(self, *places: Workplace, feeds: bool, digests: bool) -> Work:
        """What every process does for itself.

        `digests`: windows are closed by whoever says what is due, from a memory of its own; that each is told once, the
        run's row says.
        """
        does = HERE if feeds else HERE - {"feeds"}
        return self._work(does, self.delivery, *places, *([self._digests] if digests else []))

    def seat(self, channel: Channel, *places: Workplace) -> tuple[Work, Delivery]:
        """What is done by whoever has this channel to itself, and what ends a delivery that is still under way."""
        delivery = self._delivery({channel.kind: channel})
        return self._work(SEAT, delivery, *places, channels=[channel.kind]), delivery

    def _work(
        self,
        does: frozenset[str],
        delivery: Delivery,
        *places: Workplace,
        channels: Sequence[ChannelKind] | None = None,
    ) -> Work:
        return Work(
            self._office.database,
            sources=self._office.sources,
            intake=self._office.intake,
            fanout=self._fanout,
            delivery=delivery,
            settler=self._settler,
            publisher=self._publisher,
            channels=list(self._channels) if channels is None else channels,
            clock=self._office.clock,
            wake=self._wake,
            workplaces=places,
            does=does,
        )

    def _delivery(self, channels: Mapping[ChannelKind, Channel]) -> Delivery:
        return Delivery(
            self._office.database,
            channels,
            tokens=self._office.tokens,
            settler=self._settler,
            attendance=self._attendance,
            clock=self._office.clock,
            wake=self._wake,
            confirm_for=self._office.settings.retention.confirm_for,
            zone=self._office.site.zone,
        )
