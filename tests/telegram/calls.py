"""The methods of the Bot API, each as the server does it; parameters have their right types already (`rules.decoded`).

Rules, in order:

1. A call that writes is counted against the limits of its chat and of the bot before anything else is looked at.
2. A refusal changes nothing.
3. Texts of refusals are those of the public server.
"""

from __future__ import annotations

from tests.telegram import rules
from tests.telegram.faults import flooded
from tests.telegram.rules import Refusal, bad
from tests.telegram.world import BOT, Chat

DELETABLE = 48 * 3600
UNCHANGED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content"
    " and reply markup of the message"
)
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


class Calls:
    """What each method does to the world."""

    def __init__(self, world, limits, updates):
        self.world, self.limits, self.updates = world, limits, updates
        self.settings, self.queries, self.answered = {}, {}, []
        self.logged_out = False

    async def __call__(self, method, given, files):
        """The result of a call.

        Raises:
            Refusal: the server says no.
        """
        if self.logged_out:
            raise Refusal(400, "Logged out")
        if method in WRITES:
            wait = self.limits.ask(self._number(given.get("chat_id")))
            if wait:
                raise flooded(wait)
        if "My" in method:
            return self._setting(method, given)
        if method == "getUpdates":
            return await self.updates.get(given)
        if method in ("setWebhook", "deleteWebhook"):
            return await getattr(self.updates, method.removesuffix("Webhook"))(given)
        if "edit" in method:
            return self._edit(method, given, files)
        return getattr(self, f"_{method}")(given, *([files] if method in ("sendPhoto", "sendDocument") else []))

    def _number(self, chat):
        known = self.world.chat(chat)
        return known.id if known else chat

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

    # -- sending
    def _sendMessage(self, given):  # noqa: N802
        number, common = self._addressed(given)
        said = _said(given, "text", rules.TEXT)
        rules.check_keyboard(given.get("reply_markup"))
        preview = given.get("link_preview_options", {})
        return self.world.shown(self.world.put(number, **common, **said, preview=preview))

    def _sendPhoto(self, given, files):  # noqa: N802
        return self._send_file("photo", given, files)

    def _sendDocument(self, given, files):  # noqa: N802
        return self._send_file("document", given, files)

    def _send_file(self, kind, given, files):
        number, common = self._addressed(given)
        said = _said(given, "caption", rules.CAPTION)
        rules.check_keyboard(given.get("reply_markup"))
        what = self._file(kind, given[kind], files)
        above = given.get("show_caption_above_media", False)
        return self.world.shown(self.world.put(number, kind=kind, **common, **said, **what, caption_above=above))

    def _addressed(self, given):
        """The chat's number, and what all sendings have; refused where the chat, topic or reply is not there."""
        number = self.world.writable(given["chat_id"])
        self.world.check_thread(number, given.get("message_thread_id"))
        common = {
            "silent": given.get("disable_notification", False),
            "protected": given.get("protect_content", False),
            "thread": given.get("message_thread_id"),
            "reply_to": self._reply(number, given.get("reply_parameters")),
            "keyboard": (given.get("reply_markup") or {}).get("inline_keyboard", []),
        }
        return number, common

    def _reply(self, number, reply):
        if reply is None:
            return None
        there = self._number(reply.get("chat_id", number))
        if (there, reply["message_id"]) in self.world.standing:
            return reply["message_id"]
        if reply.get("allow_sending_without_reply"):
            return None
        raise bad("message to be replied not found")

    def _file(self, kind, value, files):
        """What is known of a file that came, stands at an address, or was sent before."""
        if isinstance(value, str) and value.startswith("attach://"):
            value = files[value.removeprefix("attach://")]
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            if value not in self.world.pages:
                raise bad("failed to get HTTP URL content")
            value = rules.Upload(value.rpartition("/")[2], self.world.pages[value])
        if isinstance(value, str):
            return self._known_file(kind, value)
        size = (0, 0)
        if kind == "photo":
            size = rules.check_photo(value)
        else:
            rules.check_document(value)
        return {kind: self.world.keep(kind, value.content, size), "file_name": value.name, "uploaded": True}

    def _known_file(self, kind, file_id):
        if file_id not in self.world.files:
            raise bad("wrong file identifier/HTTP URL specified")
        known = self.world.files[file_id][0]
        if known != kind:
            raise bad(f"can't use file of type {known.title()} as {kind.title()}")
        return {kind: file_id, "uploaded": False}

    def _forwardMessage(self, given):  # noqa: N802
        return self.world.shown(self._again(given, "message to forward not found", origin=True))

    def _copyMessage(self, given):  # noqa: N802
        return {"message_id": self._again(given, "message to copy not found", origin=False)["id"]}

    def _again(self, given, missing, *, origin):
        number, common = self._addressed(given)
        there = self._source(given["from_chat_id"])
        old = self.world.find(there, given["message_id"], missing)
        if old.get("protected"):
            raise bad("message can't be forwarded" if origin else "message can't be copied")
        kept = {name: old[name] for name in ("kind", "text", "html", "entities", "photo", "preview")}
        kept |= {name: old[name] for name in ("marks", "document", "file_name") if name in old}
        if origin:
            common["keyboard"] = old["keyboard"]
            kept["origin"] = self._origin(old)
        return self.world.put(number, **{**common, **kept})

    def _source(self, given):
        chat = self.world.chat(given)
        if chat is None and given not in self.world.started:
            raise bad("chat not found")
        if isinstance(chat, Chat):
            self.world.writable(given, action="read" if chat.type != "channel" else "post")
        return chat.id if chat else given

    def _origin(self, old):
        where = self.world.public_chat(old["chat"])
        if where["type"] == "channel":
            return {"type": "channel", "date": old["date"], "chat": where, "message_id": old["id"]}
        return {"type": "user", "date": old["date"], "sender_user": BOT}

    def _sendChatAction(self, given):  # noqa: N802
        number = self.world.writable(given["chat_id"])
        if given.get("message_thread_id") != 1:
            self.world.check_thread(number, given.get("message_thread_id"))
        if given["action"] not in ACTIONS:
            raise bad("wrong parameter action in request")
        return True

    # -- changing
    def _edit(self, method, given, files):
        if "chat_id" not in given or "message_id" not in given:
            raise bad("message identifier is not specified")
        number = self.world.writable(given["chat_id"], action="edit")
        old = self.world.find(number, given["message_id"], "message to edit not found")
        if old.get("origin") or (old["by"] != "bot" and not self._may_edit_others(number)):
            raise bad("message can't be edited")
        rules.check_keyboard(given.get("reply_markup"))
        new = {"keyboard": (given.get("reply_markup") or {}).get("inline_keyboard", [])}
        new |= getattr(self, f"_{method}")(old, given, files)
        if all(old.get(name) == value for name, value in new.items() if name not in ("html", "uploaded", "file_name")):
            raise bad(UNCHANGED)
        old.update(new, edits=old["edits"] + 1, edited=int(self.world.clock()))
        self.world.note("edit", old)
        return self.world.shown(old)

    def _may_edit_others(self, number):
        chat = self.world.chats.get(number)
        return chat is not None and chat.type == "channel" and chat.member.get("can_edit_messages")

    def _editMessageText(self, old, given, _):  # noqa: N802
        if "text" not in given:
            raise bad("message text is empty")
        said = _said(given, "text", rules.TEXT)
        if old["kind"] != "text":
            raise bad("there is no text in the message to edit")
        return {**said, "preview": given.get("link_preview_options", {})}

    def _editMessageCaption(self, old, given, _):  # noqa: N802
        if old["kind"] == "text":
            raise bad("there is no caption in the message to edit")
        return _said(given, "caption", rules.CAPTION)

    def _editMessageMedia(self, old, given, files):  # noqa: N802
        media = given["media"]
        if media["type"] not in ("photo", "document"):
            raise bad(f"the double knows no media of type {media['type']}")
        if old["kind"] == "text" and old["thread"] is None and old["keyboard"] and "reply_markup" not in given:
            pass  # a text becomes a photo; its keyboard goes, as with every edit without one
        what = self._file(media["type"], media["media"], files)
        return {"kind": media["type"], "photo": None, **_said(media, "caption", rules.CAPTION), **what}

    def _editMessageReplyMarkup(self, *_):  # noqa: N802
        return {}

    def _deleteMessage(self, given):  # noqa: N802
        number = self.world.writable(given["chat_id"], action="delete")
        old = self.world.find(number, given["message_id"], "message to delete not found")
        self._check_deletable(number, old)
        self.world.take(old)
        return True

    def _deleteMessages(self, given):  # noqa: N802
        number = self.world.writable(given["chat_id"], action="delete")
        if not 1 <= len(given["message_ids"]) <= 100:
            raise bad("message identifiers are not specified" if not given["message_ids"] else "too many messages")
        found = [self.world.standing.get((number, one)) for one in dict.fromkeys(given["message_ids"])]
        for old in filter(None, found):
            self._check_deletable(number, old)
        for old in filter(None, found):
            self.world.take(old)
        return True

    def _check_deletable(self, number, old):
        """Its own for 48 hours; other people's where it is an administrator with that right, or in a private chat."""
        chat = self.world.chats.get(number)
        others = chat is None or chat.member["status"] == "creator" or chat.member.get("can_delete_messages")
        if self.world.clock() - old["date"] > DELETABLE or (old["by"] != "bot" and not others):
            raise bad(
                "message can't be deleted for everyone" if old["by"] != "bot" and others else "message can't be deleted"
            )

    # -- talking
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


def _said(given, field, limit):
    """Text or caption with what is in it, as readers see it."""
    raw = given.get(field, "")
    mode = given.get("parse_mode", "")
    named = given.get("entities" if field == "text" else "caption_entities")
    if mode and named:
        raise bad("parse_mode and entities are both given (the real server would pass one over)")
    text, entities = rules.parsed(raw, mode, limit)
    marks = rules.found(text, rules.given(text, named) if named else entities)
    names = [one["type"]["@type"] for one in entities]
    return {"text": text, "html": raw if mode else "", "entities": names, "marks": marks}
