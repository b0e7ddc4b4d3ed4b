"""What stands in a chat about a release, as the ledger knows it: read from answers, written into answers. Pure.

Rules, in order:

1. Each delivery's answer says what stands because of it: the ids of its copy's messages in order, and of each a seal, a
   short digest of what it shows. A later answer about the same copy has the last word.
2. A digest is a copy of its own, shared with other releases; it is known by the delivery that brought it.
3. The replies that said what was corrected are kept apart (`WORDS`): a withdrawal takes them away too.
4. What stands in another chat than the one we write to now is lost to us: a group that became a supergroup has new
   numbers, and the old ones may mean other messages there.
5. A message whose sending nobody can tell of has no id. It keeps its place (0) while its own letter goes on, so that
   the parts behind it still go out. For later letters it is adrift: in a chat of the office's own it can be looked for
   by its trace, and stays adrift until somebody knows.
6. What this very letter sent to a group before that moved is `beyond`: it is read there, and not sent again.
7. A message younger than 48 h can be deleted (https://core.telegram.org/bots/api#deletemessage); others are `fixed`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from bots.telegram.render import Part
from bots.telegram.traces import Trace
from syndicator.domain.letters import Earlier, Letter
from syndicator.domain.model import MessageKind, SubscriberRole
from syndicator.domain.places import Place

__all__ = ["DELETABLE", "OWN", "WORDS", "Adrift", "Copy", "Stand", "seal", "stand_before", "stand_of"]

OWN = 0
"""The copy that tells of this release (or the digest that a letter brings) and of nothing else."""
WORDS = -1
"""Replies that told of corrections."""
DELETABLE = timedelta(hours=48) - timedelta(minutes=1)


@lru_cache(maxsize=256)
def seal(part: Part) -> str:
    """A short digest of what a message shows; what stands behind its dot is the picture's."""
    shown = json.dumps([part.html, part.button, part.url, part.link, part.preview])
    picture = f".{_digest(part.photo.url)}" if part.photo else ""
    return f"{_digest(shown)}{picture}"


def _digest(text: str) -> str:
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Copy:
    """Messages in order with their seals ("" where unknown); 0 is one that nobody can tell of.

    `photo`: the first one is a picture with a caption. `gone`: all that stood has been taken away.
    """

    messages: tuple[int, ...] = ()
    seals: tuple[str, ...] = ()
    photo: bool = False
    gone: bool = False

    @property
    def stands(self) -> bool:
        """Whether any of it can be reached."""
        return any(self.messages)

    def with_sent(self, message: int, mark: str, *, photo: bool) -> Copy:
        """One more message, at the end."""
        is_photo = photo if not self.messages else self.photo
        return Copy((*self.messages, message), (*self.seals, mark), is_photo)

    def with_seal(self, message: int, mark: str) -> Copy:
        """That message shows something else now."""
        seals = tuple(mark if one == message else old for one, old in zip(self.messages, self.seals, strict=True))
        return replace(self, seals=seals)

    def without(self, message: int) -> Copy:
        """That message is no part of it any more."""
        kept = [(one, mark) for one, mark in zip(self.messages, self.seals, strict=True) if one != message]
        photo = self.photo and bool(kept) and kept[0][0] == self.messages[0]
        return Copy(tuple(one for one, _ in kept), tuple(mark for _, mark in kept), photo, gone=not kept)


@dataclass(frozen=True, slots=True)
class Adrift:
    """A part of the own copy that may stand under an unknown number: its place, its seal, and how to know it again."""

    place: int
    seal: str
    trace: Trace | None = None

    def written(self) -> list[object]:
        """As JSON has it."""
        return [self.place, self.seal, *([self.trace.written()] if self.trace else [])]


