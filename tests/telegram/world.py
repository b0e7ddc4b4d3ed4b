"""What the double knows: people, channels and groups, the messages that stand there, and what happened to them.

Rules, in order:

1. Message numbers are the bot's own count in private chats and small groups; each channel and supergroup counts for
   itself, and other people's posts take numbers of it too.
2. Who may be written to, and what is said of who may not, is asked in one place (`writable`).
3. A message is a dict that tests read: `id`, `chat`, `kind` (text, photo, document), `text` (or caption), `html` (as it
   was given), `entities` (names of types), `keyboard`, `silent`, `preview`, `thread`, `reply_to`, `photo` (file_id),
   `by` (bot, other), `date`, `edits`; `history` tells every sending, edit and deletion in order.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.telegram.rights import BOT, check_place, check_right
from tests.telegram.rules import Refusal, bad, public


@dataclass
class Chat:
    """A channel or group."""

    id: int
    type: str
    member: dict
    name: str = ""
    title: str = "Press office"
    threads: dict = field(default_factory=dict)  # number -> "open" | "closed"; only forums have any
    forum: bool = False
    permissions: dict = field(default_factory=dict)
    moved_to: int | None = None
    deleted: bool = False
    last: int = 0

    @property
    def counts_itself(self):
        return self.type in ("channel", "supergroup")

    def public(self):
        shown = {"id": self.id, "type": self.type, "title": self.title}
        if self.name.startswith("@"):
            shown["username"] = self.name[1:]
        if self.forum:
            shown["is_forum"] = True
        return shown


class World:
    """Chats and messages; nothing here is asynchronous."""

    def __init__(self, clock=None):
        self._clock, self._ahead = clock or time.time, 0.0
        self.started, self.blocked, self.deactivated = set(), set(), set()
        self.chats, self.names = {}, {}
        self.standing, self.history = {}, []
        self.files, self.pages = {}, {}  # file_id -> (kind, content, size); url -> content
        self.numbers = Counter(message=100)

    def clock(self):
        """Seconds since 1970."""
        return self._clock() + self._ahead

    def pass_time(self, seconds=0, *, hours=0):
        """The server's clock moves on."""
        self._ahead += seconds + 3600 * hours

    # -- chats
    def make_chat(self, name, number, *, kind, member, threads, title, permissions):
        known = self.chats.get(number)
        forum = threads is not None
        states = threads if isinstance(threads, dict) else dict.fromkeys(threads or (), "open")
        chat = Chat(number, kind, member, str(name), title, states, forum, permissions or {})
        if known is not None:
            chat.last = known.last
        self.chats[number] = self.names[name] = chat
        return chat

    def chat(self, given):
        """The chat that `chat_id` names, or None."""
        if isinstance(given, str):
            return self.names.get(given)
        return self.chats.get(given)

    def writable(self, given, *, action="post"):
        """The number of a chat that the bot may write to, or the server's refusal.

        `action` is post, photo, document, edit or delete.
        """
        chat = self.chat(given)
        if chat is not None:
            check_place(chat)
            check_right(chat, action)
            return chat.id
        if not isinstance(given, int) or given < 0:
            raise bad("chat not found")
        if given in self.deactivated:
            raise Refusal(403, "Forbidden: user is deactivated")
        if given in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        if given not in self.started:
            raise Refusal(403, "Forbidden: bot can't initiate conversation with a user")
        return given

    def check_thread(self, number, thread):
        """A topic has to be there and open; the General one is written to without a number."""
        if thread is None:
            return
        state = self.chats[number].threads.get(thread) if number in self.chats else None
        if state is None or thread == 1:
            raise bad("message thread not found")
        if state == "closed":
            raise bad("TOPIC_CLOSED")

    def public_chat(self, number):
        chat = self.chats.get(number)
        return chat.public() if chat else {"id": number, "type": "private", "first_name": "Aysel"}

    # -- messages
    def next_message(self, number):
        chat = self.chats.get(number)
        if chat is not None and chat.counts_itself:
            chat.last += 1
            return chat.last
        self.numbers["message"] += 1
        return self.numbers["message"]

    def put(self, number, **values):
        """A message is there."""
        message = {
            "id": self.next_message(number),
            "chat": number,
            "kind": "text",
            "text": "",
            "html": "",
            "entities": [],
            "keyboard": [],
            "silent": False,
            "preview": {},
            "thread": None,
            "reply_to": None,
            "photo": None,
            "by": "bot",
            "date": int(self.clock()),
            "edits": 0,
            **values,
        }
        self.standing[number, message["id"]] = message
        self.note("send", message)
        return message

    def note(self, what, message):
        self.history.append(
            {"do": what, "chat": message["chat"], "id": message["id"], "text": message["text"], "by": message["by"]}
        )

    def take(self, message):
        del self.standing[message["chat"], message["id"]]
        self.note("delete", message)

    def find(self, number, message_id, missing):
        message = self.standing.get((number, message_id))
        if message is None:
            raise bad(missing)
        return message

    def shown(self, message):
        """A message as the Bot API gives it."""
        answer = {"message_id": message["id"], "date": message["date"], "chat": self.public_chat(message["chat"])}
        if answer["chat"]["type"] == "channel":
            answer["sender_chat"] = answer["chat"]
        else:
            answer["from"] = BOT if message["by"] == "bot" else _person(message["chat"])
        words = ("text", "entities") if message["kind"] == "text" else ("caption", "caption_entities")
        if message["text"]:
            answer[words[0]] = message["text"]
        if message.get("marks"):
            answer[words[1]] = public(message["marks"])
        if message["kind"] != "text":
            answer[message["kind"]] = self.media(message)
        if message["edits"]:
            answer["edit_date"] = message["edited"]
        if message["thread"] is not None:
            answer |= {"message_thread_id": message["thread"], "is_topic_message": True}
        if message["keyboard"]:
            answer["reply_markup"] = {"inline_keyboard": message["keyboard"]}
        if message.get("origin"):
            answer["forward_origin"] = message["origin"]
        original = self.standing.get((message["chat"], message["reply_to"]))
        if original is not None:
            answer["reply_to_message"] = self.shown({**original, "reply_to": None})
        return answer

    # -- files
    def keep(self, kind, content, size=(0, 0)):
        """The file_id of a file; the same file of the same bot has the same."""
        digest = hashlib.sha256(kind.encode() + content).hexdigest()[:40]
        file_id = ("AgACAgIAAx" if kind == "photo" else "BQACAgIAAx") + digest
        self.files[file_id] = (kind, content, size)
        return file_id

    def media(self, message):
        """The photo in its sizes, smallest first, or the document."""
        file_id = message["photo"] or message["document"]
        _, content, (width, height) = self.files[file_id]
        whole = {"file_id": file_id, "file_unique_id": file_id[-16:], "file_size": len(content)}
        if message["kind"] == "document":
            return {**whole, "file_name": message.get("file_name", "file")}
        small = {**whole, "file_id": f"{file_id}s", "file_unique_id": f"{file_id[-16:]}s"}
        self.files[f"{file_id}s"] = self.files[file_id]
        scale = min(1, 90 / max(width, height))
        sides = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
        return [{**small, **sides}, {**whole, "width": width, "height": height}]

    # -- what people see
    @property
    def messages(self):
        """The bot's messages that stand anywhere, in the order of their sending."""
        return [one for one in self.standing.values() if one["by"] == "bot"]

    def seen(self, chat, *, everyone=False):
        """The messages that stand in a chat now; with `everyone` also those that are not the bot's."""
        number = getattr(self.chat(chat), "id", chat)
        return [one for one in self.standing.values() if one["chat"] == number and (everyone or one["by"] == "bot")]

    def duplicates(self):
        """(chat, text, ids) of what stands more than once in a chat and thread."""
        found = {}
        for one in self.messages:
            found.setdefault((one["chat"], one["thread"], one["text"], one["photo"]), []).append(one["id"])
        return [(chat, text, ids) for (chat, _, text, _), ids in found.items() if len(ids) > 1]

    def losses(self, expected):
        """(chat, words) for each chat of `expected` ({chat: words or several}) in which no message has those words."""
        texts = {}
        for one in self.messages:
            texts.setdefault(one["chat"], []).append(one["text"])
        return [
            (chat, words)
            for chat, several in expected.items()
            for words in ([several] if isinstance(several, str) else several)
            if not any(words in text for text in texts.get(getattr(self.chat(chat), "id", chat), ()))
        ]


def _person(chat):
    return {"id": abs(chat), "is_bot": False, "first_name": "Aysel"}
