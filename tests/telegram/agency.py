"""The agency whole, as Telegram sees it: real store, real pipeline, real bot, over the double; time is the test's own.

`publish`, `correct`, `withdraw` are the desk's; `write`, `press`, `block` are a person's, done when the bot has dealt
with them; `work` does what the running service would do now; `pass_time` moves every clock.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

from bots.telegram.opening import open_telegram
from config.settings import DigestSettings, TelegramSettings
from syndicator.domain.filters import parse
from syndicator.domain.jobs import harvest_job
from syndicator.domain.model import Cadence, Change, ChannelKind, State, SubscriptionState, Urgency
from syndicator.domain.ports import ALONE, Again
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.domain.tokens import Tokens
from syndicator.engine.embedded import EmbeddedEngine
from syndicator.metrics import Metrics
from syndicator.pipeline.channels import PublicChannel, configure_channels
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.digests import Digests
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.settling import Settler
from syndicator.pipeline.subscribing import Subscribing
from syndicator.pipeline.work import Work
from syndicator.store import subscriptions
from syndicator.store.database import Database
from tests.whole.house import FakeSource, Never

ROUNDS = 60


class NoFeeds:
    """This agency has none."""

    async def stale(self):
        return False

    async def refresh(self, now):
        return False


class Agency:
    """See the module. `double` shares its clock."""

    def __init__(self, url, folder, double, clock, *, site, taxonomy, texts, attendance=ALONE, **settings):
        self.double, self.site, self.clock = double, site, clock
        self.database, self.metrics, self.source = Database(url), Metrics(), FakeSource()
        tokens = Tokens(b"a secret of the test, 32 bytes..")
        shared: dict[str, Any] = {"clock": clock, "wake": lambda: None}
        media = MediaFolder(folder / "media", 1_000_000)
        self.subscribing = Subscribing(self.database, tokens, site=site, wake=lambda: None)
        self.telegram = open_telegram(
            TelegramSettings(**{"token": double.token, "api_root": double.url, **settings}),
            self.database,
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            chats=self.subscribing,
            folder=media,
            clock=clock,
            metrics=self.metrics,
            wake=lambda: None,
            attendance=attendance,
        )
        self.bot = self.telegram.bot
        self.bot._poll_for = timedelta(seconds=1)
        if isinstance(clock, Clock):  # a pace that is kept takes the test no time
            channel = self.telegram.channel
            channel._pace._sleep, channel._monotonic = clock.sleep, clock.seconds
        self.intake = Intake(
            self.database,
            site=site,
            taxonomy=taxonomy,
            media=media,
            announce_for=timedelta(hours=72),
            metrics=self.metrics,
            **shared,
        )
        channels = {ChannelKind.TELEGRAM: self.telegram.channel}
        policies = {ChannelKind.TELEGRAM: RetryPolicy(5, ResendUnknown.URGENT)}
        settler = Settler(self.database, policies=policies, clock=clock, metrics=self.metrics, attendance=attendance)
        tells = {ChannelKind.TELEGRAM: self.telegram.channel.tells}
        self.digests = Digests(self.database, DigestSettings(), **shared)
        self.delivery = Delivery(
            self.database, channels, tokens=tokens, settler=settler, attendance=attendance, **shared
        )
        self._work = Work(
            self.database,
            sources={self.source.name: self.source},
            intake=self.intake,
            fanout=Fanout(self.database, site=site, taxonomy=taxonomy, tells=tells, **shared),
            delivery=self.delivery,
            settler=settler,
            publisher=NoFeeds(),
            channels=list(channels),
            workplaces=[self.digests, *self.telegram.workplaces],
            **shared,
        )

    async def open(self):
        await self.bot.start()
        await self.double.until(lambda: any(method == "getUpdates" for method, _ in self.double.calls))

    async def close(self):
        await self.bot.stop()
        await self.telegram.channel.close()
        await self.database.close()

    # -- time and work
    async def pass_time(self, **span):
        """Every clock goes on; then what came due is done."""
        self.clock.now += timedelta(**span)
        await self.work()

    def engine(self):
        """Does the same by itself, once it is started, with the channel's lanes."""
        lanes = {"telegram": self.telegram.channel.lanes}
        return EmbeddedEngine(
            self._work.handlers(), self._work.pending, clock=self.clock, metrics=self.metrics, lanes=lanes
        )

    async def work(self):
        handlers = self._work.handlers()
        await handlers["harvest"](harvest_job(self.source.name, self.clock()), Never())
        for _ in range(ROUNDS):
            due = [job for job in await self._work.pending(self.clock()) if job.due <= self.clock()]
            if not due:
                return
            for job in sorted(due, key=lambda one: one.priority):
                while isinstance(verdict := await handlers[job.name](job, Never()), Again):
                    if verdict.due > self.clock():
                        break
        raise AssertionError("the work never ends")

    # -- the desk
    async def publish(self, key, *, topics=("visas",), urgent=False, note="", embargo=None, **texts):
        """A release in these languages (`az="Title"`; its body repeats the title), and all that follows from it."""
        self.clock.now += timedelta(minutes=1)  # whoever signed up before did so earlier
        for lang, title in texts.items():
            origin, body = f"{key}.{lang}", f"{title}. Ətraflı, in full, подробно."
            print_ = sha256(f"{origin}{body}{note}".encode()).hexdigest()
            self.source.items[origin] = Change(
                self.source.name,
                key,
                origin,
                lang,
                title,
                body,
                print_,
                self.clock(),
                topics=tuple(topics),
                urgency=Urgency.URGENT if urgent else Urgency.NORMAL,
                published=self.clock(),
                note=note,
                embargo=embargo,
            )
        await self.work()

    async def correct(self, key, note, **texts):
        """Another text, with a note of what has changed."""
        first = self.source.items[f"{key}.{next(iter(texts))}"]
        await self.publish(key, topics=first.topics, note=note, **texts)

    async def withdraw(self, key, reason):
        """Its documents say that it is withdrawn."""
        for origin, item in list(self.source.items.items()):
            if item.key == key:
                gone = replace(item, state=State.WITHDRAWN, reason=reason, fingerprint=item.fingerprint + "-")
                self.source.items[origin] = gone
        await self.work()

    async def carry(self, *chats, lang="az"):
        """Channels of the office's own."""
        found, now = [PublicChannel(chat, parse(""), lang) for chat in chats], self.clock()
        await configure_channels(self.database, ChannelKind.TELEGRAM, found, site=self.site, now=now)

    # -- people
    async def dealt(self, update):
        """The bot has dealt with it."""
        await self.double.until(lambda: update not in self.double.pending)
        await self.double.until(lambda: all(one["update_id"] > update["update_id"] for one in self.double.pending))

    async def write(self, chat, text, language="en", reply_to=None):
        await self.dealt(self.double.say(chat, text, language=language, reply_to=reply_to))
        return self.last(chat)

    async def press(self, chat, label, message=None):
        await self.dealt(self.double.tap(chat, label, message=message))
        return self.last(chat)

    async def block(self, chat, status="kicked"):
        await self.dealt(self.double.block(chat, status))

    def last(self, chat):
        """The newest message of ours in the chat; None while there is none."""
        return next(reversed(self.double.seen(chat)), None)

    async def person(self, chat):
        """What the store says of a chat: (subscriber, its live subscriptions)."""
        async with self.database.reading() as session:
            who = await subscriptions.find(session, ChannelKind.TELEGRAM, str(chat))
            return (who, await subscriptions.of(session, who.id)) if who else (None, [])

    async def cadence(self, chat) -> Cadence | None:
        _, live = await self.person(chat)
        return next((one.cadence for one in live if one.state is SubscriptionState.ACTIVE), None)


class Clock:
    """Moves when the test says so, and when the pace waits."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now

    def seconds(self):
        """Since 1970, as the double counts."""
        return self.now.timestamp()

    async def sleep(self, seconds):
        """Time passes for everybody."""
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)
