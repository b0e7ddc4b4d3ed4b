"""Feeds over HTTP: cheap for polite readers, right for every reader."""

import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import brotli
import pytest
from aiohttp import ClientSession, DummyCookieJar, web
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from feeds.answering import Answering
from feeds.conditional import choose_coding, not_modified
from feeds.routes import feed_routes

ETAG = '"abc"'
MODIFIED = datetime(2026, 11, 20, 12, 0, 0, 500, tzinfo=UTC)
NOW = MODIFIED + timedelta(days=1)


FAR = "+99999999999999999999"


def at(**shift):
    return format_datetime(MODIFIED + timedelta(**shift), usegmt=True)


@pytest.mark.parametrize(
    ("if_none_match", "if_modified_since", "known"),
    [
        (None, None, False),
        ('"abc"', None, True),
        ('W/"abc"', None, True),
        ('"x", W/"abc"', None, True),
        ('"x","abc","y"', None, True),
        ("*", None, True),
        ('"abc-gzip"', None, True),  # Apache marks what it compressed
        ('W/"abc;gzip"', None, True),  # so does Jetty
        ('"x"', None, False),
        ("abc", None, False),
        ("", None, False),
        ('"a,b", "abc"', None, True),
        ('"' + "x" * 100_000, None, False),
        ('"x"', at(), False),  # If-None-Match wins
        ('"abc"', at(days=-9), True),
        (None, at(), True),
        (None, at(hours=1), True),
        (None, at(seconds=-1), False),
        (None, at(days=400), False),  # in the future: not valid
        (None, "yesterday", False),
        (None, "Fri, 99 Nov 2026 12:00:00 GMT", False),
        (None, "", False),
        (None, f"Mon, 01 Jan 2026 00:00:00 {FAR}", False),  # no clock counts so far
        (None, f"Mon, 01 Jan {FAR[1:]} 00:00:00 GMT", False),
        (None, f"Mon, 01 Jan 2026 {FAR[1:]}:00:00 GMT", False),
        (None, f"Mon, {FAR[1:]} Jan 2026 00:00:00 GMT", False),
        (None, "Mon, 01 Jan 0001 00:00:00 +2359", False),
        (None, "Fri, 31 Dec 9999 23:59:59 -2359", False),
    ],
)
def test_conditional_requests(if_none_match, if_modified_since, known):
    assert not_modified(ETAG, MODIFIED, if_none_match, if_modified_since, NOW) is known


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0", "identity"),
        ("*", "br"),
        ("*;q=0.5, br;q=0", "gzip"),
        ("identity", "identity"),
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("GZIP ; Q=1", "gzip"),
        ("gzip;q=banana", "identity"),
        ("deflate, zstd", "identity"),
        (",,;q=1,", "identity"),
    ],
)
def test_the_best_coding_by_quality_is_chosen(accept, coding):
    assert choose_coding(accept, ("br", "gzip")) == coding


HEADERS = ("If-None-Match", "If-Modified-Since", "Accept-Encoding")
NUMBERS = st.sampled_from(["0", "1", "31", "2026", "9999", "9" * 20]) | st.integers(0).map(str)
ZONES = st.sampled_from(["GMT", "+0400", "-2359", FAR, "EST"])
WORDS = ["Mon,", "01", "Jan", "2026", "00:00:00", "GMT", FAR, ":", "(", '"', "W/", ",", ";q=", "*"]
header = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
    st.builds("Mon, {} Jan {} {}:{}:00 {}".format, NUMBERS, NUMBERS, NUMBERS, NUMBERS, ZONES),
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40),
)


@settings(max_examples=150, deadline=None)
@given(tags=st.none() | header, since=st.none() | header, accept=st.none() | header)
def test_no_header_is_too_strange_to_be_answered(tags, since, accept):
    assert not_modified(ETAG, MODIFIED, tags, since, NOW) in (True, False)
    assert choose_coding(accept, ("br", "gzip")) in ("identity", "br", "gzip")


def routes_of(publisher):
    return feed_routes(publisher, Answering(publisher.site.base_url, publisher.max_age, (), publisher.clock))


