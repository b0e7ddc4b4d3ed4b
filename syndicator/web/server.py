"""The web server as a part of the service: it listens, and ends without cutting anybody off.

Rules, in order:

1. A `Front` is asked before the application: what is finished and asked for all day (feeds) need not pass the router
   and the middlewares. What it does not know, or cannot answer in full, the application answers.
2. A connection has `HEAD_SECONDS` for its first request, and `IDLE_SECONDS` from an answer to the next request's end of
   headers; then it is closed. Sizes are aiohttp's: a line or a header of 8,190 bytes, 128 headers.
3. A client that takes nothing of its answer for `UNREAD_SECONDS`, though it answers the network, is cut off: else what
   waits for it would be held for ever.
4. There are never more connections than files the process may still open, less what the rest of it needs: the next one
   gets 503. A flood of idle connections must not keep feeds from being written.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aiohttp import web

__all__ = ["HEAD_SECONDS", "IDLE_SECONDS", "Front", "WebServer"]

GRACE = 10.0  # seconds for answers under way when the service stops
HEAD_SECONDS = 20.0
IDLE_SECONDS = 75.0  # longer than nginx keeps its connections to us (60), so that it is the one who closes
LOOK_SECONDS = 5.0
UNREAD_SECONDS = 60.0
BACKLOG = 1024
FILES = 65_536  # as many as we ask for; the system may allow fewer
OURS = 256  # files for the database, the feeds, the relay, sources and logs
TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nCache-Control: no-store\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

Front = Callable[[web.BaseRequest], web.Response | None]
"""Answers what it knows at once, None for everything else. It must count what it answers."""

log = structlog.get_logger()


class WebServer:
    """Serves an application on one address. `port` 0 takes a free one; `port` then says which.

    `connections` bounds how many there may be at once; None: as many as the process may open files for.
    """

    def __init__(
        self, app: web.Application, host: str, port: int, *, front: Front | None = None, connections: int | None = None
    ) -> None:
        # No access log: an address may hold a token, and a visitor's address is nobody's business.
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=GRACE, keepalive_timeout=IDLE_SECONDS
        )
        self._host, self._front, self._most = host, front, connections
        self._silent: dict[asyncio.BaseProtocol, float] = {}
        self._watch: asyncio.Task[None] | None = None
        self.port = port

    @property
    def connections(self) -> int:
        """How many there are now."""
        server = self._runner.server
        return len(server._connections) if server is not None else 0  # noqa: SLF001  # its public name copies them all

    async def start(self) -> None:
        """Listen. Raises OSError with one clear line where the port is taken."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # noqa: S101  # `setup` has just made it
        server.request_handler = self._fronted(server.request_handler)
        most = self._most or max(OURS, _files_allowed() - OURS)
        try:
            await _Site(self._runner, self._host, self.port, lambda: self._accept(server, most)).start()
        except OSError as error:
            await self._runner.cleanup()
            reason = error.strerror or str(error)
            raise OSError(f"web: cannot listen on {self._host} port {self.port}: {reason}") from error
        self.port = self._runner.addresses[0][1]
        self._watch = asyncio.create_task(self._close_silent(), name="web connections")

    async def stop(self) -> None:
        """Stop listening, finish the answers under way; safe to call twice."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await self._runner.cleanup()

    def _fronted(
        self, application: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        silent, front = self._silent, self._front

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            silent.pop(request.protocol, None)
            answer = front(request) if front is not None else None
            return answer if answer is not None else await application(request)

        return handle

    def _accept(self, server: web.Server, most: int) -> asyncio.BaseProtocol:
        if self.connections >= most:
            return _Refusal()
        connection = server()
        self._silent[connection] = asyncio.get_running_loop().time()
        return connection

    def close_silent(self, now: float) -> int:
        """Close connections that have asked nothing for too long; `now` is the loop's time. Returns how many."""
        late = [connection for connection, since in self._silent.items() if now - since >= HEAD_SECONDS]
        for connection in late:
            del self._silent[connection]
            if isinstance(connection, web.RequestHandler):
                connection.force_close()
        return len(late)

    async def _close_silent(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.close_silent(loop.time())


class _Site(web.BaseSite):
    """A TCP site whose connections are made by `accept`."""

    __slots__ = ("_accept", "_host", "_port")

    def __init__(self, runner: web.AppRunner, host: str, port: int, accept: Callable[[], asyncio.BaseProtocol]) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._host, self._port, self._accept = host, port, accept

    @property
    def name(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self._host, self._port, backlog=self._backlog)
        for listening in self._server.sockets:
            _give_up_on_the_unread(listening.fileno())


class _Refusal(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so, and close."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(TOO_MANY)
        transport.close()


def _give_up_on_the_unread(listening: int) -> None:
    """Let the system end connections whose other end takes nothing; accepted ones inherit it (tcp(7)).

    `TCP_USER_TIMEOUT` also counts while the window is shut, which the other end may otherwise keep so for ever
    (RFC 1122 §4.2.2.17). Linux has it; elsewhere the proxy in front is the bound.
    """
    if sys.platform == "linux":
        with socket.socket(fileno=os.dup(listening)) as same:
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNREAD_SECONDS * 1000))


def _files_allowed() -> int:
    """How many files this process may have open, after asking for `FILES`; the default of many systems is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
        log.warning("the limit of open files cannot be raised", allowed=soft, wanted=wanted)
    return FILES if soft == resource.RLIM_INFINITY else soft
