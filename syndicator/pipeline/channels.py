"""The office's own channels, from the configuration into the ledger's world.

Rules, in order:

1. A configured chat is a subscriber with role `channel`, keyed by the chat as written and, in a forum, by its topic:
   two topics of a chat are two channels. One place named twice is refused. Written otherwise (`@press`, its address
   on t.me, its number once Telegram has told it) it is the same subscriber, who goes on under the new spelling.
2. Its filter is its one subscription; another filter ends the old one and begins a new one.
3. One that is no longer configured is ended; one that is added gets what is announced from then on, never the past.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
from syndicator.store import releases, subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent, Subscriber

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
    """Bring the store in line with the configuration; safe to run at every start, of several processes at once too."""
    async with database.writing() as session:
        await releases.lock_changes(session)
        live = [one for one in await subscriptions.configured_channels(session) if one.channel is kind]
        known = _recognised(channels, await subscriptions.channels_ever(session, kind), {one.id for one in live})
        kept = {one.id for one in known.values()}
        for subscriber in live:
            if subscriber.id not in kept:
                await subscriptions.end_all(session, subscriber.id, "removed from the configuration", now)
                log.info("channel removed", chat=subscriber.address)
        for chat, subscriber in known.items():
            if subscriber.address != chat:
                await subscriptions.respell(session, subscriber.id, chat)
                log.info("channel is written otherwise", chat=chat, was=subscriber.address)
        for channel in channels:
            await _configure(session, kind, channel, site, now)


def _recognised(
    channels: Sequence[PublicChannel], ever: Sequence[Subscriber], live: Collection[int]
) -> Mapping[str, Subscriber]:
    """The subscriber that each channel has been, by its chat: one that is configured still, best as it is written."""
    found: dict[str, Subscriber] = {}
    for channel in channels:
        key = Place.parse(channel.chat).key
        taken = {one.id for one in found.values()}
        same = [one for one in ever if one.id not in taken and (one.address == channel.chat or key in _keys(one))]
        if same:
            found[channel.chat] = min(same, key=lambda one: (one.id not in live, one.address != channel.chat))
    return found


def _keys(subscriber: Subscriber) -> Collection[tuple[int | str, int | None]]:
    """All places that it is known as."""
    return [Place.parse(name).key for name in (subscriber.address, subscriber.resolved) if name]


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
