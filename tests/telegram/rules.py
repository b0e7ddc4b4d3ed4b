"""What the Bot API refuses before it looks at the world: parameters, texts, keyboards, commands, files.

Rules, in order:

1. Parameters are checked against `botapi.json`, an extract of the published description (see make_botapi.py). The real
   server passes over what it does not know; here it is refused, since it is always a mistake of ours.
2. Formats are judged by Telegram's own parser (tdjson); what it finds by itself (hashtags, links, mentions) is added as
   a client would show it. Lengths are counted after parsing, in UTF-16 units, and before the white space around a text
   is cut off: it is kept without.
3. Texts of refusals are those of the public server (https://github.com/tdlib/telegram-bot-api, Client.cpp) where they
   are known; refusals of our own strictness say so.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import imagesize
import tdjson

API = json.loads(Path(__file__).with_name("botapi.json").read_text())
METHODS = {name: {one["name"]: one for one in about["fields"]} for name, about in API["methods"].items()}
TYPES = {
    name: {one["name"]: one for one in about["fields"]} if "fields" in about else about["subtypes"]
    for name, about in API["types"].items()
}
TEXT, CAPTION, ENTITIES = 4096, 1024, 100
BUTTONS, ROW, MARKUP_BYTES = 100, 8, 10_240
PHOTO_BYTES, UPLOAD_BYTES = 10 * 1024 * 1024, 50 * 1024 * 1024
PHOTO_SIDES, PHOTO_RATIO = 10_000, 20
TOUCHABLE = {"textEntityTypeCode", "textEntityTypePre", "textEntityTypePreCode", "textEntityTypeTextUrl"}
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")
PLAIN = {"Integer": int, "String": str, "Boolean": bool, "Float": (int, float), "True": bool}
tdjson.td_execute(b'{"@type":"setLogVerbosityLevel","new_verbosity_level":0}')


class Refusal(Exception):
    """An answer other than ok."""

    def __init__(self, code, text, **parameters):
        super().__init__(text)
        self.code, self.text, self.parameters = code, text, parameters


@dataclass(frozen=True)
class Upload:
    """A file that came in a multipart body."""

    name: str
    content: bytes
    media_type: str = ""


def bad(text):
    return Refusal(400, f"Bad Request: {text}")


def units(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def execute(request):
    return json.loads(tdjson.td_execute(json.dumps(request).encode()))


# -- parameters
def decoded(method, given, files=()):
    """The parameters of a call with their right types; unknown, missing and ill-typed ones are refused."""
    rules = METHODS.get(method)
    if rules is None:
        raise Refusal(404, "Not Found: method not found")
    attached = {value.removeprefix("attach://") for value in _strings(given) if value.startswith("attach://")}
    for name in given:
        if name not in rules and not (name in files and name in attached):
            raise bad(f"unknown parameter {name} of {method} (the real server would pass it over)")
    if attached - set(files):
        raise bad(f"file attach://{min(attached - set(files))} was not attached")
    for name, rule in rules.items():
        if rule["required"] and given.get(name) in (None, ""):
            raise bad(f"{name} is empty" if name != "text" else "message text is empty")
    return {name: _typed(name, rules[name]["types"], value) for name, value in given.items() if name in rules}


def _strings(given):
    """All texts in the parameters, however deep, JSON in forms included."""
    waiting = list(given.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if value[:1] in "[{" and "attach://" in value:
                waiting.append(json.loads(value))
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _typed(name, types, value):
    if isinstance(value, Upload):
        if "InputFile" not in types:
            raise bad(f"{name} must be {' or '.join(types)}")
        return value
    if isinstance(value, str) and types not in (["String"], ["InputFile", "String"], ["InputFile"]):
        try:
            value = json.loads(value)
        except ValueError:
            if "String" not in types:
                raise bad(f"can't parse {name}: expected {' or '.join(types)}") from None
    if not any(fits(kind, value) for kind in types):
        raise bad(f"{name} must be {' or '.join(types)}")
    return value


def fits(kind, value):
    """Whether a value is of that type of the description; types that the extract lacks are taken as they come."""
    if kind.startswith("Array of "):
        return isinstance(value, list) and all(fits(kind.removeprefix("Array of "), one) for one in value)
    if kind in PLAIN:
        return isinstance(value, PLAIN[kind]) and not (kind in ("Integer", "Float") and isinstance(value, bool))
    about = TYPES.get(kind)
    if isinstance(about, list):
        return any(fits(one, value) and value.get("type", _tag(kind, one)) == _tag(kind, one) for one in about)
    if about is None or not isinstance(value, dict):
        return isinstance(value, dict)
    return all(
        name in about and any(fits(one, inner) for one in about[name]["types"]) for name, inner in value.items()
    ) and all(name in value for name, rule in about.items() if rule["required"])


def _tag(parent, kind):
    """InputMedia, InputMediaPhoto -> photo: what the `type` of a variant must be."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.removeprefix(parent)).lower()


# -- texts
def parsed(text, mode="", limit=TEXT):
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
            raise bad("c" + answer["message"].removeprefix("C"))
        text, entities = answer["text"], answer["entities"]
    if limit == TEXT and not is_seen(text):
        raise bad("message text is empty")
    if units(text) > limit:
        raise bad("message is too long" if limit == TEXT else "message caption is too long")
    if len(entities) > ENTITIES:
        raise bad("too many entities")
    return text, entities


