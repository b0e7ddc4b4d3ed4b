"""A double of the Bot API on 127.0.0.1, strict where the real one is, with a ledger of what people see.

In a test: `async with TelegramDouble() as double`, then `double.say(...)`, `double.tap(...)`, `double.fault(...)`,
`await double.until(...)`, `double.seen(chat)`. As a program: `python double.py --port N`; GET /ledger shows everything,
POST /control takes `{"do": "say", "chat": 7, "text": "/start"}` and the like.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
from contextlib import suppress
from pathlib import Path

from aiohttp import web

_spec = importlib.util.spec_from_file_location("telegram_double_rules", Path(__file__).with_name("rules.py"))
rules = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rules)
Refusal, bad = rules.Refusal, rules.bad

TOKEN = "4242:double-secret-token"
BOT = {"id": 4242, "is_bot": True, "first_name": "Press", "username": "press_double_bot"}
DATE = 1_790_000_000
NONSENSE = {"empty": {}, "no_result": {"ok": True}, "strange": {"ok": True, "result": [[1]]}}


class TelegramDouble:
    """One bot's world: people, channels, their messages, and the faults to come."""

    def __init__(self, token=TOKEN, port=0):
        self.token, self.port = token, port
        self.started, self.blocked = set(), set()
        self.channels = {}  # "@name" -> {"id", "may_post", "type", "member"}
        self.migrated = {}
        self.messages, self.calls, self.faults = [], [], []
        self.answered, self.queries = [], set()
        self.settings, self.webhook = {}, {}
        self._updates, self._numbers = [], {"update": 0, "message": 100, "query": 0}
        self._changed, self._poller, self._released = asyncio.Condition(), None, asyncio.Event()

    # -- the world
    def channel(self, name, number, *, may_post=True, kind="channel", member=None):
        """A chat of the office's own; `member` is what the bot is there (a ChatMember without its user)."""
        member = member or {"status": "administrator", "can_post_messages": may_post}
        self.channels[name] = {"id": number, "may_post": may_post, "type": kind, "member": member}

    def say(self, chat, text, language="az", kind="private"):
        """A person writes."""
        if kind == "private":
            self.started.add(chat)
            self.blocked.discard(chat)
        message = {
            "message_id": self._next("message"),
            "date": DATE,
            "chat": {"id": chat, "type": kind, "title" if kind != "private" else "first_name": "Aysel"},
            "from": {"id": abs(chat), "is_bot": False, "first_name": "Aysel", "language_code": language},
            "text": text,
        }
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        return self._update("message", message)

    def tap(self, chat, label, *, data=None, message=None):
        """A person presses the button that ends with `label` on the newest message that has it."""
        found = next(
            (
                (one, button)
                for one in reversed(self.messages)
                if one["chat"] == chat and (message is None or one["id"] == message)
                for row in one["keyboard"]
                for button in row
                if button["text"].endswith(label)
            ),
            None,
        )
        if found is None and data is None:
            raise AssertionError(f"no button {label!r} in chat {chat}: {[m['keyboard'] for m in self.seen(chat)]}")
        one = found[0] if found else self.seen(chat)[-1]
        number = f"q{self._next('query')}"
        self.queries.add(number)
        return self._update(
            "callback_query",
            {
                "id": number,
                "chat_instance": str(chat),
                "from": {"id": chat, "is_bot": False, "first_name": "Aysel"},
                "data": data or found[1]["callback_data"],
                "message": self._public(one),
            },
        )

    def block(self, chat, status="kicked"):
        """A person blocks the bot, or with status `member` takes it back."""
        (self.blocked.add if status == "kicked" else self.blocked.discard)(chat)
        user = {"id": chat, "is_bot": False, "first_name": "Aysel"}
        old = {"user": BOT, "status": "member"}
        new = {"user": BOT, "status": status, **({"until_date": 0} if status == "kicked" else {})}
        body = {"chat": {"id": chat, "type": "private"}, "from": user, "date": DATE}
        return self._update("my_chat_member", {**body, "old_chat_member": old, "new_chat_member": new})

    def fault(self, kind, *, method="sendMessage", chat=None, times=1, skip=0, **details):
        """The next calls fail.

        Kinds: flood, refuse (code, text), 502, not_json, proxy, empty, no_result, strange, drop_before,
        drop_after, stall, migrate (to).
        """
        self.faults.append({"kind": kind, "method": method, "chat": chat, "times": times, "skip": skip, **details})

    def seen(self, chat):
        """The messages that stand in a chat now."""
        return [one for one in self.messages if one["chat"] == chat]

    def ledger(self):
        return {
            "messages": self.messages,
            "calls": [[method, given] for method, given in self.calls],
            "answered": self.answered,
            "settings": self.settings,
            "pending_updates": len(self._updates),
            "webhook": self.webhook,
        }

    async def until(self, happened, seconds=10):
        """Wait for something to become true; asked again after every call."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(happened), seconds)

    @property
    def pending(self):
        return list(self._updates)

    # -- the server
    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._serve)
        app.router.add_get("/ledger", self._show)
        app.router.add_post("/control", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._released.set()
        await self._notify()
        await self._runner.cleanup()

    async def _show(self, _):
        return web.json_response(self.ledger())

    async def _control(self, request):
        order = await request.json()
        do = order.pop("do")
        if do not in ("say", "tap", "block", "fault", "channel"):
            return web.json_response({"ok": False}, status=400)
        try:
            getattr(self, do)(**order)
        except AssertionError as error:
            return web.json_response({"ok": False, "description": str(error)}, status=409)
        return web.json_response({"ok": True})

    async def _serve(self, request):
        method = request.match_info["method"]
        given = dict(request.query)
        if request.content_type == "application/json":
            given.update(await request.json())
        else:
            given.update(await request.post())
        try:
            self._check_token(request.match_info["token"])
            given = rules.decoded(method, given)
            self.calls.append((method, given))
            broken = await self._faulty(request, method, given)
            if broken is not None:
                return broken
            answer = {"ok": True, "result": await self._call(method, given)}
        except Refusal as refusal:
            answer = {"ok": False, "error_code": refusal.code, "description": refusal.text}
            if refusal.parameters:
                answer["parameters"] = refusal.parameters
            await self._notify()
            return web.json_response(answer, status=refusal.code)
        await self._notify()
        return web.json_response(answer)

    def _check_token(self, token):
        if token != self.token:
            raise Refusal(401, "Unauthorized")

    async def _faulty(self, request, method, given):
        fault = next((one for one in self.faults if self._hits(one, method, given)), None)
        if fault is None:
            return None
        if fault["skip"]:
            fault["skip"] -= 1
            return None
        fault["times"] -= 1
        kind = fault["kind"]
        self._refuse(kind, fault)
        if kind in ("drop_after", "stall", "not_json"):
            await self._call(method, given)
        await self._notify()
        if kind == "stall":
            await self._released.wait()
        if kind in ("drop_before", "drop_after", "stall"):
            if request.transport:
                request.transport.abort()
            return web.Response()
        if kind in NONSENSE:
            return web.json_response(NONSENSE[kind])
        pages = {"502": 502, "not_json": 200, "proxy": 403}
        return web.Response(status=pages[kind], text="<html>nothing here</html>", content_type="text/html")

    @staticmethod
    def _refuse(kind, fault):
        if kind == "flood":
            seconds = fault.get("retry_after", 7)
            raise Refusal(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)
        if kind == "migrate":
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refusal(400, text, migrate_to_chat_id=fault["to"])
        if kind == "refuse":
            raise Refusal(fault["code"], fault["text"])

    @staticmethod
    def _hits(fault, method, given):
        chat = fault["chat"]
        return fault["times"] > 0 and fault["method"] == method and chat in (None, given.get("chat_id"))

    async def _call(self, method, given):
        handler = getattr(self, f"_{method}", None)
        if handler is not None:
            found = handler(given)
            return await found if asyncio.iscoroutine(found) else found
        kind, _, name = method.partition("My")
        language = given.get("language_code", "")
        empty = {"Commands": [], "Description": {"description": ""}, "ShortDescription": {"short_description": ""}}[
            name
        ]
        if kind == "get":
            return self.settings.get(f"{name}:{language}", empty)
        if name == "Commands":
            rules.check_commands(given["commands"])
        key = name[0].lower() + name[1:] if name != "ShortDescription" else "short_description"
        if len(given.get(key, "")) > (512 if name == "Description" else 120):
            raise bad("the description is too long")
        self.settings[f"{name}:{language}"] = given["commands"] if name == "Commands" else {key: given.get(key, "")}
        return True

    # -- methods
    def _getMe(self, _):  # noqa: N802
        return {**BOT, "can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}

    def _getChat(self, given):  # noqa: N802
        known = self._known(given["chat_id"])
        if known is None and given["chat_id"] in self.started:
            return {"id": given["chat_id"], "type": "private", "first_name": "Aysel"}
        if known is None:
            raise bad("chat not found")
        return {"id": known["id"], "type": known["type"], "title": "Press office"}

    def _getChatMember(self, given):  # noqa: N802
        known = self._known(given["chat_id"])
        if known is None or given["user_id"] != BOT["id"]:
            raise bad("chat not found" if known is None else "PARTICIPANT_ID_INVALID")
        if known["type"] == "channel" and known["member"]["status"] not in ("administrator", "creator"):
            raise bad("member list is inaccessible")
        return {**known["member"], "user": BOT}

    def _sendMessage(self, given):  # noqa: N802
        chat = self._reachable(given["chat_id"])
        text, entities = rules.parsed(given["text"], given.get("parse_mode", ""))
        rules.check_keyboard(given.get("reply_markup"))
        message = {
            "id": self._next("message"),
            "chat": chat,
            "text": text,
            "html": given["text"] if given.get("parse_mode") else "",
            "entities": [one["type"]["@type"] for one in entities],
            "keyboard": (given.get("reply_markup") or {}).get("inline_keyboard", []),
            "silent": given.get("disable_notification", False),
            "preview": given.get("link_preview_options", {}),
            "edits": 0,
        }
        self.messages.append(message)
        return self._public(message)

    def _editMessageText(self, given):  # noqa: N802
        self._reachable(given["chat_id"])
        found = next((one for one in self.messages if one["id"] == given["message_id"]), None)
        if found is None:
            raise bad("message to edit not found")
        text, entities = rules.parsed(given["text"], given.get("parse_mode", ""))
        rules.check_keyboard(given.get("reply_markup"))
        keyboard = (given.get("reply_markup") or {}).get("inline_keyboard", [])
        if (text, keyboard) == (found["text"], found["keyboard"]):
            raise bad(
                "message is not modified: specified new message content and reply markup are exactly the same"
                " as a current content and reply markup of the message"
            )
        found.update(text=text, keyboard=keyboard, entities=[one["type"]["@type"] for one in entities])
        found["edits"] += 1
        return self._public(found)

    def _answerCallbackQuery(self, given):  # noqa: N802
        if given["callback_query_id"] not in self.queries:
            raise bad("query is too old and response timeout expired or query ID is invalid")
        self.queries.discard(given["callback_query_id"])
        self.answered.append(given["callback_query_id"])
        return True

    def _setWebhook(self, given):  # noqa: N802
        self.webhook = given
        return True

    def _deleteWebhook(self, _):  # noqa: N802
        self.webhook = {}
        return True

    async def _getUpdates(self, given):  # noqa: N802
        if self.webhook:
            raise Refusal(
                409, "Conflict: can't use getUpdates method while webhook is active; delete the webhook first"
            )
        if self._poller is not None:
            self._poller.set()
        mine = self._poller = asyncio.Event()
        offset = given.get("offset", 0)
        self._updates = [one for one in self._updates if one["update_id"] >= offset]
        allowed = given.get("allowed_updates")
        await self._notify()
        with suppress(TimeoutError):
            async with self._changed:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._updates or mine.is_set() or self._released.is_set()),
                    min(given.get("timeout", 0), 50) or 0.001,
                )
        if mine.is_set():
            raise Refusal(
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
            )
        self._poller = None
        return [one for one in self._updates if not allowed or set(one) & set(allowed)][: given.get("limit", 100)]

    # -- inside
    def _known(self, chat):
        return self.channels.get(chat) or next((one for one in self.channels.values() if one["id"] == chat), None)

    def _reachable(self, chat):
        if chat in self.migrated:
            raise Refusal(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=self.migrated[chat],
            )
        known = self._known(chat)
        if known is not None:
            if not known["may_post"]:
                raise Refusal(403, "Forbidden: bot is not a member of the channel chat")
            return known["id"]
        if not isinstance(chat, int) or chat < 0:
            raise bad("chat not found")
        if chat in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        if chat not in self.started:
            raise Refusal(403, "Forbidden: bot can't initiate conversation with a user")
        return chat

    def _public(self, message):
        known = next((one for one in self.channels.values() if one["id"] == message["chat"]), None)
        chat = {"id": message["chat"], "type": known["type"] if known else "private"}
        public = {"message_id": message["id"], "date": DATE, "chat": chat, "text": message["text"], "from": BOT}
        if message["keyboard"]:
            public["reply_markup"] = {"inline_keyboard": message["keyboard"]}
        return public

    def _next(self, name):
        self._numbers[name] += 1
        return self._numbers[name]

    def _update(self, kind, body):
        update = {"update_id": self._next("update"), kind: body}
        self._updates.append(update)
        asyncio.get_running_loop().create_task(self._notify())
        return update

    async def _notify(self):
        async with self._changed:
            self._changed.notify_all()


async def _main(port, token):
    async with TelegramDouble(token=token, port=port) as double:
        print(json.dumps({"api_root": double.url, "token": token}), flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A double of the Bot API")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(options.port, options.token))
