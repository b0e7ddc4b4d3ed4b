"""What an answer of the Bot API means for a delivery: an exception becomes an outcome.

Rules, in order (BadRequest and TimedOut are NetworkErrors in the library, so they are asked first):

1. 429: later, when it said; the message is not to blame.
2. The group became a supergroup: moved.
3. 401 or 404: the token is wrong. Later, and the whole bot waits for a person.
4. A person who blocked us, left, never wrote to us, or is no more: gone. An office's own chat that we may not write to,
   or whose topic is closed or gone, is later and no fault of the post: somebody has to set it right, and then it goes
   out (`is_shut`).
5. "Message is not modified": that is what we wanted. Any other 400: refused, after the caller tried plain text.
6. Nothing was sent: later, and the post is not to blame for the line. Anything else: unknown.

Texts are those of https://github.com/tdlib/telegram-bot-api (Client.cpp); they are compared in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter, TelegramError

from bots.telegram.transport import NotSent, TooLarge
from syndicator.domain.letters import Gone, Later, Moved, Outcome, Refused, Sent, Unknown
from syndicator.domain.model import SubscriberRole

__all__ = ["SHUT_PAUSE", "TOKEN_PAUSE", "is_shut", "is_token_trouble", "is_unmodified", "outcome", "worth_plain"]

TOKEN_PAUSE = timedelta(minutes=5)
SHUT_PAUSE = timedelta(minutes=15)  # usually we hear of it when a right comes back (`standing`)
LINE_PAUSE = timedelta(seconds=5)
_NOBODY = (
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "user is deactivated",
    "input_user_deactivated",
    "bot can't initiate conversation",
    "bot was blocked",
    "group chat was deactivated",
    "chat_id is empty",
    "group chat was deleted",
)
_NO_RIGHT = (
    "not enough rights",
    "have no rights",
    "need administrator rights",
    "chat_write_forbidden",
    "chat_admin_required",
    "user_is_blocked",
    "channel_private",
)
_NO_TOPIC = ("topic_closed", "topic_deleted", "topic_id_invalid", "message thread not found")


def outcome(
    error: TelegramError, *, role: SubscriberRole, now: datetime, answer: Mapping[str, object] | None = None
) -> Outcome:
    """The outcome of a send that raised; `answer` is what earlier parts got."""
    got = dict(answer or {})
    match error:
        case RetryAfter():
            # What pickling carries is the one way to the number that does not warn of a change to come.
            seconds = float(error.__reduce__()[1][0])
            return Later("429: too many requests", now + timedelta(seconds=max(seconds, 1)), counts=False, answer=got)
        case ChatMigrated():
            return Moved(str(error.new_chat_id))
        case InvalidToken():
            return Later("the bot's token is refused", now + TOKEN_PAUSE, counts=False, answer=got)
        case Forbidden() | BadRequest():
            return _definite(error, role, got, now)
        case _:
            return _undecided(error, got, now)


def _definite(error: TelegramError, role: SubscriberRole, got: dict[str, object], now: datetime) -> Outcome:
    if is_shut(error, role):
        return Later(f"the bot may not post there: {error.message}", now + SHUT_PAUSE, counts=False, answer=got)
    if is_unmodified(error):
        return Sent(got)
    gone = isinstance(error, Forbidden) or _says(error, *_NOBODY, *_NO_RIGHT)
    return Gone(error.message) if gone else Refused(error.message)


def _undecided(error: TelegramError, got: dict[str, object], now: datetime) -> Outcome:
    if isinstance(error, NotSent):
        return Later(f"not sent: {error.message}", now + LINE_PAUSE, counts=False, answer=got)
    if isinstance(error, TooLarge):
        return Refused(error.message)
    return Unknown(f"no telling: {type(error).__name__}: {error.message}"[:300], answer=got)


def is_shut(error: TelegramError, role: SubscriberRole) -> bool:
    """Whether a chat of the office's own does not take our posts, until somebody sets that right."""
    if role is not SubscriberRole.CHANNEL or not isinstance(error, Forbidden | BadRequest):
        return False
    return not (is_unmodified(error) or _blames_message(error))


def _blames_message(error: TelegramError) -> bool:
    """A 400 about what was said, rather than about who may say it, or where."""
    return isinstance(error, BadRequest) and not _says(error, *_NOBODY, *_NO_RIGHT, *_NO_TOPIC)


def _says(error: TelegramError, *known: str) -> bool:
    return any(words in error.message.lower() for words in known)


def is_unmodified(error: TelegramError) -> bool:
    """An edit that changes nothing has done its work."""
    return isinstance(error, BadRequest) and "message is not modified" in error.message.lower()


def is_token_trouble(error: TelegramError) -> bool:
    """The bot as a whole cannot work."""
    return isinstance(error, InvalidToken)


def worth_plain(error: TelegramError) -> bool:
    """Whether the same text without markup, button and preview may be taken: a 400 that blames the message."""
    return _blames_message(error) and not is_unmodified(error)
