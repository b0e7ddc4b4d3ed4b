"""The methods of the Bot API, each as the server does it; parameters have their right types already (`rules.decoded`).

Rules, in order:

1. A call that writes is counted against the limits of its chat and of the bot before anything else is looked at
   (`count`), also where it then meets a fault.
2. A refusal changes nothing.
3. Texts of refusals are those of the public server.
"""

from __future__ import annotations

from tests.telegram import rules
from tests.telegram.faults import flooded
from tests.telegram.posting import Posting
from tests.telegram.rights import BOT
from tests.telegram.rules import Refusal, bad

WRITES = {
    "sendMessage",
    "sendPhoto",
    "sendDocument",
    "forwardMessage",
    "copyMessage",
    "deleteMessage",
    "deleteMessages",
}
WRITES |= {"editMessageText", "editMessageCaption", "editMessageMedia", "editMessageReplyMarkup", "sendChatAction"}
ACTIONS = {"typing", "upload_photo", "upload_document", "choose_sticker", "find_location", "record_video"}
LONGEST = {"Description": ("description", 512), "ShortDescription": ("short_description", 120)}


class Calls(Posting):
    """What each method does to the world."""

    def __init__(self, world, limits, updates):
        self.world, self.limits, self.updates = world, limits, updates
        self.settings, self.queries, self.answered = {}, {}, []
        self.logged_out = False

    def count(self, method, given):
        """Count a call that arrives.

        Raises:
            Refusal: 429.
        """
        wait = self.limits.ask(self._number(given.get("chat_id"))) if method in WRITES else 0
        if wait:
            raise flooded(wait)

    async def __call__(self, method, given, files):
        """The result of a call.

        Raises:
            Refusal: the server says no.
        """
        if self.logged_out:
            raise Refusal(400, "Logged out")
        if "My" in method:
            return self._setting(method, given)
        if method == "getUpdates":
            return await self.updates.get(given)
        if method in ("setWebhook", "deleteWebhook"):
            return await getattr(self.updates, method.removesuffix("Webhook"))(given)
        if "edit" in method:
            return self._edit(method, given, files)
        return getattr(self, f"_{method}")(given, *([files] if method in ("sendPhoto", "sendDocument") else []))

    # -- who and where
    def _getMe(self, _):  # noqa: N802
        extra = ("can_join_groups", "can_read_all_group_messages", "supports_inline_queries", "can_connect_to_business")
        return {**BOT, **dict.fromkeys(extra, False), "can_join_groups": True, "has_main_web_app": False}

    def _getChat(self, given):  # noqa: N802
        chat = self.world.chat(given["chat_id"])
        more = {"accent_color_id": 0, "max_reaction_count": 11}
        if chat is None:
            if given["chat_id"] not in self.world.started:
                raise bad("chat not found")
            return {**self.world.public_chat(given["chat_id"]), **more}
        if chat.moved_to is not None:
            raise Refusal(
                400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.moved_to
            )
        if chat.permissions:
            more["permissions"] = chat.permissions
        return {**chat.public(), **more}

    def _getChatMember(self, given):  # noqa: N802
        chat = self.world.chat(given["chat_id"])
        if chat is None:
            if given["chat_id"] in self.world.started and given["user_id"] == BOT["id"]:
                return {"status": "member", "user": BOT}
            raise bad("chat not found")
        if given["user_id"] != BOT["id"]:
            raise bad("PARTICIPANT_ID_INVALID")
        if chat.type == "channel" and chat.member["status"] not in ("administrator", "creator"):
            raise bad("member list is inaccessible")
        return chat.member

    def _getFile(self, given):  # noqa: N802
        if given["file_id"] not in self.world.files:
            raise bad("invalid file_id")
        kind, content, _ = self.world.files[given["file_id"]]
        if len(content) > 20 * 1024 * 1024:
            raise bad("file is too big")
        file_id = given["file_id"]
        shown = {"file_id": file_id, "file_unique_id": file_id[-16:], "file_size": len(content)}
        return {**shown, "file_path": f"{kind}s/{file_id}"}

    def _getWebhookInfo(self, _):  # noqa: N802
        return self.updates.info()

    def _logOut(self, _):  # noqa: N802
        self.logged_out = True
        return True

    def _close(self, _):
        return True

    # -- talking
    def _sendChatAction(self, given):  # noqa: N802
        number = self.world.writable(given["chat_id"])
        self.world.check_thread(number, given.get("message_thread_id"))
        if given["action"] not in ACTIONS:
            raise bad("wrong parameter action in request")
        return True

    def _answerCallbackQuery(self, given):  # noqa: N802
        asked = self.queries.pop(given["callback_query_id"], None)
        if asked is None or self.world.clock() - asked > 15 * 60:
            raise bad("query is too old and response timeout expired or query ID is invalid")
        if rules.units(given.get("text", "")) > 200:
            raise bad("MESSAGE_TOO_LONG")
        self.answered.append(given["callback_query_id"])
        return True

    def _setting(self, method, given):
        """Commands and descriptions, by language (two letters, or none for all others) and scope."""
        kind, _, name = method.partition("My")
        language = given.get("language_code", "")
        if language and not (len(language) == 2 and language.isascii() and language.islower()):
            raise bad("invalid language code specified")
        scope = (given.get("scope") or {}).get("type", "default")
        key = f"{name}:{language}" if scope == "default" else f"{name}:{language}:{scope}"
        if kind == "get":
            return self.settings.get(key, [] if name == "Commands" else {LONGEST[name][0]: ""})
        if kind == "delete":
            self.settings.pop(key, None)
            return True
        if name == "Commands":
            rules.check_commands(given["commands"])
            self.settings[key] = given["commands"]
            return True
        field, longest = LONGEST[name]
        if rules.units(given.get(field, "")) > longest:
            raise bad("the description is too long" if field == "description" else "the short description is too long")
        self.settings[key] = {field: given.get(field, "")}
        return True