@dataclass(frozen=True, slots=True)
class Stand:
    """All that stands in one chat about a release. `copies` by delivery for digests, else `OWN` and `WORDS`.

    `word` is the message in which this very letter told of a correction or withdrawal (0: nobody can tell), `notice`
    the one that a withdrawal edited since it could not delete it. `lost`: copies stand where we cannot reach them.
    `stuck` are messages that Telegram will not let us change. `traces`, by seal, are of what this letter is in doubt
    about, `adrift` what earlier letters left, and `found` what this letter found of that: place, number, seal. Its
    number is 0 where it stands nowhere.
    """

    copies: Mapping[int, Copy] = field(default_factory=dict)
    word: int | None = None
    notice: int | None = None
    lost: bool = False
    fixed: frozenset[int] = frozenset()
    stuck: frozenset[int] = frozenset()
    beyond: frozenset[str] = frozenset()
    traces: Mapping[str, Trace] = field(default_factory=dict)
    adrift: tuple[Adrift, ...] = ()
    found: tuple[tuple[int, int, str], ...] = ()

    def copy(self, key: int) -> Copy:
        """One copy; an empty one where there is none."""
        return self.copies.get(key, Copy())

    def having(self, key: int, copy: Copy) -> Stand:
        """The same, with that copy."""
        return replace(self, copies={**self.copies, key: copy})

    @property
    def stands(self) -> bool:
        """Whether the reader has a copy that can be reached."""
        return any(copy.stands for key, copy in self.copies.items() if key != WORDS)

    @property
    def doubtful(self) -> bool:
        """Whether this letter sent something that nobody can tell of."""
        return self.word == 0 or any(0 in copy.messages for copy in self.copies.values())

    def adopted(self, place: int, number: int, mark: str) -> Stand:
        """The same with that message in that place of the own copy; it was adrift. 0: it stands nowhere."""
        own = self.copy(OWN)
        left = tuple(one for one in self.adrift if (one.place, one.seal) != (place, mark))
        stand = replace(self, adrift=left, found=(*self.found, (place, number, mark)))
        if not number:
            return stand
        messages, seals = list(own.messages), list(own.seals)
        messages.insert(place, number)
        seals.insert(place, mark)
        photo = own.photo or (place == 0 and "." in mark)
        copy = replace(own, messages=tuple(messages), seals=tuple(seals), photo=photo, gone=False)
        return stand.having(OWN, copy)

    def answer(self, chat: int | str, facts: Mapping[str, object]) -> dict[str, object]:
        """What the ledger keeps; {} while nothing has happened."""
        copied = any(copy.messages or copy.gone for copy in self.copies.values())
        if not (copied or self.word or self.lost or self.adrift or self.found):
            return {}
        own = self.copy(OWN)
        kept: dict[str, object] = {"chat": chat, **_written(own), **facts}
        doubts = [
            Adrift(place, mark, self.traces.get(mark)).written()
            for place, (one, mark) in enumerate(zip(own.messages, own.seals, strict=True))
            if one == 0
        ]
        digests = {str(key): _written(copy) for key, copy in self.copies.items() if key > 0}
        kept |= {"doubt": doubts} if doubts else {}
        kept |= {"digests": digests} if digests else {}
        kept |= {"words": [one for one in self.copy(WORDS).messages if one]} if WORDS in self.copies else {}
        kept |= {"reply": self.word} if self.word else {}
        kept |= {"notice": self.notice} if self.notice else {}
        kept |= {"lost": True} if self.lost else {}
        kept |= {"beyond": sorted(self.beyond)} if self.beyond else {}
        kept |= {"found": [list(one) for one in self.found]} if self.found else {}
        return kept | ({"adrift": [one.written() for one in self.adrift]} if self.adrift or self.found else {})


def stand_before(letter: Letter, place: Place, now: datetime) -> Stand:
    """What stood before this letter did anything."""
    stand, sent = Stand(), dict[int, datetime]()
    for one in letter.earlier:
        stand = _learned(stand, one, place)
        for copy in stand.copies.values():
            for message in copy.messages:
                sent.setdefault(message, one.sent_at)
    if letter.role is not SubscriberRole.CHANNEL:  # nobody can look into a person's chat
        stand = replace(stand, adrift=())
    for place_, number, mark in () if _elsewhere(letter.answer, place) else _rows(letter.answer.get("found"), 3):
        stand = stand.adopted(int(place_), int(number), str(mark))
    return replace(stand, fixed=frozenset(one for one, at in sent.items() if now - at >= DELETABLE))


def stand_of(letter: Letter, place: Place, now: datetime) -> Stand:
    """What stands now, after what earlier attempts of this letter did."""
    stand = stand_before(letter, place, now)
    if not letter.answer:
        return stand
    stand = _read(stand, letter.answer, place)
    sent = _copy(letter.answer).seals if _elsewhere(letter.answer, place) else ()
    kept = letter.answer.get("beyond")
    stand = replace(stand, beyond=frozenset([*sent, *(kept if isinstance(kept, list) else ())]))
    if not _elsewhere(letter.answer, place):
        stand = _with_doubts(stand, _adrift(letter.answer.get("doubt")))
        if "adrift" in letter.answer:
            stand = replace(stand, adrift=_adrift(letter.answer["adrift"]))
    word, notice = _number(letter.answer.get("reply")), _number(letter.answer.get("notice"))
    return replace(stand, word=word, notice=notice)


