"""Custom feeds over HTTP and a real store: one address a filter, whatever anybody asks for."""

import asyncio
import gzip
import json
from datetime import timedelta
from email.utils import format_datetime

import pytest
from aiohttp import ClientSession, DummyCookieJar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from yarl import URL

from feeds.answering import Answering
from feeds.custom import Bounds
from feeds.custom_routes import EACH, EVERYBODY, custom_routes, filter_in
from feeds.windows import KEEP_WITHDRAWN, facts_of, shows
from syndicator.domain.filters import BadFilter, canonical, parse
from syndicator.domain.topics import Taxonomy, Topic
from syndicator.store import releases
from syndicator.store.database import Database
from syndicator.web.limits import Limits, Window
from tests.feeds.conftest import NOW
from tests.feeds.customs import FakeLibrary, customs_on, record, serving

PATH = "/feeds/custom."


@pytest.fixture
async def client():
    async with ClientSession(
        auto_decompress=False, cookie_jar=DummyCookieJar(), skip_auto_headers=("Accept-Encoding",)
    ) as one:
        yield one


def routes_on(customs, limits=None, clock=lambda: NOW):
    return custom_routes(
        customs, Answering(customs.site.base_url, 60, ("https://press.example.org/hub",), clock), limits
    )


@pytest.fixture
def library(taxonomy):
    return FakeLibrary(taxonomy)


@pytest.fixture
async def base(library, site, taxonomy, texts, make):
    library.put(make.release(1), make.release(2, topics=("law",)))
    async with serving(routes_on(customs_on(library, site, taxonomy, texts))) as address:
        yield address


async def get(client, base, target, **headers):
    """Ask for exactly this target; the client follows nothing and mends nothing."""
    answer = await client.get(URL(base + target, encoded=True), headers=headers, allow_redirects=False)
    await answer.read()
    return answer


CANONICAL = "rss?lang=en&topic=law,visas"


@pytest.mark.parametrize(
    ("fmt", "content_type"),
    [
        ("rss", "application/rss+xml; charset=utf-8"),
        ("atom", "application/atom+xml; charset=utf-8"),
        ("json", "application/feed+json; charset=utf-8"),
        ("opml", "text/x-opml; charset=utf-8"),
    ],
)
async def test_a_feed_comes_with_everything_a_cache_needs(base, client, fmt, content_type):
    path = f"{PATH}{fmt}?lang=en&topic=law,visas"
    answer = await get(client, base, path)
    said = answer.headers
    assert (answer.status, said["Content-Type"]) == (200, content_type)
    assert said["Cache-Control"] == "public, max-age=60, stale-while-revalidate=10, stale-if-error=600"
    assert said["Access-Control-Allow-Origin"] == "*"
    assert said["Vary"] == "Accept-Encoding"
    assert said["Link"].startswith(f'<https://press.example.org{path}>; rel="self", <https://press.example.org/hub>')
    assert said["Last-Modified"] == format_datetime(NOW, usegmt=True)
    packed = await get(client, base, path, **{"Accept-Encoding": "gzip"})
    assert gzip.decompress(await packed.read()) == await answer.read()
    assert packed.headers["ETag"] == said["ETag"]
    for known in ({"If-None-Match": said["ETag"]}, {"If-Modified-Since": said["Last-Modified"]}):
        assert (await get(client, base, path, **known)).status == 304


