"""A double of the Bot API on 127.0.0.1, strict where the real one is, with a ledger of what people see.

In a test: `async with TelegramDouble() as double`, then `double.say(...)`, `double.tap(...)`, `double.fault(...)`,
`await double.until(...)`, `double.seen(chat)`. As a program: `python double.py --port N [--limits]`; GET /ledger shows
everything, POST /control takes `{"do": "say", "chat": 7, "text": "/start"}` and the like.

Where things are: `rules` (what is refused unseen), `limits` (429), `updates` (polling and webhooks), `faults`, `world`
(chats, messages, what people see), `rights` (who may do what there), `people` (what they and other administrators do),
`calls` (the methods) and `posting` (those that write); here the server.

`limits=True` turns on the limits of calls; `clock` (seconds since 1970) is the server's time for limits, the 48 hours
of deletion, the 24 hours of updates: give it the test's own time, or move it on with `pass_time`.
`local=True` is a Bot API server of one's own: webhooks by http, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

from aiohttp import web

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # run as a program, it stands beside its own folder's modules

from tests.telegram import rules
from tests.telegram.calls import Calls
from tests.telegram.faults import NONSENSE, PAGES, SILENT, Fault, due
from tests.telegram.limits import Limits
from tests.telegram.people import People
from tests.telegram.rules import Refusal, Upload
from tests.telegram.updates import Updates

TOKEN = "4242:double-secret-token"
ORDERS = ("say", "tap", "block", "fault", "channel", "post", "migrate", "deactivate", "rights", "pass_time", "rest")


class TelegramDouble(People):
    """One bot's world, and the server that it talks to."""

    def __init__(self, token=TOKEN, port=0, *, limits=False, clock=None, local=False):
        super().__init__(clock)
        self.token, self.port = token, port
        self.calls, self.faults = [], []
        self._changed, self._released = asyncio.Condition(), asyncio.Event()
        self.limits = Limits(self.clock, on=limits)
        self.updates = Updates(self.clock, self._changed, local=local)
        self._do = Calls(self, self.limits, self.updates)
        self._queries = 0

    # -- what tests order beside what people do
    def fault(self, kind, *, method="sendMessage", chat=None, times=1, skip=0, **details):
        """The next calls fail; see `faults` for the kinds. `method` may be "*"."""
        self.faults.append(Fault(kind, method, chat, times, skip, details))

    def rest(self):
        """No fault any more."""
        self.faults.clear()

    # -- what happened
    @property
    def webhook(self):
        return self.updates.webhook

    @property
    def settings(self):
        return self._do.settings

    @property
    def answered(self):
        return self._do.answered

    @property
    def pending(self):
        return self.updates.pending

    def made(self, *methods):
        """The parameters of each call to one of these methods."""
        return [given for method, given in self.calls if method in methods]

    def ledger(self):
        return {
            "messages": self.messages,
            "history": self.history,
            "calls": [[method, _plain(given)] for method, given in self.calls],
            "answered": self.answered,
            "settings": self.settings,
            "pending_updates": len(self.pending),
            "webhook": self.webhook,
            "duplicates": self.duplicates(),
            "flooded": {str(scope): count for scope, count in self.limits.flooded.items()},
        }

    async def until(self, happened, seconds=10):
        """Wait for something to become true; asked again after every call."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(happened), seconds)

    # -- the server
    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self):
        app = web.Application(client_max_size=rules.UPLOAD_BYTES + 1_000_000)
        app.router.add_route("*", "/bot{token}/{method}", self._serve)
        app.router.add_get("/file/bot{token}/{kind}/{file_id}", self._download)
        app.router.add_get("/ledger", self._show)
        app.router.add_post("/control", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await self.up()
        return self

    async def __aexit__(self, *_):
        self._released.set()
        await self.updates.close()
        await self._runner.cleanup()

    async def up(self):
        """Listen, on the same port as before."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()
        self.port = self._site._server.sockets[0].getsockname()[1]

    async def down(self):
        """Refuse connections; those that are open are closed."""
        await self._site.stop()
        for connection in list(self._runner.server.connections):
            connection.force_close()
            if connection.transport is not None:
                connection.transport.abort()

    async def _show(self, _):
        return web.json_response(self.ledger())

    async def _control(self, request):
        order = await request.json()
        do = order.pop("do")
        if do not in ORDERS:
            return web.json_response({"ok": False}, status=400)
        try:
            getattr(self, do)(**order)
        except (AssertionError, ValueError, LookupError, Refusal) as error:
            return web.json_response({"ok": False, "description": str(error)}, status=409)
        return web.json_response({"ok": True})

    async def _download(self, request):
        known = self.files.get(request.match_info["file_id"])
        if request.match_info["token"] != self.token or known is None:
            return web.json_response({"ok": False, "error_code": 404, "description": "Not Found"}, status=404)
        return web.Response(body=known[1])

    async def _serve(self, request):
        method = request.match_info["method"]
        try:
            self._check_token(request.match_info["token"])
            given, files = await _read(request)
            given = rules.decoded(method, given, files)
            self.calls.append((method, given))
            fault = due(self.faults, method, given.get("chat_id"))
            if fault is None or fault.arrives:
                self._count(fault, method, given)
            if fault is not None:
                return await self._broken(request, fault, method, given, files)
            answer = {"ok": True, "result": await self._do(method, given, files)}
        except Refusal as refusal:
            await self._notify()
            return _refused(refusal)
        await self._notify()
        return web.json_response(answer)

    def _count(self, fault, method, given):
        try:
            self._do.count(method, given)
        except Refusal:
            if fault is not None:
                fault.times += 1  # the next call meets it
            raise

    def _check_token(self, token):
        if token != self.token:
            raise Refusal(401, "Unauthorized")

    async def _broken(self, request, fault, method, given, files):
        """What the caller gets instead of an answer."""
        fault.refuse()
        answer = {"ok": True, "result": True}
        if fault.is_done:
            with suppress(Refusal):  # whatever the server would have said, nobody hears it
                answer["result"] = await self._do(method, given, files)
        await self._notify()
        if fault.kind in SILENT:
            await self._released.wait()
        if fault.kind in NONSENSE:
            return web.json_response(NONSENSE[fault.kind])
        if fault.kind in PAGES:
            text = "<html>nothing here</html>"
            return web.Response(status=PAGES[fault.kind], text=text, content_type="text/html")
        if fault.kind == "cut":
            await _half(request, json.dumps(answer).encode())
        if request.transport:
            request.transport.abort()
        return web.Response()

    # -- inside
    async def _notify(self):
        async with self._changed:
            self._changed.notify_all()


