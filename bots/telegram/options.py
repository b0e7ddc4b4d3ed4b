"""How each chat wants its posts: what the configuration says of a channel, and what holds for people.

Rules, in order:

1. A configured chat is found by the address as it was written (`Letter.written`); one that is configured no more, whose
   copies still follow, is treated as people are.
2. Nights, 22:00 to 08:00 where the reader is (for a channel: where the office is), are without a sound, unless it is
   urgent. A channel may be told to be silent always, or never.
3. Corrections and withdrawals come without a sound whatever the hour, since they are not held in quiet hours; those
   of an urgent release do not. A change that nobody is told of never makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bots.telegram.render import Style
from config.settings import TelegramSettings
from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, SubscriberRole, Urgency
from syndicator.domain.places import Place, place_address
from syndicator.domain.site import Site

__all__ = ["ChatOptions", "Options", "silent", "zone_of"]

NIGHT_FROM, NIGHT_TO = 22, 8
Sound = Literal["night", "always", "never"]
_FOLLOWS = (MessageKind.CORRECTION, MessageKind.WITHDRAWAL)


@dataclass(frozen=True, slots=True)
class Options:
    """What one chat wants."""

    style: Style = field(default_factory=Style)
    silent: Sound = "night"


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What every chat wants."""

    people: Options = Options()
    channels: Mapping[object, Options] = field(default_factory=dict)
    written: tuple[str, ...] = ()  # the channels' addresses, in their order

    @classmethod
    def of(cls, settings: TelegramSettings) -> ChatOptions:
        """As configured."""
        channels: dict[object, Options] = {
            Place.parse(place_address(one.chat, one.thread)).key: Options(Style(one.text, one.media), one.silent)
            for one in settings.channels
        }
        written = tuple(place_address(one.chat, one.thread) for one in settings.channels)
        return cls(Options(Style(media=settings.media)), channels, written)

    def for_letter(self, letter: Letter) -> Options:
        """What the letter's chat wants."""
        if letter.role is not SubscriberRole.CHANNEL:
            return self.people
        return self.channels.get(Place.parse(letter.written or letter.address).key, self.people)


def silent(letter: Letter, site: Site, now: datetime, sound: Sound = "night") -> bool:
    """Whether it comes without a sound."""
    if letter.kind is MessageKind.EDIT or sound == "always":
        return True
    release = letter.release
    if sound == "never" or (release is not None and release.urgency is Urgency.URGENT):
        return False
    hour = now.astimezone(zone_of(letter, site)).hour
    return letter.kind in _FOLLOWS or hour >= NIGHT_FROM or hour < NIGHT_TO


def zone_of(letter: Letter, site: Site) -> ZoneInfo:
    """The reader's time zone; for a channel the office's."""
    zone = site.timezone if letter.role is SubscriberRole.CHANNEL else letter.timezone or site.timezone
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return site.zone
