"""Old addresses: whatever was printed, bookmarked or guessed leads in one step to where it should."""

import pytest
from aiohttp import ClientSession, DummyCookieJar, web
from yarl import URL

from config.loading import load
from config.settings import BadSettings
from feeds.moved import ask_moves, check_moves, moved_routes
from syndicator.domain.topics import Taxonomy, Topic
from syndicator.web.app import _machines, _personal, _public
from syndicator.web.static_files import StaticFiles
from tests.feeds.customs import serving


@pytest.fixture(scope="module")
def renamed():
    def names(text):
        return {"az": f"{text} az", "en": text, "ru": f"{text} ru"}

    return Taxonomy(
        (
            Topic("stay", names("Stay"), None, {}, ("entry", "entry-rules")),
            Topic("visas", names("Visas"), "stay"),
        )
    )


MOVED = {
    "/news/rss.php": "/feeds/en/visas.rss",
    "/news/": "/en/topics/visas",
    "/köhnə.xml": "/older.xml",
    "/older.xml": "/feeds/az/all.rss",
    "/rss.xml": "/feeds/ru/all.rss",
    "/k%C3%B6k.php": "/feeds/custom.rss?lang=en&q=viza",
    "/feeds/en/news.rss": "/feeds/en/all.rss",
    "/en/feeds/news": "/en/feeds/all",
}


async def ask(base, target, method="GET"):
    async with (
        ClientSession(cookie_jar=DummyCookieJar()) as client,
        client.request(method, URL(base + target, encoded=True), allow_redirects=False) as answer,
    ):
        return answer


@pytest.fixture
async def base(site, renamed):
    async with serving(moved_routes(check_moves(MOVED, site, renamed), site, renamed)) as address:
        yield address


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        # what the settings say, also before a guess
        ("/news/rss.php?id=3", "/feeds/en/visas.rss"),
        ("/news/?page=2", "/en/topics/visas?page=2"),
        ("/k%C3%B6hn%C9%99.xml", "/feeds/az/all.rss"),
        ("/rss.xml", "/feeds/ru/all.rss"),
        ("/k%C3%B6k.php?x=1", "/feeds/custom.rss?lang=en&q=viza"),
        ("/feeds/en/news.rss", "/feeds/en/all.rss"),
        ("/en/feeds/news", "/en/feeds/all"),
        # topics renamed
        ("/feeds/en/entry.rss", "/feeds/en/stay.rss"),
        ("/feeds/ru/entry-rules.json?utm_source=x", "/feeds/ru/stay.json"),
        ("/feeds/az/entry/2026-10.atom", "/feeds/az/stay/2026-10.atom"),
        ("/en/topics/entry?page=2", "/en/topics/stay?page=2"),
        ("/en/feeds/entry?q=viza", "/en/feeds/stay?q=viza"),
        ("/feeds/en/entry", "/en/feeds/stay"),
        # guesses
        ("/feed", "/feeds/az/all.rss"),
        ("/feed/", "/feeds/az/all.rss"),
        ("/rss", "/feeds/az/all.rss"),
        ("/atom.xml", "/feeds/az/all.atom"),
        ("/feed.xml", "/feeds/az/all.rss"),
        ("/feed.json", "/feeds/az/all.json"),
        ("/index.xml?utm_source=x", "/feeds/az/all.rss"),
        ("/ru/rss.xml", "/feeds/ru/all.rss"),
        ("/en/feed/", "/feeds/en/all.rss"),
        ("/en/atom.xml", "/feeds/en/all.atom"),
        ("/feeds", "/az/feeds"),
        ("/feeds/?topic=visas", "/az/feeds?topic=visas"),
        ("/feeds/en", "/en/feeds"),
        ("/feeds/en/", "/en/feeds"),
        ("/en/feeds/", "/en/feeds"),
        ("/feeds/en.rss", "/feeds/en/all.rss"),
        ("/feeds/en/visas", "/en/feeds/visas"),
        ("/feeds/en/visas/", "/en/feeds/visas"),
        ("/feeds/ru/all", "/ru/feeds/all"),
        ("/en/topics/visas.atom", "/feeds/en/visas.atom"),
        ("/en/feeds/entry.rss", "/feeds/en/stay.rss"),
        ("/feeds.opml", "/feeds/index.opml"),
        ("/feeds/all.opml", "/feeds/index.opml"),
    ],
)
async def test_an_old_or_guessed_address_leads_for_good(base, asked, leads_to):
    answer = await ask(base, asked)
    assert (answer.status, answer.headers["Location"]) == (301, leads_to)
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    again = await ask(base, leads_to)
    assert again.status == 404, "one step: where it leads, nothing leads further"


async def test_head_is_led_as_well(base):
    assert (await ask(base, "/feed", "HEAD")).status == 301


