"""Whom the service meets outside, in a thread of its own: callbacks of a hub's subscribers, and a mailbox with POP3.

Both can be made to keep the service waiting, so that a test finds it in the middle of something: the mailbox lets
nobody in before `put`, and gives out only `FIRST` mails; after `hold` the callback at `/held` takes what is brought and
does not answer. So it is until `go_on`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from typing import Self

from aiohttp import web

from tests.email.mailbox_double import Box

__all__ = ["FIRST", "Outside"]

FIRST = 2


class HeldBox(Box):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.free, self.reached = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def _pop3(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        real, asked = reader.readline, 0

        async def readline() -> bytes:
            nonlocal asked
            line = await real()
            asked += line.startswith(b"RETR")
            if asked > FIRST:
                self.reached.set()
                await self.free.wait()
            return line

        reader.readline = readline  # type: ignore[method-assign]
        try:
            await super()._pop3(reader, writer)
        except ConnectionError:
            writer.close()


class Outside:
    """`base` is where the callbacks are, `/told` and `/held`; `brought` what each was brought; `box` the mailbox."""

    def __init__(self) -> None:
        self.brought: dict[str, list[bytes]] = defaultdict(list)
        self.box = HeldBox()
        self.base = ""
        self._holds = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="outside", daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def put(self, *mails: bytes) -> None:
        """What stands in the mailbox; from now on it lets people in."""
        self.box.mails |= {str(number): one for number, one in enumerate(mails, 101)}
        self._loop.call_soon_threadsafe(self.box.open.set)

    def heard(self, words: bytes) -> bool:
        """Whether both callbacks have been brought these words last."""
        return all(bodies and words in bodies[-1] for bodies in (self.brought["/told"], self.brought["/held"]))

    def hold(self) -> None:
        """`/held` gives no answer any more."""
        self._holds = True

    def go_on(self) -> None:
        """Nobody is kept waiting any more."""
        for event in (self.box.open, self.box.free):
            self._loop.call_soon_threadsafe(event.set)

    async def _begin(self) -> None:
        await self.box.start("pop3")
        app = web.Application()
        app.add_routes([web.get("/{name}", self._verified), web.post("/{name}", self._told)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _end(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        await self.box.stop()

    async def _verified(self, request: web.Request) -> web.Response:
        return web.Response(text=request.query.get("hub.challenge", ""))

    async def _told(self, request: web.Request) -> web.Response:
        self.brought[request.path].append(await request.read())
        if self._holds and request.path == "/held":
            await self.box.free.wait()
        return web.Response(status=204)
