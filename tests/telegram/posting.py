"""The methods that put messages into chats, and change and delete them."""

from __future__ import annotations

from tests.telegram import rules
from tests.telegram.rights import BOT
from tests.telegram.rules import bad
from tests.telegram.world import Chat

DELETABLE = 48 * 3600
UNCHANGED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content"
    " and reply markup of the message"
)


class Posting:
    """See the module; `world` is where messages stand."""

    def _number(self, chat):
        known = self.world.chat(chat)
        return known.id if known else chat

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
        number, common = self._addressed(given, kind)
        said = _said(given, "caption", rules.CAPTION)
        rules.check_keyboard(given.get("reply_markup"))
        what = self._file(kind, given[kind], files)
        above = given.get("show_caption_above_media", False)
        return self.world.shown(self.world.put(number, kind=kind, **common, **said, **what, caption_above=above))

    def _addressed(self, given, action="post"):
        """The chat's number, and what all sendings have; refused where the chat, topic or reply is not there."""
        number = self.world.writable(given["chat_id"], action=action)
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


def _said(given, field, limit):
    """Text or caption with what is in it, as readers see it."""
    raw = given.get(field, "")
    mode = given.get("parse_mode", "")
    named = given.get("entities" if field == "text" else "caption_entities")
    if mode and named:
        raise bad("parse_mode and entities are both given (the real server would pass one over)")
    text, entities = rules.parsed(raw, mode, limit)
    text, entities = rules.trimmed(text, rules.given(text, named) if named else entities)
    marks = rules.found(text, entities)
    names = [one["type"]["@type"] for one in entities]
    return {"text": text, "html": raw if mode else "", "entities": names, "marks": marks}
