"""What the pages are made of: everything concrete is handed in here, once, by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import web

from config.settings import RetentionSettings
from syndicator.domain.ports import Clock, FeedCatalogue, FeedPublisher, MediaStore
from syndicator.domain.site import Site
from syndicator.domain.tokens import CONFIRM_FOR, Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.pipeline.subscribing import Subscribing
from syndicator.store.database import Database
from syndicator.web.shared_limits import SharedLimits

__all__ = ["MAX_BODY", "PARTS", "Parts"]

MAX_BODY = 1024 * 1024

RETENTION = RetentionSettings()


@dataclass(frozen=True, slots=True)
class Parts:
    """What `make_app` needs.

    `trusted_proxies` are addresses or networks (CIDR) that may state the reader's address in X-Forwarded-For.
    `telegram_name` tells the bot's user name without @, or "" while it is not known. `contact` is an
    address people may write to, `confirm_for` how long a confirmation link works,
    and `retention` how long what is kept. `roles` tell whether what this process does is well, `seats` which of those
    that one process has at a time are its; `serves` is false where it shows no pages. `limits` are
    those of signing up where several machines answer; without them each process keeps its own.
    """

    site: Site
    texts: Texts
    taxonomy: Taxonomy
    database: Database
    subscribing: Subscribing
    catalogue: FeedCatalogue
    publisher: FeedPublisher
    media: MediaStore
    metrics: Metrics
    tokens: Tokens
    clock: Clock
    trusted_proxies: tuple[str, ...] = ()
    telegram_name: Callable[[], str] = str
    contact: str = ""
    confirm_for: timedelta = CONFIRM_FOR
    retention: RetentionSettings = RETENTION
    roles: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    seats: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    serves: bool = True
    limits: SharedLimits | None = None


PARTS = web.AppKey("parts", Parts)
