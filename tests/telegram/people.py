"""What people and other administrators do, as a test orders it; the bot hears of it by updates."""

from __future__ import annotations

import asyncio

from tests.telegram.rights import membership
from tests.telegram.world import BOT, World

PERSON = {"is_bot": False, "first_name": "Aysel"}


class People(World):
    """A world in which things happen. `updates`, `_do` and `_notify` are the double's."""

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

    # -- inside
    def _my_member(self, chat, old, new):
        body = {"chat": chat, "from": {"id": abs(chat["id"]), **PERSON}, "date": int(self.clock())}
        return self._update("my_chat_member", {**body, "old_chat_member": {"user": BOT, **old}, "new_chat_member": new})

    def _update(self, kind, body):
        update = self.updates.add(kind, body)
        asyncio.get_running_loop().create_task(self._notify())
        return update
