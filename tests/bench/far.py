"""A wire with a delay, in a process of its own: what comes in on a free port goes on to another, later.

`with Far(port, 0.010) as far:` gives `far.port`; each direction takes half of the round trip, in order, and the wire is
as wide as the machine allows.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Self, cast

import uvloop

from tests.program import ROOT

__all__ = ["Far"]


class _End(asyncio.Protocol):
    """One end; what it hears, the other says after a while."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.said: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's
        self.transport.writelines(self.said)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        asyncio.get_running_loop().call_later(self.delay, self.other.say, data)

    def say(self, data: bytes) -> None:
        if self.transport is None:
            self.said.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        assert self.other is not None
        asyncio.get_running_loop().call_later(self.delay, self.other.hang_up)

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()


async def _serve(port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    going: set[asyncio.Task[object]] = set()

    def accept() -> _End:
        near, far = _End(delay), _End(delay)
        near.other, far.other = far, near
        task = loop.create_task(loop.create_connection(lambda: far, "127.0.0.1", port))
        going.add(task)
        task.add_done_callback(going.discard)
        return near

    server = await loop.create_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # to the parent
    await asyncio.Event().wait()


class Far:
    """The wire from outside. `round_trip` in seconds."""

    def __init__(self, port: int, round_trip: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.far", str(port), str(round_trip / 2)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
