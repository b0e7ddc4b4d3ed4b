"""A line that fails as it is told: it stands between the service and its database, relay or Bot API.

Rules, in order:

1. Each connection is a pair of roads, `up` (to the server) and `down` (to the client). What no fault touches arrives
   unchanged and in its order.
2. A fault holds for all connections from the moment it is told until `mend`: `delay` (each read is late), `hang`
   (nothing moves, nothing is reset, new connections are taken and never answered), `one_way` (one road is silent: its
   bytes are taken and lost), `refuse` (nobody listens; who is connected is cut off).
3. `cut` (reset) and `half_close` (one road is closed in order) happen once, to who is connected.
4. Bytes that wait on a line that hangs arrive when it is mended; with `for_good` those connections stay silent for
   ever, as after a router that forgot them, and only new ones work.
5. `ProxyThread` is the same from a thread of its own, for tests that are not asynchronous.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, quote, urlsplit

__all__ = ["Proxy", "ProxyThread", "through"]

Way = Literal["up", "down"]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST


@dataclass(eq=False, slots=True)
class _Line:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    moves: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False  # for good, see rule 4
    passed: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})

    def abort(self) -> None:
        for writer in (self.client, self.server):
            found = writer.get_extra_info("socket")
            if found is not None and found.family != socket.AF_UNIX:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """`async with Proxy(server) as line:` listens on 127.0.0.1:`line.port`; `server` is (host, port) or a Unix path."""

    def __init__(self, server: tuple[str, int] | Path) -> None:
        self._to = server
        self.port = 0
        self.opened = 0  # connections that came, ever
        self.carried = 0  # octets that arrived, both ways
        self._delay = 0.0
        self._silent: set[str] = set()
        self._hangs = False
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_door()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connected(self) -> int:
        """Connections that stand now."""
        return len(self._lines)

    # -- faults
    async def mend(self) -> None:
        """Everything works again; see rule 4 for what had hung."""
        self._delay, self._silent, self._hangs = 0.0, set(), False
        for line in self._lines:
            if not line.lost:
                line.moves.set()
        await self._listen()

    def delay(self, seconds: float) -> None:
        """What is read from either side goes on after so long."""
        self._delay = seconds

    def hang(self, *, for_good: bool = False) -> None:
        """Nothing moves any more, and nobody is told."""
        self._hangs = True
        for line in self._lines:
            line.moves.clear()
            line.lost = line.lost or for_good

    def one_way(self, silent: Way) -> None:
        """That road takes bytes, and none of them arrives."""
        self._silent.add(silent)

    def cut(self) -> None:
        """Who is connected is reset."""
        for line in list(self._lines):
            line.abort()

    def half_close(self, way: Way = "down") -> None:
        """That road is closed in order (FIN), the other stays open."""
        for line in self._lines:
            writer = line.client if way == "down" else line.server
            if writer.can_write_eof():
                writer.write_eof()

    async def refuse(self) -> None:
        """Nobody listens; who is connected is reset."""
        await self._close_door()
        self.cut()

    # -- the line
    async def _listen(self) -> None:
        if self._listening is None:
            self._listening = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=512)
            self.port = self._listening.sockets[0].getsockname()[1]

    async def _close_door(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._to, Path):
            back, to = await asyncio.open_unix_connection(str(self._to))
        else:
            back, to = await asyncio.open_connection(*self._to)
        line = _Line(writer, to)
        if not self._hangs:
            line.moves.set()
        self._lines.add(line)
        roads = [
            asyncio.create_task(self._road(line, "up", reader, to)),
            asyncio.create_task(self._road(line, "down", back, writer)),
        ]
        try:
            done, _ = await asyncio.wait(roads, return_when=asyncio.FIRST_EXCEPTION)
            for road in done:
                road.result()
        finally:
            for road in roads:
                road.cancel()
            self._lines.discard(line)
            line.abort()

    async def _road(self, line: _Line, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            if self._delay:
                await asyncio.sleep(self._delay)
            await line.moves.wait()
            if way in self._silent:
                continue
            writer.write(data)
            await writer.drain()
            line.passed[way] += len(data)
            self.carried += len(data)
        await line.moves.wait()
        if way in self._silent:
            return
        if way == "up":  # its client has hung up: the server is told in order, and answers nobody
            writer.close()
            raise ConnectionResetError
        if writer.can_write_eof():
            writer.write_eof()


class ProxyThread:
    """A `Proxy` in a thread of its own; faults are told from any other."""

    def __init__(self, server: tuple[str, int] | Path) -> None:
        self.proxy = Proxy(server)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self.proxy.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self.proxy.__aexit__)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def port(self) -> int:
        return self.proxy.port

    def tell(self, fault: str, *args: Any, **named: Any) -> None:
        """`tell("hang", for_good=True)`: any of the faults by its name."""
        self._do(lambda: _awaited(getattr(self.proxy, fault)(*args, **named)))

    def _do(self, work: Callable[[], Any]) -> None:
        async def done() -> None:
            await _awaited(work())

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(20)


async def _awaited(given: Any) -> None:
    if asyncio.iscoroutine(given):
        await given


def server_of(url: str) -> tuple[str, int] | Path:
    """Where the PostgreSQL of that URL listens."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query))
    host, port = asked.get("host") or parts.hostname or "127.0.0.1", parts.port or int(asked.get("port", 5432))
    return Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else (host, port)


def through(url: str, port: int) -> str:
    """The same database, by a proxy that listens on `port`."""
    parts = urlsplit(url)
    user = quote(parts.username or "postgres")
    return f"postgresql://{user}@127.0.0.1:{port}{parts.path}?sslmode=disable&gssencmode=disable"
