"""What stands in a chat about a release: copies, the messages that they are made of, and what they show. Pure.

Rules, in order:

1. Of each message stands its id and a seal, a short digest of what it shows, in order.
2. A digest is a copy of its own, shared with other releases; it is known by the delivery that brought it.
3. The replies that said what was corrected are kept apart (`WORDS`): a withdrawal takes them away too.
4. A message whose sending nobody can tell of has no id. It keeps its place (0) while its own letter goes on, so that
   the parts behind it still go out. For later letters it is adrift: in a chat of the office's own it can be looked for
   by its trace, and stays adrift until somebody knows.
5. All of it is written into the answer that the ledger keeps (`Stand.answer`), and read from there (`recalling`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from bots.telegram.render import Part
from bots.telegram.traces import Trace

__all__ = ["OWN", "WORDS", "Adrift", "Copy", "Stand", "seal"]

OWN = 0
"""The copy that tells of this release (or the digest that a letter brings) and of nothing else."""
WORDS = -1
"""Replies that told of corrections."""


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


def _written(copy: Copy) -> dict[str, object]:
    rows = [(one, mark) for one, mark in zip(copy.messages, copy.seals, strict=True) if one]
    kept: dict[str, object] = {"messages": [one for one, _ in rows], "seals": [mark for _, mark in rows]}
    return kept | ({"photo": True} if copy.photo else {}) | ({"gone": True} if copy.gone else {})