async def _half(request, body):
    """An answer of that length, of which the first half comes."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])


async def _read(request):
    """(parameters, files by name) of a call in a query, a JSON body, or a form."""
    given, files = dict(request.query), {}
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            raise rules.bad("object expected as JSON") from None
        if not isinstance(body, dict):
            raise rules.bad("object expected as JSON")
        return given | body, files
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[name] = Upload(value.filename, value.file.read(), value.content_type)
        given[name] = files.get(name, value)
    return given, files


def _refused(refusal):
    answer = {"ok": False, "error_code": refusal.code, "description": refusal.text}
    headers = {}
    if refusal.parameters:
        answer["parameters"] = refusal.parameters
    if "retry_after" in refusal.parameters:
        headers["Retry-After"] = str(refusal.parameters["retry_after"])
    return web.json_response(answer, status=refusal.code, headers=headers)


def _plain(given):
    return {name: f"<{len(one.content)} bytes>" if isinstance(one, Upload) else one for name, one in given.items()}


async def _main(options):
    async with TelegramDouble(options.token, options.port, limits=options.limits, local=options.local) as double:
        print(json.dumps({"api_root": double.url, "token": double.token}), flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A double of the Bot API")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument(
        "--limits", action="store_true", help="30 a second, 1 a second in a chat, 20 a minute in a crowd"
    )
    parser.add_argument("--local", action="store_true", help="be a Bot API server of one's own")
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args()))
