"""The office: what commands and service alike stand on, read and put together once. Nothing is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from config.settings import Settings
from config.topics import load_topics
from syndicator.domain.ports import Clock, Source
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.crowds import SharedCrowds
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.media_shared import SharedMedia
from syndicator.pipeline.subscribing import Subscribing
from syndicator.sources.opening import open_source
from syndicator.store import meta
from syndicator.store.database import Database

__all__ = ["Office", "open_office"]


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
    clock: Clock


async def open_office(settings: Settings, database: Database, *, wake: Callable[[], None], clock: Clock) -> Office:
    """Read what lies beside the settings, and put the common things together; `wake` is told of what is written.

    Raises:
        OSError: the database cannot be read, or a file beside the settings.
        ValueError: a file beside the settings cannot be used.
    """
    site = settings.as_site()
    site = replace(site, minted_under=await meta.authority(database, site.host))
    taxonomy = load_topics(settings.topics_path)
    secret = settings.site.secret
    tokens = Tokens(secret.get_secret_value().encode() if secret else await meta.secret(database))
    metrics = Metrics()
    kept = Path(settings.media.directory), settings.media.max_bytes
    shares = settings.engine.kind == "procrastinate"
    media = SharedMedia(*kept, database, clock) if shares else MediaFolder(*kept)
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
        subscribing=Subscribing(
            database,
            tokens,
            site=site,
            wake=wake,
            reach=settings.digests.reach,
            crowds=SharedCrowds(database, tokens) if settings.engine.kind == "procrastinate" else None,
        ),
        clock=clock,
    )
