"""Operations as calls of the Bot API: method and parameters, for the bot and for files alike. Pure.

Rules, in order:

1. Everything that is new in a chat names its topic, if it has one, and whether it makes a sound.
2. A reply that finds nothing to reply to is a message of its own (`allow_sending_without_reply`).
3. Where buttons do not work (Telegram refuses one whose address has no public-looking host) the address is said in
   words; so it is without markup.
4. The page's picture stands above the text where there is one; otherwise no preview at all.
5. Of a withdrawn photo that cannot be deleted the picture goes too: a blank one takes its place; so it does where the
   release has no picture any more and nothing may be sent. Where that is refused, at least the caption goes.

Parameters are those of https://core.telegram.org/bots/api.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    InputMediaPhoto,
    LinkPreviewOptions,
    ReplyParameters,
    TelegramObject,
)

from bots.telegram.blank import blank_picture
from bots.telegram.plan import Delete, Edit, Operation, Reply, Retract, Send
from bots.telegram.render import Part
from syndicator.domain.places import Place

__all__ = ["Call", "Manner", "buttons_work", "call"]

_REPEATED = (InlineKeyboardMarkup, LinkPreviewOptions)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is said: without a sound, with buttons or addresses in words, with markup or as plain text.

    Where bytes cannot come with it (`uploads`), a withdrawn picture stays above its notice.
    """

    quiet: bool = False
    buttons: bool = True
    plain: bool = False
    uploads: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """A method, as the Bot API names it, and its parameters."""

    method: str
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The method as the library names it."""
        return _HUMP.sub("_", self.method).lower()

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as JSON has them."""
        return {name: _plain(value) for name, value in self.values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, _REPEATED):
        return _kept(value)
    return value.to_dict() if isinstance(value, TelegramObject) else value


@lru_cache(maxsize=256)
def _kept(value: TelegramObject) -> dict[str, Any]:
    """What is the same for every reader of a text is turned into JSON once; nobody may change what is given."""
    return value.to_dict()


def buttons_work(base_url: str) -> bool:
    """Telegram refuses a button whose address has no public-looking host, such as http://localhost:8080."""
    host = urlsplit(base_url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return "." in host
    return True


def call(operation: Operation, place: Place, manner: Manner, photo: str | InputFile | None = None) -> Call:
    """The call that does it; `photo` is the picture of what sends or changes one."""
    chat: dict[str, Any] = {"chat_id": place.chat}
    match operation:
        case Delete(_, message):
            return Call("deleteMessage", chat | {"message_id": message})
        case Edit(_, message, part, is_photo, picture):
            blank = picture and part.photo is None
            instead = _blank(manner) if blank else photo if picture else None
            return _edited(chat | {"message_id": message}, part, manner, instead, photo=is_photo)
        case Retract(_, message, part, is_photo):
            instead = _blank(manner) if is_photo else None
            return _edited(chat | {"message_id": message}, part, manner, instead, photo=is_photo)
        case Send(_, part):
            return _sent(chat | _where(place), part, manner, photo)
        case Reply(to, part):
            answered = ReplyParameters(to, allow_sending_without_reply=True) if to else None
            given = chat | _where(place) | ({"reply_parameters": answered} if answered else {})
            return _sent(given, part, manner, None)


def _blank(manner: Manner) -> InputFile | None:
    return blank_picture() if manner.uploads and not manner.plain else None


def _where(place: Place) -> dict[str, Any]:
    return {"message_thread_id": place.thread} if place.thread else {}


def _sent(given: dict[str, Any], part: Part, manner: Manner, photo: str | InputFile | None) -> Call:
    given = given | {"disable_notification": manner.quiet}
    if part.photo is not None and photo is not None:
        return Call("sendPhoto", given | {"photo": photo} | _said("caption", part, manner) | _keyboard(part, manner))
    shown = {"link_preview_options": _preview(part.preview)} if not manner.plain else {}
    return Call("sendMessage", given | _said("text", part, manner) | shown | _keyboard(part, manner))


def _edited(given: dict[str, Any], part: Part, manner: Manner, picture: str | InputFile | None, *, photo: bool) -> Call:
    if picture is not None:
        media = InputMediaPhoto(_attached(picture), **_said("caption", part, manner))
        return Call("editMessageMedia", given | {"media": media} | _keyboard(part, manner))
    if photo:
        return Call("editMessageCaption", given | _said("caption", part, manner) | _keyboard(part, manner))
    shown = {"link_preview_options": _preview(part.preview)} if not manner.plain else {}
    return Call("editMessageText", given | _said("text", part, manner) | shown | _keyboard(part, manner))


def _attached(picture: str | InputFile) -> str | InputFile:
    """Bytes inside of a larger object are named there and come beside it."""
    if isinstance(picture, str) or picture.attach_uri is not None:
        return picture
    return InputFile(picture.input_file_content, filename=picture.filename, attach=True)


def _said(name: str, part: Part, manner: Manner) -> dict[str, Any]:
    if manner.plain:
        return {name: f"{part.plain}\n\n{part.link}" if part.link else part.plain}
    text = part.html
    if part.link and not _has_button(part, manner):
        text = f"{part.html}\n\n{part.link.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}"
    return {name: text, "parse_mode": "HTML"}


def _has_button(part: Part, manner: Manner) -> bool:
    return bool(part.button) and manner.buttons and not manner.plain


def _keyboard(part: Part, manner: Manner) -> dict[str, Any]:
    if not _has_button(part, manner):
        return {}
    return {"reply_markup": _button(part.button, part.url)}


@lru_cache(maxsize=256)
def _button(text: str, url: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton(text, url=url)]])


@lru_cache(maxsize=256)
def _preview(page: str) -> LinkPreviewOptions:
    if not page:
        return LinkPreviewOptions(is_disabled=True)
    return LinkPreviewOptions(url=page, prefer_large_media=True, show_above_text=True)
