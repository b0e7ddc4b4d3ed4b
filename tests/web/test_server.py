"""The server's own bounds: slow, silent and too many clients; and a front that knows some answers."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

from syndicator.metrics import Metrics
from syndicator.web import middleware, server
from syndicator.web.middleware import awaited
from syndicator.web.parts import PARTS
from syndicator.web.server import HEAD_SECONDS, WebServer
from tests.rawhttp import line


@asynccontextmanager
async def running(**options):
    async def hello(request):
        return web.Response(text="application\n", headers={"Said": (await request.read()).decode()})

    app = web.Application(middlewares=(awaited,))
    app[PARTS] = SimpleNamespace(metrics=Metrics())
    app.router.add_route("*", "/", hello)
    web_server = WebServer(app, "127.0.0.1", 0, **options)
    await web_server.start()
    try:
        yield web_server
    finally:
        await web_server.stop()


def now():
    return asyncio.get_running_loop().time()


async def test_what_the_front_knows_it_answers_and_the_rest_the_application():
    def front(request):
        return web.Response(text="front\n") if request.raw_path == "/known" else None

    async with running(front=front) as one, line(one.port) as client:
        assert (await client.get("/known"))[2] == b"front\n"
        assert (await client.get("/"))[2] == b"application\n"
        assert (await client.get("/known"))[2] == b"front\n"


async def test_a_connection_that_asks_nothing_is_closed_in_time():
    async with running() as one, line(one.port) as silent, line(one.port) as slow, line(one.port) as polite:
        slow.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert (await polite.get("/"))[0] == "HTTP/1.1 200 OK"
        assert one.close_silent(now() + HEAD_SECONDS - 5) == 0
        assert one.close_silent(now() + HEAD_SECONDS) == 2
        assert await silent.reader.read() == b""
        assert await slow.reader.read() == b""
        assert (await polite.get("/"))[0] == "HTTP/1.1 200 OK"
        assert one.close_silent(now() + HEAD_SECONDS) == 0


async def test_a_connection_too_many_is_told_so_and_there_is_room_again_after_one_leaves():
    async with running(connections=2) as one:
        async with line(one.port) as first, line(one.port) as second:
            assert (await first.get("/"))[0] == (await second.get("/"))[0] == "HTTP/1.1 200 OK"
            async with line(one.port) as third:
                told = await third.reader.read()
                assert told.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: ")
            assert (await first.get("/"))[0] == "HTTP/1.1 200 OK"
        for _ in range(100):
            async with line(one.port) as next_one:
                next_one.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                if (await next_one.reader.readline()).startswith(b"HTTP/1.1 200"):
                    break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("no room, though both have left")


async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off_and_one_that_reads_gets_all(monkeypatch):
    monkeypatch.setattr(server, "UNREAD_SECONDS", 0.3)
    large = b"x" * 20_000_000  # more than the system keeps for a connection
    app = web.Application()

    async def answer(_request):
        return web.Response(body=large)

    app.router.add_get("/", answer)
    one = WebServer(app, "127.0.0.1", 0)
    await one.start()
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", one.port))
        stuck.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with line(one.port) as polite:
            assert (await polite.get("/"))[2] == large
        async with asyncio.timeout(10):
            while one.connections:
                await asyncio.sleep(0.05)
    await one.stop()


async def test_a_body_that_trickles_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.05)
    async with running() as one, line(one.port) as client:
        client.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert (await client.reader.readline()) == b"HTTP/1.1 408 Request Timeout\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["long address", "long header", "many headers", "TLS where there is none"],
)
async def test_what_is_too_large_or_no_request_is_refused_and_the_connection_closed(request_):
    async with running() as one, line(one.port) as client:
        client.writer.write(request_)
        answer = await client.reader.read()
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))


async def test_a_taken_port_is_told_in_one_line():
    async with running() as one:
        with pytest.raises(OSError, match=rf"^web: cannot listen on 127\.0\.0\.1 port {one.port}: "):
            await WebServer(web.Application(), "127.0.0.1", one.port).start()


def test_the_limit_of_open_files_is_raised_as_far_as_the_system_lets_us(monkeypatch):
    asked = []
    limits = {"RLIMIT_NOFILE": 7, "RLIM_INFINITY": -1, "setrlimit": lambda _, pair: asked.append(pair)}
    for now_allowed, expected in (
        ((1024, 4096), 4096),
        ((1024, -1), 65_536),
        ((-1, -1), 65_536),
        ((70_000, -1), 70_000),
    ):
        fake = SimpleNamespace(**limits, getrlimit=lambda _, pair=now_allowed: pair)
        monkeypatch.setattr(server, "resource", fake)
        assert server._files_allowed() == expected
    assert asked == [(4096, 4096), (65_536, -1)]
