"""Fakes at the pipeline's own ports, and the pipeline put together over a real database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syndicator.domain.filters import parse
from syndicator.domain.letters import Letter, Outcome, Sent
from syndicator.domain.model import (
    Attachment,
    Cadence,
    Change,
    ChannelKind,
    MessageKind,
    Problem,
    SubscriptionState,
)
from syndicator.domain.ports import ALONE, Again, Attendance, Done, Job, SourceItem
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.metrics import Metrics
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.intake import Intake, Tally
from syndicator.pipeline.returning import Consequences
from syndicator.pipeline.settling import Settler
from syndicator.pipeline.subscribing import Subscribing
from syndicator.store import ledger, subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent


@dataclass
class FakeSource:
    """A publication store that says what it is told to say, and only what its reader does not know yet."""

    items: list[Change | Problem] = field(default_factory=list)
    name: str = "desk"
    broken: str = ""

    async def changes(self, cursor: str, known: Mapping[str, str]) -> AsyncIterator[SourceItem]:
        for number, item in enumerate(self.items, 1):
            if known.get(item.origin) != item.fingerprint:
                yield SourceItem(item, str(number))
        if self.broken:
            raise OSError(self.broken)

    async def watch(self) -> AsyncIterator[None]:
        return
        yield


class FakeMedia:
    """Keeps nothing; gives an address."""

    async def keep(self, attachment: Attachment) -> Attachment:
        if attachment.path is not None and attachment.path.name == "full":
            raise OSError("no space left")
        return replace(attachment, url="/media/kept.jpg", path=None, media_type="image/jpeg", length=7)

    async def find(self, url: str) -> Path | None:
        return self.path(url)

    def path(self, url: str) -> Path | None:
        return None


@dataclass
class FakeChannel:
    """A way out that answers as it is told; `sent` is what it was asked to send."""

    kind: ChannelKind = ChannelKind.EMAIL
    chunk: int = 2
    lanes: int = 1
    answers: dict[str, Outcome] = field(default_factory=dict)
    sent: list[Letter] = field(default_factory=list)
    fault: Exception | None = None
    closed_until: datetime | None = None
    tells: set[MessageKind] = field(default_factory=lambda: {MessageKind.RELEASE, MessageKind.CONFIRMATION})

    def ready_at(self, now: datetime) -> datetime | None:
        return self.closed_until if self.closed_until and self.closed_until > now else None

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        if self.fault is not None:
            raise self.fault
        self.sent += letters
        return [self.answers.get(letter.address, Sent({"message_id": f"<{letter.delivery}>"})) for letter in letters]

    async def close(self) -> None: ...


class Never:
    """A turn that nobody else wants."""

    def should_yield(self) -> bool:
        return False


class Always:
    """A turn that somebody more important wants."""

    def should_yield(self) -> bool:
        return True


class Press:
    """The whole pipeline over one database, moved by hand: no engine, no clock but `now`."""

    def __init__(
        self,
        database: Database,
        site: Site,
        taxonomy: Taxonomy,
        now: datetime,
        *,
        telegram: Any = None,
        attendance: Attendance = ALONE,
    ) -> None:
        self.database, self.site, self.taxonomy, self.now = database, site, taxonomy, now
        self.metrics = Metrics()
        self.source = FakeSource()
        self.mail = FakeChannel()
        self.telegram: Any = telegram or FakeChannel(ChannelKind.TELEGRAM, chunk=1, tells=set(MessageKind))
        self.tokens = Tokens(b"0123456789abcdef")
        self.woken = 0
        self.intake = Intake(
            database,
            site=site,
            taxonomy=taxonomy,
            media=FakeMedia(),
            announce_for=timedelta(hours=72),
            clock=lambda: self.now,
            metrics=self.metrics,
            wake=self.wake,
        )
        channels = {channel.kind: channel for channel in (self.mail, self.telegram)}
        self.fanout = Fanout(
            database,
            site=site,
            taxonomy=taxonomy,
            tells={kind: channel.tells for kind, channel in channels.items()},
            clock=lambda: self.now,
            wake=self.wake,
        )
        policy = RetryPolicy(3, ResendUnknown.ONCE)
        self.settler = Settler(
            database,
            policies={ChannelKind.EMAIL: policy, ChannelKind.TELEGRAM: RetryPolicy(3, ResendUnknown.NEVER)},
            clock=lambda: self.now,
            metrics=self.metrics,
            consequences=Consequences(self.tokens),
            sleep=self.rest,
            attendance=attendance,
        )
        self.delivery = Delivery(
            database,
            channels,
            tokens=self.tokens,
            settler=self.settler,
            attendance=attendance,
            clock=lambda: self.now,
            wake=self.wake,
        )
        self.subscribing = Subscribing(database, self.tokens, site=site, wake=self.wake)

    def wake(self) -> None:
        self.woken += 1

    async def rest(self, seconds: float) -> None:
        """Time that passes while somebody waits."""
        self.now += timedelta(seconds=seconds)

    def change(self, key: str = "fees", lang: str = "en", **values: Any) -> Change:
        base = Change(
            source="desk",
            key=key,
            origin=f"{key}.{lang}.txt",
            lang=lang,
            title=f"Title of {key} in {lang}",
            body=f"Body of {key} in {lang}.",
            fingerprint="",
            seen_at=self.now,
        )
        made = replace(base, **values)
        return replace(made, fingerprint=values.get("fingerprint", str(hash(made))))

    async def harvest(self, *items: Change | Problem) -> Tally:
        if items:
            self.source.items = list(items)
        return await self.intake.harvest(self.source)

    async def spread(self) -> None:
        """Fan out whatever is open."""
        async with self.database.reading() as session:
            messages = await ledger.open_messages(session)
        for message in messages:
            job = Job("fanout", f"fanout:{message.id}", message.priority, self.now, args={"message": message.id})
            while isinstance(await self.fanout.fan_out(job, Never()), Again):
                pass

    async def send(self, turn: Any = None) -> int:
        """Deliver whatever is due, each batch once; returns how many gave way."""
        async with self.database.writing() as session:
            await ledger.sweep(session, self.now)
        async with self.database.reading() as session:
            batches = await ledger.open_batches(session)
        gave_way = 0
        for batch in batches:
            args = {"batch": batch.id, "channel": batch.channel.value}
            job = Job("deliver", f"deliver:{batch.id}", batch.priority, self.now, args=args)
            verdict = await self.delivery.deliver(job, turn or Never())
            gave_way += not isinstance(verdict, Done)
        return gave_way

    async def publish(self, *items: Change | Problem) -> Tally:
        tally = await self.harvest(*items)
        await self.spread()
        await self.send()
        return tally

    async def rows(self) -> list[Mapping[str, Any]]:
        async with self.database.reading() as session:
            return list(await ledger.listing(session, limit=1000))

    async def states(self) -> dict[str, str]:
        return {str(row["address"]): str(row["state"]) for row in await self.rows()}


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    """Topics with rules."""
    topics: list[dict[str, Any]] = [
        {"slug": "visas", "words": {"en": {"visa": 4}, "az": {"viza": 4}}},
        {"slug": "e-visa", "parent": "visas"},
        {"slug": "refugees", "words": {"az": {"qaçqın": 4}}},
        {"slug": "office"},
    ]
    names = {"az": "a", "en": "e", "ru": "r"}
    return Taxonomy.from_mapping({"threshold": 4, "limit": 4, "topic": [{"name": names, **topic} for topic in topics]})


@pytest.fixture
async def fresh(
    sqlite_template: Path, tmp_path: Path, site: Site, taxonomy: Taxonomy, now: datetime
) -> AsyncIterator[Callable[[], Press]]:
    """A pipeline over an empty database, at each call."""
    opened: list[Database] = []

    def made() -> Press:
        path = tmp_path / f"{len(opened)}.db"
        shutil.copyfile(sqlite_template, path)
        opened.append(Database(f"sqlite:///{path}"))
        return Press(opened[-1], site, taxonomy, now)

    yield made
    for one in opened:
        await one.close()


@pytest.fixture
def press(database: Database, site: Site, taxonomy: Taxonomy, now: datetime) -> Press:
    return Press(database, site, taxonomy, now)


@pytest.fixture
def always() -> Always:
    return Always()


@pytest.fixture
def reader(press):
    """Makes a subscriber with one subscription, at once."""

    async def add(address, filter_="", *, lang="en", channel=ChannelKind.EMAIL):
        async with press.database.writing() as session:
            found = await subscriptions.ensure(
                session, channel, address, language=lang, timezone="Asia/Baku", now=press.now
            )
            await subscriptions.subscribe(
                session,
                found.id,
                parse(filter_),
                cadence=Cadence.IMMEDIATE,
                state=SubscriptionState.ACTIVE,
                consent=Consent(press.now, "test", "yes"),
                now=press.now,
            )
        return found

    return add
