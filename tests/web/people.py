"""People who sign up, and the store behind the pages: what tests of the subscribers' pages share."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.store import subscriptions
from syndicator.store.subscriptions import Consent

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class People:
    """Looks into the store for what a page has done, and puts people there."""

    def __init__(self, parts) -> None:
        self.database, self.clock, self.tokens = parts.database, parts.clock, parts.tokens
        self.subscribing = parts.subscribing

    async def heard(self):
        """What was asked for on pages is looked at, as the engine would."""
        while await self.subscribing.hear(self.clock()):
            pass

    async def join(
        self, address="ayla@example.org", text="topic=visas", language="ru", state=SubscriptionState.ACTIVE, **more
    ):
        now = self.clock()
        async with self.database.writing() as session:
            someone = await subscriptions.ensure(
                session, ChannelKind.EMAIL, address, language=language, timezone="Asia/Baku", now=now
            )
            subscription = await subscriptions.subscribe(
                session,
                someone.id,
                parse(text),
                cadence=more.get("cadence", Cadence.IMMEDIATE),
                state=state,
                consent=Consent(now, "test", "yes"),
                now=now,
            )
        return someone, subscription

    async def live(self, address="ayla@example.org"):
        await self.heard()
        async with self.database.reading() as session:
            someone = await subscriptions.find(session, ChannelKind.EMAIL, address)
            return [] if someone is None else list(await subscriptions.of(session, someone.id))

    async def reader(self, address="ayla@example.org"):
        await self.heard()
        async with self.database.reading() as session:
            return await subscriptions.find(session, ChannelKind.EMAIL, address)

    async def pause(self, someone):
        async with self.database.writing() as session:
            await subscriptions.pause(session, someone.id, "550 no such user")

    def link(self, purpose: str, number: int, **expires: float) -> str:
        until = self.clock() + timedelta(**expires) if expires else None
        return f"/{purpose}/{self.tokens.sign(purpose, number, until)}"


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, name
    return unescape(found[1])


async def fill(visitor, clock, lang="en", **fields):
    """Open the form, take a breath, send it."""
    page = await visitor.text(f"/{lang}/subscribe")
    clock.move(seconds=5)
    sent = {"made": hidden(page, "made"), "email": "ayla@example.org", "language": lang, "website": "", "q": ""}
    return await visitor.post(f"/{lang}/subscribe", {**sent, **fields})


async def change(visitor, people, someone, headers=None, **fields):
    link = people.link("manage", someone.id)
    form = hidden(await visitor.text(link), "form")
    return await visitor.post(link, {"form": form, **fields}, headers=headers)
