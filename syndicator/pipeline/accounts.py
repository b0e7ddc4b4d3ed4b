"""Accounts: a subscriber as they manage themselves, and what every story about one stands on.

Rules, in order:

1. A token opens one account, whoever holds it: purpose `manage` or `unsubscribe` over the subscriber, for ever;
   `confirm` over a subscription and `address` over the question to a new address, for as long as a link works.
2. What is forged, cut, too late or for something else opens nothing, and an erased person has no account.
3. Who was merged into another subscriber has that one's account: links in old mails go on working.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind
from syndicator.domain.site import Site
from syndicator.domain.tokens import BadToken, Tokens
from syndicator.pipeline.catching_up import CatchUp
from syndicator.store import moving, subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Subscriber, Subscription

__all__ = ["Account", "Accounts"]


@dataclass(frozen=True, slots=True)
class Account:
    """A subscriber with the live subscriptions (pending and active), oldest first, and the tokens that open it."""

    subscriber: Subscriber
    subscriptions: Sequence[Subscription]
    manage_token: str
    unsubscribe_token: str


class Accounts:
    """See the module's rules. `reach` is how far back a digest goes."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        *,
        site: Site,
        wake: Callable[[], None],
        reach: timedelta = timedelta(days=14),
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._site = site
        self._wake = wake
        self._catch_up = CatchUp(reach)

    async def account(self, purpose: str, token: str, now: datetime) -> Account | None:
        """Whose `manage` or `unsubscribe` token it is; changes nothing."""
        number = self._verify(purpose, token, now)
        if number is None:
            return None
        async with self._database.reading() as session:
            found = await subscriptions.by_id(session, await moving.now_known_as(session, number))
            return None if found is None or found.is_erased else await self._account(session, found.id)

    # -- shared steps
    async def _ensure(
        self, session: AsyncSession, channel: ChannelKind, address: str, language: str, now: datetime
    ) -> Subscriber:
        return await subscriptions.ensure(
            session, channel, address, language=language, timezone=self._site.timezone, now=now
        )

    async def _account(self, session: AsyncSession, number: int) -> Account:
        subscriber = await subscriptions.by_id(session, number)
        if subscriber is None or subscriber.is_erased:
            raise LookupError(f"subscriber {number} is gone")
        return Account(
            subscriber,
            await subscriptions.of(session, number),
            self._tokens.sign("manage", number),
            self._tokens.sign("unsubscribe", number),
        )

    def _verify(self, purpose: str, token: str, now: datetime) -> int | None:
        try:
            return self._tokens.verify(purpose, token, now)
        except BadToken:
            return None

    def _fingerprint(self, address: str) -> str:
        """What the list of suppressed addresses knows this one by; the address is in its normal form."""
        return self._tokens.fingerprint("address", address)
