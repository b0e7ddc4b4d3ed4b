"""Cuts `botapi.json` out of the published description of the Bot API: what our bot calls or may call, with its types.

`python tests/telegram/make_botapi.py DESCRIPTION.json` writes it anew; cut out of itself it stays as it is. Types of
parameters are whole, however deep; of what comes back, only the types that the double's answers are made of.
The description is that of https://github.com/PaulSonOfLars/telegram-bot-api-spec (api.json).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).with_name("botapi.json")
METHODS = (
    "answerCallbackQuery",
    "close",
    "copyMessage",
    "deleteMessage",
    "deleteMessages",
    "deleteMyCommands",
    "deleteWebhook",
    "editMessageCaption",
    "editMessageMedia",
    "editMessageReplyMarkup",
    "editMessageText",
    "forwardMessage",
    "getChat",
    "getChatMember",
    "getFile",
    "getMe",
    "getMyCommands",
    "getMyDescription",
    "getMyShortDescription",
    "getUpdates",
    "getWebhookInfo",
    "logOut",
    "sendChatAction",
    "sendDocument",
    "sendMessage",
    "sendPhoto",
    "setMyCommands",
    "setMyDescription",
    "setMyShortDescription",
    "setWebhook",
)
ANSWERS = (
    "BotDescription",
    "BotShortDescription",
    "CallbackQuery",
    "Chat",
    "ChatFullInfo",
    "ChatMemberAdministrator",
    "ChatMemberBanned",
    "ChatMemberLeft",
    "ChatMemberMember",
    "ChatMemberOwner",
    "ChatMemberRestricted",
    "ChatMemberUpdated",
    "Document",
    "File",
    "Message",
    "MessageId",
    "PhotoSize",
    "Update",
    "User",
    "WebhookInfo",
)


def cut(description):
    """The part that the double needs, in a fixed order."""
    methods = {name: {"fields": _fields(description["methods"][name])} for name in METHODS}
    types = {}
    wanted = [kind for method in methods.values() for field in method["fields"] for kind in _named(field["types"])]
    while wanted:
        name = wanted.pop()
        about = description["types"].get(name)
        if about is None or name in types:
            continue
        types[name] = _type(about)
        inner = [kind for field in types[name].get("fields", ()) for kind in _named(field["types"])]
        wanted.extend([*inner, *types[name].get("subtypes", ())])
    for name in ANSWERS:
        types.setdefault(name, _type(description["types"][name]))
    return {"version": description["version"], "methods": methods, "types": dict(sorted(types.items()))}


def written(description):
    """One method or type a line."""
    part = cut(description)
    rooms = (
        f' "{room}": {{\n'
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(about)}" for name, about in part[room].items())
        for room in ("methods", "types")
    )
    return f'{{\n "version": {json.dumps(part["version"])},\n' + "\n },\n".join(rooms) + "\n }\n}\n"


def _type(about):
    return {"subtypes": about["subtypes"]} if "subtypes" in about else {"fields": _fields(about)}


def _fields(about):
    return [{key: field[key] for key in ("name", "types", "required")} for field in about.get("fields", ())]


def _named(types):
    return [kind.replace("Array of ", "") for kind in types]


if __name__ == "__main__":
    HERE.write_text(written(json.loads(Path(sys.argv[1]).read_text())))
