"""Whatever happens in between whatever: every chat ends with the newest text once, and each reader is told once.

Changes, fan-out steps, claims, composing, sending, settling, crashes, and readers who leave are shuffled by hypothesis
on the real store. Every step of a delivery is a step of its own, as several workers take them.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syndicator.domain.filters import parse
from syndicator.domain.letters import Later, Refused
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.pipeline import corrections
from syndicator.pipeline.composing import with_revision
from syndicator.store import ledger, subscriptions
from syndicator.store.database import Database
from tests.pipeline.chats import Chats
from tests.pipeline.conftest import Press

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
READERS = ("1", "2", "3")
LEAVES = "3"
STEPS = (
    "correct",
    "edit",
    "withdraw",
    "back",
    "leave",
    "spread",
    "claim",
    "compose",
    "send",
    "settle",
    "tick",
    "crash",
    "busy",
    "refuse",
)
ON_THE_WAY = ("spread", "claim", "compose", "send", "settle")


class World:
    """One release, three readers, and everything that can happen to them."""

    def __init__(self, press: Press) -> None:
        self.press, self.chats = press, press.telegram
        self.version = 1
        self.notes: dict[str, int] = {}  # each note, and the version that brought it
        self.is_withdrawn = self.has_left = False
        self.claimed: list[Any] = []
        self.composed: list[Any] = []
        self.answered: list[Any] = []

    async def begin(self) -> None:
        async with self.press.database.writing() as session:
            for name in READERS:
                who = await subscriptions.ensure(
                    session, ChannelKind.TELEGRAM, name, language="en", timezone="Asia/Baku", now=NOW
                )
                await subscriptions.subscribe(
                    session,
                    who.id,
                    parse(""),
                    cadence=Cadence.IMMEDIATE,
                    state=SubscriptionState.ACTIVE,
                    consent=None,
                    now=NOW,
                )
        await self._say("")

    async def _say(self, note: str) -> None:
        self.press.now += timedelta(microseconds=1)
        await self.press.harvest(
            replace(self.press.change(title=f"v{self.version}"), note=note, fingerprint=f"{self.version}")
        )

    async def _next(self, *, noted: bool) -> None:
        self.version += 1
        note = f"note {self.version}" if noted else ""
        if noted:
            self.notes[note] = self.version
        await self._say(note)

    async def correct(self) -> None:
        if not self.is_withdrawn:
            await self._next(noted=True)

    async def edit(self) -> None:
        if not self.is_withdrawn:
            await self._next(noted=False)

    async def withdraw(self) -> None:
        async with self.press.database.writing() as session:
            await corrections.withdraw(session, 1, "wrong", self.press.now)
        self.is_withdrawn = True

    async def back(self) -> None:
        if self.is_withdrawn:
            await self._next(noted=True)
            self.is_withdrawn = False

    async def leave(self) -> None:
        async with self.press.database.writing() as session:
            who = await subscriptions.find(session, ChannelKind.TELEGRAM, LEAVES)
            await subscriptions.end_all(session, who.id, "/stop", self.press.now)
        self.has_left = True

    async def spread(self) -> None:
        """One step, of one person, of the most important message that is open."""
        async with self.press.database.reading() as session:
            messages = await ledger.open_messages(session)
        if messages:
            whole = ledger.fan_out
            with patch.object(ledger, "fan_out", lambda *args, **how: whole(*args, **how, limit=1)):
                await self.press.fanout._write(messages[0].id)

    async def claim(self) -> bool:
        """One row of the most important batch that has any; False if there was none."""
        async with self.press.database.writing() as session:
            await ledger.sweep(session, self.press.now)
            for batch in await ledger.open_batches(session):
                if found := await ledger.claim(session, batch.id, self.press.now, 1, edits=True):
                    self.claimed += found
                    return True
        return False

    async def compose(self) -> None:
        if self.claimed:
            one = self.claimed.pop(0)
            self.composed.append((one, (await self.press.delivery._compose([one]))[0]))

    async def send(self) -> None:
        if self.composed:
            one, letter = self.composed.pop(0)
            (outcome,) = await self.chats.send([letter], self.press.now)
            self.answered.append((one, with_revision(letter, outcome)))

    async def busy(self) -> None:
        """The next letter is stopped half-way, to go on later."""
        self.chats.stop = Later

    async def refuse(self) -> None:
        """The next word to a reader is refused, after their copy was edited."""
        self.chats.stop = Refused

    async def settle(self) -> None:
        if self.answered:
            one, outcome = self.answered.pop(0)
            await self.press.settler.settle(ChannelKind.TELEGRAM, [one], [outcome])

    async def tick(self) -> None:
        self.press.now += timedelta(seconds=3)

    async def crash(self) -> None:
        """The process dies, though not between a chat's answer and its settling: that repeats, as is stated."""
        if self.answered:
            return
        self.claimed, self.composed = [], []
        async with self.press.database.writing() as session:
            await ledger.recover(session, self.press.now)

    async def end(self) -> None:
        """All that is left to do is done."""
        for _ in range(12):
            await self._work_off()
            await self.press.spread()
            while await self.claim():
                await self._work_off()
            async with self.press.database.reading() as session:
                if not await ledger.open_messages(session) and await ledger.next_deferred(session) is None:
                    return
            self.press.now += timedelta(seconds=61)
        raise AssertionError("it never came to rest")

    async def _work_off(self) -> None:
        for waiting, step in ((self.claimed, self.compose), (self.composed, self.send), (self.answered, self.settle)):
            while waiting:
                await step()

    def judge(self) -> None:
        for name in READERS:
            chat = self.chats.chats[name]
            left = name == LEAVES and self.has_left
            posts = list(chat.posts.values())
            if self.is_withdrawn:
                assert posts == [], "a withdrawn text stands"
            elif posts or not left:
                assert posts == [f"v{self.version}"], "not the newest text, once"
            told = [word for word in chat.said if word != "withdrawn"]
            assert len(told) == len(set(told)), "told twice"
            if left or self.is_withdrawn:
                continue
            seen = [int(title[1:]) for title in chat.shown]
            owed = [note for note, version in self.notes.items() if min(seen) < version]
            assert told == owed[: len(told)], "told of what they had read otherwise, and of nothing else"
            assert set(owed[len(told) :]) <= chat.unsaid, "what was not said is told with the next correction"


