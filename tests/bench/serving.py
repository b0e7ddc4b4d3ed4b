"""Serving: a feed's 304 and gzip beside a bare aiohttp handler, and beside nginx on the tree that the service keeps.

Rules, in order:

1. The bare handler is the same aiohttp on the same event loop, in a process of its own; it gives back the same bytes
   and headers for one address and does nothing else.
2. Each server has the first core to itself and the client the second, as far as the machine has two; all get the same
   requests over the same number of kept connections, in turns, and of each the best round counts: a neighbour
   troubles all alike, but not in every round.
3. CPU is what the system says that the server's own process took, so a slow client cannot hide it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop
from aiohttp import web

from tests.bench.figures import Figure
from tests.bench.newsroom import text_of
from tests.bench.start import rows_of
from tests.bench.web_server import nginx
from tests.program import ROOT, Program, make_program, wait_for

__all__ = ["measure"]

REQUESTS = 4000
ROUNDS = 6
CONNECTIONS = 16
QUIET = 2.0  # seconds
FEED = "/feeds/en/all.rss"
NOT_SENT = ("content-length", "date", "server")


@dataclass
class Server:
    """One that is measured: where it listens, its process, and what was found."""

    name: str
    port: int
    process: psutil.Process
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def seconds(self) -> float:
        """CPU of the process so far: Linux tells it to the nanosecond, psutil to the hundredth of a second."""
        try:
            tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        except OSError:
            spent = self.process.cpu_times()
            return float(spent.user + spent.system)

    @property
    def rate(self) -> float:
        """Requests a second, in the best round."""
        return max(self.rates)

    @property
    def cost(self) -> float:
        """Microseconds of CPU a request, in the best round."""
        return min(self.costs) * 1e6


def measure(folder: Path) -> Iterator[Figure]:
    """Both kinds of answer, from each server."""
    program = make_program(folder)
    for number in range(60):
        program.write(f"r{number}.en.txt", text_of(f"Release number {number:03}"))
    with ExitStack() as stack:
        stack.callback(_end, program)
        program.start()
        wait_for(lambda: rows_of(program, "release") == 60, "every release")
        wait_for(lambda: len(program.feed()["items"]) == 50, "the feed")
        _rest(program)
        assert program.process is not None
        for name, asked in _kinds(program):
            status, body, headers = program.get(FEED, asked)
            kept = {key: value for key, value in headers.items() if key not in NOT_SENT}
            with ExitStack() as peers:
                ours = Server("ours", program.port, psutil.Process(program.process.pid))
                bare = peers.enter_context(_bare(folder, status, body, kept))
                servers = [ours, bare]
                if tree := peers.enter_context(nginx(folder / f"nginx-{name}", folder / "var" / "feeds", program.port)):
                    servers.append(Server("nginx", *tree))
                for server in servers:
                    answer = program.get(f"http://127.0.0.1:{server.port}{FEED}", asked)
                    assert answer[:2] == (status, body), server.name
                _compare(servers, asked)
            yield from _figures(f"GET {name} ({len(body):,} bytes)", servers)


def _kinds(program: Program) -> list[tuple[str, dict[str, str]]]:
    tag = program.get(FEED)[2]["etag"]
    return [("304", {"If-None-Match": tag}), ("gzip", {"Accept-Encoding": "gzip"})]


def _rest(program: Program) -> None:
    """Wait until the feed has stood as it is for a while: the same bytes for everybody, and nothing left to do."""
    for _ in range(60):
        before = program.get(FEED)[2]["etag"]
        time.sleep(QUIET)
        if program.get(FEED)[2]["etag"] == before:
            return
    raise AssertionError("the feed does not come to rest")


def _end(program: Program) -> None:
    if program.process is not None and not program.dead():
        program.kill()


def _figures(what: str, servers: list[Server]) -> Iterator[Figure]:
    ours, *peers = servers
    for peer in peers:
        beside = f"{peer.name} {peer.rate:,.0f}/s"
        yield Figure(f"{what}, requests a second", f"{ours.rate:,.0f}/s", beside, ours.rate / peer.rate)
    for peer in peers:
        beside = f"{peer.name} {peer.cost:.0f} µs"
        yield Figure(
            f"{what}, CPU a request (speed: beside / measured)", f"{ours.cost:.0f} µs", beside, peer.cost / ours.cost
        )
    if len(peers) == 1:
        yield Figure(f"{what}, nginx", "not installed", "skipped")


@contextmanager
def _bare(folder: Path, status: int, body: bytes, headers: dict[str, str]) -> Iterator[Server]:
    told = folder / "bare.json"
    told.write_text(json.dumps({"status": status, "headers": headers}))
    told.with_suffix(".body").write_bytes(body)
    command = [sys.executable, "-m", "tests.bench.serving", str(told)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Server("bare handler", int(process.stdout.readline()), psutil.Process(process.pid))
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


def _compare(servers: list[Server], asked: Mapping[str, str]) -> None:
    own = _cores()
    with _pinned(servers, own):
        for turn in range(ROUNDS):
            for server in servers[turn % len(servers) :] + servers[: turn % len(servers)]:
                before, begun = server.seconds(), time.perf_counter()
                done = uvloop.run(_load(server.port, asked))
                server.rates.append(done / (time.perf_counter() - begun))
                server.costs.append((server.seconds() - before) / done)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


@contextmanager
def _pinned(servers: list[Server], cores: list[int]) -> Iterator[None]:
    """Servers on the first core, this process on the last."""
    try:
        for server in servers:
            for thread in server.process.threads():
                os.sched_setaffinity(thread.id, cores[:1])
        os.sched_setaffinity(0, cores[-1:])
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def _load(port: int, asked: Mapping[str, str]) -> int:
    """Requests over kept connections, each after the last one's answer; returns how many were answered."""
    lines = [f"GET {FEED} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{name}: {value}" for name, value in asked.items())]
    request = "\r\n".join([*lines, "", ""]).encode()
    each = max(1, REQUESTS // CONNECTIONS)
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Reader(request, each), "127.0.0.1", port) for _ in range(CONNECTIONS)]
    for _, reader in made:
        reader.ask()
    await asyncio.gather(*(reader.done for _, reader in made))
    return each * CONNECTIONS


class _Reader(asyncio.Protocol):
    """As cheap as a client can be: every answer is as long as the first, so later ones are only counted."""

    def __init__(self, request: bytes, times: int) -> None:
        self._request, self._left = request, times
        self._buffer = b""
        self._length = self._got = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self) -> None:
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._got += len(data)
        if not self._length:
            self._buffer += data
            self._length = _length_of(self._buffer)
        if not self._length or self._got < self._length:
            return
        self._got -= self._length
        self._left -= 1
        if self._left:
            self._transport.write(self._request)
        else:
            self._transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed by the server"))


def _length_of(answer: bytes) -> int:
    """Bytes of the whole answer; 0 while its head is not all there."""
    head, end, _ = answer.partition(b"\r\n\r\n")
    if not end:
        return 0
    told = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    body = 0 if b" 304 " in head.split(b"\r\n")[0] else int(told[b"content-length"])
    return len(head) + 4 + body


if __name__ == "__main__":
    told = Path(sys.argv[1])
    uvloop.run(_serve_bare(json.loads(told.read_text()), told.with_suffix(".body").read_bytes() or None))
