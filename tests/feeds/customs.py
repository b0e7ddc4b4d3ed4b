"""What tests of custom feeds share: a library in memory that answers as the store does, and counts."""

import asyncio
from contextlib import asynccontextmanager

from aiohttp import web

from feeds.custom import CustomFeeds
from feeds.custom_asked import AskedFilters
from feeds.custom_library import StoreLibrary, chosen_from, window_of
from syndicator.domain.filters import Facts, canonical, wants
from syndicator.domain.model import OtherLanguage, Reader, Revision, Standing, State, Urgency
from syndicator.domain.visibility import standing
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.store.releases import Draft


class FakeLibrary:
    """Releases in a dict, listed by the domain's own rules; `gate` holds listings up until it is set."""

    def __init__(self, taxonomy):
        self.taxonomy = taxonomy
        self.releases = {}
        self.first = {}  # when each filter was first asked for
        self.change = 0
        self.asked = self.listed = self.at_once = self.most_at_once = 0
        self.broken = None
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, *releases):
        for release in releases:
            self.change += 1
            self.releases[release.number] = release

    async def last_change(self):
        self.asked += 1
        if self.broken:
            raise self.broken
        return self.change

    async def window(self, wanted, entries, now):
        self.listed += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        first = self.first.setdefault(canonical(wanted), now)
        change, found = self.change, [one for one in self.listing(wanted, now) if self.may_name(one, wanted, first)]
        await self.gate.wait()
        self.at_once -= 1
        return window_of([*chosen_from(found, wanted, self.taxonomy, now)][:entries], change, now)

    def may_name(self, release, wanted, first):
        return not wanted.words or release.withdrawn_at is None or release.withdrawn_at > first

    def listing(self, wanted, now):
        reader = Reader(wanted.langs[0], OtherLanguage.NEVER)
        fit = [
            release
            for release in self.releases.values()
            if standing(release.state, release.public_at, release.opened_at, now) is not Standing.HIDDEN
            and wants(wanted, Facts.of(release), reader, self.taxonomy, wanted.langs) is not None
        ]
        return sorted(fit, key=lambda r: (r.public_at, r.number), reverse=True)


def customs_on(library, site, taxonomy, texts, **more):
    values = {"entries": 50, "max_age": 60, "hubs": ("https://press.example.org/hub",)} | more
    if isinstance(library, Database):
        library = StoreLibrary(library, taxonomy, AskedFilters(library))
    return CustomFeeds(library, site=site, taxonomy=taxonomy, texts=texts, **values)


async def record(session, site, key, *, now, langs=("az", "en", "ru"), text="Sözlər", state="public", **values):
    """A release in the store, as intake would write it."""
    values["topics"] = tuple((topic, "source", "") for topic in values.get("topics", ()))
    usual = {"source": "directory", "slug": key, "kind": "news", "public_at": now, "urgency": Urgency.NORMAL}
    for lang in langs:
        revision = Revision(0, 0, f"{key} {lang}", "", f"<p>{text}</p>", text)
        draft = Draft(key=key, lang=lang, state=State(state), revision=revision, **{**usual, **values})
        made = await releases.record(session, draft, site_uids=site, now=now)
    return made.release


@asynccontextmanager
async def serving(routes):
    """A server of these routes; gives its address."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()
