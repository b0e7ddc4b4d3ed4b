"""What the Bot API's refusal means for one operation: done all the same, to be done another way, or an outcome.

Rules, in order:

1. An edit that changes nothing is done. One of a message that is not there any more is done too: there is nothing to
   edit. So is the deletion of what is not there. A message that may not be edited stands as it is: it is stuck, and a
   person has to delete it.
2. What cannot be deleted (it is older than 48 h, a right is missing) is edited instead.
3. A refused picture gives way to the text; so does one in a chat that takes no photos.
4. A 400 that blames the message is tried once more as plain text.
5. Edits and deletions are safe to repeat: one that nobody can tell of is done again later. A message is not: `Unknown`.
6. Everything else is as `outcomes` says.

Texts are those of https://github.com/tdlib/telegram-bot-api (Client.cpp); they are compared in lower case.
"""

from __future__ import annotations

from enum import Enum, auto

from telegram.error import BadRequest, TelegramError

from bots.telegram.media import is_picture_trouble
from bots.telegram.outcomes import is_unmodified, worth_plain
from bots.telegram.plan import Delete, Edit, Operation, Reply, Retract, Send
from syndicator.domain.letters import Later, Outcome, Unknown

__all__ = ["Meaning", "meaning", "repeatable"]

_NOTHING_THERE = ("message to edit not found", "message_id_invalid")
_NOT_TO_EDIT = ("message can't be edited", "message_edit_time_expired", "message_author_required")
_NOT_TO_DELETE = ("message to delete not found", "message_id_invalid", "message identifier is not specified")
_KEPT = ("message can't be deleted", "message_delete_forbidden", "not enough rights", "chat_admin_required")
_NO_PHOTOS = ("send photos", "chat_send_photos_forbidden", "chat_send_media_forbidden", "send media")


class Meaning(Enum):
    """What follows from a refusal."""

    DONE = auto()
    FIXED = auto()  # it cannot be deleted
    STUCK = auto()  # it cannot be edited
    NO_PICTURE = auto()
    PLAIN = auto()
    OUTCOME = auto()


def meaning(operation: Operation, error: TelegramError) -> Meaning:
    """What that refusal of that operation means."""
    said = error.message.lower()
    match operation:
        case Delete() if isinstance(error, BadRequest) and _says(said, _NOT_TO_DELETE):
            return Meaning.DONE
        case Delete() if isinstance(error, BadRequest) and (_says(said, _KEPT) or worth_plain(error)):
            return Meaning.FIXED
        case Edit() | Retract() if (ended := _without_edit(error, said)) is not None:
            return ended
        case Edit(picture=True) | Send() if _with_picture(operation) and (
            is_picture_trouble(error) or (isinstance(error, BadRequest) and _says(said, _NO_PHOTOS))
        ):
            return Meaning.NO_PICTURE
        case Edit() | Retract() | Send() | Reply() if worth_plain(error):
            return Meaning.PLAIN
    return Meaning.OUTCOME


def _without_edit(error: TelegramError, said: str) -> Meaning | None:
    """What it means that there is nothing to edit, or that it may not be."""
    if is_unmodified(error) or (isinstance(error, BadRequest) and _says(said, _NOTHING_THERE)):
        return Meaning.DONE
    return Meaning.STUCK if isinstance(error, BadRequest) and _says(said, _NOT_TO_EDIT) else None


def _with_picture(operation: Operation) -> bool:
    return isinstance(operation, Edit | Send) and operation.part.photo is not None


def _says(said: str, known: tuple[str, ...]) -> bool:
    return any(words in said for words in known)


def repeatable(operation: Operation, outcome: Outcome) -> Outcome:
    """The outcome of an operation, with what may be repeated without harm never left unknown."""
    if isinstance(operation, Send | Reply) or not isinstance(outcome, Unknown):
        return outcome
    return Later(f"no telling whether it was done, it is done again: {outcome.reason}", answer=outcome.answer)
