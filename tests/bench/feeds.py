"""Feeds: what one changed release costs beside building everything, and requests a second beside a bare handler.

Requests go to a real process of the service, and to a bare aiohttp handler in a process of its own that gives back the
same bytes and headers; both get them over the same number of kept connections, from this process.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from feeds.publisher import Publisher
from syndicator.domain.model import Revision, State, Urgency
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store import migrate, releases
from syndicator.store.database import Database
from syndicator.store.releases import Draft
from tests.bench.crowd import LANGS, NOW, SITE, library, taxonomy
from tests.bench.figures import Figure, child
from tests.bench.newsroom import text_of
from tests.program import ROOT, make_program, wait_for

__all__ = ["measure"]

RELEASES = 10_000
CHANGES = 9
REQUESTS = 3000
ROUNDS = 3
CONNECTIONS = 8
FEED = "/feeds/en/all.rss"
NOT_SENT = ("content-length", "date", "server")


def measure(folder: Path) -> Iterator[Figure]:
    """Refreshing, then serving."""
    found = child("feeds", "refresh", str(folder), str(RELEASES))
    whole, one, none = found["whole"], found["one"], found["none"]
    beside = f"full build {whole:.0f} ms"
    what = f"CPU of a full build, {RELEASES:,} releases x 3 languages x 20 topics"
    yield Figure(what, f"{whole:.0f} ms", found["files"])
    yield Figure("CPU of a refresh after one changed release", f"{one:.0f} ms", beside, one / whole)
    yield Figure("CPU of a refresh after none", f"{none:.1f} ms", beside, none / whole)
    yield from _serving(folder)


# -- refreshing
async def _refresh(folder: str, count: int) -> None:
    url = f"sqlite:///{folder}/feeds.db"
    await migrate.upgrade(url)
    database = Database(url)
    await library(database, count)
    publisher = Publisher(
        database,
        site=SITE,
        taxonomy=taxonomy(),
        texts=Texts.load(LANGS),
        directory=Path(folder) / "feeds",
        entries=50,
        max_age=60,
        metrics=Metrics(),
        clock=lambda: NOW,
    )
    whole, files = await _cost(publisher)
    costs = []
    for turn in range(CHANGES):
        await _edit(database, count - turn)
        costs.append(await _cost(publisher))
    none, written = await _cost(publisher)
    assert written == 0
    await database.close()
    one = statistics.median(cost for cost, _ in costs)
    said = f"{files} feeds; then {min(n for _, n in costs)}-{max(n for _, n in costs)} of them"
    print(json.dumps({"whole": whole, "one": one, "none": none, "files": said}))  # noqa: T201  # to the parent


async def _cost(publisher: Publisher) -> tuple[float, int]:
    begun = time.process_time()
    written = await publisher.refresh(NOW)
    return (time.process_time() - begun) * 1000, written


async def _edit(database: Database, number: int) -> None:
    """A silent edit of one release in one language."""
    async with database.writing() as session:
        release = await releases.get(session, number)
        assert release is not None
        text = release.variants[1].revision
        revision = Revision(0, 0, f"{text.title}, edited", text.summary, text.body, text.text)
        topics = tuple((slug, "source", "") for slug in release.topics)
        draft = Draft("desk", release.key, "en", "x", "news", Urgency.NORMAL, State.PUBLIC, None, revision, topics)
        recorded = await releases.record(session, replace(draft, public_at=release.public_at), site_uids=SITE, now=NOW)
        assert recorded.revised


# -- serving
def _serving(folder: Path) -> Iterator[Figure]:
    place = folder / "service"
    place.mkdir()
    program = make_program(place)
    for number in range(60):
        program.write(f"r{number}.en.txt", text_of(f"Release number {number:03}"))
    try:
        program.start()
        wait_for(lambda: len(program.feed()["items"]) == 50, "the feed")
        time.sleep(2)  # until nothing is left to do
        tag = program.get(FEED)[2]["etag"]
        for name, asked in (("304", {"If-None-Match": tag}), ("gzip", {"Accept-Encoding": "gzip"})):
            status, body, headers = program.get(FEED, asked)
            kept = {key: value for key, value in headers.items() if key not in NOT_SENT}
            with _bare(folder, status, body, kept) as port:
                ours, bare = asyncio.run(_compare(program.port, port, asked))
            size = f"{len(body):,} bytes"
            yield Figure(f"GET {name} ({size}), requests/s", f"{ours:.0f}", f"bare handler {bare:.0f}", ours / bare)
    finally:
        if program.process is not None and not program.dead():
            program.kill()


@contextmanager
def _bare(folder: Path, status: int, body: bytes, headers: dict[str, str]) -> Iterator[int]:
    told = folder / "bare.json"
    told.write_text(json.dumps({"status": status, "headers": headers}))
    told.with_suffix(".body").write_bytes(body)
    command = [sys.executable, "-m", "tests.bench.feeds", "bare", str(told)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def _serve_bare(said: dict[str, Any], body: bytes | None) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=said["status"], body=body, headers=said["headers"])

    app = web.Application()
    app.router.add_get(FEED, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201  # to the parent
    await asyncio.Event().wait()


async def _compare(ours: int, bare: int, asked: dict[str, str]) -> tuple[float, float]:
    """The best of some rounds of each, in turn: a busy machine troubles both alike, and not in every round."""
    rates: dict[int, list[float]] = {ours: [], bare: []}
    for _ in range(ROUNDS):
        for port, found in rates.items():
            begun = time.perf_counter()
            await asyncio.gather(*(_ask(port, asked, REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))
            found.append(REQUESTS / (time.perf_counter() - begun))
    return max(rates[ours]), max(rates[bare])


async def _ask(port: int, asked: dict[str, str], times: int) -> None:
    """Requests over one kept connection, each after the last one's answer; as cheap as a client can be."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {FEED} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{name}: {value}" for name, value in asked.items())]
    request = "\r\n".join([*lines, "", ""]).encode()
    for _ in range(times):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"content-length: " in head and not head.startswith(b"http/1.1 304"):
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        told = Path(sys.argv[2])
        asyncio.run(_serve_bare(json.loads(told.read_text()), told.with_suffix(".body").read_bytes() or None))
    else:
        asyncio.run(_refresh(sys.argv[2], int(sys.argv[3])))