async def test_a_script_of_another_site_may_ask_with_the_validators_it_has(base, client):
    asks = {"Origin": "https://partner.example", "Access-Control-Request-Headers": "if-none-match"}
    async with client.options(base + PATH + CANONICAL, headers=asks) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
        assert answer.headers["Access-Control-Allow-Headers"] == "*"


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("rss?topic=visas,law&lang=en", CANONICAL),
        ("rss?lang=en&topic=law&topic=visas", CANONICAL),
        ("rss?lang=en&topic=law%2Cvisas", CANONICAL),
        ("rss?LANG=EN&Topic=Law,VISAS", CANONICAL),
        ("rss?lang=en&topic=law,visas&utm_source=x&fbclid=1&%ff=2&", CANONICAL),
        ("rss?lang=en&topic=law,visas&q=", CANONICAL),
        ("rss?topic=law,visas", "rss?lang=az&topic=law,visas"),
        ("atom?q=Asan%20Viza&lang=ru", "atom?lang=ru&q=asan+viza"),
        ("json?q=%d0%92%d0%98%d0%97%d0%90&lang=ru", "json?lang=ru&q=%D0%B2%D0%B8%D0%B7%D0%B0"),
        ("opml", "opml?lang=az"),
        ("opml?topic=visas", "opml?lang=az&topic=visas"),
        ("rss", "/feeds/az/all.rss"),
        ("rss?", "/feeds/az/all.rss"),
        ("atom?lang=en&topic=all", "/feeds/en/all.atom"),
        ("json?topic=visas&lang=ru&utm_source=x", "/feeds/ru/visas.json"),
    ],
)
async def test_every_other_spelling_leads_to_the_one_address(base, client, asked, leads_to):
    answer = await get(client, base, PATH + asked)
    assert answer.status == 301
    assert answer.headers["Location"] == (leads_to if leads_to.startswith("/") else PATH + leads_to)
    assert answer.headers["Cache-Control"].startswith("public")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_target_with_the_whole_address_in_it_is_no_other_spelling(base):
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {base}{PATH}{CANONICAL} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 200 " in status


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("rss?topic=visa", "topic: 'visa' is unknown; did you mean visas? allowed are entry, visas, law"),
        ("rss?lang=de", "lang: 'de' is unknown; allowed are az, en, ru"),
        ("atom?not=all", 'not: "all" is reserved and no topic; nothing could ever match'),
        ("json?topic=law&not=law", "topic: it can never match, every topic is also in not (law)"),
        ("rss?q=%21", "q: '!' holds no letter or digit"),
        ("rss?q=" + "+".join("abcdefghijk"), "q: 11 words; at most 10 are allowed"),
        ("opml?q=%ff", "filter: '%ff' is not percent-encoded UTF-8"),
        ("rss?q=" + "x" * 3000, "filter: the text is 3002 characters long; allowed are 2000"),
        ("rss?kind=%0d%0aSet-Cookie:x", None),
    ],
)
async def test_a_bad_filter_is_refused_in_one_line_that_says_what_is_allowed(base, client, asked, line):
    answer = await get(client, base, PATH + asked)
    text = await answer.text()
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert text.count("\n") == 1
    assert line is None or text == f"{line}\n"


async def test_an_unknown_format_is_a_404_in_one_line(base, client):
    answer = await get(client, base, "/feeds/custom.xml?lang=en")
    assert (answer.status, await answer.text()) == (404, "There is no such format; there are rss, atom, json, opml.\n")


async def test_a_former_slug_leads_to_the_new_one(site, texts, client):
    names = {"az": "Vizalar", "en": "Visas", "ru": "Визы"}
    taxonomy = Taxonomy((Topic("visas", names, None, {}, ("visa-rules",)), Topic("law", names)))
    async with serving(routes_on(customs_on(FakeLibrary(taxonomy), site, taxonomy, texts))) as base:
        answer = await get(client, base, f"{PATH}rss?lang=en&topic=visa-rules&not=law")
        assert answer.headers["Location"] == f"{PATH}rss?lang=en&topic=visas&not=law"
        answer = await get(client, base, f"{PATH}rss?lang=en&topic=visa-rules")
        assert answer.headers["Location"] == "/feeds/en/visas.rss"


