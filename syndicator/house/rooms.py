"""What the rooms outside bring to a running service; the house knows neither bots nor feeds.

Each is as its own room says; here stands only what a service asks of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from syndicator.domain.model import ChannelKind
from syndicator.domain.ports import Channel, Engine, FeedCatalogue, FeedPublisher, Part, Workplace
from syndicator.web.server import Front

__all__ = ["Bot", "Feeds", "Mail", "Rooms"]


class Feeds(FeedCatalogue, Protocol):
    """The feeds' room."""

    @property
    def publisher(self) -> FeedPublisher:
        """Keeps feeds right."""
        ...

    def workplaces(self) -> Sequence[Workplace]:
        """What each machine that serves feeds does for itself."""
        ...

    def hub(self) -> Sequence[Workplace]:
        """What one process at a time does: its hub."""
        ...

    def channels(self) -> Mapping[ChannelKind, Channel]:
        """The ways out that lead to other programs."""
        ...

    def routes(self) -> Sequence[web.RouteDef]:
        """Every address of the room."""
        ...

    def templates(self) -> Sequence[Path]:
        """Where its pages have their templates."""
        ...

    def front(self) -> Front:
        """The fast way to finished feeds."""
        ...


class Mail(Protocol):
    """The mail room."""

    @property
    def channel(self) -> Channel:
        """The way out."""
        ...

    @property
    def parts(self) -> Sequence[Part]:
        """What runs beside it, wherever mail is sent."""
        ...

    @property
    def fetching(self) -> Sequence[Part]:
        """What one process at a time does: it fetches what came back."""
        ...

    @property
    def workplaces(self) -> Sequence[Workplace]:
        """Its own work."""
        ...


class Lobby(Protocol):
    """What a machine has of the bot though another one runs it."""

    def parts(self) -> Sequence[Part]:
        """What runs beside the pages."""
        ...


class Bot(Protocol):
    """The room of Telegram."""

    @property
    def channel(self) -> Channel:
        """The way out."""
        ...

    @property
    def bot(self) -> Part | None:
        """Who speaks with people, if there is a token."""
        ...

    @property
    def workplaces(self) -> Sequence[Workplace]:
        """Its own work, with its seat."""
        ...

    @property
    def lobby(self) -> Lobby | None:
        """On many machines: what each has of it."""
        ...

    @property
    def username(self) -> str:
        """The bot's public name."""
        ...

    def routes(self) -> Sequence[web.RouteDef]:
        """The webhook."""
        ...

    def seat(self, engine: Callable[[], Engine], finish: Callable[[float], Awaitable[object]]) -> Part:
        """The part of whoever has the bot's seat."""
        ...


@dataclass(frozen=True, slots=True)
class Rooms:
    """All of them. `watchman` is made with the publisher of a process that serves feeds, or None."""

    feeds: Feeds
    email: Mail
    telegram: Bot
    watchman: Callable[[FeedPublisher | None], Part]

    @property
    def channels(self) -> Mapping[ChannelKind, Channel]:
        """Every way out."""
        ways = [self.email.channel, self.telegram.channel, *self.feeds.channels().values()]
        return {channel.kind: channel for channel in ways}