async def play(database: Database, site: Any, taxonomy: Any, steps: list[str]) -> None:
    world = World(Press(database, site, taxonomy, NOW, telegram=Chats()))
    await world.begin()
    for step in steps:
        await getattr(world, step)()
    await world.end()
    world.judge()


SENT = [*ON_THE_WAY] * 5
TABLE = {
    "corrected twice while the first post is queued": ["spread", "correct", "correct"],
    "corrected while its fan-out is open": ["spread", "claim", "compose", "correct", "spread", "send", "settle"],
    "corrected between claim and composing": ["spread", "claim", "correct", "spread", "spread", "spread"],
    "corrected between claim and composing, the old text known": [
        *["spread", "spread", "claim", "compose", "claim", "correct", *SENT[:2], "compose"],
    ],
    "withdrawn between claim and composing, the text known": [
        *["spread", "spread", "claim", "compose", "claim", "withdraw", *SENT[:2], "compose"],
    ],
    "corrected between composing and sending": ["spread", "claim", "compose", "correct", "spread", "claim"],
    "corrected and silently edited": [*SENT, "correct", "edit"],
    "silently edited and corrected": [*SENT, "edit", "spread", "correct"],
    "an edit is on its way when it is corrected": [*SENT, "edit", "spread", "claim", "compose", "correct", *SENT],
    "corrected, then withdrawn at once": [*SENT, "correct", "withdraw"],
    "withdrawn and back at once": [*SENT, "withdraw", "back"],
    "withdrawn and back, each told": [*SENT, "withdraw", *SENT, "back"],
    "corrected, withdrawn, back and edited": [*SENT, "correct", "withdraw", *SENT, "back", "edit"],
    "withdrawn before anybody got it, and back": ["spread", "withdraw", *SENT, "back"],
    "withdrawn while it is on its way": ["spread", "claim", "compose", "withdraw", "spread", "claim", "send", "settle"],
    "withdrawn and back while it is on its way": ["spread", "claim", "compose", "withdraw", *SENT[:2], "back"],
    "a crash in the middle of a correction": [*SENT, "correct", "spread", "claim", "crash", "correct"],
    "who has left": [*SENT, "leave", "correct", *SENT, "withdraw"],
    "a correction whose word waits is overtaken": [
        *SENT,
        "correct",
        "spread",
        "claim",
        "compose",
        "busy",
        "send",
        "settle",
        "correct",
    ],
    "a correction whose word was refused is followed": [
        *SENT,
        "correct",
        "spread",
        "claim",
        "compose",
        "refuse",
        "send",
        "settle",
        "correct",
    ],
    "the old text went out in part, and the rest when it was corrected": [
        "spread",
        "claim",
        "compose",
        "busy",
        "send",
        "settle",
        "correct",
    ],
    "a withdrawal whose word waits, and back": [
        *SENT,
        "withdraw",
        "spread",
        "claim",
        "compose",
        "busy",
        "send",
        "settle",
        "back",
    ],
    "who leaves with a correction on its way": [*SENT, "correct", "spread", "spread", "spread", "claim", "leave"],
}


@pytest.mark.parametrize("name", TABLE)
async def test_known_ways_to_go_wrong_come_out_right(sqlite_database, site, taxonomy, name):
    await play(sqlite_database, site, taxonomy, TABLE[name])


LONGEST = ("corrected, withdrawn, back and edited", "an edit is on its way when it is corrected", "who has left")


@pytest.mark.parametrize("name", [*LONGEST, "withdrawn before anybody got it, and back"])
async def test_they_come_out_right_on_postgresql_too(postgresql_url, site, taxonomy, name):
    database = Database(postgresql_url)
    try:
        await play(database, site, taxonomy, TABLE[name])
    finally:
        await database.close()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([*STEPS, *ON_THE_WAY]), max_size=40))
def test_no_interleaving_leaves_an_old_text_or_tells_twice(sqlite_template, tmp_path_factory, site, taxonomy, steps):
    path = tmp_path_factory.mktemp("world") / "world.db"
    shutil.copyfile(sqlite_template, path)

    async def story() -> None:
        database = Database(f"sqlite:///{path}")
        try:
            await play(database, site, taxonomy, steps)
        finally:
            await database.close()

    asyncio.run(story())
    Path(path).unlink()
