"""The fast way to a feed answers byte for byte, header for header and count for count like the full way."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.answering import Answering
from feeds.front import FeedFront
from feeds.routes import feed_routes
from feeds.streams import streams
from syndicator.metrics import Metrics
from syndicator.web.middleware import MIDDLEWARES, guard_headers
from syndicator.web.parts import PARTS
from syndicator.web.server import WebServer
from tests.feeds.conftest import NOW, make_release
from tests.rawhttp import line

ETAG, DATE = "<etag>", "<date>"  # in a table, what the feed has
FEED = "/feeds/en/visas.rss"
CODINGS = ("gzip", "br", "deflate", "identity", "*", "x-gzip", "zstd", "GZIP", "")
ASKED = [
    [],
    [("If-None-Match", ETAG)],
    [("If-None-Match", f"W/{ETAG}")],
    [("If-None-Match", '"other"')],
    [("If-None-Match", f'"other", {ETAG}')],
    [("If-None-Match", '"other"'), ("If-None-Match", ETAG)],
    [("If-None-Match", ETAG), ("If-None-Match", '"other"')],
    [("If-None-Match", "*")],
    [("If-None-Match", "")],
    [("If-None-Match", ETAG), ("Accept-Encoding", "gzip, deflate, br")],
    [("If-None-Match", '"other"'), ("If-Modified-Since", DATE)],
    [("If-Modified-Since", DATE)],
    [("If-Modified-Since", "yesterday")],
    [("If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT")],
    [("Accept-Encoding", "gzip")],
    [("Accept-Encoding", "gzip, deflate, br, zstd")],
    [("Accept-Encoding", "gzip;q=0")],
    [("Accept-Encoding", "deflate")],
    [("Accept-Encoding", "identity;q=0, *")],
    [("Accept-Encoding", "gzip;q=0"), ("Accept-Encoding", "br;q=0.1")],
    [("Accept-Encoding", "gzip" + " " * 500)],
    [("Connection", "keep-alive"), ("Range", "bytes=0-5"), ("Cookie", "a=b")],
]


class TwoWays:
    """The same feeds behind two servers, one with the front and one without; each with numbers of its own."""

    def __init__(self, publisher, site, taxonomy):
        self.publisher, self.site, self.taxonomy = publisher, site, taxonomy
        self.metrics = [Metrics(), Metrics()]

    @asynccontextmanager
    async def open(self):
        async with AsyncExitStack() as stack:
            self.lines = []
            for metrics, quick in zip(self.metrics, (True, False), strict=True):
                server = self.server(metrics, quick=quick)
                await server.start()
                stack.push_async_callback(server.stop)
                self.lines.append(await stack.enter_async_context(line(server.port)))
            yield self

    def server(self, metrics, *, quick):
        answering = Answering(self.site.base_url, 60, ("https://hub.example.org/",), lambda: NOW)
        app = web.Application(middlewares=MIDDLEWARES)
        app[PARTS] = SimpleNamespace(metrics=metrics, site=self.site)
        app.on_response_prepare.append(guard_headers)
        app.add_routes(feed_routes(self.publisher, answering))
        front = FeedFront(self.publisher, answering, metrics, streams(self.site, self.taxonomy))
        return WebServer(app, "127.0.0.1", 0, front=front if quick else None)

    async def both(self, path, *headers, **options):
        return await asyncio.gather(*(one.get(path, *headers, **options) for one in self.lines))

    def counts(self):
        """Requests by route and status, of both."""
        found = []
        for metrics in self.metrics:
            samples = next(iter(metrics.requests.collect())).samples
            found.append({tuple(sorted(s.labels.items())): s.value for s in samples if s.value})
        return found


@pytest.fixture
async def ways(shelf, publish, site, taxonomy):
    for number in range(5):
        shelf.put(make_release(number, summary="Words " * 200))
    publisher = publish()
    await publisher.refresh(NOW)
    return TwoWays(publisher, site, taxonomy)


def told(publisher, headers):
    stored = publisher.find("en/visas.rss")
    date = format_datetime(stored.last_modified, usegmt=True)
    return [(name, value.replace(ETAG, stored.etag).replace(DATE, date)) for name, value in headers]


async def test_both_ways_give_the_same_answer_to_every_kind_of_request(ways):
    async with ways.open():
        for headers in ASKED:
            quick, full = await ways.both(FEED, *told(ways.publisher, headers))
            assert quick == full, headers
        quick, full = ways.counts()
        assert quick == full
        assert sum(quick.values()) == len(ASKED)


async def test_the_table_holds_answers_of_every_kind(ways):
    async with ways.open():
        found = [(await ways.both(FEED, *told(ways.publisher, headers)))[0] for headers in ASKED]
    assert {status for status, _, _ in found} == {"HTTP/1.1 200 OK", "HTTP/1.1 304 Not Modified"}
    codings = {h for _, headers, _ in found for h in headers if h.startswith("Content-Encoding")}
    assert codings == {"Content-Encoding: gzip", "Content-Encoding: br"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/feeds/en/visas.rss?a=b"),
        ("GET", "/feeds/en/vis%61s.rss"),
        ("GET", "/feeds/en/nothing.rss"),
        ("GET", "/feeds/en/visas.pdf"),
        ("GET", "/feeds/en.opml"),
        ("GET", "/feeds/topics.json"),
        ("GET", "/feeds//en/visas.rss"),
        ("HEAD", "/feeds/en/visas.rss"),
        ("GET", "/feeds/az/all.json"),
        ("GET", "/feeds/ru/entry.atom"),
    ],
)
async def test_every_address_is_answered_and_counted_alike(ways, method, path):
    async with ways.open():
        quick, full = await ways.both(path, method=method)
        assert quick == full
        assert len({str(counts) for counts in ways.counts()}) == 1


async def test_after_a_change_both_ways_give_the_new_feed(ways, shelf):
    async with ways.open():
        before, _ = await ways.both(FEED)
        shelf.put(make_release(9, title="A new one"))
        await ways.publisher.refresh(NOW)
        quick, full = await ways.both(FEED, ("If-None-Match", told(ways.publisher, [("", ETAG)])[0][1]))
        assert quick == full
        assert " 304 " in quick[0]
        quick, full = await ways.both(FEED)
        assert quick == full != before
        assert b"A new one" in quick[2]


async def test_before_the_first_refresh_both_ways_ask_to_wait(publish, site, taxonomy):
    async with TwoWays(publish(), site, taxonomy).open() as ways:
        quick, full = await ways.both(FEED)
        assert quick == full
        assert quick[0] == "HTTP/1.1 503 Service Unavailable"
        assert "Retry-After: 5" in quick[1]


TAGS = st.sampled_from([ETAG, f"W/{ETAG}", '"x"', "*", 'W/"', ",", " ", '"a,b"', "-gzip"])
QUALITIES = st.sampled_from(["", ";q=0", ";q=1", ";q=0.5", ";q=x", "; q=0.001", ";a=b"])
ACCEPTED = st.lists(st.tuples(st.sampled_from(CODINGS), QUALITIES).map("".join), max_size=4).map(", ".join)
HEADER = st.one_of(
    st.tuples(st.just("If-None-Match"), st.lists(TAGS, max_size=4).map(",".join)),
    st.tuples(st.just("Accept-Encoding"), ACCEPTED),
    st.tuples(st.just("If-Modified-Since"), st.sampled_from([DATE, "", "Mon, 01 Jan 2001 00:00:00 GMT", "x"])),
    st.tuples(st.just("Accept"), st.sampled_from(["*/*", "application/rss+xml;q=0"])),
)


async def test_both_ways_agree_whatever_the_headers(ways):
    cases = []

    @settings(max_examples=150, database=None)
    @given(st.lists(HEADER, max_size=4))
    def collect(headers):  # first all of them: a server is opened once, not for each
        cases.append(headers)

    collect()
    async with ways.open():
        for headers in cases:
            quick, full = await ways.both(FEED, *told(ways.publisher, headers))
            assert quick == full, headers
