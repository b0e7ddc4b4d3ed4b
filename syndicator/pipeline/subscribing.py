"""Signing up, confirming, changing and leaving: the one door for web, bot and commands.

Rules, in order:

1. Email needs a double opt-in: `ask` writes a pending subscription and one confirmation; only `confirm` (a POST) activates.
2. `ask` answers alike for known, unknown and already subscribed addresses; the difference is only in the mail.
3. At most one confirmation per address an hour and three a day, whoever asks (`Asked.SLOW_DOWN` is for the caller's own limit).
4. A Telegram chat that talks to the bot has consented by doing so; its subscription is active at once.
5. Leaving takes effect before the next claim; it is safe to repeat; rows stay as the record of consent.
6. Tokens: purpose `confirm` over the subscription (7 days); `manage` and `unsubscribe` over the subscriber (never expire).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, OtherLanguage
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent, Subscriber, Subscription


class BadAddress(ValueError):
    """The address cannot be written to; one clear line for the person."""


@dataclass(frozen=True, slots=True)
class Account:
    """A subscriber with the live subscriptions (pending and active), oldest first; and what tokens open it."""

    subscriber: Subscriber
    subscriptions: Sequence[Subscription]
    manage_token: str
    unsubscribe_token: str


class Subscribing:
    """See the module's rules. Every method takes `now`; every one is one transaction."""

    def __init__(
        self, database: Database, tokens: Tokens, *, site: Site, taxonomy: Taxonomy, wake: Callable[[], None]
    ) -> None: ...

    # -- email
    def check_address(self, address: str) -> str:
        """The normal form of an email address.

        Raises:
            BadAddress: what is wrong with it, in one line.
        """
        raise NotImplementedError

    async def ask(
        self, address: str, *, filter_: Filter, language: str, cadence: Cadence, consent: Consent, now: datetime
    ) -> None:
        """Begin a double opt-in. Raises BadAddress. Returns the same whoever the address belongs to."""
        raise NotImplementedError

    async def preview(self, token: str, now: datetime) -> tuple[Account, Subscription] | None:
        """What a confirm token is about, for the page that GET shows; changes nothing. None: expired or not ours."""
        raise NotImplementedError

    async def confirm(self, token: str, now: datetime) -> tuple[Account, Subscription] | None:
        """POST of the confirm page: pending -> active; again is the same."""
        raise NotImplementedError

    async def account(self, purpose: str, token: str, now: datetime) -> Account | None:
        """Whose `manage` or `unsubscribe` token it is; changes nothing."""
        raise NotImplementedError

    async def change(
        self,
        account: Account,
        subscription: int,
        *,
        filter_: Filter | None = None,
        cadence: Cadence | None = None,
        consent: Consent,
        now: datetime,
    ) -> Account:
        """A live subscription gets another filter or cadence: the old row ends, a new active one begins."""
        raise NotImplementedError

    async def set_reading(
        self,
        account: Account,
        *,
        language: str | None = None,
        timezone: str | None = None,
        other_language: OtherLanguage | None = None,
    ) -> Account:
        """The reader's language, zone, and whether another language will do."""
        raise NotImplementedError

    async def end(self, account: Account, subscription: int, *, reason: str, now: datetime) -> Account:
        """End one; one that is not theirs or has ended is left alone."""
        raise NotImplementedError

    async def end_all(self, account: Account, *, reason: str, now: datetime) -> Account:
        """End every one (one-click unsubscribe)."""
        raise NotImplementedError

    # -- Telegram
    async def chat(self, chat: int | str, *, language: str, now: datetime) -> Account:
        """The account of a chat, made if new, resumed if it was paused (blocked and back). Language only if new."""
        raise NotImplementedError

    async def choose(self, account: Account, filter_: Filter | None, *, consent: Consent, now: datetime) -> Account:
        """A chat has exactly one subscription: this filter takes the place of what it had; None ends it."""
        raise NotImplementedError

    async def blocked(self, chat: int | str, *, reason: str) -> None:
        """The chat blocked the bot (my_chat_member kicked): paused, topics kept."""
        raise NotImplementedError