# -- limits
async def test_a_visitor_may_have_many_new_feeds_made_but_not_without_end(library, site, taxonomy, texts, client):
    moment = [NOW]
    limits = Limits(Window(3, timedelta(minutes=1)), EVERYBODY)
    customs = customs_on(library, site, taxonomy, texts)
    async with serving(routes_on(customs, limits, lambda: moment[0])) as base:
        statuses = [(await get(client, base, f"{PATH}rss?lang=az&q=word{n}")).status for n in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = await get(client, base, f"{PATH}rss?lang=az&q=word9")
        assert refused.headers["Retry-After"] == "60"
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
        assert (await get(client, base, f"{PATH}rss?lang=az&q=word1")).status == 200  # made already
        library.change += 1
        assert (await get(client, base, f"{PATH}rss?lang=az&q=word1")).status == 200  # a change is not their doing
        other = {"X-Forwarded-For": "192.0.2.7"}
        assert (await get(client, base, f"{PATH}rss?lang=az&q=word5", **other)).status == 200
        moment[0] += timedelta(minutes=1)
        assert (await get(client, base, f"{PATH}rss?lang=az&q=word6")).status == 200


async def test_when_everybody_asks_for_new_feeds_those_that_are_read_are_still_served(
    library, site, taxonomy, texts, client
):
    limits = Limits(EACH, Window(2, timedelta(minutes=1)))
    async with serving(routes_on(customs_on(library, site, taxonomy, texts), limits)) as base:
        statuses = [(await get(client, base, f"{PATH}rss?lang=az&q=word{n}")).status for n in (0, 1, 2, 0)]
        assert statuses == [200, 200, 503, 200]
        assert (await get(client, base, f"{PATH}rss?lang=az&q=word2")).headers["Retry-After"] == "30"


async def test_too_many_at_once_are_asked_to_come_back(library, site, taxonomy, texts, client):
    library.gate.clear()
    bounds = Bounds(at_once=1, waiting=0)
    async with serving(routes_on(customs_on(library, site, taxonomy, texts, bounds=bounds))) as base:
        first = asyncio.create_task(get(client, base, f"{PATH}rss?lang=az&q=word1"))
        while not library.listed:
            await asyncio.sleep(0.001)
        crowded = await get(client, base, f"{PATH}rss?lang=az&q=word2")
        library.gate.set()
        assert (crowded.status, crowded.headers["Retry-After"]) == (503, "5")
        assert (await first).status == 200


async def test_a_store_that_fails_is_a_503_in_one_line_that_tells_nothing_of_it(library, base, client):
    library.broken = OSError("/var/lib/secret.db: disk I/O error")
    answer = await get(client, base, PATH + CANONICAL)
    assert (answer.status, await answer.text()) == (503, "Feeds cannot be made now; try again in a moment.\n")


# -- any query, over a real store
WORDS = ["viza", "vizası", "VİZA", "Işıq", "gizli", "kvota", "q'ay", '"OR" *', "日本", "a"]
SLUGS = ["entry", "visas", "law"]
VALUES = st.sampled_from(
    ["az", "en", "ru", "de", "news", "all", "custom", *SLUGS, *WORDS, "", ",", "%", "%ff", "+", "a" * 300]
)
sensible = st.builds(
    "&".join,
    st.lists(
        st.one_of(
            st.lists(st.sampled_from(["az", "en", "ru"]), max_size=3).map(lambda v: f"lang={','.join(v)}"),
            st.lists(st.sampled_from(SLUGS), max_size=3).map(lambda v: f"topic={','.join(v)}"),
            st.sampled_from(SLUGS).map("not={}".format),
            st.sampled_from(["news", "notice", "news,notice"]).map("kind={}".format),
            st.lists(st.sampled_from(WORDS), max_size=2).map(lambda v: f"q={'+'.join(v)}"),
        ),
        max_size=4,
    ),
)
pairs = st.lists(
    st.tuples(st.sampled_from(["lang", "topic", "not", "kind", "q", "Q", "utm_source", "%71", "%ff", ""]), VALUES),
    max_size=5,
).map(lambda found: "&".join(f"{key}={value}" for key, value in found))
garbage = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="#\r\n\t"), max_size=60)


@pytest.fixture(scope="module")
def filled(tmp_path_factory, sqlite_template, site):
    """A store with everything that may not be seen beside what may."""
    path = tmp_path_factory.mktemp("store") / "syndicator.db"
    path.write_bytes(sqlite_template.read_bytes())
    asyncio.run(_fill(f"sqlite:///{path}", site))
    return f"sqlite:///{path}"


async def _fill(url, site):
    database = Database(url)
    ago = lambda **span: NOW - timedelta(**span)  # noqa: E731
    async with database.writing() as session:
        for n in range(12):
            topics = (SLUGS[n % 3],)
            langs = (("az", "en", "ru"), ("az",), ("en", "ru"))[n % 3]
            kind = "notice" if n % 5 == 0 else "news"
            await record(
                session, site, f"open{n}", now=ago(days=n), langs=langs, topics=topics, kind=kind, text=WORDS[n % 10]
            )
        for n, when in enumerate((1, 10, 200)):
            made = await record(session, site, f"gone{n}", now=ago(days=when + 1), topics=("law",), text="gizli kvota")
            await releases.withdraw(session, made.number, "It was wrong.", ago(days=when))
        await record(
            session, site, "embargo", now=NOW + timedelta(days=1), state="scheduled", text="Embargo gizli viza"
        )
        await record(session, site, "draft", now=ago(days=1), state="draft", text="Draft gizli viza")
    await database.close()


@pytest.fixture(scope="module")
def loop_runner():
    with asyncio.Runner() as runner:
        yield runner


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.one_of(sensible, pairs, garbage), fmt=st.sampled_from(["rss", "atom", "json", "opml"]))
def test_any_query_gives_its_feed_or_leads_to_it_or_is_refused_in_one_line(
    world, loop_runner, site, taxonomy, query, fmt
):
    """Whatever is asked, what is served is exactly the store's listing; nothing hidden shows through."""
    loop_runner.run(_ask(world, site, taxonomy, query, fmt))


