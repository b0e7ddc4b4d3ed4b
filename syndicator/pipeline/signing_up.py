"""Signing up by mail: the wish, the question whether it is theirs, and the yes.

Rules, in order:

1. Email needs a double opt-in: `ask` writes a pending subscription and one confirmation; only `confirm`, a POST,
   makes it active, and then one welcome goes out. It also takes the address off the list of suppressed ones.
2. `ask` does alike for known, unknown and already subscribed addresses, and each of them gets a letter: to somebody
   already subscribed its link is the way back in, for who was paused (bounced) or has lost every link.
   How many, and who may not even be asked, `asking` says; a wish that has its letter already gets no second one then.
3. What is not confirmed changes nothing for somebody who is subscribed or waits. How often, the language and plain text
   are the letter's own wish (`store.opt_ins`), and the yes to it applies them, also to somebody already subscribed.
4. Who had nothing any more, and says yes, is back: also a pause that they asked for once has ended.
5. Tokens: purpose `opt-in` over the letter's message, for as long as a link works; and, without a wish of its own,
   `confirm` over the subscription.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter, canonical, parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.pipeline.accounts import Account
from syndicator.pipeline.asking import Asking
from syndicator.store import ledger, letterboxes, opt_ins, subscriptions, suppressions
from syndicator.store.coming_back import heard
from syndicator.store.opt_ins import OptIn
from syndicator.store.subscriptions import Consent, Subscription

__all__ = ["SigningUp"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a link asks about; `message` is the letter with the wish, if the wish is still to be applied."""

    subscription: Subscription
    message: int = 0
    wish: OptIn | None = None


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
    ) -> datetime | None:
        """Begin a double opt-in, or send the way back in.

        Returns when to ask anew, where limits let no letter through now; None: nothing is left to do. A page answers
        before this (`applying`): it says nothing of whose the address is.

        Raises:
            BadAddress: it is no address.
        """
        address = self.check_address(address)
        async with self._database.writing() as session:
            wish = OptIn(cadence, language, text_only, consent)
            later = await self._ask(session, address, filter_, wish, now, busy=busy)
        self._wake()
        return later

    async def preview(self, token: str, now: datetime) -> tuple[Account, Subscription] | None:
        """What a confirm token is about, as it will be, for the page that GET shows; changes nothing.

        A subscription that the yes would change is shown as pending. None: expired or not ours.
        """
        async with self._database.reading() as session:
            asked = await self._asked(session, token, now)
            if asked is None:
                return None
            account, shown = await self._account(session, asked.subscription.subscriber), asked.subscription
            if asked.wish is None:
                return account, shown
            reader = replace(account.subscriber, language=asked.wish.language, text_only=asked.wish.text_only)
            is_so = reader == account.subscriber and shown.cadence is asked.wish.cadence
            state = shown.state if is_so else SubscriptionState.PENDING
            return replace(account, subscriber=reader), replace(shown, cadence=asked.wish.cadence, state=state)

    async def confirm(self, token: str, now: datetime) -> tuple[Account, Subscription] | None:
        """POST of the confirm page: what was wished holds, and a paused subscriber is back; again is the same."""

        async def agree(session: AsyncSession) -> tuple[Account, Subscription] | None:
            asked = await self._asked(session, token, now, held=True)
            if asked is None:
                return None
            before, who = asked.subscription, asked.subscription.subscriber
            live = await subscriptions.of(session, who)
            if any(one.state is SubscriptionState.ACTIVE for one in live):
                await self._catch_up.back(session, who, now)
            else:
                await subscriptions.resume(session, who)
                await self._catch_up.after_rest(session, who, now)
            subscription = await self._agree(session, asked, now)
            if subscription is None:
                return None
            if before.state is SubscriptionState.PENDING:
                await ledger.welcome(session, subscription.id, who, now=now)
            account = await self._account(session, who)
            await suppressions.lift(session, self._fingerprint(account.subscriber.address))
            await heard(session, who, now)
            return account, subscription

        agreed = await self._database.again(agree)
        self._wake()
        return agreed

    async def _ask(
        self, session: AsyncSession, address: str, filter_: Filter, wish: OptIn, now: datetime, *, busy: bool
    ) -> datetime | None:
        """When it is to be asked instead, where it was not asked now because of the limits; None: nothing is left."""
        turn = await self._turn(session, address, now, busy=busy)
        if turn is None:
            return None
        if turn > now:
            return None if await self._is_asked(session, address, filter_, wish, now) else turn
        subscriber = await self._ensure(session, ChannelKind.EMAIL, address, wish.language, now)
        live = await subscriptions.of(session, subscriber.id)
        if not live:
            await subscriptions.set_language(session, subscriber.id, wish.language)
            await subscriptions.set_reading(session, subscriber.id, text_only=wish.text_only)
        is_reader = any(one.state is SubscriptionState.ACTIVE for one in live)
        subscription = await subscriptions.subscribe(
            session,
            subscriber.id,
            filter_,
            cadence=wish.cadence,
            state=SubscriptionState.PENDING,
            consent=wish.consent,
            now=now,
        )
        lang = subscriber.language if is_reader else wish.language
        letter = await ledger.confirmation(session, subscription.id, subscriber.id, now=now, lang=lang)
        await opt_ins.write(session, letter.id, wish)
        return None

    async def _is_asked(self, session: AsyncSession, address: str, filter_: Filter, wish: OptIn, now: datetime) -> bool:
        """Whether that very wish had its letter within the day."""
        subscriber = await subscriptions.find(session, ChannelKind.EMAIL, address)
        live = [] if subscriber is None else await subscriptions.of(session, subscriber.id)
        wanted = canonical(filter_)
        since = now - letterboxes.DAY
        return any([await opt_ins.asked_since(session, one.id, wish, since) for one in live if one.filter == wanted])

    async def _asked(self, session: AsyncSession, token: str, now: datetime, *, held: bool = False) -> _Asked | None:
        """What a token opens, if it is live; the subscriber's row is `held` until the transaction ends."""
        message, number, wish = self._verify("opt-in", token, now) or 0, self._verify("confirm", token, now), None
        if message:
            found = await opt_ins.of(session, message)
            number, wish = found or (None, None)
        subscription = None if number is None else await subscriptions.get(session, number)
        if subscription is None:
            return None
        if held:
            await subscriptions.hold(session, subscription.subscriber)
            subscription = await subscriptions.get(session, subscription.id)
            wish = wish and (await opt_ins.of(session, message) or (0, None))[1]
        if subscription is not None and subscription.state is SubscriptionState.ENDED:
            subscription = await subscriptions.live_heir(session, subscription)
        if subscription is None:
            return None
        return _Asked(subscription, message, wish if wish and not wish.is_done else None)

    async def _agree(self, session: AsyncSession, asked: _Asked, now: datetime) -> Subscription | None:
        """The yes: a wish is applied once, and keeps the words agreed to."""
        old, wish = asked.subscription, asked.wish
        if wish is None:
            return await subscriptions.confirm(session, old.id, now)
        new = await subscriptions.subscribe(
            session,
            old.subscriber,
            parse(old.filter),
            cadence=wish.cadence,
            state=SubscriptionState.ACTIVE,
            consent=wish.consent,
            now=now,
        )
        if new.id != old.id:
            await self._catch_up.leave_pace(session, old, wish.cadence, now)
        await subscriptions.set_language(session, old.subscriber, wish.language)
        await subscriptions.set_reading(session, old.subscriber, text_only=wish.text_only)
        await opt_ins.answered(session, asked.message, wish)
        return new
