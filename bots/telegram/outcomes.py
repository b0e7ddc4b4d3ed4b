"""What an answer of the Bot API means for a delivery: an exception becomes an outcome.

Rules, in order (BadRequest and TimedOut are NetworkErrors in the library, so they are asked first):

1. 429: later, when it said; the message is not to blame.
2. The group became a supergroup: moved.
3. 401 or 404: the token is wrong. Later, and the whole bot waits for a person.
4. A person who blocked us, left, never wrote to us, or is no more: gone. An office's own channel that we may not write
   to is later: somebody has to make the bot an administrator, and then the post goes out.
5. "Message is not modified": that is what we wanted. Any other 400: refused, after the caller tried plain text.
6. Nothing was sent: later. Anything else: unknown.

Texts are those of https://github.com/tdlib/telegram-bot-api (Client.cpp); they are compared in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter, TelegramError

from bots.telegram.transport import NotSent
from syndicator.domain.letters import Gone, Later, Moved, Outcome, Refused, Sent, Unknown
from syndicator.domain.model import SubscriberRole

__all__ = ["TOKEN_PAUSE", "is_token_trouble", "is_unmodified", "outcome", "worth_plain"]

TOKEN_PAUSE = timedelta(minutes=5)
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
            return _definite(error, role, got)
        case _:
            return _undecided(error, got)


def _definite(error: TelegramError, role: SubscriberRole, got: dict[str, object]) -> Outcome:
    return _bad_request(error, role, got) if isinstance(error, BadRequest) else _shut(error, role, got)


def _undecided(error: TelegramError, got: dict[str, object]) -> Outcome:
    if isinstance(error, NotSent):
        return Later(f"not sent: {error.message}", answer=got)
    return Unknown(f"no telling: {type(error).__name__}: {error.message}"[:300], answer=got)


def _shut(error: TelegramError, role: SubscriberRole, got: dict[str, object]) -> Outcome:
    if role is SubscriberRole.CHANNEL:
        return Later(f"the bot may not post there: {error.message}", answer=got)
    return Gone(error.message)


def _bad_request(error: BadRequest, role: SubscriberRole, got: dict[str, object]) -> Outcome:
    text = error.message.lower()
    if is_unmodified(error):
        return Sent(got)
    if any(words in text for words in (*_NOBODY, *_NO_RIGHT)):
        return _shut(error, role, got)
    return Refused(error.message)


def is_unmodified(error: TelegramError) -> bool:
    """An edit that changes nothing has done its work."""
    return isinstance(error, BadRequest) and "message is not modified" in error.message.lower()


def is_token_trouble(error: TelegramError) -> bool:
    """The bot as a whole cannot work."""
    return isinstance(error, InvalidToken)


def worth_plain(error: TelegramError) -> bool:
    """Whether the same text without markup, button and preview may be taken: a 400 that blames the message."""
    return isinstance(error, BadRequest) and isinstance(_bad_request(error, SubscriberRole.PERSON, {}), Refused)
