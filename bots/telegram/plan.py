"""From what stands in a chat to what should: the operations that lead there, one after the other. Pure.

Rules, in order:

1. What differs is edited in place, what is missing is sent behind it, what is too much is deleted. A message that
   cannot be deleted is edited into "—".
2. A picture stays a picture: its caption is edited, or the picture with it. Where the text has no picture any more, the
   text is sent anew, and then the picture's message goes: a picture cannot become a text, and between the two a wait
   may lie. Where nothing may be sent, a blank picture takes its place.
3. A copy to be taken away is deleted; what cannot be deleted is edited into a notice, the first message of it, the
   others into "—".
4. The word to the reader comes last, as a reply to what stands. What Telegram will not let us change (`stuck`) stays.
5. A plan is made anew after each operation from what then stands, so it may stop anywhere and go on later; where all is
   as it should be it is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bots.telegram.copies import OWN, Copy, Stand, seal
from bots.telegram.parts import CAPTION
from bots.telegram.render import Part
from bots.telegram.richtext import units

__all__ = ["DASH", "Aim", "Delete", "Edit", "Operation", "Reply", "Retract", "Send", "after", "plan"]

DASH = Part("—", "—")


@dataclass(frozen=True, slots=True)
class Send:
    """A new message of a copy; a photo where its part has one."""

    copy: int
    part: Part


@dataclass(frozen=True, slots=True)
class Edit:
    """Another text for a message; `photo`: it is a caption. `picture`: that changes too, to the part's or a blank."""

    copy: int
    message: int
    part: Part
    photo: bool = False
    picture: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Away with a message."""

    copy: int
    message: int


@dataclass(frozen=True, slots=True)
class Retract:
    """Nothing more of what a message said, where it cannot be deleted. `notice`: it says why."""

    copy: int
    message: int
    part: Part
    photo: bool = False
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The word to the reader; a message of its own where there is nothing to reply to."""

    to: int | None
    part: Part


Operation = Send | Edit | Delete | Retract | Reply


@dataclass(frozen=True, slots=True)
class Aim:
    """What should become of one copy. No `parts`: it is to be taken away, `notice` standing where it cannot be.

    `more`: missing messages may be sent; `anew`: also where nothing of it stands.
    """

    copy: int
    parts: tuple[Part, ...] = ()
    anew: bool = True
    more: bool = True
    notice: Part | None = None


def plan(stand: Stand, aims: Sequence[Aim], word: Part | None = None) -> list[Operation]:
    """The operations from here to there."""
    rows = [one for aim in aims for one in _towards(stand, aim) if getattr(one, "message", None) not in stand.stuck]
    if word is not None and stand.word is None:
        goes = any(aim.copy == OWN and not aim.parts for aim in aims)
        rows.append(Reply(_target(stand, stand.stuck if goes else frozenset()), word))
    return rows


def after(stand: Stand, operation: Operation, message: int = 0) -> Stand:
    """What stands once it was done; `message` is the id that a sending got (0: nobody can tell)."""
    match operation:
        case Send(key, part):
            sent = stand.copy(key).with_sent(message, seal(part), photo=part.photo is not None)
            return replace(stand.having(key, sent), lost=stand.lost and key != OWN)
        case Edit(key, edited, part):
            return stand.having(key, stand.copy(key).with_seal(edited, seal(part)))
        case Delete(key, gone):
            return stand.having(key, stand.copy(key).without(gone))
        case Retract(key, gone, _, _, notice):
            left = stand.having(key, stand.copy(key).without(gone))
            return replace(left, notice=gone) if notice else left
        case Reply():
            return replace(stand, word=message)


def _towards(stand: Stand, aim: Aim) -> list[Operation]:
    copy = stand.copy(aim.copy)
    if not aim.parts:
        return _away(stand, aim, copy)
    rows: list[Operation] = []
    parts = [part for part in aim.parts if aim.copy != OWN or seal(part) not in stand.beyond]
    marks = [seal(part) for part in parts]
    kept = [row for row in zip(copy.messages, copy.seals, strict=True) if row[0] or row[1] in marks]
    photo = copy.photo and bool(kept)
    leaving: list[Operation] = []
    if photo and aim.parts[0].photo is None and (aim.more or not _fits_caption(aim.parts[0])):
        leaving.append(_removal(stand, aim.copy, kept[0][0], DASH, photo=True))
        kept, photo = kept[1:], False
    for index, (part, mark) in enumerate(zip(parts, marks, strict=True)):
        if index >= len(kept):
            rows += [Send(aim.copy, part)] if aim.more and (aim.anew or copy.messages) else []
        elif kept[index][1] != mark and kept[index][0]:
            message, was = kept[index]
            caption = photo and index == 0
            rows.append(Edit(aim.copy, message, part, caption, caption and _other_picture(was, part)))
    surplus = [message for message, _ in kept[len(parts) :] if message]
    return [*rows, *leaving, *(_removal(stand, aim.copy, message, DASH) for message in surplus)]


def _fits_caption(part: Part) -> bool:
    return units(f"{part.plain}\n\n{part.link}") <= CAPTION


def _other_picture(was: str, part: Part) -> bool:
    """Whether the picture that shows is not the part's; without one of its own, a blank one is to show."""
    return was.partition(".")[2] != seal(part).partition(".")[2]


def _away(stand: Stand, aim: Aim, copy: Copy) -> list[Operation]:
    rows: list[Operation] = []
    for index, message in enumerate(copy.messages):
        told = any(isinstance(one, Retract) for one in rows) or stand.notice is not None
        part = DASH if told or aim.notice is None else aim.notice
        if message:
            rows.append(_removal(stand, aim.copy, message, part, photo=copy.photo and index == 0))
    return rows


def _removal(stand: Stand, key: int, message: int, part: Part, *, photo: bool = False) -> Operation:
    if message not in stand.fixed:
        return Delete(key, message)
    return Retract(key, message, part, photo, notice=part is not DASH)


def _target(stand: Stand, besides: frozenset[int]) -> int | None:
    """What the word replies to: the release's own copy, the notice in its place, or the newest digest."""
    own = [message for message in stand.copy(OWN).messages if message and message not in besides]
    digests = [copy.messages[0] for key, copy in sorted(stand.copies.items(), reverse=True) if key > 0 and copy.stands]
    found = [*own[:1], *([stand.notice] if stand.notice else []), *digests]
    return found[0] if found else None
