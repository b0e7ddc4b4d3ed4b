"""Chats: a Telegram chat that talks to the bot has consented by doing so.

Rules, in order:

1. A chat has exactly one subscription, active at once: what it chooses takes the place of what it had.
2. Who had blocked the bot and writes again is back; a pause that they asked for goes on.
"""

from __future__ import annotations

from datetime import datetime

from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.pipeline.accounts import Account, Accounts
from syndicator.store import subscriptions
from syndicator.store.subscriptions import Consent

__all__ = ["Chats"]


class Chats(Accounts):
    """See the module's rules. Every method is one transaction, and takes `now`."""

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