@pytest.fixture(scope="module")
def world(filled, loop_runner, site, taxonomy, texts):
    """The customs, a server of them and a client, alive for all examples."""

    async def begin():
        database = Database(filled)
        customs = customs_on(database, site, taxonomy, texts, entries=6)
        nobody_waits = Limits(Window(10**6, timedelta(seconds=1)), Window(10**6, timedelta(seconds=1)))
        server = serving(routes_on(customs, nobody_waits))
        base = await server.__aenter__()
        return database, customs, server, base, ClientSession(cookie_jar=DummyCookieJar())

    async def end(database, _customs, server, _base, client):
        await client.close()
        await server.__aexit__(None, None, None)
        await database.close()

    alive = loop_runner.run(begin())
    yield alive
    loop_runner.run(end(*alive))


async def _ask(world, site, taxonomy, query, fmt):
    database, customs, _, base, client = world
    answer = await get(client, base, str(URL.build(path=PATH + fmt)) + "?" + _wire(query))
    if answer.status == 400:
        assert (await answer.text()).count("\n") == 1
        return
    if answer.status == 301:
        target = answer.headers["Location"]
        if not target.startswith(PATH):
            assert target.startswith("/feeds/")  # a stream
            return
        answer = await get(client, base, target)
    assert answer.status == 200
    body = await answer.read()
    assert b"Embargo" not in body
    assert b"Draft" not in body
    if fmt == "opml":
        assert etree.fromstring(body).findall(".//outline")
        return
    wanted = parse(answer.url.raw_query_string)
    assert canonical(wanted) == canonical(filter_in(answer.url.raw_query_string, customs))
    stored = await customs.find(wanted, "json", NOW)
    assert b"gizli kvota" not in stored.body
    async with database.reading() as session:
        gone = None if wanted.words else NOW - KEEP_WITHDRAWN
        listed = await releases.listing(
            session, wanted, taxonomy, lang=wanted.langs[0], now=NOW, limit=100, withdrawn_since=gone
        )
    expected = [release.number for release in listed if shows(facts_of(release), NOW)][:6]
    assert [item["_syndicator"]["number"] for item in json.loads(stored.body)["items"]] == expected


def _wire(query):
    """The query as bytes that may stand in a request line."""
    return "".join(c if "!" <= c <= "~" else "".join(f"%{byte:02x}" for byte in c.encode()) for c in query)


async def test_both_databases_give_a_feed_by_words_alike(database, site, taxonomy, texts):
    async with database.writing() as session:
        await record(session, site, "a", now=NOW - timedelta(days=2), topics=("law",), text="Yeni kvotalar")
        await record(session, site, "b", now=NOW - timedelta(days=1), topics=("visas",), text="Asan viza")
        made = await record(session, site, "c", now=NOW - timedelta(hours=1), topics=("law",), text="Gizli kvota")
    customs = customs_on(database, site, taxonomy, texts)
    await customs.find(parse("q=kvota"), "json", NOW - timedelta(seconds=1))
    async with database.writing() as session:
        await releases.withdraw(session, made.number, "It was wrong.", NOW)
    items = json.loads((await customs.find(parse("q=kvota"), "json", NOW)).body)["items"]
    assert [(item["_syndicator"]["state"], item["title"]) for item in items] == [
        ("withdrawn", "Geri götürülüb: c az"),
        ("public", "a az"),
    ]


async def test_words_written_after_a_withdrawal_find_nothing(sqlite_database, site, taxonomy, texts):
    async with sqlite_database.writing() as session:
        made = await record(session, site, "a", now=NOW - timedelta(days=2), langs=("az",), text="Köhnə sözlər")
        await releases.withdraw(session, made.number, "It was wrong.", NOW - timedelta(days=1))
        await record(
            session, site, "a", now=NOW - timedelta(hours=1), langs=("az",), text="Gizli sözlər", state="withdrawn"
        )
    customs = customs_on(sqlite_database, site, taxonomy, texts)
    assert json.loads((await customs.find(parse("q=gizli"), "json", NOW)).body)["items"] == []


def test_a_query_without_a_filter_is_the_sites_own_language(library, site, taxonomy, texts):
    async def find():
        return filter_in("utm_source=x", customs_on(library, site, taxonomy, texts))

    assert canonical(asyncio.run(find())) == "lang=az"
    with pytest.raises(BadFilter):
        parse("utm_source=x")