def _learned(stand: Stand, one: Earlier, place: Place) -> Stand:
    """What one earlier delivery adds."""
    if one.kind is MessageKind.DIGEST:
        if _elsewhere(one.answer, place):
            return replace(stand, lost=True)
        copy = _copy(one.answer)
        return stand.having(one.delivery, copy) if copy.stands else stand
    stand = _read(stand, one.answer, place)
    adrift = _adrift(one.answer["adrift"]) if "adrift" in one.answer else stand.adrift
    if not _elsewhere(one.answer, place):
        adrift = (*adrift, *_adrift(one.answer.get("doubt")))
    known = stand.copy(OWN).seals  # what an operator settled stands there now
    stand = replace(stand, adrift=tuple(one for one in adrift if one.seal not in known))
    reply = _number(one.answer.get("reply"))
    if one.kind is MessageKind.CORRECTION and reply and not _elsewhere(one.answer, place):
        words = stand.copy(WORDS)
        stand = stand.having(WORDS, words if reply in words.messages else words.with_sent(reply, "", photo=False))
    return stand


def _read(stand: Stand, answer: Mapping[str, object], place: Place) -> Stand:
    """What one answer says of the release's own copy, and of digests that it touched."""
    if _elsewhere(answer, place):
        stood = bool(_numbers(answer.get("messages")) or answer.get("lost"))
        return Stand(lost=stand.lost or stood, fixed=stand.fixed, adrift=stand.adrift)
    copy = _copy(answer)
    if copy.stands or copy.gone:
        stand = replace(stand.having(OWN, copy), lost=False)
    if answer.get("lost"):
        stand = replace(stand, lost=True)
    digests = answer.get("digests")
    for key, said in digests.items() if isinstance(digests, Mapping) else ():
        if str(key).isdecimal() and isinstance(said, Mapping):
            stand = stand.having(int(key), _copy(said))
    if "words" in answer:
        words = _numbers(answer["words"])
        stand = stand.having(WORDS, Copy(words, ("",) * len(words)))
    return stand


def _elsewhere(answer: Mapping[str, object], place: Place) -> bool:
    chat = answer.get("chat")
    return isinstance(chat, int) and isinstance(place.chat, int) and chat != place.chat


def _copy(answer: Mapping[str, object]) -> Copy:
    messages = _numbers(answer.get("messages"))
    given = answer.get("seals")
    seals = [str(one) for one in given] if isinstance(given, list | tuple) else []
    seals = (seals + [""] * len(messages))[: len(messages)]
    return Copy(messages, tuple(seals), bool(answer.get("photo")), gone=bool(answer.get("gone")))


def _with_doubts(stand: Stand, doubts: Sequence[Adrift]) -> Stand:
    """With the places of what its own letter is in doubt about."""
    if not doubts:
        return stand
    own = stand.copy(OWN)
    rows = list(zip(own.messages, own.seals, strict=True))
    for one in doubts:
        rows.insert(one.place, (0, one.seal))
    copy = replace(own, messages=tuple(one for one, _ in rows), seals=tuple(mark for _, mark in rows))
    return replace(stand.having(OWN, copy), traces={one.seal: one.trace for one in doubts if one.trace})


def _adrift(given: object) -> tuple[Adrift, ...]:
    """What `Adrift.written` gave, row by row."""
    return tuple(
        Adrift(int(one[0]), str(one[1]), Trace.read(one[2]) if len(one) > 2 else None) for one in _rows(given, 2)
    )


def _rows(given: object, least: int) -> list[list[Any]]:
    rows: Sequence[object] = given if isinstance(given, list | tuple) else ()
    return [list(one) for one in rows if isinstance(one, list | tuple) and len(one) >= least]


def _written(copy: Copy) -> dict[str, object]:
    rows = [(one, mark) for one, mark in zip(copy.messages, copy.seals, strict=True) if one]
    kept: dict[str, object] = {"messages": [one for one, _ in rows], "seals": [mark for _, mark in rows]}
    return kept | ({"photo": True} if copy.photo else {}) | ({"gone": True} if copy.gone else {})


def _numbers(given: object) -> tuple[int, ...]:
    values: Sequence[object] = given if isinstance(given, list | tuple) else ()
    return tuple(number for one in values if (number := _number(one)))


def _number(given: object) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else None
