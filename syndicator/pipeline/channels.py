"""The office's own channels, from the configuration into the ledger's world.

Rules, in order:

1. A configured chat is a subscriber with role `channel`, keyed by the chat as written and, in a forum, by its topic:
   two topics of a chat are two channels. One place named twice is refused.
2. Its filter is its one subscription; another filter ends the old one and begins a new one.
3. One that is no longer configured is ended; one that is added gets what is announced from then on, never the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from config.settings import Settings
from syndicator.domain.filters import BadFilter, Filter, canonical, parse
from syndicator.domain.model import Cadence, ChannelKind, OtherLanguage, SubscriberRole, SubscriptionState
from syndicator.domain.places import Place, place_address
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.store import subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent

__all__ = ["PublicChannel", "configure_channels", "public_channels"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PublicChannel:
    """The address of a configured chat (`domain.places`), what it carries, and the language it speaks."""

    chat: str
    filter: Filter
    language: str


def public_channels(settings: Settings, site: Site, taxonomy: Taxonomy) -> list[PublicChannel]:
    """The configured Telegram channels.

    Raises:
        ValueError: a filter is bad, or a place is named twice; the line names the channel.
    """
    found = []
    seen: dict[object, str] = {}
    for channel in settings.telegram.channels:
        address = place_address(channel.chat, channel.thread)
        key = Place.parse(address).key
        if key in seen:
            raise ValueError(
                f"telegram.channels: {address}: is the same place as {seen[key]}; one entry for each chat and thread"
                " is allowed, with one filter"
            )
        seen[key] = address
        try:
            filter_ = parse(channel.filter, languages=site.languages, topics=taxonomy.slugs)
        except BadFilter as error:
            raise ValueError(f"telegram.channels: {channel.chat}: filter: {error}") from None
        language = channel.language or (filter_.langs[0] if filter_.langs else site.default_language)
        found.append(PublicChannel(address, filter_, language))
    return found


async def configure_channels(
    database: Database, kind: ChannelKind, channels: Sequence[PublicChannel], *, site: Site, now: datetime
) -> None:
    """Bring the store in line with the configuration; safe to run at every start."""
    wanted = {channel.chat for channel in channels}
    async with database.writing() as session:
        for subscriber in await subscriptions.configured_channels(session):
            if subscriber.channel is kind and subscriber.address not in wanted:
                await subscriptions.end_all(session, subscriber.id, "removed from the configuration", now)
                log.info("channel removed", chat=subscriber.address)
        for channel in channels:
            await _configure(session, kind, channel, site, now)


async def _configure(
    session: AsyncSession, kind: ChannelKind, channel: PublicChannel, site: Site, now: datetime
) -> None:
    subscriber = await subscriptions.ensure(
        session,
        kind,
        channel.chat,
        language=channel.language,
        timezone=site.timezone,
        now=now,
        role=SubscriberRole.CHANNEL,
    )
    if subscriber.language != channel.language:
        await subscriptions.set_language(session, subscriber.id, channel.language)
    if subscriber.other_language is not OtherLanguage.ALWAYS and not channel.filter.langs:
        await subscriptions.set_reading(session, subscriber.id, other_language=OtherLanguage.ALWAYS)
    text = canonical(channel.filter)
    live = await subscriptions.of(session, subscriber.id)
    for subscription in live:
        if subscription.filter != text:
            await subscriptions.end(session, subscription.id, "the configured filter changed", now)
    if not any(s.filter == text for s in live):
        await subscriptions.subscribe(
            session,
            subscriber.id,
            channel.filter,
            cadence=Cadence.IMMEDIATE,
            state=SubscriptionState.ACTIVE,
            consent=Consent(now, "configuration", f"channel {channel.chat}"),
            now=now,
        )
        log.info("channel configured", chat=channel.chat, filter=text)
