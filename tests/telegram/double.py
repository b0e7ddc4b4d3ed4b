"""A double of the Bot API on 127.0.0.1, strict where the real one is, with a ledger of what people see.

In a test: `async with TelegramDouble() as double`, then `double.say(...)`, `double.tap(...)`, `double.fault(...)`,
`await double.until(...)`, `double.seen(chat)`. As a program: `python double.py --port N [--limits]`; GET /ledger shows
everything, POST /control takes `{"do": "say", "chat": 7, "text": "/start"}` and the like.

Where things are: `rules` (what is refused unseen), `limits` (429), `updates` (polling and webhooks), `faults`, `world`
(chats, messages, what people see), `calls` (the methods); here the server, and what tests order.

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
from tests.telegram.faults import DONE, NONSENSE, PAGES, SILENT, Fault, due
from tests.telegram.limits import Limits
from tests.telegram.rules import Refusal, Upload
from tests.telegram.updates import Updates
from tests.telegram.world import BOT, World, membership

TOKEN = "4242:double-secret-token"
ORDERS = ("say", "tap", "block", "fault", "channel", "post", "migrate", "deactivate", "rights", "pass_time", "rest")
PERSON = {"is_bot": False, "first_name": "Aysel"}


class TelegramDouble(World):
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

    # -- the world
    def channel(
        self,
        name,
        number,
        *,
        may_post=True,
        kind="channel",
        member=None,
        threads=None,
        title="Press office",
        permissions=None,
    ):
        """A chat of the office's own; `member` is what the bot is there (a ChatMember without its user).

        `threads` are the topics of a forum: numbers, or {number: "open" or "closed"}.
        """
        there = membership(kind, may_post=may_post, member=member)
        self.make_chat(name, number, kind=kind, member=there, threads=threads, title=title, permissions=permissions)

    def say(self, chat, text, language="az", kind="private", reply_to=None):
        """A person writes."""
        if kind == "private":
            self.started.add(chat)
            self.blocked.discard(chat)
        said = self.put(chat, text=text, by="other")
        message = {
            "message_id": said["id"],
            "date": said["date"],
            "chat": {"id": chat, "type": kind, "title" if kind != "private" else "first_name": "Aysel"},
            "from": {"id": abs(chat), **PERSON, "language_code": language},
            "text": text,
        }
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        if reply_to is not None:
            message["reply_to_message"] = self.shown(self.standing[chat, reply_to])
        return self._update("message", message)

    def post(self, name, text="Ours"):
        """Another administrator posts in a channel, or another member writes in a group; takes a number there."""
        chat = self.chat(name)
        message = self.put(chat.id, text=text, by="other")
        self._update("channel_post" if chat.type == "channel" else "message", self.shown(message))
        return message["id"]

    def tap(self, chat, label, *, data=None, message=None):
        """A person presses the button that ends with `label` on the newest message that has it."""
        found = next(
            (
                (one, button)
                for one in reversed(self.seen(chat))
                if message is None or one["id"] == message
                for row in one["keyboard"]
                for button in row
                if button["text"].endswith(label)
            ),
            None,
        )
        if found is None and data is None:
            raise AssertionError(f"no button {label!r} in chat {chat}: {[m['keyboard'] for m in self.seen(chat)]}")
        one = found[0] if found else self.seen(chat)[-1]
        self._queries += 1
        number = f"q{self._queries}"
        self._do.queries[number] = self.clock()
        return self._update(
            "callback_query",
            {
                "id": number,
                "chat_instance": str(chat),
                "from": {"id": chat, **PERSON},
                "data": data or found[1]["callback_data"],
                "message": self.shown(one),
            },
        )

    def block(self, chat, status="kicked"):
        """A person blocks the bot, or with status `member` takes it back."""
        (self.blocked.add if status == "kicked" else self.blocked.discard)(chat)
        new = {"user": BOT, "status": status, **({"until_date": 0} if status == "kicked" else {})}
        return self._my_member({"id": chat, "type": "private", "first_name": "Aysel"}, {"status": "member"}, new)

    def deactivate(self, chat):
        """A person deletes the account; nobody is told."""
        self.deactivated.add(chat)

    def rights(self, name, member):
        """Somebody changes what the bot is in a chat: {"status": "left"}, or other rights of an administrator."""
        chat = self.chat(name)
        old, chat.member = chat.member, membership(chat.type, member=member)
        return self._my_member(chat.public(), old, chat.member)

    def migrate(self, name, to):
        """A group becomes a supergroup: another id, and none of its messages is known there."""
        old = self.chat(name)
        old.moved_to = to
        new = self.make_chat(
            old.name,
            to,
            kind="supergroup",
            member=old.member,
            threads=None,
            title=old.title,
            permissions=old.permissions,
        )
        del self.names[old.name]
        self.names[old.name if old.name.startswith("@") else to] = new
        body = {"message_id": self.next_message(old.id), "date": int(self.clock()), "chat": old.public()}
        return self._update("message", {**body, "migrate_to_chat_id": to})

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
        except (AssertionError, ValueError) as error:
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
            if fault is not None:
                return await self._broken(request, fault, method, given, files)
            answer = {"ok": True, "result": await self._do(method, given, files)}
        except Refusal as refusal:
            await self._notify()
            return _refused(refusal)
        await self._notify()
        return web.json_response(answer)

    def _check_token(self, token):
        if token != self.token:
            raise Refusal(401, "Unauthorized")

    async def _broken(self, request, fault, method, given, files):
        """What the caller gets instead of an answer."""
        fault.refuse()
        if fault.kind in DONE:
            with suppress(Refusal):  # whatever the server would have said, nobody hears it
                await self._do(method, given, files)
        await self._notify()
        if fault.kind in SILENT:
            await self._released.wait()
        if fault.kind in NONSENSE:
            return web.json_response(NONSENSE[fault.kind])
        if fault.kind in PAGES:
            text = "<html>nothing here</html>"
            return web.Response(status=PAGES[fault.kind], text=text, content_type="text/html")
        if request.transport:
            request.transport.abort()
        return web.Response()

    # -- inside
    def _my_member(self, chat, old, new):
        body = {"chat": chat, "from": {"id": abs(chat["id"]), **PERSON}, "date": int(self.clock())}
        return self._update("my_chat_member", {**body, "old_chat_member": {"user": BOT, **old}, "new_chat_member": new})

    def _update(self, kind, body):
        update = self.updates.add(kind, body)
        asyncio.get_running_loop().create_task(self._notify())
        return update

    async def _notify(self):
        async with self._changed:
            self._changed.notify_all()


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
