"""What readers choose for themselves: what they get, how often, in which language, and whether at all just now.

Rules, in order:

1. Changing a subscription ends its row and begins a new one: the record of consent stays.
2. Only what shows that somebody is there resumes a paused subscriber: confirming, the button on the manage page,
   writing to the bot. Changing a subscription does not. A pause that they asked for ends by a button alone, or at the
   time that they named. Where mail had come back, the button also takes the address off the list of suppressed ones:
   who holds the page's link has our mail. If it comes back again, that counts anew.
3. Leaving takes effect before the next claim; it is safe to repeat; rows stay as the record of consent. Who leaves all
   has also taken back what was asked for before, by them or at their address, and still waits to be looked at.
4. Who leaves a digest's pace or its time zone, or asks for a pause, loses nothing between two windows (`catching_up`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Suppressed
from syndicator.domain.filters import Filter, parse
from syndicator.domain.model import Cadence, OtherLanguage, SubscriptionState
from syndicator.domain.quiet import Quiet
from syndicator.pipeline.accounts import Account, Accounts
from syndicator.store import applications, ledger, subscriptions, suppressions
from syndicator.store.coming_back import heard
from syndicator.store.subscriptions import Consent, Subscription

__all__ = ["Choosing"]


class Choosing(Accounts):
    """See the module's rules. Every method is one transaction, and takes `now`."""

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
        text_only: bool | None = None,
        now: datetime | None = None,
    ) -> Account:
        """The reader's language, zone, whether another language will do, and whether mails have no HTML.

        With a zone `now` is needed (rule 4).
        """
        number = account.subscriber.id
        async with self._database.writing() as session:
            if timezone is not None and now is not None:
                await self._catch_up.leave_zone(session, number, timezone, now)
            if language is not None:
                await subscriptions.set_language(session, number, language)
            await subscriptions.set_reading(
                session, number, timezone=timezone, other_language=other_language, text_only=text_only
            )
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
        """They want nothing until then, None: until they say so. What comes meanwhile is not made up (rule 4)."""
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
            await heard(session, number, now)
            await self._catch_up.after_rest(session, number, now)
            found = await self._account(session, number)
            fingerprint = self._fingerprint(found.subscriber.address)
            if await suppressions.has(session, fingerprint) is Suppressed.BOUNCED:
                await suppressions.lift(session, fingerprint)
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
        """End every one (one-click unsubscribe), and what waits (rule 3)."""

        async def leave(session: AsyncSession) -> Account:
            who = account.subscriber
            await applications.forget(session, who.id, who.address, now)
            await subscriptions.end_all(session, who.id, reason, now)
            return await self._account(session, who.id)

        return await self._database.again(leave)

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
