"""What the Bot API refuses, as far as this bot can meet it. Formats are judged by Telegram's own parser (tdjson).

Parameters are checked against `botapi.json`, an extract of the published description; texts of refusals are those of
the public server.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

import tdjson

API = json.loads(Path(__file__).with_name("botapi.json").read_text())
NOTHING = {"types": []}
tdjson.td_execute(b'{"@type":"setLogVerbosityLevel","new_verbosity_level":0}')


class Refusal(Exception):
    """An answer other than ok."""

    def __init__(self, code, text, **parameters):
        super().__init__(text)
        self.code, self.text, self.parameters = code, text, parameters


def bad(text):
    return Refusal(400, f"Bad Request: {text}")


def units(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def execute(request):
    return json.loads(tdjson.td_execute(json.dumps(request).encode()))


def parsed(text, mode=""):
    """(plain text, entities) as Telegram understands it, or its refusal; length and emptiness checked."""
    entities = []
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad("strings must be encoded in UTF-8") from None
    if mode:
        if mode.lower() != "html":
            raise bad("unsupported parse_mode")
        answer = execute({"@type": "parseTextEntities", "text": text, "parse_mode": {"@type": "textParseModeHTML"}})
        if answer["@type"] == "error":
            raise bad(f"can't parse entities: {answer['message']}")
        text, entities = answer["text"], answer["entities"]
    if not any(unicodedata.category(char) not in ("Zs", "Zl", "Zp", "Cc", "Cf") for char in text):
        raise bad("message text is empty")
    if units(text) > 4096:
        raise bad("message is too long")
    if len(entities) > 100:
        raise bad("too many entities")
    return text, entities


def hashtags(text):
    """The hashtags that Telegram makes tappable."""
    answer = execute({"@type": "getTextEntities", "text": text})
    raw = text.encode("utf-16-le")
    return [
        raw[2 * one["offset"] : 2 * (one["offset"] + one["length"])].decode("utf-16-le")
        for one in answer["entities"]
        if one["type"]["@type"] == "textEntityTypeHashtag"
    ]


def decoded(method, given):
    """The parameters of a call with their right types; unknown, missing and ill-typed ones are refused."""
    rules = API["methods"].get(method)
    if rules is None:
        raise Refusal(404, "Not Found: method not found")
    for name in given:
        if name not in rules:
            raise bad(f"unknown parameter {name} of {method} (the real server would pass it over)")
    for name, rule in rules.items():
        if rule["required"] and given.get(name) in (None, ""):
            raise bad(f"{name} is empty")
    return {name: _typed(name, rules[name]["types"], value) for name, value in given.items()}


def _typed(name, types, value):
    if isinstance(value, str) and types != ["String"]:
        try:
            value = json.loads(value)
        except ValueError:
            if "String" not in types:
                raise bad(f"can't parse {name}") from None
    if not any(_is(kind, value) for kind in types):
        raise bad(f"{name} must be {' or '.join(types)}")
    return value


def _is(kind, value):
    if kind.startswith("Array of "):
        return isinstance(value, list) and all(_is(kind.removeprefix("Array of "), one) for one in value)
    plain = {"Integer": int, "String": str, "Boolean": bool, "Float": (int, float), "True": bool}
    if kind in plain:
        return isinstance(value, plain[kind]) and not (kind == "Integer" and isinstance(value, bool))
    fields = API["types"].get(kind)
    if fields is None:
        return isinstance(value, dict)
    return (
        isinstance(value, dict)
        and all(
            name in fields and any(_is(one, inner) for one in fields[name]["types"]) for name, inner in value.items()
        )
        and all(name in value for name, rule in fields.items() if rule["required"])
    )


def check_keyboard(markup):
    for button in [button for row in (markup or {}).get("inline_keyboard", []) for button in row]:
        actions = [name for name in button if name not in ("text", "style", "icon_custom_emoji_id")]
        if not button["text"].strip():
            raise bad("text buttons must have a text")
        if len(actions) != 1:
            raise bad("exactly one action is needed for a button")
        if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
            raise bad("BUTTON_DATA_INVALID")
        if "url" in button:
            host = urlsplit(button["url"]).hostname or ""
            if urlsplit(button["url"]).scheme not in ("http", "https", "tg") or "." not in host:
                raise bad(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")


def check_commands(commands):
    for one in commands:
        if not (1 <= len(one["command"]) <= 32 and one["command"].replace("_", "").isalnum()):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(one["description"]) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
