"""From the office to the pages: what they are made of, out of what every command stands on and what the rooms bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from syndicator.domain.ports import FeedCatalogue, FeedPublisher
from syndicator.pipeline.office import Office
from syndicator.web.parts import Parts
from syndicator.web.shared_limits import SharedLimits

__all__ = ["Wellbeing", "open_pages"]


@dataclass(frozen=True, slots=True)
class Wellbeing:
    """What a process does: whether each of its roles is well, and which seats (`pipeline.roles`) it has."""

    roles: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    seats: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


def open_pages(
    office: Office,
    catalogue: FeedCatalogue,
    publisher: FeedPublisher,
    telegram_name: Callable[[], str],
    well: Wellbeing,
    *,
    serves: bool = True,
) -> Parts:
    """What pages need, or, where none are served (`serves`), what is asked by machines."""
    settings = office.settings
    return Parts(
        site=office.site,
        texts=office.texts,
        taxonomy=office.taxonomy,
        database=office.database,
        subscribing=office.subscribing,
        catalogue=catalogue,
        publisher=publisher,
        media=office.media,
        metrics=office.metrics,
        tokens=office.tokens,
        clock=office.clock,
        trusted_proxies=settings.web.trusted_proxies,
        telegram_name=telegram_name,
        contact=settings.site.contact,
        confirm_for=settings.retention.confirm_for,
        retention=settings.retention,
        roles=well.roles,
        seats=well.seats,
        serves=serves,
        limits=SharedLimits(office.database, office.tokens) if settings.engine.kind == "procrastinate" else None,
    )
