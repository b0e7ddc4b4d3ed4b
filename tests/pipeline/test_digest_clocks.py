"""Of two processes one's clock is wrong, in one thing that it does: each release is in one digest all the same."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import product

from config.settings import DigestSettings
from syndicator.domain.model import Cadence
from syndicator.domain.ports import Job, Priority
from syndicator.pipeline.digests import Digests
from tests.pipeline.conftest import Never, Press
from tests.pipeline.readers import DAY, EIGHT, HOUR, Reader

MINUTE = timedelta(minutes=1)
JUMPS = {"a day behind": -DAY, "an hour behind": -HOUR, "an hour ahead": HOUR, "a day ahead": DAY}
# What there is to do about one release with an embargo, and the digest of that morning; nobody looks at digests before.
BEFORE, ENDED, SETTLED, CLOSED, LATER = (EIGHT + after * MINUTE for after in (-45, -29, -27, 2, 120))
DAYS_WORK = {
    BEFORE: (),
    ENDED: ("open", "spread"),
    SETTLED: ("spread",),
    CLOSED: ("close", "spread", "send"),
    LATER: ("close",),
}
WRONG = (  # what the other process does meanwhile, by its wrong clock: when, and before which step (else at the end)
    (BEFORE, "open", ""),
    (BEFORE, "close", ""),
    (ENDED, "open", "open"),
    (CLOSED, "close", "close"),
    (CLOSED, "close", "spread"),
    (CLOSED, "spread", "spread"),
    (CLOSED, "send", "send"),
    (LATER, "close", ""),
)


class Room:
    """All that processes of one machine do, each by a clock of its own."""

    def __init__(self, database, site, taxonomy, now):
        self.press = Press(database, site, taxonomy, now)
        self.digests = Digests(database, DigestSettings(), clock=lambda: self.press.now, wake=self.press.wake)

    async def do(self, phase, now):
        self.press.now = now
        if phase == "open":
            await self.press.intake.open_due()
        elif phase == "close":
            await self.digests.handlers()["digests"](Job("digests", "digests", Priority.NORMAL, now), Never())
        elif phase == "spread":
            await self.press.spread()
        elif phase == "send":
            await self.press.send()


async def test_with_one_clock_wrong_in_one_thing_each_release_is_in_one_digest(database, site, taxonomy, now):
    right, wrong = (Room(database, site, taxonomy, now) for _ in range(2))
    readers = [Reader(right.press, number) for number in (1, 2)]
    for reader, cadence in zip(readers, (Cadence.DAILY, Cadence.WEEKLY), strict=True):
        await reader.choose(cadence)
    keys, shift = [], timedelta(0)
    for jump, (when, what, before) in product(JUMPS, WRONG):
        name = f"{what} {jump}, {(when - EIGHT) / MINUTE:g} minutes from the close, before {before}"
        new = [f"{name}: {kind}" for kind in ("at once", "embargo")]
        right.press.now, public_at = BEFORE + shift - HOUR, ENDED + shift - MINUTE
        await right.press.harvest(right.press.change(new[0]), right.press.change(new[1], embargo=public_at))
        keys += new
        for moment, phases in DAYS_WORK.items():
            for phase in (*phases, ""):
                if moment == when and phase == before:
                    await wrong.do(what, moment + shift + JUMPS[jump])
                await right.do(phase, moment + shift)
        shift += DAY
    for days in (1, 2, 9):
        for phase in DAYS_WORK[CLOSED]:
            await right.do(phase, CLOSED + shift + days * DAY)
    letters = [letter for room in (right, wrong) for letter in room.press.telegram.sent]
    told = Counter((one.address, item.release.key) for one in letters for item in one.items)
    assert told == Counter((str(reader.number), key) for reader in readers for key in keys)
