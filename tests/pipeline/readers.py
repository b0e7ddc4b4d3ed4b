"""Readers who talk to the bot, and what is due for them: what tests of digests share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from syndicator.domain.filters import Filter
from syndicator.store.subscriptions import Consent
from tests.pipeline.conftest import Never, Press

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EIGHT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)  # in the morning in Baku, on a Sunday; now it is Saturday at one


class Reader:
    """Somebody who talks to the bot."""

    def __init__(self, press: Press, chat: int) -> None:
        self.press, self.number = press, chat

    @property
    def doors(self):
        return self.press.subscribing

    async def account(self, language="en"):
        return await self.doors.chat(self.number, language=language, now=self.press.now)

    async def choose(self, cadence=None, filter_=Filter()):  # noqa: B008  # frozen
        consent = Consent(self.press.now, "telegram", "I want it")
        return await self.doors.choose(
            await self.account(), filter_, cadence=cadence, consent=consent, now=self.press.now
        )

    @property
    def letters(self):
        return [letter for letter in self.press.telegram.sent if letter.address == str(self.number)]

    @property
    def got(self):
        """A text a letter: the titles of a digest's releases, or the release's own."""
        return ["+".join(title(item.release) for item in one.items) or title(one.release) for one in self.letters]


def title(release):
    return release.key


async def work(press, *rooms):
    """Whatever is due now, as the engine would."""
    for room in rooms:
        for job in await room.pending(press.now):
            if job.due <= press.now:
                await room.handlers()[job.name](job, Never())
    await press.spread()
    await press.send()


async def at(press, moment, *rooms):
    press.now = moment
    await work(press, *rooms)


async def publish(press, key, **values):
    await press.harvest(press.change(key, **values))
    await press.spread()
    await press.send()