@pytest.fixture
async def server(publish, shelf, make):
    """A real server with two releases published; gives (address, publisher)."""
    shelf.put(make.release(1, body="<p>" + "Long text. " * 200 + "</p>"))
    shelf.put(make.release(2, topics=("law",)))
    publisher = publish()
    await publisher.refresh(make.now)
    app = web.Application()
    app.add_routes(routes_of(publisher))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", publisher
    await runner.cleanup()


@pytest.fixture
async def client():
    async with ClientSession(
        auto_decompress=False, cookie_jar=DummyCookieJar(), skip_auto_headers=("Accept-Encoding",)
    ) as one:
        yield one


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/feeds/az/all.rss", "application/rss+xml; charset=utf-8"),
        ("/feeds/en/visas.atom", "application/atom+xml; charset=utf-8"),
        ("/feeds/ru/law.json", "application/feed+json; charset=utf-8"),
        ("/feeds/en.opml", "text/x-opml; charset=utf-8"),
        ("/feeds/topics.json", "application/json; charset=utf-8"),
    ],
)
async def test_a_feed_comes_whole_with_everything_a_cache_needs(server, client, path, content_type):
    base, publisher = server
    stored = publisher.find(path.removeprefix("/feeds/"))
    async with client.get(base + path) as answer:
        assert answer.status == 200
        assert await answer.read() == stored.body
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["ETag"] == stored.etag
        assert answer.headers["Last-Modified"] == format_datetime(stored.last_modified, usegmt=True)
        assert answer.headers["Cache-Control"] == "public, max-age=60, stale-while-revalidate=10, stale-if-error=600"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Link"] == f'<https://press.example.org{path}>; rel="self"'
        assert "Set-Cookie" not in answer.headers
        assert "Content-Encoding" not in answer.headers


async def test_a_304_is_empty_and_repeats_the_validators(server, client):
    base, publisher = server
    stored = publisher.find("en/all.rss")
    for headers in (
        {"If-None-Match": stored.etag},
        {"If-None-Match": f"W/{stored.etag}", "Accept-Encoding": "gzip"},
        {"If-Modified-Since": format_datetime(stored.last_modified, usegmt=True)},
        {"If-None-Match": stored.etag, "A-IM": "feed"},
    ):
        async with client.get(base + "/feeds/en/all.rss", headers=headers) as answer:
            assert answer.status == 304
            assert await answer.read() == b""
            assert answer.headers["ETag"] == stored.etag
            for name in ("Cache-Control", "Vary", "Last-Modified", "Date"):
                assert name in answer.headers
            assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", [f"Mon, 01 Jan 2026 00:00:00 {FAR}", f"gzip;q={FAR}", '"' * 4000, "\xff", ","])
async def test_a_header_that_says_nothing_sensible_gets_the_feed(server, client, name, value):
    base, _ = server
    async with client.get(base + "/feeds/en/all.rss", headers={name: value}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/feeds/en/all.rss", "/feeds/en.opml", "/feeds/topics.json"])
async def test_a_script_of_another_site_may_ask_with_the_validators_it_has(server, client, path):
    asks = {
        "Origin": "https://partner.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "if-modified-since, if-none-match",
    }
    async with client.options(server[0] + path, headers=asks) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Headers"] == "*"
        assert "GET" in answer.headers["Access-Control-Allow-Methods"]


async def test_a_reader_that_asks_for_a_delta_gets_the_whole_feed(server, client):
    base, publisher = server
    headers = {"A-IM": "feed", "If-None-Match": '"older"'}
    async with client.get(base + "/feeds/en/all.atom", headers=headers) as answer:
        assert answer.status == 200
        assert await answer.read() == publisher.find("en/all.atom").body


@pytest.mark.parametrize(("coding", "unpack"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
async def test_a_compressed_feed_unpacks_to_the_same_bytes_under_the_same_etag(server, client, coding, unpack):
    base, publisher = server
    stored = publisher.find("en/all.json")
    async with client.get(base + "/feeds/en/all.json", headers={"Accept-Encoding": coding}) as answer:
        body = await answer.read()
        assert answer.headers["Content-Encoding"] == coding
        assert answer.headers["ETag"] == stored.etag
        assert int(answer.headers["Content-Length"]) == len(body) < len(stored.body)
        assert unpack(body) == stored.body


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}, {"If-None-Match": "*"}])
async def test_head_says_what_get_would(server, client, headers):
    base, _ = server
    async with client.get(base + "/feeds/az/all.rss", headers=headers) as got:
        body = await got.read()
    async with client.head(base + "/feeds/az/all.rss", headers=headers) as head:
        assert await head.read() == b""
        assert head.status == got.status
        wanted = (
            "Content-Type",
            "Content-Length",
            "Content-Encoding",
            "ETag",
            "Last-Modified",
            "Cache-Control",
            "Vary",
        )
        assert {n: head.headers.get(n) for n in wanted} == {n: got.headers.get(n) for n in wanted}
    if got.status == 200:
        assert int(head.headers["Content-Length"]) == len(body)


