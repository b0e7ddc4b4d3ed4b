"""nginx and Caddy on the folder that the service keeps: the same answers as the service's own, validators and all."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import brotli
import pytest

from feeds import files
from feeds.answering import Answering
from feeds.archives_routes import archive_routes
from feeds.files import Stored
from feeds.routes import feed_routes
from tests.feeds.proxies import KINDS, free_port, plain_client, proxy, service

HUBS = ("https://press.example.org/hub",)
ARCHIVE = "en/visas/2025-10"
COMPARED = (
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Cache-Control",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Link",
    "Retry-After",
    "Set-Cookie",
    "Vary",
    "X-Content-Type-Options",
)
UNPACK = {None: bytes, "gzip": gzip.decompress, "br": brotli.decompress}


@pytest.fixture
async def published(publish, archive, shelf, make):
    """A publisher with two releases, its archives, and everything built."""
    shelf.put(make.release(1, body="<p>" + "Long text. " * 200 + "</p>"))
    shelf.put(make.release(2, topics=("law",)))
    publisher = publish(hubs=HUBS)
    await publisher.refresh(make.now)
    publisher.archives = archive(publisher)
    await publisher.archives.build_all(make.now)
    assert await publisher.archives.find(f"{ARCHIVE}.rss")
    return publisher


def routes_of(publisher, *, several=False):
    """As the room puts them together: archives have no hub."""
    answering = Answering(publisher.site.base_url, publisher.max_age, HUBS, publisher.clock, several)
    unpushed = replace(answering, hubs=(), _kept={})
    return [*feed_routes(publisher, answering), *archive_routes(publisher.archives, unpushed)]


def requests(publisher):
    """(method, path, headers): what polite and less polite readers send."""
    stored = publisher.find("en/all.rss")
    tag, changed = stored.etag, stored.last_modified

    def at(**shift):
        return format_datetime(changed + timedelta(**shift), usegmt=True)

    for path in ("en/all.rss", "az/visas.atom", "ru/law.json", "en.opml", "index.opml", "topics.json"):
        for coding in (None, "gzip", "br", "gzip, deflate, br", "gzip;q=0, br;q=0", "identity"):
            yield "GET", f"/feeds/{path}", {"Accept-Encoding": coding} if coding else {}
        own = publisher.find(path).etag
        yield "GET", f"/feeds/{path}", {"If-None-Match": own, "Accept-Encoding": "gzip"}
        yield "HEAD", f"/feeds/{path}", {}
        yield "HEAD", f"/feeds/{path}", {"Accept-Encoding": "br"}
    for match in (
        tag,
        f"W/{tag}",
        f'"x", W/{tag}',
        f'"x",{tag},"y"',
        "*",
        tag[:-1] + '-gzip"',
        f'W/{tag[:-1]};gzip"',
        '"x"',
        tag.strip('"'),
        tag[:-2] + '"',
        "",
    ):
        yield "GET", "/feeds/en/all.rss", {"If-None-Match": match}
        yield "HEAD", "/feeds/en/all.rss", {"If-None-Match": match, "Accept-Encoding": "gzip"}
    for since in (at(), at(hours=1), at(seconds=-1), "yesterday", ""):
        yield "GET", "/feeds/en/all.rss", {"If-Modified-Since": since}
    yield "GET", "/feeds/en/all.rss", {"If-Modified-Since": at(), "If-None-Match": '"x"'}
    yield "GET", "/feeds/en/all.rss", {"If-Modified-Since": at(days=-9), "If-None-Match": tag}
    yield "GET", "/feeds/en/all.rss", {"Range": "bytes=0-9"}
    yield "GET", "/feeds/en/all.rss", {"Range": "bytes=0-9", "If-Range": tag, "Accept-Encoding": "br"}
    for fmt in ("rss", "atom", "json"):
        yield "GET", f"/feeds/{ARCHIVE}.{fmt}", {"Accept-Encoding": "gzip"}
    for path in ("en/all.rss", f"{ARCHIVE}.json", "en.opml", "topics.json", "xx/all.rss"):
        asks = {"Origin": "https://partner.example", "Access-Control-Request-Method": "GET"}
        yield "OPTIONS", f"/feeds/{path}", asks | {"Access-Control-Request-Headers": "if-none-match"}
    yield "GET", "/feeds/en/all.rss?a=1", {}
    yield "GET", "/feeds/en/all.rss", {"Via": "1.1 cache", "Accept-Encoding": "gzip"}
    for path in (
        "/feeds/xx/all.rss",
        "/feeds/en/nothing.rss",
        "/feeds/en/all.rss.gz",
        "/feeds/manifest.json",
        "/feeds/.versions/en/all.rss",
        f"/feeds/.versions/en/all.{tag.strip(chr(34))}.rss",
        f"/.versions/en/all.{tag.strip(chr(34))}.rss",
        "/feeds/en/..%2f..%2fmanifest.json",
        "/feeds/en/",
        "/feeds/custom.rss?topic=visas&q=a%20b",
        "/en/",
    ):
        yield "GET", path, {}


def version(turn, now):
    body = f"<rss>{turn}{'Long text. ' * 500}</rss>".encode()
    return Stored(body, files.pack(body), files.etag_of(body), now + timedelta(seconds=turn))


async def told(client, base, method, path, headers):
    async with client.request(method, base + path, headers=headers, allow_redirects=False) as answer:
        body = await answer.read()
        said = {name: ", ".join(answer.headers.getall(name, [])) for name in COMPARED}
        if answer.status == 304:
            for name in ("Content-Length", "Content-Type", "Last-Modified"):  # not asked of a 304 (RFC 9110 §15.4.5)
                del said[name]
        if said.get("Content-Encoding"):  # Caddy sends what is compressed in chunks
            del said["Content-Length"]
        if answer.status == 200 and method == "GET":
            body = UNPACK[said["Content-Encoding"] or None](body)
        return answer.status, said, body


@pytest.mark.parametrize("several", [False, True], ids=["alone", "several"])
@pytest.mark.parametrize("kind", KINDS)
async def test_another_server_on_the_folder_answers_as_the_service_does(published, tmp_path, kind, several):
    async with (
        service(routes_of(published, several=several)) as port,
        proxy(kind, tmp_path / kind, tmp_path / "feeds", port, several=several) as base,
        plain_client() as client,
    ):
        different = []
        for asked in requests(published):
            ours = await told(client, f"http://127.0.0.1:{port}", *asked)
            theirs = await told(client, base, *asked)
            if ours != theirs:
                headers = {n: (ours[1].get(n), theirs[1].get(n)) for n in COMPARED}
                told_otherwise = {n: both for n, both in headers.items() if both[0] != both[1]}
                different.append((asked, ours[0], theirs[0], told_otherwise, ours[2] == theirs[2]))
        assert not different, "\n".join(map(str, different))


@pytest.mark.parametrize("kind", KINDS)
async def test_feeds_go_on_while_the_service_is_down_and_what_is_not_there_is_asked_to_wait(published, tmp_path, kind):
    async with proxy(kind, tmp_path / kind, tmp_path / "feeds", free_port()) as base, plain_client() as client:
        for path, status in {"en/all.rss": 200, "az.opml": 200, "topics.json": 200, "en/nothing.rss": 503}.items():
            answered, said, body = await told(client, base, "GET", f"/feeds/{path}", {"Accept-Encoding": "br"})
            assert answered == status, path
            assert said["Access-Control-Allow-Origin"] == "*"
            if status == 200:
                assert said["Content-Encoding"] == "br"
                assert body == published.find(path).body
            else:
                assert (said["Retry-After"], said["Cache-Control"], said["ETag"]) == ("5", "no-cache", "")
                assert body.rstrip() == b"Feeds are being built; try again in a moment."


@pytest.mark.parametrize("kind", KINDS)
async def test_a_feed_that_is_written_again_and_again_never_stands_under_the_tag_of_another(
    published, tmp_path, make, kind
):
    """Whoever reads while feeds are written gets a whole version, old or new, under its own tag."""
    done = asyncio.Event()
    seen = set()

    async def read(client, base, coding):
        while not done.is_set():
            status, said, body = await told(client, base, "GET", "/feeds/en/all.rss", {"Accept-Encoding": coding})
            assert status == 200
            assert said["ETag"].strip('"') == hashlib.sha256(body).hexdigest()
            seen.add(said["ETag"])

    async with (
        service(routes_of(published)) as port,
        proxy(kind, tmp_path / kind, tmp_path / "feeds", port) as base,
        plain_client() as client,
        asyncio.TaskGroup() as readers,
    ):
        for coding in ("identity", "gzip", "br"):
            readers.create_task(read(client, base, coding))
        try:
            for turn in range(30):
                newest = version(turn, make.now)
                await asyncio.to_thread(files.save, tmp_path / "feeds", {"en/all.rss": newest})
                await asyncio.sleep(0)  # readers have their turn
        finally:
            done.set()
    assert len(seen) > 3
    async with (
        proxy(kind, tmp_path / f"{kind}-again", tmp_path / "feeds", free_port()) as base,
        plain_client() as client,
    ):
        old = {"If-None-Match": next(iter(seen - {newest.etag}))}
        assert (await told(client, base, "GET", "/feeds/en/all.rss", old))[0] == 200
        assert (await told(client, base, "GET", "/feeds/en/all.rss", {"If-None-Match": newest.etag}))[0] == 304