@pytest.mark.parametrize(
    "asked",
    [
        "/feeds/en/unheard",
        "/feeds/de",
        "/feeds/de/all",
        "/feeds/en/unheard.rss",
        "/feeds/en/entry.xml",
        "/de/feed",
        "/feeds/en/entry/2026-1.rss",
        "/en/topics/unheard.rss",
        "//evil.example/feed",
        "/feeds/en/..%2f..%2fetc",
        "/feeds/en//evil.example",
    ],
)
async def test_what_nobody_means_leads_nowhere(base, asked):
    assert (await ask(base, asked)).status == 404


@pytest.mark.parametrize(
    ("moved", "line"),
    [
        (
            {"/feeds/az/all.rss": "/feeds/en/all.rss"},
            "is an address of ours; only paths of an older system can be moved",
        ),
        ({"/feeds/az/all%2Erss": "/feeds/en/all.rss"}, "is an address of ours"),
        ({"/feeds/az/entry.rss": "/feeds/en/all.rss"}, "is an address of ours"),
        ({"/feeds/az/visas/2026-10.atom": "/feeds/en/all.rss"}, "is an address of ours"),
        ({"/feeds/custom.rss": "/feeds/en/all.rss"}, "is an address of ours"),
        ({"/hub": "/feeds/en/all.rss"}, "is an address of ours"),
        ({"/": "/en/"}, "is an address of ours"),
        ({"/en": "/feeds/en/all.rss"}, "is an address of ours"),
        ({"/a": "/a"}, "leads in a circle: /a > /a"),
        ({"/a": "/b", "/b": "/c", "/c": "/b"}, "leads in a circle: /a > /b > /c > /b"),
        (
            {"/a": "/feeds/xx/all.rss"},
            "leads to /feeds/xx/all.rss, where there is nothing; a path such as /feeds/az/all.rss",
        ),
        ({"/a": "//evil.example/x"}, "leads to //evil.example/x, where there is nothing"),
        ({"/a": "/feeds/en/unheard.rss"}, "where there is nothing"),
        ({"/a": "/rss"}, "where there is nothing"),
        ({"/a{b}": "/feeds/en/all.rss"}, "holds a brace"),
    ],
)
def test_a_move_that_cannot_be_stops_the_start_with_one_line(site, renamed, moved, line):
    with pytest.raises(BadSettings) as refused:
        check_moves(moved, site, renamed)
    old = next(iter(moved))
    assert str(refused.value).startswith(f'feeds.moved: "{old}" ')
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_stream_holds_what_was_filed_under_its_topics_old_slug(publish, shelf, make, renamed):
    publisher = publish(taxonomy=renamed)
    shelf.put(make.release(1, topics=("entry-rules",)))
    await publisher.refresh(make.now)
    shelf.put(make.release(2, topics=("entry",)))
    await publisher.refresh(make.now)
    feed = publisher.find("en/stay.atom").body
    assert b"Title 1" in feed
    assert b"Title 2" in feed
    assert b'term="stay"' in feed
    named = feed.replace(b"2026:feed:en:entry<", b"")  # the id stays what it was
    assert b"entry" not in named.replace(b"<entry", b"").replace(b"</entry", b"").replace(b"deleted-entry", b"")


FILLED = {
    "lang": "en",
    "slug": "visas",
    "topic": "visas",
    "name": "7-a",
    "token": "t",
    "path": "a.png",
    "ext": "rss",
    "version": "1",
}


def test_no_address_of_the_site_can_be_moved_away(site, renamed):
    """Whatever addresses the site gets, an old path may not take one's place."""
    router = web.Application().router
    router.add_routes([*_public("{lang}"), *_personal(), *_machines(StaticFiles())])
    for resource in router.resources():
        path = resource.canonical.format_map(FILLED)
        with pytest.raises(BadSettings, match="address of ours"):
            check_moves({path: "/feeds/az/all.rss"}, site, renamed)


@pytest.mark.parametrize("name", ["index.opml", "en.opml", "topics.json", "custom.opml", "logo.png"])
def test_no_list_or_picture_can_be_moved_away(site, renamed, name):
    with pytest.raises(BadSettings, match="address of ours"):
        check_moves({f"/feeds/{name}": "/feeds/az/all.rss"}, site, renamed)


async def test_the_doctor_looks_at_the_moves(settings_with):
    assert (
        await ask_moves(settings_with({"/old.rss": "/feeds/az/all.rss"}))() == "1 old paths lead to addresses of ours"
    )
    with pytest.raises(BadSettings, match="leads in a circle"):
        await ask_moves(settings_with({"/old.rss": "/old.rss"}))()


@pytest.fixture
def settings_with():
    shipped = load(None, {}, demo=True)
    return lambda moved: shipped.model_copy(update={"feeds": shipped.feeds.model_copy(update={"moved": moved})})
