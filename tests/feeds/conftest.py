"""A site, a taxonomy, a shelf in memory and a way to make releases, for every test of the feeds."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from feeds.archives import Archives
from feeds.publisher import Publisher
from syndicator.domain.model import Attachment, Release, Revision, Standing, State, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy, Topic
from syndicator.domain.visibility import standing
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store.calendar import Moved, Placed

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LANGS = ("az", "en", "ru")


class FakeShelf:
    """Releases in a dict; counts how many were read. The change counter grows as the store's does."""

    def __init__(self):
        self.releases = {}
        self.change = 0
        self.read = 0
        self.windows_asked = 0
        self.months_asked = 0
        self.broken = None

    def put(self, release):
        self.change += 1
        self.releases[release.number] = replace(release, change=self.change)

    def get(self, number):
        return self.releases[number]

    @asynccontextmanager
    async def open(self):
        if self.broken:
            raise self.broken
        yield self

    async def last_change(self):
        return self.change

    async def changed_since(self, change, limit):
        found = sorted((r for r in self.releases.values() if r.change > change), key=lambda r: r.change)[:limit]
        self.read += len(found)
        return found

    async def newest(self, lang, topics, now, limit):
        self.windows_asked += 1
        fit = [
            r
            for r in self.releases.values()
            if lang in r.langs
            and (topics is None or set(topics) & set(r.topics))
            and standing(r.state, r.public_at, r.opened_at, now) is not Standing.HIDDEN
        ]
        return [r.number for r in sorted(fit, key=lambda r: (r.public_at, r.number), reverse=True)[:limit]]

    async def moved_since(self, change):
        found = sorted((r for r in self.releases.values() if r.change > change), key=lambda r: r.change)
        return [Moved(r.number, r.public_at, r.opened_at, r.state, r.change) for r in found]

    async def opening_after(self, after):
        return sorted(r.public_at for r in self.releases.values() if r.opened_at and r.public_at > after)

    def _shown(self, now):
        hidden = Standing.HIDDEN
        return [r for r in self.releases.values() if standing(r.state, r.public_at, r.opened_at, now) is not hidden]

    async def first_days(self, zone, now):
        return {r.public_at.astimezone(zone).replace(day=1, hour=0, minute=0) for r in self._shown(now)}

    async def within(self, start, end, now):
        self.months_asked += 1
        found = [r for r in self._shown(now) if start <= r.public_at < end]
        found.sort(key=lambda r: (r.public_at, r.number), reverse=True)
        return [Placed(r.number, r.langs, r.topics, r.change) for r in found]

    async def many(self, numbers):
        self.read += len(numbers)
        return {n: self.releases[n] for n in numbers if n in self.releases}


def make_release(number=1, *, langs=LANGS, topics=("visas",), public_at=None, state=State.PUBLIC, **texts):
    """A release that opened at `public_at` (hours before NOW by number) in these languages."""
    public_at = public_at or NOW - timedelta(days=400) + timedelta(hours=number)
    values = {
        "title": f"Title {number}",
        "summary": f"Summary {number}",
        "body": f"<p>Body {number}</p>",
        "text": f"Body {number}",
    } | texts
    release_values = {k: values.pop(k) for k in ("opened_at", "withdrawn_at", "reason", "major") if k in values}
    revision = Revision(number=1, major=0, **values)
    variants = tuple(
        Variant(
            number * 10 + i,
            lang,
            f"tag:press.example.org,2026:release:{lang}:{number}",
            f"slug-{number}",
            public_at,
            revision,
        )
        for i, lang in enumerate(langs)
    )
    opened = {"opened_at": public_at if state in (State.PUBLIC, State.WITHDRAWN) else None}
    return Release(
        number=number,
        uid=f"tag:press.example.org,2026:release:{number}",
        source="directory",
        key=f"key-{number}",
        kind="news",
        urgency=Urgency.NORMAL,
        state=state,
        public_at=public_at,
        topics=tuple(topics),
        variants=variants,
        **(opened | release_values),
    )


def revise(release, *, at, note="", **texts):
    """The release with a new revision of every text; with a note it is a correction."""
    major = release.major + bool(note)
    variants = tuple(
        replace(
            v,
            updated_at=at if note else v.updated_at,
            revision=replace(v.revision, number=v.revision.number + 1, major=major, note=note, **texts),
        )
        for v in release.variants
    )
    return replace(release, variants=variants, major=major, updated_at=at)


def picture(**values):
    """A picture with everything a reader may be told of it."""
    return Attachment(
        **{
            "url": "/media/ab/hall.jpg",
            "media_type": "image/jpeg",
            "length": 12345,
            "title": "The new hall",
            "alt": "People at desks",
            "credit": "Photo: Press office",
        }
        | values
    )


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch):
    """No test can pull the plug, and thousands of waits for the disk would only be slow."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    monkeypatch.setattr("os.sync", lambda: None)


@pytest.fixture
def make():
    return SimpleNamespace(release=make_release, revise=revise, picture=picture, now=NOW)


@pytest.fixture(scope="session")
def site():
    names = {"az": "Miqrasiya Xidməti", "en": "Migration Service & Co", "ru": "Миграционная служба"}
    return Site("https://press.example.org", names, LANGS, "az", "Asia/Baku")


@pytest.fixture(scope="session")
def taxonomy():
    def names(text):
        return {"az": f"{text} az", "en": text, "ru": f"{text} ru"}

    return Taxonomy(
        (
            Topic("entry", names("Entry & stay")),
            Topic("visas", names("Visas"), "entry"),
            Topic("law", names("Law")),
        )
    )


@pytest.fixture(scope="session")
def texts():
    return Texts.load(LANGS)


@pytest.fixture
def shelf():
    return FakeShelf()


@pytest.fixture
def archive(shelf, site, taxonomy, texts, tmp_path):
    """Make archives beside a publisher; a second one is the same service after a restart."""

    def archives(publisher, **changed):
        values = {"directory": tmp_path / "feeds", "metrics": Metrics(), "clock": lambda: NOW}
        plain = {"site": site, "taxonomy": taxonomy, "texts": texts}
        return Archives(shelf, publisher, **(plain | values | changed))

    return archives


@pytest.fixture
def publish(shelf, site, taxonomy, texts, tmp_path):
    """Make a publisher on the shelf; a second one is the same service after a restart."""

    def publisher(**changed):
        values = {
            "site": site,
            "taxonomy": taxonomy,
            "texts": texts,
            "directory": tmp_path / "feeds",
            "entries": 50,
            "max_age": 60,
            "metrics": Metrics(),
            "clock": lambda: NOW,
        }
        return Publisher(shelf, **(values | changed))

    return publisher
