"""Short ways to put releases and people into a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import parse
from syndicator.domain.model import (
    Cadence,
    ChannelKind,
    MessageKind,
    OtherLanguage,
    Priority,
    Revision,
    State,
    SubscriberRole,
    SubscriptionState,
    Urgency,
)
from syndicator.domain.site import Site
from syndicator.store import ledger, releases, subscriptions
from syndicator.store.releases import Draft, Recorded
from syndicator.store.subscriptions import Subscriber, Subscription
from tests.store.looked import TELLS


@dataclass
class Press:
    """Writes releases as intake would."""

    site: Site
    now: datetime

    def draft(self, key: str = "a", lang: str = "az", text: str = "Sözlər", **values: Any) -> Draft:
        title = values.pop("title", f"{key} {lang}")
        note = values.pop("note", "")
        values["topics"] = tuple((topic, "source", "") for topic in values.get("topics", ()))
        values["state"] = State(values.get("state", "public"))
        values["urgency"] = Urgency(values.get("urgency", "normal"))
        summary = values.pop("summary", "")
        revision = Revision(0, 0, title, summary, f"<p>{text}</p>", text, note=note)
        usual = {"source": "directory", "slug": key, "kind": "news", "public_at": self.now, "revision": revision}
        return Draft(key=key, lang=lang, **{**usual, **values})

    async def record(self, session: AsyncSession, *args: Any, now: datetime | None = None, **values: Any) -> Recorded:
        draft = self.draft(*args, **values)
        return await releases.record(session, draft, site_uids=self.site, now=now or self.now)


@dataclass
class People:
    """Signs people up as the pipeline would."""

    now: datetime

    async def add(
        self,
        session: AsyncSession,
        address: str,
        filter_: str = "",
        *,
        lang: str = "az",
        other: str = "urgent",
        channel: ChannelKind = ChannelKind.EMAIL,
        role: SubscriberRole = SubscriberRole.PERSON,
        cadence: Cadence = Cadence.IMMEDIATE,
        state: SubscriptionState = SubscriptionState.ACTIVE,
    ) -> tuple[Subscriber, Subscription]:
        who = await subscriptions.ensure(
            session, channel, address, language=lang, timezone="Asia/Baku", now=self.now, role=role
        )
        await subscriptions.set_reading(session, who.id, other_language=OtherLanguage(other))
        made = await subscriptions.subscribe(
            session, who.id, parse(filter_), cadence=cadence, state=state, consent=None, now=self.now
        )
        return who, made


@pytest.fixture
def press(site: Site, now: datetime) -> Press:
    return Press(site, now)


@pytest.fixture
def people(now: datetime) -> People:
    return People(now)


@pytest.fixture
def tell(taxonomy, now):
    """Announce a release and write all its recipients, as the pipeline does."""

    async def told(
        session, number=1, *, kind="release", major=0, priority=Priority.NORMAL, langs=(), when=None, **values
    ):
        when = when or now
        message = await ledger.announce(
            session, number, kind=MessageKind(kind), major=major, priority=priority, now=when, langs=langs
        )
        written = 0
        values = {"taxonomy": taxonomy, "order": ("az", "en", "ru"), "now": when, "tells": TELLS, **values}
        while (step := await ledger.fan_out(session, message.id, **values)) is not None:
            written += step
        return written

    return told


@pytest.fixture
def cleared() -> Callable[..., Any]:
    """Empty every table that examples fill; for property tests that share one database."""

    async def clear(session: AsyncSession) -> None:
        from sqlalchemy import text  # noqa: PLC0415  # only here

        for table in ("delivery", "batch", "message", "match", "subscription", "subscriber", "filter_term", "filter"):
            await session.execute(text(f"DELETE FROM {table}"))
        for table in ("release_topic", "revision", "variant", "release"):
            await session.execute(text(f"DELETE FROM {table}"))

    return clear
