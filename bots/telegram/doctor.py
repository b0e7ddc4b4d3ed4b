"""Whether Telegram would take our posts: who the bot is, and whether it may write in each configured chat.

Rules, in order:

1. Only what changes nothing is asked (getMe, getChat, getChatMember): no message, and no update is taken from a bot
   that runs meanwhile.
2. The answer is one line; trouble is an OSError or a ValueError with one. The token stands in the address of every
   call, so no exception of the library below passes: each becomes one of ours, in our words.
3. Embargoes end to the second, so our clock is compared with the Date that Telegram's servers state.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bots.telegram.channel import chat_id
from config.settings import TelegramSettings
from syndicator.domain.ports import Clock
from syndicator.domain.text import one_line

__all__ = ["telegram_questions"]

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=10)
CLOCK_MAY_DIFFER = timedelta(seconds=10)
Question = tuple[str, Callable[[], Awaitable[str]]]


def telegram_questions(settings: TelegramSettings, clock: Clock) -> Sequence[Question]:
    """What can be asked where a token is set: one question about the bot, one about each chat."""
    if settings.token is None:
        return []
    line = _Line(settings.api_root.rstrip("/"), settings.token.get_secret_value(), clock)
    chats = [channel.chat for channel in settings.channels]
    return [
        ("telegram bot", lambda: _ask_bot(line)),
        *((f"telegram {chat}", lambda chat=chat: _ask_chat(line, chat)) for chat in dict.fromkeys(chats)),
    ]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a call gave, and how far our clock was ahead of the server's."""

    result: Mapping[str, Any]
    ahead: timedelta | None


class _Refused(ValueError):
    """The Bot API said no."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Calls methods of the Bot API."""

    root: str
    token: str
    clock: Clock

    async def call(self, method: str, **values: Any) -> _Answer:
        """One call.

        Raises:
            OSError: no answer of the Bot API came.
            _Refused: it said no.
        """
        name = urlsplit(self.root).hostname or "telegram.api_root"
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                session.post(f"{self.root}/bot{self.token}/{method}", json=values, allow_redirects=False) as response,
            ):
                payload = await response.read()
        except TimeoutError:
            raise TimeoutError(f"{name}: no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ConnectionError(f"{name}: cannot be reached: {self._veiled(str(reason))}") from None
        answer = _json(payload)
        if "ok" not in answer or (answer["ok"] and not isinstance(answer.get("result"), dict)):
            raise ConnectionError(
                f"{name}: HTTP {response.status} from something that is not the Bot API; "
                "check telegram.api_root and the proxy"
            )
        if not answer["ok"]:
            raise _Refused(self._veiled(str(answer.get("description", f"HTTP {response.status}"))))
        return _Answer(answer["result"], self._ahead(response.headers.get("Date", "")))

    def _ahead(self, stated: str) -> timedelta | None:
        try:
            return self.clock() - parsedate_to_datetime(stated)
        except (ValueError, TypeError):
            return None

    def _veiled(self, text: str) -> str:
        return one_line(text.replace(self.token, "<token>"))[:300]


async def _ask_bot(line: _Line) -> str:
    try:
        answer = await line.call("getMe")
    except _Refused as error:
        raise ValueError(f"the token is refused ({error}); check telegram.token") from None
    return f"@{answer.result.get('username', '')} answers, {_clock(answer.ahead)}"


def _clock(ahead: timedelta | None) -> str:
    if ahead is None:
        return "without stating its time"
    said = f"our clock is {abs(ahead).total_seconds():.0f} s {'ahead' if ahead > timedelta(0) else 'behind'}"
    if abs(ahead) > CLOCK_MAY_DIFFER:
        raise ValueError(f"{said}: releases would come out at the wrong time; set the clock, for example by NTP")
    return "our clock agrees" if abs(ahead) < timedelta(seconds=2) else said


async def _ask_chat(line: _Line, chat: str) -> str:
    number = chat_id(chat)
    try:
        bot = (await line.call("getMe")).result
        found = (await line.call("getChat", chat_id=number)).result
        kind = str(found.get("type", ""))
        title = one_line(str(found.get("title") or found.get("first_name") or chat))
        if kind == "private":
            return f"a private chat with {title}"
        member = (await line.call("getChatMember", chat_id=number, user_id=bot["id"])).result
    except _Refused as error:
        raise ValueError(f"{error}; the bot must be in the chat, in a channel as an administrator") from None
    _may_post(kind, found, member)
    return f"the bot may post in the {kind} “{title}”"


def _may_post(kind: str, chat: Mapping[str, Any], member: Mapping[str, Any]) -> None:
    """Whether somebody with this membership may write there.

    Raises:
        PermissionError: no, with what to do about it.
    """
    status = str(member.get("status", ""))
    if status == "creator":
        return
    if kind == "channel":
        if status == "administrator" and member.get("can_post_messages"):
            return
        missing = "has no right to post messages" if status == "administrator" else "is no administrator"
        raise PermissionError(f"the bot {missing}: make it an administrator that may post messages")
    everybody = (chat.get("permissions") or {}).get("can_send_messages", True)
    allowed = {
        "administrator": True,
        "member": everybody,
        "restricted": member.get("is_member") and member.get("can_send_messages"),
    }
    if not allowed.get(status):
        raise PermissionError(f"the bot may not write there (it is: {status}); add it, or make it an administrator")


def _json(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
