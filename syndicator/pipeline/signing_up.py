"""Signing up by mail: the wish, the question whether it is theirs, and the yes.

Rules, in order:

1. Email needs a double opt-in: `ask` writes a pending subscription and one confirmation; only `confirm`, a POST,
   makes it active, and then one welcome goes out. It also takes the address off the list of suppressed ones.
2. `ask` answers alike for known, unknown and already subscribed addresses, and each of them gets a letter: to
   somebody already subscribed its link is the way back in, for who was paused (bounced) or has lost every link.
   How many, and who may not even be asked, `asking` says.
3. What is not confirmed changes nothing for somebody who is subscribed. Language and plain text are taken from the
   newest wish of one who is not.
4. Tokens: purpose `confirm` over the subscription, for as long as a link works.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.pipeline.accounts import Account
from syndicator.pipeline.asking import Asking
from syndicator.store import ledger, subscriptions, suppressions
from syndicator.store.subscriptions import Consent, Subscriber, Subscription

__all__ = ["SigningUp"]


class SigningUp(Asking):
    """See the module's rules. Every method that writes is one transaction, and takes `now`."""

    async def ask(
        self,
        address: str,
        *,
        filter_: Filter,
        language: str,
        cadence: Cadence,
        consent: Consent,
        now: datetime,
        busy: bool = False,
        text_only: bool = False,
    ) -> None:
        """Begin a double opt-in, or send the way back in; returns the same whoever the address belongs to.

        Raises:
            BadAddress: it is no address.
        """
        address = self.check_address(address)
        async with self._database.writing() as session:
            if not await self._may_ask(session, address, now, busy=busy):
                return
            subscriber = await self._ensure(session, ChannelKind.EMAIL, address, language, now)
            await self._read_as_wished(session, subscriber, language, text_only=text_only)
            subscription = await subscriptions.subscribe(
                session,
                subscriber.id,
                filter_,
                cadence=cadence,
                state=SubscriptionState.PENDING,
                consent=consent,
                now=now,
            )
            await ledger.confirmation(session, subscription.id, subscriber.id, now=now)
        self._wake()

    async def preview(self, token: str, now: datetime) -> tuple[Account, Subscription] | None:
        """What a confirm token is about, for the page that GET shows; changes nothing. None: expired or not ours."""
        number = self._verify("confirm", token, now)
        if number is None:
            return None
        async with self._database.reading() as session:
            subscription = await subscriptions.get(session, number)
            if subscription is None or subscription.state is SubscriptionState.ENDED:
                return None
            return await self._account(session, subscription.subscriber), subscription

    async def confirm(self, token: str, now: datetime) -> tuple[Account, Subscription] | None:
        """POST of the confirm page: pending -> active, and a paused subscriber is back; again is the same."""
        number = self._verify("confirm", token, now)
        if number is None:
            return None
        async with self._database.writing() as session:
            before = await subscriptions.get(session, number)
            subscription = await subscriptions.confirm(session, number, now)
            if before is None or subscription is None:
                return None
            await self._catch_up.back(session, subscription.subscriber, now)
            if before.state is SubscriptionState.PENDING:
                await ledger.welcome(session, number, subscription.subscriber, now=now)
            account = await self._account(session, subscription.subscriber)
            await suppressions.lift(session, self._fingerprint(account.subscriber.address))
        self._wake()
        return account, subscription

    async def _read_as_wished(
        self, session: AsyncSession, subscriber: Subscriber, language: str, *, text_only: bool
    ) -> None:
        """Rule 3."""
        live = await subscriptions.of(session, subscriber.id)
        if not any(one.state is SubscriptionState.ACTIVE for one in live):
            await subscriptions.set_language(session, subscriber.id, language)
            await subscriptions.set_reading(session, subscriber.id, text_only=text_only)
