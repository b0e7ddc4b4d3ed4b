"""Whether Telegram would take our posts: who the bot is, how it hears, and what it may do in each configured chat.

Rules, in order:

1. Only what changes nothing is asked: no message, and no update is taken from a bot that runs meanwhile. A forum's
   topic shows itself to one call only, "somebody is typing" (sendChatAction), which nobody keeps.
2. The answer is one line; trouble is an OSError or a ValueError with one, that says what to do.
3. Embargoes end to the second, so our clock is compared with the Date that Telegram's servers state.
4. A Bot API server of one's own hears people only after the bot was logged out of the public one. Asking the public one
   whether it was would log it in again, so this is only said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from bots.telegram.asking import Line, RefusedCall
from bots.telegram.door import WEBHOOK_PATH
from bots.telegram.places import Place
from bots.telegram.rights import trouble_with
from config.settings import TelegramSettings
from syndicator.domain.places import place_address
from syndicator.domain.ports import Clock
from syndicator.domain.text import one_line

__all__ = ["telegram_questions"]

CLOCK_MAY_DIFFER = timedelta(seconds=10)
LATELY = timedelta(hours=1)
PUBLIC_SERVER = "api.telegram.org"
Question = tuple[str, Callable[[], Awaitable[str]]]


def telegram_questions(settings: TelegramSettings, clock: Clock, base_url: str = "") -> Sequence[Question]:
    """What can be asked where a token is set: about the bot, about its webhook, about each place and the audit chat.

    `base_url` is the site's, where a webhook leads.
    """
    if settings.token is None:
        return []
    line = Line(settings.api_root.rstrip("/"), settings.token.get_secret_value(), clock)
    asked: list[Question] = [
        ("telegram bot", lambda: _ask_bot(line)),
        ("telegram webhook", lambda: _ask_webhook(line, settings.mode, base_url)),
    ]
    for channel in settings.channels:
        place = Place.parse(place_address(channel.chat, channel.thread))
        name = f"telegram {channel.chat}" + (f", topic {place.thread}" if place.thread else "")
        if name not in dict(asked):
            asked.append((name, partial(_ask_place, line, place)))
    if len(settings.channels) > 1:
        places = [place_address(channel.chat, channel.thread) for channel in settings.channels]
        asked.append(("telegram channels", lambda: _ask_twins(line, places)))
    if settings.audit_chat:
        chats = {Place.parse(channel.chat).chat for channel in settings.channels}
        asked.append(("telegram audit chat", lambda: _ask_audit_chat(line, Place.parse(settings.audit_chat), chats)))
    return asked


async def _ask_bot(line: Line) -> str:
    try:
        answer = await line.call("getMe")
    except RefusedCall as error:
        raise ValueError(f"the token is refused ({error}); check telegram.token") from None
    name = answer.result.get("username", "") if isinstance(answer.result, dict) else ""
    own = "" if line.host == PUBLIC_SERVER else f"; {_LOGGED_OUT}"
    return f"@{name} answers, {_clock(answer.ahead)}{own}"


_LOGGED_OUT = (
    "a server of your own hears people only once the bot was logged out of the public one: "
    f"call https://{PUBLIC_SERVER}/bot<token>/logOut once, if you have not"
)


def _clock(ahead: timedelta | None) -> str:
    if ahead is None:
        return "without stating its time"
    said = f"our clock is {abs(ahead).total_seconds():.0f} s {'ahead' if ahead > timedelta(0) else 'behind'}"
    if abs(ahead) > CLOCK_MAY_DIFFER:
        raise ValueError(f"{said}: releases would come out at the wrong time; set the clock, for example by NTP")
    return "our clock agrees" if abs(ahead) < timedelta(seconds=2) else said


async def _ask_webhook(line: Line, mode: str, base_url: str) -> str:
    """How the bot hears people now, against how it is meant to."""
    info = await line.ask("getWebhookInfo")
    known, ours = str(info.get("url", "")), base_url + WEBHOOK_PATH
    host = one_line(urlsplit(known).netloc)
    waiting = f"{info.get('pending_update_count', 0)} updates wait"
    if mode == "polling":
        if known and known != ours:
            raise ValueError(f"a webhook at {host} is set: another program uses this bot, and `run` would take it over")
        return f"none, as polling wants; {waiting}" if not known else "ours from before is set; `run` takes it away"
    if line.host == PUBLIC_SERVER and not base_url.startswith("https://"):
        raise ValueError("site.base_url must begin with https:// for telegram.mode webhook")
    if not known:
        return f"not set yet; `run` sets it; {waiting}"
    if known != ours:
        raise ValueError(f"a webhook at {host} is set: another program uses this bot, and `run` would take it over")
    failed = info.get("last_error_date")
    if isinstance(failed, int) and line.clock().timestamp() - failed < LATELY.total_seconds():
        said = one_line(str(info.get("last_error_message", "")))[:200]
        raise ConnectionError(f"Telegram could not deliver to us lately: {said}; {waiting}")
    return f"set, {waiting}"


async def _ask_place(line: Line, place: Place) -> str:
    """Whether the bot may post there, edit and delete; in a forum, whether the topic takes posts."""
    kind, title, forum = await _ask_chat(line, place)
    if kind == "private":
        return f"a private chat with {title}"
    topic = ""
    if place.thread is not None:
        if not forum:
            raise ValueError(f"the {kind} “{title}” is no forum: leave out telegram.channels.thread")
        await _ask_topic(line, place)
        topic = f", topic {place.thread}"
    return f"the bot may post, edit and delete in the {kind} “{title}”{topic}"


async def _ask_twins(line: Line, written: Sequence[str]) -> str:
    """Whether no place is named twice; what number a name has only Telegram knows."""
    seen: dict[object, str] = {}
    for one in written:
        place = Place.parse(one)
        name, thread = place.key
        if isinstance(name, str):
            with suppress(RefusedCall):  # its own question says so
                name = int((await line.ask("getChat", chat_id=place.chat)).get("id", 0)) or name
        if (name, thread) in seen:
            raise ValueError(f"{one} is the same place as {seen[name, thread]}: leave out one of telegram.channels")
        seen[name, thread] = one
    return f"{len(seen)} places, none named twice"


async def _ask_chat(line: Line, place: Place) -> tuple[str, str, bool]:
    """(kind, title, whether it is a forum) of a chat that the bot may write to."""
    try:
        found = await line.ask("getChat", chat_id=place.chat)
        kind = str(found.get("type", ""))
        title = one_line(str(found.get("title") or found.get("first_name") or place.chat))
        if kind == "private":
            return kind, title, False
        bot = await line.ask("getMe")
        member = await line.ask("getChatMember", chat_id=place.chat, user_id=bot["id"])
    except RefusedCall as error:
        raise ValueError(f"{error}; the bot must be in the chat, in a channel as an administrator") from None
    trouble = trouble_with(kind, member, found.get("permissions"))
    if trouble:
        raise PermissionError(trouble)
    return kind, title, bool(found.get("is_forum"))


async def _ask_topic(line: Line, place: Place) -> None:
    try:
        await line.call("sendChatAction", chat_id=place.chat, message_thread_id=place.thread, action="typing")
    except RefusedCall as error:
        raise ValueError(f"topic {place.thread}: {error}; check telegram.channels.thread") from None


async def _ask_audit_chat(line: Line, place: Place, posted_to: set[int | str]) -> str:
    """Whether posts can be forwarded there without anybody of the public seeing them."""
    if place.chat in posted_to:
        raise ValueError("telegram.audit_chat is one of telegram.channels: give it a private chat of its own")
    kind, title, _ = await _ask_chat(line, place)
    found = await line.ask("getChat", chat_id=place.chat)
    if kind != "private" and found.get("username"):
        raise ValueError(f"the {kind} “{title}” is public: everybody would see what is looked up; take a private one")
    return f"posts can be looked up in the {kind} chat “{title}”"
