"""From the settings to the stories: what sends, what settles, what looks at applications, what forgets, put together.

Rules, in order:

1. Nothing is opened or started here; parts get what they need as arguments.
2. What the rooms outside bring (ways out, work of their own) is handed in; here it meets the stories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from config.settings import Settings
from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import ALONE, Attendance, Channel, Clock, FeedPublisher, Source, Workplace
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.metrics import Metrics
from syndicator.pipeline.applying import Applications
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.digests import Digests
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.retention import Retention
from syndicator.pipeline.returning import Consequences
from syndicator.pipeline.settling import Settler, policies
from syndicator.pipeline.subscribing import Subscribing
from syndicator.pipeline.work import Work
from syndicator.store.database import Database

__all__ = ["Stories", "open_stories"]


@dataclass(frozen=True, slots=True)
class Stories:
    """What the engine runs, what is done once an hour, and what ends a delivery that is still under way."""

    work: Work
    delivery: Delivery
    retention: Retention


def open_stories(
    settings: Settings,
    database: Database,
    *,
    site: Site,
    taxonomy: Taxonomy,
    tokens: Tokens,
    metrics: Metrics,
    sources: Mapping[str, Source],
    intake: Intake,
    subscribing: Subscribing,
    publisher: FeedPublisher,
    channels: Mapping[ChannelKind, Channel],
    workplaces: Sequence[Workplace],
    clock: Clock,
    wake: Callable[[], None],
    attendance: Attendance = ALONE,
) -> Stories:
    """What the settings ask for; `workplaces` are those of the rooms, `wake` tells the engine that something is due."""
    consequences = Consequences(tokens)
    settler = Settler(
        database,
        policies=policies(settings),
        clock=clock,
        metrics=metrics,
        consequences=consequences,
        attendance=attendance,
    )
    delivery = Delivery(
        database,
        channels,
        tokens=tokens,
        settler=settler,
        attendance=attendance,
        clock=clock,
        wake=wake,
        confirm_for=settings.retention.confirm_for,
        zone=site.zone,
    )
    tells = {kind: channel.tells for kind, channel in channels.items()}
    digests = Digests(database, settings.digests, clock=clock, wake=wake)
    work = Work(
        database,
        sources=sources,
        intake=intake,
        fanout=Fanout(database, site=site, taxonomy=taxonomy, tells=tells, clock=clock, wake=wake),
        delivery=delivery,
        settler=settler,
        publisher=publisher,
        channels=list(channels),
        clock=clock,
        wake=wake,
        workplaces=(*workplaces, digests, Applications(subscribing, clock=clock)),
    )
    retention = Retention(database, settings.retention, site=site, tokens=tokens, clock=clock, metrics=metrics)
    return Stories(work, delivery, retention)