@pytest.mark.parametrize(
    "path",
    [
        "/feeds/xx/all.rss",
        "/feeds/en/nothing.rss",
        "/feeds/en/all.xml",
        "/feeds/en/all.opml",
        "/feeds/EN/all.rss",
        "/feeds/en/..%2f..%2fmanifest.json",
        "/feeds/en/all.rss.gz",
        "/feeds/xx.opml",
        "/feeds/topics.opml",
        "/feeds/en/%00.rss",
    ],
)
async def test_an_unknown_feed_is_a_404_in_one_plain_line(server, client, path):
    base, _ = server
    async with client.get(base + path) as answer:
        text = await answer.text()
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert text.count("\n") == 1


async def test_before_the_first_build_a_known_feed_is_asked_to_wait(publish, client):
    app = web.Application()
    app.add_routes(routes_of(publish()))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with client.get(f"http://{host}:{port}/feeds/en/all.rss") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"]
    await runner.cleanup()


async def test_a_new_release_is_served_at_once_under_a_new_etag(server, client, shelf, make):
    base, publisher = server
    old = publisher.find("en/all.rss").etag
    shelf.put(make.release(3))
    await publisher.refresh(make.now)
    async with client.get(base + "/feeds/en/all.rss", headers={"If-None-Match": old}) as answer:
        assert answer.status == 200
        assert b"Title 3" in await answer.read()
        assert answer.headers["ETag"] != old


async def test_the_subscription_list_names_every_feed_of_its_language_once(server):
    _, publisher = server
    outlines = etree.fromstring(publisher.find("az.opml").body).findall(".//outline")
    assert [o.get("xmlUrl") for o in outlines] == [link.rss for link in publisher.links("az")]
    assert {o.get("type") for o in outlines} == {"rss"}
    assert [o.get("text") for o in outlines][:2] == ["Miqrasiya Xidməti", "Entry & stay az – Miqrasiya Xidməti"]


async def test_the_scheme_of_every_category_is_an_address_that_lists_its_code_in_every_language(server, client, site):
    base, publisher = server
    schemes, codes = set(), set()
    for lang in site.languages:
        for category in etree.fromstring(publisher.find(f"{lang}/all.atom").body).findall(".//{*}category"):
            schemes.add(category.get("scheme"))
            codes.add(category.get("term"))
    (scheme,) = schemes
    async with client.get(scheme.replace(site.base_url, base)) as answer:
        assert answer.status == 200
        said = await answer.json()
    assert said["id"] == scheme
    topics = {topic["code"]: topic for topic in said["topics"]}
    assert codes <= topics.keys()
    assert topics["visas"]["parent"] == "entry"
    assert topics["visas"]["names"] == {"az": "Visas az", "en": "Visas", "ru": "Visas ru"}
    assert topics["visas"]["feeds"]["ru"]["atom"] == "https://press.example.org/feeds/ru/visas.atom"


def test_the_scheme_stays_when_another_language_becomes_the_default(site):
    assert replace(site, default_language="ru").vocabulary == site.vocabulary
