"""Two processes on one PostgreSQL: whatever they do at the same moment is done once, and nobody is left untold."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest

from config.settings import DigestSettings, RetentionSettings
from syndicator.domain.letters import Gone, Later
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, Priority
from syndicator.domain.ports import Job
from syndicator.pipeline import corrections
from syndicator.pipeline.digests import GRACE, Digests
from syndicator.pipeline.retention import Retention
from syndicator.store import claiming, ledger, subscriptions
from syndicator.store.database import Database
from tests.pipeline.conftest import Never, Press
from tests.pipeline.readers import DAY, EIGHT, HOUR, Reader, publish
from tests.store.looked import register

MAIL = ChannelKind.EMAIL
DIGESTS = Job("digests", "digests", Priority.NORMAL, EIGHT)


class Roll:
    """Whether a process counts as alive, and as whom."""

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.sure = True

    def is_sure(self) -> bool:
        return self.sure


@pytest.fixture
def rolls():
    """As whom each of the two counts as alive."""
    return [Roll(7), Roll(8)]


@pytest.fixture
async def pair(rolls, postgresql_url, site, taxonomy, now):
    """Two processes with a database in common."""
    opened = [Database(postgresql_url), Database(postgresql_url)]
    await register(opened[0], 7, 8, 9)
    yield [Press(one, site, taxonomy, now, attendance=roll) for one, roll in zip(opened, rolls, strict=True)]
    for one in opened:
        await one.close()


@pytest.fixture
def press(pair):
    """For `reader`."""
    return pair[0]


@pytest.mark.parametrize("changes", ["withdrawn", "corrected"])
async def test_what_changes_while_it_is_claimed_leaves_nobody_with_the_old_text_untold(
    pair, reader, monkeypatch, changes
):
    here, there = pair
    for one in pair:
        one.mail.tells |= {MessageKind.CORRECTION, MessageKind.WITHDRAWAL}
    await reader("a@x.az")
    await here.harvest(here.change(title="old"))
    await here.spread()
    sendable = claiming._sendable

    async def interrupted(*args):
        found = await sendable(*args)
        monkeypatch.setattr(claiming, "_sendable", sendable)
        if changes == "withdrawn":
            async with there.database.writing() as session:
                await corrections.withdraw(session, 1, "wrong", there.now)
        else:
            await there.harvest(there.change(title="new", note="mended"))
        await there.spread()
        return found

    monkeypatch.setattr(claiming, "_sendable", interrupted)
    await here.send()
    assert here.mail.sent == []
    for one in (there, here, there):
        one.now += timedelta(minutes=1)
        await one.spread()
        await one.send()
    titles = [letter.release.variant("en").revision.title for letter in [*here.mail.sent, *there.mail.sent]]
    assert titles == ([] if changes == "withdrawn" else ["new"])
    assert Counter((await here.states()).values()) == {"suppressed" if changes == "withdrawn" else "sent": 1}


async def test_two_that_send_the_same_batch_send_each_letter_once(pair, reader):
    for number in range(30):
        await reader(f"{number}@x.az")
    await pair[0].harvest(pair[0].change())
    await pair[0].spread()
    await asyncio.gather(*(one.send() for one in pair))
    sent = Counter(letter.address for one in pair for letter in one.mail.sent)
    assert (len(sent), set(sent.values())) == (30, {1})
    assert all(one.mail.sent for one in pair)


async def test_two_that_fan_out_the_same_message_write_each_reader_once(pair, reader, monkeypatch):
    for number in range(24):
        await reader(f"{number}@x.az")
    await pair[0].harvest(pair[0].change())
    fan_out = ledger.fan_out
    monkeypatch.setattr(ledger, "fan_out", lambda *given, **how: fan_out(*given, **how, limit=3, batch_size=2))
    await asyncio.gather(*(one.spread() for one in pair))
    rows = await pair[0].rows()
    assert (len(rows), len({row["address"] for row in rows})) == (24, 24)
    await asyncio.gather(*(one.send() for one in pair))
    assert set((await pair[0].states()).values()) == {"sent"}


async def test_an_embargo_ends_once_whoever_opens_it(pair, reader):
    await reader("a@x.az")
    here, there = pair
    await here.harvest(here.change(embargo=here.now + timedelta(hours=1)))
    for one in pair:
        one.now += timedelta(hours=1)
    opened = await asyncio.gather(*(one.intake.open_due() for one in pair))
    assert sorted(opened) == [0, 1]
    await asyncio.gather(*(one.spread() for one in pair))
    await asyncio.gather(*(one.send() for one in pair))
    assert len(here.mail.sent) + len(there.mail.sent) == 1


@pytest.mark.parametrize("behind", [timedelta(seconds=3), HOUR])
async def test_a_digest_tells_each_release_once_though_clocks_differ(pair, behind):
    here, there = pair
    rooms = [
        Digests(one.database, DigestSettings(), clock=partial(lambda it: it.now, one), wake=one.wake) for one in pair
    ]
    reader, same = Reader(here, 1), Reader(there, 1)
    await reader.choose(Cadence.DAILY)
    await publish(here, "fees")

    async def both(moment):
        here.now, there.now = moment, moment - behind
        await asyncio.gather(*(room.handlers()["digests"](DIGESTS, Never()) for room in rooms))
        await asyncio.gather(*(one.spread() for one in pair))
        await asyncio.gather(*(one.send() for one in pair))

    await both(EIGHT + GRACE)
    await both(EIGHT + GRACE + behind)
    assert reader.got + same.got == ["fees"]
    await publish(here, "visas")
    await both(EIGHT + DAY + GRACE)
    await both(EIGHT + DAY + GRACE + behind)
    assert sorted(reader.got + same.got) == ["fees", "visas"]


async def test_what_a_process_claims_while_it_is_taken_for_dead_is_not_sent_and_goes_back(pair, rolls, reader):
    here, there = pair
    await reader("a@x.az")
    await here.harvest(here.change())
    await here.spread()
    rolls[0].sure = False
    assert await here.send() == 1, "it looks again later, and claims nothing"
    assert [row["attempts"] for row in await here.rows()] == [0]
    rolls[0].sure = True
    compose = here.delivery._compose

    async def frozen(claimed):
        letters = await compose(claimed)
        rolls[0].number = 9  # it was struck off meanwhile, and is back under another number
        return letters

    here.delivery._compose = frozen
    await here.send()
    assert here.mail.sent == []
    assert [(row["state"], row["attempts"]) for row in await here.rows()] == [("deferred", 0)]
    there.now += timedelta(minutes=1)
    await there.send()
    assert [letter.address for letter in there.mail.sent] == ["a@x.az"]


async def test_who_was_struck_off_and_does_not_know_it_sends_nothing_and_comes_again(pair, rolls, reader):
    here, _ = pair
    await reader("a@x.az")
    await here.harvest(here.change())
    await here.spread()
    rolls[0].number = 6  # it was suspended, and its clock stood still: it is sure of itself
    assert await here.send() == 1, "it looks again later"
    assert here.mail.sent == []
    assert [(row["state"], row["attempts"]) for row in await here.rows()] == [("due", 0)]
    rolls[0].number = 9
    await here.send()
    assert [letter.resent for letter in here.mail.sent] == [False]


async def test_the_late_answer_of_a_frozen_process_is_refused_and_says_nothing_of_its_reader(pair, reader):
    here, there = pair
    await reader("a@x.az")
    await here.harvest(here.change())
    await here.spread()
    there.now += timedelta(seconds=30)

    send = here.mail.send

    async def frozen(letters, now):
        """It takes so long that it is taken for dead, and another one sends."""
        async with there.database.writing() as session:
            await ledger.recover(session, there.now)
        await there.send()
        await send(letters, now)
        return [Gone("no such mailbox")] * len(letters)

    here.mail.send = frozen
    await here.send()
    [row] = await here.rows()
    assert (row["state"], row["attempts"], len(here.mail.sent), len(there.mail.sent)) == ("sent", 2, 1, 1)
    async with here.database.reading() as session:
        who = await subscriptions.find(session, MAIL, "a@x.az")
    assert not who.is_paused
    assert there.mail.sent[0].resent


async def test_two_that_forget_and_sweep_at_once_disturb_nobody(pair, reader):
    here, there = pair
    for number in range(20):
        await reader(f"{number}@x.az")
        here.mail.answers[f"{number}@x.az"] = there.mail.answers[f"{number}@x.az"] = Later("busy")
    await here.publish(here.change())
    for one in pair:
        one.mail.answers.clear()
        one.mail.sent.clear()
        one.now += HOUR
    await asyncio.gather(*(one.spread() for one in pair))

    async def sweep(one):
        async with one.database.writing() as session:
            return await ledger.sweep(session, one.now, batch_size=4)

    assert sum(await asyncio.gather(*(sweep(one) for one in (here, there, here, there)))) == 20
    await asyncio.gather(*(one.send() for one in pair))
    sent = Counter(letter.address for one in pair for letter in one.mail.sent)
    assert (len(sent), set(sent.values())) == (20, {1})
    passes = []
    for one in pair:
        one.now += 800 * DAY
        keeps = RetentionSettings()
        usual = {"site": one.site, "tokens": one.tokens, "clock": partial(lambda it: it.now, one), "rest": one.rest}
        passes.append(Retention(one.database, keeps, metrics=one.metrics, **usual).run())
    await asyncio.gather(*passes)
    assert len(await here.rows()) <= 1, "the newest stays: its number is not given again"
