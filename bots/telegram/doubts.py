"""What nobody can tell of, and what is done to find out: the audit is asked, where a chat is the office's own.

Rules, in order:

1. What this very letter is in doubt about stands where the audit finds it, and else is to be sent again. While the
   audit has to wait the place stays open, and the letter is tried again.
2. What earlier letters left is looked for before anything follows them: a withdrawn post is to go, a corrected one to
   be edited. Of a row that a crash left no trace is known; what its release says now is looked for then, and that it
   is not found says nothing if the text has been changed since.
3. Where no audit looks, or it is refused, it stays in doubt, and the ledger keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bots.telegram.audit import Audit, NotNow
from bots.telegram.copies import OWN, Adrift, Stand, seal
from bots.telegram.parts import Part
from bots.telegram.traces import Trace
from syndicator.domain.letters import Earlier, Later, Letter, Outcome, Sent, Unknown
from syndicator.domain.model import MessageKind, SubscriberRole
from syndicator.domain.places import Place

__all__ = ["Doubts", "adrift_with"]

_BRINGING = (MessageKind.RELEASE, MessageKind.CORRECTION)


@dataclass(slots=True)
class Doubts:
    """The doubts of one letter. `again` is set while the audit has to wait, `why` says what it could not tell."""

    letter: Letter
    audit: Audit | None
    moment: Callable[[], datetime]
    again: NotNow | None = None
    why: str = ""

    @property
    def can_look(self) -> bool:
        """Whether there is somebody to ask."""
        return self.audit is not None and self.letter.role is SubscriberRole.CHANNEL

    def outcome(self, outcome: Outcome) -> Outcome:
        """The letter's outcome; while the audit has to wait, it is not the last word."""
        if self.again is None or not isinstance(outcome, Sent | Unknown):
            return outcome
        return Later(str(self.again), self.again.until, counts=False, answer=outcome.answer)

    async def ask(self, place: Place, trace: Trace) -> int | None:
        """The number under which it stands there; None where it does not, or where nobody can be asked.

        Raises:
            NotNow: later.
            OSError: nobody can tell.
        """
        if self.audit is None or not self.can_look:
            return None
        return await self.audit.found(place, trace, self.moment(), self.letter.created_at)

    async def accepted(self, place: Place, number: int) -> None:
        """That message of the letter was taken."""
        if self.audit is not None and self.can_look:
            await self.audit.noted(place, number)

    async def trace(self, place: Place, part: Part) -> Trace:
        """How to know that part again, which was sent just now."""
        return Trace.of(part, await self.audit.newest(place) if self.audit is not None and self.can_look else None)

    async def own(self, stand: Stand, place: Place, parts: Sequence[Part]) -> Stand:
        """Rule 1, of earlier attempts; `parts` are what the copy should show now."""
        copy = stand.copy(OWN)
        if 0 not in copy.messages or not (self.letter.resent or self.can_look):
            return stand
        shown = {seal(part): Trace.of(part) for part in parts}
        rows: list[tuple[int, str]] = []
        for message, mark in zip(copy.messages, copy.seals, strict=True):
            trace = stand.traces.get(mark) or shown.get(mark)
            if message or trace is None:
                rows += [(message, mark)] if message else []
                continue
            try:
                number = await self.ask(place, trace)
            except OSError as error:
                self._left(error)
                rows.append((0, mark))
            else:
                rows += [(number, mark)] if number else []
        messages, seals = tuple(one for one, _ in rows), tuple(mark for _, mark in rows)
        return stand.having(OWN, replace(copy, messages=messages, seals=seals))

    async def adrift(self, stand: Stand, place: Place) -> Stand:
        """Rule 2."""
        if self.audit is None or not self.can_look:
            return stand
        release = self.letter.release
        since = (release.opened_at or release.public_at) if release is not None else None
        for one in stand.adrift:
            if one.trace is None:
                continue
            try:
                number = await self.audit.found(place, one.trace, self.moment(), since) or 0
            except OSError as error:
                self._left(error)
            else:
                if number or one.trace.after is not None or self._says_the_same:
                    stand = stand.adopted(one.place, number, one.seal)
        return stand

    @property
    def _says_the_same(self) -> bool:
        """Whether the release has had one text only."""
        release = self.letter.release
        variant = release.variant(self.letter.lang) if release is not None else None
        return variant is not None and variant.revision.number <= 1

    def _left(self, error: OSError) -> None:
        if isinstance(error, NotNow):
            self.again = error
        else:
            self.why = f"no telling whether it stands there: {error}"


def adrift_with(stand: Stand, letter: Letter, write: Callable[[], Sequence[Part]]) -> Stand:
    """With what a crash left of earlier letters to a chat of the office's own, as `write` shows it now (rule 2)."""
    if letter.role is not SubscriberRole.CHANNEL or stand.adrift or "adrift" in letter.answer:
        return stand
    lost = [one for one in letter.earlier if not one.is_known and one.kind in _BRINGING and _is_bare(one)]
    if not lost or stand.stands:
        return stand
    return replace(stand, adrift=tuple(Adrift(at, seal(part), Trace.of(part)) for at, part in enumerate(write())))


def _is_bare(one: Earlier) -> bool:
    return not (one.answer.get("doubt") or one.answer.get("messages"))
