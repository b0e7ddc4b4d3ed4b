"""The same again changes nothing, and a change touches only what it must, after whatever came before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syndicator.domain.model import Change, State, Urgency
from syndicator.domain.site import FEED_FORMATS
from tests.whole.house import House, examples

STEP = timedelta(seconds=1)
LANGS = ("az", "en", "ru")
SLUGS = ("visas", "e-visa", "refugees", "office")
QUICK = settings(max_examples=examples(3), deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Save:
    """A document as an editor leaves it. Equal keys are one release."""

    key: str
    lang: str
    words: int
    topics: tuple[str, ...]
    state: State = State.PUBLIC
    note: str = ""

    def change(self, house: House) -> Change:
        origin = f"{self.key}.{self.lang}.txt"
        title = f"Notice {self.key} in {self.lang}"
        return Change(
            source="desk",
            key=self.key,
            origin=origin,
            lang=self.lang,
            title=title,
            body=f"It says number {self.words}.",
            fingerprint=repr(self),
            seen_at=house.now,
            topics=self.topics,
            note=self.note,
            state=self.state,
            urgency=Urgency.URGENT if self.words == 3 else Urgency.NORMAL,
        )


topics = st.lists(st.sampled_from(SLUGS), unique=True, max_size=2).map(tuple)
saves = st.builds(
    Save,
    key=st.sampled_from("abc"),
    lang=st.sampled_from(LANGS),
    words=st.integers(1, 3),
    topics=topics,
    state=st.sampled_from([State.PUBLIC, State.PUBLIC, State.PUBLIC, State.DRAFT, State.WITHDRAWN]),
    note=st.sampled_from(["", "", "It was wrong."]),
)
histories = st.lists(saves, min_size=1, max_size=5)


async def lived(house: House, history: list[Save]) -> None:
    for lang in LANGS:
        await house.subscribe(f"{lang}@example.org", lang)
    await house.carry(("@press", "en"))
    await house.work()
    for save in history:
        await save_and_work(house, save)


async def save_and_work(house: House, save: Save) -> None:
    house.now += STEP
    change = save.change(house)
    house.source.items[change.origin] = change
    await house.work()


@contextmanager
def untouched(house: House, *but: str) -> Iterator[None]:
    """No file appears, goes or is written meanwhile, save those whose path holds one of these."""
    before = house.files()
    yield
    after = house.files()
    moved = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    wrong = sorted(path for path in moved if not any(part in path for part in but))
    assert not wrong, wrong


@QUICK
@given(history=histories)
def test_a_second_harvest_sends_nothing_and_writes_no_file(build, run, history):
    async def through() -> None:
        async with build() as house:
            await lived(house, history)
            with untouched(house):
                house.now += STEP
                tally = await house.harvest()
                await house.work()
            assert (tally.changed, tally.announced) == (0, 0)
            house.source.items = {  # the store says all of it anew, as after a lost cursor
                origin: replace(change, fingerprint=change.fingerprint + " ")
                for origin, change in reversed(house.source.items.items())
                if change.state is not State.WITHDRAWN  # said anew, this takes back a release that had come back
            }
            sent = set(house.posts()) | set(house.mails())
            with untouched(house):
                house.now += STEP
                await house.work()
            assert set(house.posts()) | set(house.mails()) == sent

    run(through())


@QUICK
@given(history=histories, words=st.integers(10, 99), chosen=topics)
def test_an_edit_touches_only_the_feeds_that_hold_it(build, run, history, words, chosen):
    async def through() -> None:
        async with build() as house:
            await lived(house, [*history, Save("edited", "en", 1, chosen)])
            held = {"all", *house.taxonomy.closure(chosen)}
            names = [f"/feeds/en/{topic}.{fmt}" for topic in held for fmt in FEED_FORMATS]
            # their months, the versions behind the names, and what vouches for them
            months = [
                f"{folder}/en/{topic}{of}" for folder in ("/feeds", "/.versions") for topic in held for of in "./"
            ]
            posted = set(house.outbox.glob("*.json"))
            with untouched(house, *names, *months, "manifest.json", "/.archives/", "/outbox/telegram-"):
                await save_and_work(house, Save("edited", "en", words, chosen))
            calls = [json.loads(path.read_text()) for path in set(house.outbox.glob("*.json")) - posted]
            assert {call["method"] for call in calls} <= {"editMessageText"}, "nobody is told of a silent edit"
            assert all(f"number {words}." in call["text"] for call in calls)
            for name in names:
                assert f"number {words}." in (await house.ask(name)).text, name

    run(through())


def test_a_file_that_is_written_again_is_caught(build, run):
    async def through() -> None:
        async with build() as house:
            await lived(house, [Save("a", "en", 1, ())])
            with untouched(house):
                house.feeds.joinpath("en", "all.rss").touch()

    with pytest.raises(AssertionError, match=r"all\.rss"):
        run(through())
