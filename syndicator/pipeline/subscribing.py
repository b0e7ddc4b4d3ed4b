"""Signing up, confirming, changing and leaving: the one door for web, bot and commands.

Rules, in order:

1. Email needs a double opt-in: `ask` writes a pending subscription and one confirmation; only `confirm`, a POST,
   makes it active.
2. `ask` answers alike for known, unknown and already subscribed addresses, and each of them gets a letter: to
   somebody already subscribed its link is the way back in, for who was paused (bounced) or has lost every link.
3. At most one confirmation per address an hour and three a day, whoever asks and however they spell it; one a day
   when the caller says that it is `busy`. Callers add limits of their own.
4. A Telegram chat that talks to the bot has consented by doing so; its subscription is active at once.
5. Only what shows that somebody is there resumes a paused subscriber: confirming, the button on the manage page,
   writing to the bot. Changing a subscription does not. A pause that they asked for ends by a button alone, or at the
   time that they named.
6. Leaving takes effect before the next claim; it is safe to repeat; rows stay as the record of consent.
7. Who leaves a digest's pace or its time zone, or asks for a pause, loses nothing between two windows (`catching_up`).
8. Tokens: purpose `confirm` over the subscription (7 days); `manage` and `unsubscribe` over the subscriber, for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter, parse
from syndicator.domain.model import Cadence, ChannelKind, OtherLanguage, SubscriptionState
from syndicator.domain.quiet import Quiet
from syndicator.domain.site import Site
from syndicator.domain.tokens import BadToken, Tokens
from syndicator.pipeline.addresses import BadAddress, email_address
from syndicator.pipeline.catching_up import CatchUp
from syndicator.store import ledger, subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent, Subscriber, Subscription

__all__ = ["Account", "BadAddress", "Subscribing"]

log = structlog.get_logger()

PER_HOUR = 1
PER_DAY = 3
PER_BUSY_DAY = 1


@dataclass(frozen=True, slots=True)
class Account:
    """A subscriber with the live subscriptions (pending and active), oldest first, and the tokens that open it."""

    subscriber: Subscriber
    subscriptions: Sequence[Subscription]
    manage_token: str
    unsubscribe_token: str


class Subscribing:
    """See the module's rules. Every method that writes is one transaction, and takes `now`."""

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

    # -- email
    def check_address(self, address: str) -> str:
        """The normal form of an email address.

        Raises:
            BadAddress: what is wrong with it, in one line.
        """
        return email_address(address)

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
    ) -> None:
        """Begin a double opt-in, or send the way back in; returns the same whoever the address belongs to.

        Raises:
            BadAddress: it is no address.
        """
        address = self.check_address(address)
        async with self._database.writing() as session:
            subscriber = await self._ensure(session, ChannelKind.EMAIL, address, language, now)
            if await self._too_often(session, subscriber, now, PER_BUSY_DAY if busy else PER_DAY):
                log.info("confirmation held back", subscriber=subscriber.id)
                return
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
            subscription = await subscriptions.confirm(session, number, now)
            if subscription is None:
                return None
            await self._catch_up.back(session, subscription.subscriber, now)
            return await self._account(session, subscription.subscriber), subscription

    async def account(self, purpose: str, token: str, now: datetime) -> Account | None:
        """Whose `manage` or `unsubscribe` token it is; changes nothing."""
        number = self._verify(purpose, token, now)
        if number is None:
            return None
        async with self._database.reading() as session:
            found = await subscriptions.by_id(session, number)
            return None if found is None or found.is_erased else await self._account(session, number)

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
        async with self._database.writing() as session:
            old = await subscriptions.get(session, subscription)
            if old is not None and old.subscriber == account.subscriber.id and old.state is SubscriptionState.ACTIVE:
                await self._replace(session, old, filter_ or parse(old.filter), cadence or old.cadence, consent, now)
            return await self._account(session, account.subscriber.id)

    async def set_reading(
        self,
        account: Account,
        *,
        language: str | None = None,
        timezone: str | None = None,
        other_language: OtherLanguage | None = None,
        now: datetime | None = None,
    ) -> Account:
        """The reader's language, zone, and whether another language will do. With a zone `now` is needed (rule 7)."""
        number = account.subscriber.id
        async with self._database.writing() as session:
            if timezone is not None and now is not None:
                await self._catch_up.leave_zone(session, number, timezone, now)
            if language is not None:
                await subscriptions.set_language(session, number, language)
            await subscriptions.set_reading(session, number, timezone=timezone, other_language=other_language)
            if timezone is not None and now is not None:
                await ledger.end_quiet(session, number, now)
            found = await self._account(session, number)
        self._wake()
        return found

    async def set_quiet(self, account: Account, quiet: Quiet | None, *, now: datetime) -> Account:
        """The hours of their own clock in which only what is urgent is sent; None for none.

        What was held for the hours before goes out now, unless the new ones hold it too.
        """
        number = account.subscriber.id
        async with self._database.writing() as session:
            await subscriptions.set_quiet(session, number, quiet)
            await ledger.end_quiet(session, number, now)
            found = await self._account(session, number)
        self._wake()
        return found

    async def rest(self, account: Account, until: datetime | None, *, now: datetime) -> Account:
        """They want nothing until then, None: until they say so. What comes meanwhile is not made up (rule 7)."""
        number = account.subscriber.id
        async with self._database.writing() as session:
            await self._catch_up.before_rest(session, number, now)
            await subscriptions.rest(session, number, until)
            found = await self._account(session, number)
        self._wake()
        return found

    async def resume(self, account: Account, *, now: datetime) -> Account:
        """They say that it is over: what was paused goes on, also what they had asked for."""
        number = account.subscriber.id
        async with self._database.writing() as session:
            await subscriptions.resume(session, number)
            await self._catch_up.after_rest(session, number, now)
            found = await self._account(session, number)
        self._wake()
        return found

    async def end(self, account: Account, subscription: int, *, reason: str, now: datetime) -> Account:
        """End one; one that is not theirs or has ended is left alone."""
        async with self._database.writing() as session:
            found = await subscriptions.get(session, subscription)
            if found is not None and found.subscriber == account.subscriber.id:
                await subscriptions.end(session, subscription, reason, now)
            return await self._account(session, account.subscriber.id)

    async def end_all(self, account: Account, *, reason: str, now: datetime) -> Account:
        """End every one (one-click unsubscribe)."""
        async with self._database.writing() as session:
            await subscriptions.end_all(session, account.subscriber.id, reason, now)
            return await self._account(session, account.subscriber.id)

    # -- Telegram
    async def chat(self, chat: int | str, *, language: str, now: datetime) -> Account:
        """The account of a chat, made if new, resumed if it was paused (blocked and back). Language only if new.

        A pause that was asked for goes on (`is_resting`).
        """
        found = await self.known(chat)
        if found is not None and (not found.subscriber.is_paused or found.subscriber.is_resting):
            return found
        async with self._database.writing() as session:
            subscriber = await self._ensure(session, ChannelKind.TELEGRAM, str(chat), language, now)
            if subscriber.is_paused:
                await self._catch_up.back(session, subscriber.id, now)
            return await self._account(session, subscriber.id)

    async def known(self, chat: int | str) -> Account | None:
        """The account of a chat that has one; nothing is written."""
        async with self._database.reading() as session:
            subscriber = await subscriptions.find(session, ChannelKind.TELEGRAM, str(chat))
            return None if subscriber is None else await self._account(session, subscriber.id)

    async def choose(
        self,
        account: Account,
        filter_: Filter | None,
        *,
        cadence: Cadence | None = None,
        consent: Consent,
        now: datetime,
    ) -> Account:
        """A chat has exactly one subscription: this filter takes the place of what it had; None ends it.

        Without `cadence` it keeps the one it has; a new one is told at once.
        """
        number = account.subscriber.id
        async with self._database.writing() as session:
            live = await subscriptions.of(session, number)
            kept = None
            if filter_ is not None:
                kept = await subscriptions.subscribe(
                    session,
                    number,
                    filter_,
                    cadence=cadence or (live[-1].cadence if live else Cadence.IMMEDIATE),
                    state=SubscriptionState.ACTIVE,
                    consent=consent,
                    now=now,
                )
            for subscription in live:
                if kept is None or subscription.id != kept.id:
                    await subscriptions.end(session, subscription.id, "changed" if kept else "stopped", now)
                if kept is not None:
                    await self._catch_up.leave_pace(session, subscription, kept.cadence, now)
            found = await self._account(session, number)
        self._wake()
        return found

    async def blocked(self, chat: int | str, *, reason: str) -> None:
        """The chat blocked the bot (my_chat_member kicked): paused, topics kept."""
        async with self._database.writing() as session:
            subscriber = await subscriptions.find(session, ChannelKind.TELEGRAM, str(chat))
            if subscriber is not None:
                await subscriptions.pause(session, subscriber.id, reason)

    # -- shared steps
    async def _ensure(
        self, session: AsyncSession, channel: ChannelKind, address: str, language: str, now: datetime
    ) -> Subscriber:
        return await subscriptions.ensure(
            session, channel, address, language=language, timezone=self._site.timezone, now=now
        )

    async def _too_often(self, session: AsyncSession, subscriber: Subscriber, now: datetime, per_day: int) -> bool:
        hour = await subscriptions.pending_since(session, subscriber.id, now - timedelta(hours=1))
        day = await subscriptions.pending_since(session, subscriber.id, now - timedelta(days=1))
        return hour >= PER_HOUR or day >= per_day

    async def _replace(
        self,
        session: AsyncSession,
        old: Subscription,
        filter_: Filter,
        cadence: Cadence,
        consent: Consent,
        now: datetime,
    ) -> None:
        new = await subscriptions.subscribe(
            session,
            old.subscriber,
            filter_,
            cadence=cadence,
            state=SubscriptionState.ACTIVE,
            consent=consent,
            now=now,
        )
        if new.id != old.id:
            await subscriptions.end(session, old.id, "changed", now)
            await self._catch_up.leave_pace(session, old, cadence, now)

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