def trimmed(text, entities):
    """As the server keeps them: nothing stands before the first seen character or entity, and none behind the last."""
    first = min([one["offset"] for one in entities], default=units(text))
    left = min(first, units(text) - units(text.lstrip(" \n")))
    kept = text.rstrip(" \n").encode("utf-16-le")[2 * left :].decode("utf-16-le")
    moved = [{**one, "offset": one["offset"] - left} for one in entities]
    moved = [{**one, "length": min(one["length"], units(kept) - one["offset"])} for one in moved]
    return kept, [one for one in moved if one["length"] > 0]


def is_seen(text):
    return any(unicodedata.category(char) not in ("Zs", "Zl", "Zp", "Cc", "Cf") for char in text)


def found(text, entities):
    """All entities of a message: those that were given, and those that Telegram finds by itself outside of code."""
    shut = [(one["offset"], one["offset"] + one["length"]) for one in entities if one["type"]["@type"] in TOUCHABLE]
    own = [
        one
        for one in execute({"@type": "getTextEntities", "text": text})["entities"]
        if not any(one["offset"] < end and begin < one["offset"] + one["length"] for begin, end in shut)
    ]
    return sorted([*entities, *own], key=lambda one: (one["offset"], -one["length"]))


def given(text, named):
    """Entities that a call brought instead of a format, in tdjson's form."""
    if len(named) > ENTITIES:
        raise bad("too many entities")
    length = units(text)
    for one in named:
        if one["length"] <= 0 or one["offset"] < 0 or one["offset"] + one["length"] > length:
            raise bad(f"entity {one} lies outside of the text (the real server would pass it over)")
    kinds = {"text_link": "TextUrl", "pre": "Pre"}
    return [
        {
            "offset": one["offset"],
            "length": one["length"],
            "type": {
                "@type": "textEntityType" + kinds.get(one["type"], one["type"].title().replace("_", "")),
                **({"url": one["url"]} if "url" in one else {}),
            },
        }
        for one in named
    ]


def public(entities):
    """tdjson's entities in the form of the Bot API."""
    names = {"pre_code": "pre", "mention_name": "text_mention", "email_address": "email", "text_url": "text_link"}
    answer = []
    for one in entities:
        kind = re.sub(r"(?<!^)(?=[A-Z])", "_", one["type"]["@type"].removeprefix("textEntityType")).lower()
        extra = {"url": one["type"]["url"]} if kind == "text_url" else {}
        answer.append({"type": names.get(kind, kind), "offset": one["offset"], "length": one["length"], **extra})
    return answer


def hashtags(text):
    """The hashtags that Telegram makes tappable."""
    answer = execute({"@type": "getTextEntities", "text": text})
    raw = text.encode("utf-16-le")
    return [
        raw[2 * one["offset"] : 2 * (one["offset"] + one["length"])].decode("utf-16-le")
        for one in answer["entities"]
        if one["type"]["@type"] == "textEntityTypeHashtag"
    ]


# -- keyboards, commands, files, webhooks
def check_keyboard(markup):
    rows = (markup or {}).get("inline_keyboard", [])
    if len(json.dumps(markup or {}, ensure_ascii=False).encode()) > MARKUP_BYTES:
        raise bad("reply markup is too long")
    if sum(len(row) for row in rows) > BUTTONS or any(len(row) > ROW for row in rows):
        raise bad("reply markup is too long (more than 100 buttons, or more than 8 in a row)")
    for button in [button for row in rows for button in row]:
        actions = [name for name in button if name not in ("text", "style", "icon_custom_emoji_id")]
        if not button["text"].strip():
            raise bad("text buttons must have a text")
        if len(actions) != 1:
            raise bad("exactly one action is needed for a button")
        if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
            raise bad("BUTTON_DATA_INVALID")
        if "url" in button:
            _check_url(button["url"])


def _check_url(url):
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https", "tg") and ("." in (parts.hostname or "") or parts.scheme == "tg")
    except ValueError:
        good = False
    if not good or any(char.isspace() for char in url):
        raise bad(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")


def check_commands(commands):
    if len(commands) > 100:
        raise bad("BOT_COMMANDS_TOO_MUCH")
    for one in commands:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", one["command"]):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(one["description"]) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")


def check_photo(upload):
    """The sides of a picture that Telegram takes."""
    size = len(upload.content)
    if size > PHOTO_BYTES:
        raise bad(f"file of size {size} bytes is too big for a photo; the maximum size is {PHOTO_BYTES} bytes")
    if not size:
        raise bad("file must be non-empty")
    width, height = imagesize.get(BytesIO(upload.content)) if upload.content.startswith(PICTURES) else (-1, -1)
    if width < 1 or height < 1:
        raise bad("IMAGE_PROCESS_FAILED")
    if width + height > PHOTO_SIDES or max(width, height) > PHOTO_RATIO * min(width, height):
        raise bad("PHOTO_INVALID_DIMENSIONS")
    return width, height


def check_document(upload):
    if len(upload.content) > UPLOAD_BYTES:
        raise Refusal(413, "Request Entity Too Large")
    if not upload.content:
        raise bad("file must be non-empty")


def check_webhook(given, *, local):
    """`local`: a Bot API server of one's own also takes http."""
    parts = urlsplit(given["url"])
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise bad("bad webhook: An HTTPS URL must be provided for webhook")
    if not parts.hostname:
        raise bad("bad webhook: URL host is empty")
    if not local and (parts.port or 443) not in (443, 80, 88, 8443):
        raise bad("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    if len(given.get("secret_token", "")) > 256:
        raise bad("secret token is too long")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", given.get("secret_token", "")):
        raise bad("secret token contains unallowed characters")
    if not 1 <= given.get("max_connections", 40) <= 100:
        raise bad("max_connections must be between 1 and 100 (the real server would bend it)")
