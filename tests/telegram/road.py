"""The whole road of a release to chats: real store, real pipeline, the real way out, the double at its strict limits.

One clock for all of them; it moves when the test says so, or when the way out waits for its pace.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

from bots.telegram.channel import TelegramChannel
from bots.telegram.limits import Pacer
from bots.telegram.media import DatabaseFiles, Photos
from bots.telegram.options import ChatOptions
from bots.telegram.pauses import DatabasePauses
from bots.telegram.records import Records, Watch
from syndicator.domain.filters import parse
from syndicator.domain.jobs import harvest_job
from syndicator.domain.model import (
    Attachment,
    Cadence,
    Change,
    ChannelKind,
    State,
    SubscriptionState,
    Urgency,
)
from syndicator.domain.ports import Again
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.domain.tokens import Tokens
from syndicator.metrics import Metrics
from syndicator.pipeline.channels import configure_channels, public_channels
from syndicator.pipeline.delivery import Delivery
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.media import MediaFolder
from syndicator.pipeline.settling import Settler
from syndicator.pipeline.work import Work
from syndicator.store import subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent
from tests.telegram.double import TelegramDouble
from tests.telegram.pictures import png
from tests.whole.house import FakeSource, Never

ROUNDS = 120


class NoFeeds:
    """None are kept here."""

    async def stale(self):
        return False

    async def refresh(self, now):
        return False


class Road:
    """See the module."""

    def __init__(self, url, folder, bot, now, *, site, taxonomy, texts, settings):
        self.now, self.folder, self.site, self.settings = now, folder, site, settings
        self.database, self.source, self.asked = Database(url), FakeSource(), 0
        shared = {"clock": lambda: self.now, "wake": lambda: None}
        media = MediaFolder(folder / "media", 1_000_000)
        self.taxonomy = taxonomy
        self.channel = TelegramChannel(
            bot,
            site=site,
            texts=texts,
            taxonomy=taxonomy,
            pacer=Pacer(),
            pauses=DatabasePauses(self.database),
            options=ChatOptions.of(settings.telegram),
            photos=Photos(DatabaseFiles(self.database, 4242), media),
            still=self.still,
            sleep=self._sleep,
            monotonic=lambda: self.now.timestamp(),  # noqa: PLW0108  # it moves on
        )
        self.watch = Watch(self.database, self.channel._pacer, shared["clock"])
        channels = {ChannelKind.TELEGRAM: self.channel}
        metrics = Metrics()
        policies = {ChannelKind.TELEGRAM: RetryPolicy(8, ResendUnknown.URGENT)}
        settler = Settler(self.database, policies=policies, clock=shared["clock"], metrics=metrics)
        more = {"site": site, "taxonomy": taxonomy}
        tells = {ChannelKind.TELEGRAM: self.channel.tells}
        hours = timedelta(hours=72)
        self.work_ = Work(
            self.database,
            sources={self.source.name: self.source},
            intake=Intake(self.database, media=media, announce_for=hours, metrics=metrics, **more, **shared),
            fanout=Fanout(self.database, tells=tells, **more, **shared),
            delivery=Delivery(
                self.database, channels, tokens=Tokens(b"a secret of the test, 32 bytes.."), settler=settler, **shared
            ),
            settler=settler,
            publisher=NoFeeds(),
            channels=list(channels),
            workplaces=[self.watch],
            **shared,
        )

    async def still(self, releases):
        self.asked += 1
        return await Records(self.database, lambda: self.now, lambda: None).still(releases)

    async def _sleep(self, seconds):
        self.now += timedelta(seconds=seconds)

    # -- time and work
    async def work(self, *, only=None):
        """All that is due now; of deliveries at most `only` jobs, as if the process died then."""
        handlers = self.work_.handlers()
        await handlers["harvest"](harvest_job(self.source.name, self.now), Never())
        done = 0
        for _ in range(ROUNDS):
            due = [job for job in await self.work_.pending(self.now) if job.due <= self.now and job.name != "harvest"]
            if not due:
                return
            for job in sorted(due, key=lambda one: one.priority):
                if job.name == "deliver" and only is not None and (done := done + 1) > only:
                    return
                while isinstance(verdict := await handlers[job.name](job, Never()), Again):
                    if verdict.due > self.now:
                        break
        raise AssertionError("the work never ends")

    async def pass_time(self, **span):
        """Everything that comes due in that time is done when it does."""
        end = self.now + timedelta(**span)
        for _ in range(ROUNDS):
            await self.work()
            jobs = [job.due for job in await self.work_.pending(self.now) if job.name != "harvest"]
            if (soonest := min(jobs, default=end)) >= end:
                break
            self.now = max(self.now, soonest)
        self.now = max(self.now, end)
        await self.work()

    # -- readers
    async def person(self, chat, filter_=""):
        """Somebody who gets everything that matches, in English."""
        async with self.database.writing() as session:
            who = await subscriptions.ensure(
                session, ChannelKind.TELEGRAM, str(chat), language="en", timezone="Asia/Baku", now=self.now
            )
            await subscriptions.subscribe(
                session,
                who.id,
                parse(filter_),
                cadence=Cadence.IMMEDIATE,
                state=SubscriptionState.ACTIVE,
                consent=Consent(self.now, "bot", "yes"),
                now=self.now,
            )
        self.now += timedelta(seconds=1)

    async def leave(self, chat):
        """They ended their subscription."""
        async with self.database.writing() as session:
            who = await subscriptions.find(session, ChannelKind.TELEGRAM, str(chat))
            await subscriptions.end_all(session, who.id, "asked", self.now)
        self.now += timedelta(seconds=1)

    async def configure(self):
        """The office's channels, as the settings have them."""
        found = public_channels(self.settings, self.site, self.taxonomy)
        await configure_channels(self.database, ChannelKind.TELEGRAM, found, site=self.site, now=self.now)
        self.now += timedelta(seconds=1)

    # -- the desk
    def write(self, title, body="From Monday.", *, key="visas", note="", urgent=False, image=False, **values):
        """What the source says of a release from now on."""
        pictures = ()
        if image:
            path = self.folder / f"{key}.png"
            path.write_bytes(png())
            pictures = (Attachment(path=path, media_type="image/png", alt="A visa", length=path.stat().st_size),)
        said = f"{title}{body}{note}{values}"
        self.source.items[key] = Change(
            self.source.name,
            key,
            f"{key}.txt",
            "en",
            title,
            body,
            sha256(said.encode()).hexdigest(),
            self.now,
            topics=("visas",),
            urgency=Urgency.URGENT if urgent else Urgency.NORMAL,
            note=note,
            attachments=pictures,
            **values,
        )

    def withdraw(self, key="visas", reason="It was sent by mistake."):
        """The source says that it is withdrawn."""
        old = self.source.items[key]
        gone = replace(old, state=State.WITHDRAWN, reason=reason, fingerprint=f"{old.fingerprint}-")
        self.source.items[key] = gone


def doubled(moment):
    """The double, at its limits, by the time that `moment` gives."""
    return TelegramDouble(limits=True, clock=lambda: moment().timestamp())
