"""Readers by mail, and what the office does to them: for tests of what follows, and of digests."""

from __future__ import annotations

from sqlalchemy import select

from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, SubscriptionState
from syndicator.pipeline import corrections
from syndicator.store import subscriptions
from syndicator.store.tables import DELIVERY

BY_MAIL = frozenset(MessageKind) - {MessageKind.EDIT, MessageKind.FEED}


class MailReader:
    """Somebody who reads mail, with an active subscription."""

    def __init__(self, press, address, *, lang="en", zone="Asia/Baku"):
        self.press, self.address, self.lang, self.zone = press, address, lang, zone
        self.id = 0

    async def wants(self, cadence="immediate", filter_=""):
        press = self.press
        async with press.database.writing() as session:
            who = await subscriptions.ensure(
                session, ChannelKind.EMAIL, self.address, language=self.lang, timezone=self.zone, now=press.now
            )
            self.id = who.id
            made = await subscriptions.subscribe(
                session,
                who.id,
                parse(filter_),
                cadence=Cadence(cadence),
                state=SubscriptionState.ACTIVE,
                consent=None,
                now=press.now,
            )
        return made.id

    @property
    def letters(self):
        """All that was sent to them, wherever they were at that time."""
        return [letter for letter in self.press.mail.sent if letter.subscriber == self.id]

    @property
    def got(self):
        """A text a letter: what it is, and what it is about."""
        return [f"{one.kind.value} {'+'.join(item.release.key for item in one.items)}".strip() for one in self.letters]

    async def delivery(self):
        """Their newest row's number."""
        async with self.press.database.reading() as session:
            query = select(DELIVERY.c.id).where(DELIVERY.c.subscriber_id == self.id).order_by(DELIVERY.c.id.desc())
            return await session.scalar(query.limit(1))


async def withdraw(press, number=1, reason="An error"):
    async with press.database.writing() as session:
        await corrections.withdraw(session, number, reason, press.now)
    await press.spread()
    await press.send()
