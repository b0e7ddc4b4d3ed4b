"""What may not be seen is seen on no outside face, and what may be is: over random histories, looked at all along.

The model in `tests.whole.secrets` says what may be seen. The check fails both ways; the last tests here prove it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syndicator.domain.model import State
from syndicator.store import catalogue
from syndicator.store.tables import RELEASE
from tests.whole import faces
from tests.whole.house import House, examples
from tests.whole.secrets import ANNOUNCED, Known, Outsider, Text

LANGS = ("az", "en", "ru")
TOPICS = {"a": "e-visa", "b": "refugees"}


@dataclass(frozen=True)
class Write:
    """An editor saves a text. `hours` from now is when it may be seen; None leaves that open."""

    key: str
    lang: str
    draft: bool
    hours: int | None
    noted: bool


@dataclass(frozen=True)
class Withdraw:
    """By command, or by the document of a language (if it has one that was let go)."""

    key: str
    lang: str | None


@dataclass(frozen=True)
class Move:
    """Time passes; None: to the second in which the next thing comes due."""

    hours: float | None


writes = st.builds(
    Write,
    key=st.sampled_from("ab"),
    lang=st.sampled_from(LANGS),
    draft=st.sampled_from([False, False, False, True]),
    hours=st.sampled_from([None, None, -100, -1, 1, 30]),
    noted=st.booleans(),
)
withdrawals = st.builds(Withdraw, key=st.sampled_from("ab"), lang=st.sampled_from([None, *LANGS]))
moves = st.builds(Move, hours=st.sampled_from([None, None, 0.5, 40]))
histories = st.lists(st.one_of(writes, writes, writes, withdrawals, moves), min_size=2, max_size=7)


@dataclass
class Watch:
    """Plays a history on the house and on the model, and compares what both say."""

    house: House
    office: Outsider = field(default_factory=Outsider)
    read: set[str] = field(default_factory=set)  # letters looked at
    promised: set[str] = field(default_factory=set)  # titles that must have gone out
    seen: dict[str, faces.Answer] = field(default_factory=dict)  # what every address last answered

    async def play(self, step: Write | Withdraw | Move) -> None:
        self.house.now += timedelta(seconds=1)  # no two things happen at once; what comes due does so on full minutes
        match step:
            case Write():
                await self._write(step)
            case Withdraw():
                await self._withdraw(step)
            case Move():
                await self._move(step)
        await self.look()

    async def _write(self, step: Write) -> None:
        now = self.house.now
        at = now if step.hours is None else now.replace(second=0) + timedelta(hours=step.hours)
        number = next(self.office.numbers)
        topic = "office" if step.draft else TOPICS[step.key]  # a draft may say otherwise; nobody hears it
        text = Text(number, step.key, step.lang, step.draft, at, step.noted, topic, step.hours is not None)
        self.office.texts.append(text)
        change = text.change(self.house.folder, now)
        self.house.source.items[change.origin] = change
        known = self.office.known(step.key, TOPICS[step.key])
        await self._unmoved(lambda: known.write(text, now))

    async def _withdraw(self, step: Withdraw) -> None:
        known = self.office.releases.get(step.key)
        if known is None:
            return
        self.office.reasons += 1
        reason = f"zq{self.office.reasons:03d}reasonqz"
        text = known.loose().get(step.lang or "")
        if text is None:
            await self.house.withdraw(known.number, f"because {reason}")
            known.withdraw(reason)
            return
        change = text.change(self.house.folder, self.house.now)
        values = {"state": State.WITHDRAWN, "reason": f"because {reason}", "fingerprint": reason}
        self.house.source.items[change.origin] = type(change)(**{**_fields(change), **values})
        known.waiting.pop(text.lang, None)
        again = known.withdrawn
        await self.house.harvest()
        known.withdraw(reason, text.lang)
        if again:
            known.reason = reason

    async def _unmoved(self, say: object) -> None:
        """Harvest what was saved; if no reader may know of it, no page and no feed may differ by a byte."""
        before = (self.office.visible(), self.office.may_show())
        shown = self.seen
        await self.house.harvest()
        say()  # type: ignore[operator]
        if before != (self.office.visible(), self.office.may_show()):
            return
        await self.house.publisher.refresh(self.house.now)
        changed = {path for path, answer in (await self._snapshot()).items() if shown.get(path, answer) != answer}
        assert not changed, f"a hidden text was felt at {sorted(changed)}"

    async def _snapshot(self) -> dict[str, faces.Answer]:
        return await faces.look(self.house, [*faces.page_paths(self.house, self.office), *faces.feed_paths(self.house)])

    async def _move(self, step: Move) -> None:
        coming = sorted(t for t in self._times() if t > self.house.now)
        if step.hours is None and coming:
            self.house.now = coming[0] - timedelta(seconds=1)
            await self.look()
            self.house.now = coming[0]
            await self.look(settled=False)
        else:
            self.house.now += timedelta(hours=step.hours or 1)
        await self.house.harvest()
        for one in self.office.releases.values():
            one.release_waiting(self.house.now)

    def _times(self) -> list[datetime]:
        found = [text.at for one in self.office.releases.values() for text in one.waiting.values()]
        return found + [due for one in self.office.releases.values() if (due := one.due()) is not None]

    async def look(self, *, settled: bool = True) -> None:
        """`settled`: once the service has done what was due; otherwise just as it is found."""
        if settled:
            fresh = [one for one in self.office.releases.values() if not one.opened]
            await self.house.work()
            for one in self.office.releases.values():
                one.settle(self.house.now)
            self._promise(fresh)
        await self._look_at_pages()
        await self._look_at_feeds()
        await self._look_at_numbers()
        await self._look_at_media()
        if settled:
            await self._look_for_what_is_public()
            self._read_letters()

    def _promise(self, fresh: list[Known]) -> None:
        for one in fresh:
            loose = one.visible()
            if loose and self.house.now - max(text.at for text in loose.values()) <= ANNOUNCED:
                self.promised |= {text.word("title") for text in loose.values()}

    async def _look_at_pages(self) -> None:
        allowed = self.office.may_show()
        self.seen = await self._snapshot()
        pages = {path: self.seen[path] for path in faces.page_paths(self.house, self.office)}
        for path, answer in {**pages, "/metrics": await self.house.ask("/metrics")}.items():
            assert not faces.told(answer) - allowed, f"{path} tells {sorted(faces.told(answer) - allowed)}"
            assert answer.status < 500, path
        for path in ("/", "/en/", *faces.release_paths(self.house, self.office)):
            head = await self.house.ask(path, "HEAD")
            assert (head.status, head.body) == (pages[path].status, b""), path
            assert not faces.told(head) - allowed, f"HEAD {path} tells {sorted(faces.told(head) - allowed)}"
        for word, found in (await faces.found_by_search(self.house, self.office, self.office.texts)).items():
            assert not found or word in allowed, f"search finds {word}"
        for word, found in (await faces.found_by_api(self.house, self.office.texts)).items():
            assert not found or word in allowed, f"the API's search finds {word}"
        hidden = [text for text in self.office.texts if not text.secrets & allowed]
        for word, found in (await faces.found_by_filters(self.house, hidden)).items():
            assert not found or word in allowed, f"an embed finds {word}"

    async def _look_at_feeds(self) -> None:
        allowed = self.office.may_show() | self.office.old_titles()
        for path in faces.feed_paths(self.house):
            answer = self.seen[path]
            assert not faces.told(answer) - allowed, f"{path} tells {sorted(faces.told(answer) - allowed)}"
            if "/all." in path:
                plain = await self.house.ask(path, Accept_Encoding="identity")
                assert (plain.body, plain.headers["etag"]) == (answer.body, answer.headers["etag"]), path

    async def _look_at_numbers(self) -> None:
        """What never opened answers as what never was: the same bytes, also to who claims to know it already."""
        for one in self.office.releases.values():
            if one.opened:
                continue
            paths = [path for path in faces.release_paths(self.house, self.office) if f"/{one.number}" in path]
            other = {path: path.replace(f"/{one.number}", f"/{faces.NOWHERE}") for path in paths}
            for headers in ({}, {"If_None_Match": "*"}):
                hidden = await faces.look(self.house, paths, **headers)
                never = await faces.look(self.house, other.values(), **headers)
                for path in paths:
                    assert hidden[path] == never[other[path]], path
                    assert hidden[path].status == 404

    async def _look_at_media(self) -> None:
        shown = {path for text in self.office.visible().values() for path in text.media}
        nothing = await self.house.ask("/media/" + "0" * 32 + ".png")
        for text in self.office.texts:
            for path, data in text.media.items():
                answer = await self.house.ask(path)
                if path in shown:
                    assert (answer.status, answer.body) == (200, data), path
                elif not self._was_public(text):
                    assert answer == nothing, f"{path} of {text.word('title')} is served"
                else:
                    assert data not in answer.body or not self._is_withdrawn(text), f"{path} of a withdrawn release"

    def _was_public(self, text: Text) -> bool:
        return text.word("title") in self.office.releases[text.key].titles

    def _is_withdrawn(self, text: Text) -> bool:
        return self.office.releases[text.key].withdrawn

    async def _look_for_what_is_public(self) -> None:
        site = self.house.site
        listed = self.seen
        for (key, lang), text in self.office.visible().items():
            known = self.office.releases[key]
            path = site.release_path(lang, known.number, text.slug)
            page = listed[path]
            assert page.status == 200, text.slug
            assert not text.shown - faces.told(page), f"the page of {text.slug} lacks {text.shown - faces.told(page)}"
            again = await self.house.ask(path, If_None_Match=page.headers["etag"])
            assert (again.status, again.body) == (304, b"")
            told = faces.told(listed[f"/api/v1/releases/{known.number}"])
            assert not text.shown - told, f"the API's {known.number} lacks {text.shown - told}"
            assert not text.shown - faces.told(listed["/api/v1/changes"]), f"the API's changes lack {text.slug}"
            wrong = listed[f"/{lang}/releases/{known.number}-wrong"]
            assert (wrong.status, wrong.headers["location"].endswith(text.slug)) == (301, True)
            title = text.word("title")
            api = f"/api/v1/releases?lang={lang}"
            for one in (f"/{lang}/", f"/{lang}/search", f"/{lang}/topics/{known.topic}", "/sitemap.xml", api):
                assert title in faces.told(listed[one]), f"{one} lacks {title}"
            assert all((await faces.found_by_search(self.house, self.office, [text])).values())
            assert all((await faces.found_by_api(self.house, [text])).values())
            for topic in ("all", *self.house.taxonomy.closure([known.topic])):
                for fmt in ("rss", "atom", "json"):
                    entry = faces.told(listed[f"/feeds/{lang}/{topic}.{fmt}"])
                    assert {title, text.word("body"), text.word("summary")} <= entry, f"{topic}.{fmt} lacks {title}"
            for other in set(LANGS) - known.visible().keys():
                assert title in faces.told(listed[f"/{other}/releases/{known.number}"])
        for one in self.office.releases.values():
            if one.withdrawn and one.opened:
                assert one.reason in faces.told(listed[f"/en/releases/{one.number}"])
                assert one.reason in faces.told(listed[f"/api/v1/releases/{one.number}"])
                assert one.reason in faces.told(listed["/api/v1/changes"])

    def _read_letters(self) -> None:
        """New mails and posts say what may be seen now, and what opened has gone out."""
        every = faces.letters(self.house)
        fresh = {name: faces.secrets_in(text) for name, text in every.items() if name not in self.read}
        for name, told in fresh.items():
            assert not told - self.office.may_show(), f"{name} tells {sorted(told - self.office.may_show())}"
        self.read |= every.keys()
        sent = faces.secrets_in("\n".join(every.values()))
        assert not self.promised - sent, f"nobody was told {self.promised - sent}"


def _fields(change: object) -> dict[str, object]:
    return {name: getattr(change, name) for name in change.__dataclass_fields__}  # type: ignore[attr-defined]


async def watched(build, history) -> None:
    async with build() as house:
        for lang in LANGS:
            await house.subscribe(f"{lang}@example.org", lang)
        await house.subscribe("visas@example.org", "en", "topic=visas")
        await house.carry(("@press", "en"), ("-1001", "ru"))
        watch = Watch(house)
        await house.work()
        for step in history:
            await watch.play(step)


@settings(max_examples=examples(3), deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories)
@example(history=[Write("a", "az", draft=False, hours=None, noted=True), Write("a", "az", False, None, False)])
def test_nothing_is_seen_before_its_time_or_after_it_and_everything_in_it(build, run, history):
    run(watched(build, history))


OPENED, EMBARGOED = Write("a", "en", False, None, False), Write("a", "en", False, 1, False)


@pytest.mark.parametrize(
    "history",
    [
        [EMBARGOED, Write("a", "en", False, 30, False), Move(2), Move(None)],
        [OPENED, Write("a", "ru", True, None, False), Write("a", "ru", False, None, False)],
        [OPENED, Write("a", "en", False, None, True), Withdraw("a", None)],
        [OPENED, Withdraw("a", "en"), Write("a", "en", False, None, False)],
        [OPENED, Withdraw("a", None), Write("a", "en", False, None, False), Write("a", "ru", False, None, True)],
        [OPENED, Write("a", "ru", False, 1, False), Move(None)],
        [OPENED, Write("a", "en", False, 1, True), Move(None)],
        [EMBARGOED, Withdraw("a", "en"), Write("a", "en", False, 1, False), Move(None)],
    ],
    ids=[
        "moved embargo",
        "draft translation",
        "correction, then withdrawal",
        "withdrawn and back",
        "edited while withdrawn, back by a translation",
        "translation with a time of its own",
        "correction with a time of its own",
        "withdrawn before its time and back",
    ],
)
def test_each_turn_that_an_embargo_can_take(build, run, history):
    run(watched(build, history))


@pytest.mark.parametrize("history", [[EMBARGOED], [OPENED, Withdraw("a", None)]], ids=["embargo", "withdrawal"])
def test_a_leak_is_caught(build, run, history, monkeypatch):
    """Would the property see it, if the one question were answered wrongly?"""
    monkeypatch.setattr(catalogue, "shown", lambda _now, *, withdrawn: RELEASE.c.state != State.DRAFT)
    with pytest.raises(AssertionError, match=r"tells|felt|finds|served|releases/1"):
        run(watched(build, history))


def test_hiding_what_is_public_is_caught(build, run, monkeypatch):
    monkeypatch.setattr(catalogue, "shown", lambda _now, *, withdrawn: RELEASE.c.id < 0)
    with pytest.raises(AssertionError, match=r"lacks|news"):
        run(watched(build, [OPENED]))
