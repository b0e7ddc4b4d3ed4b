"""What readers are told of corrections: whether a text carries one, which there were, and when each was told.

Rules, in order:

1. A text is corrected when its current revision carries a note. A text that came with a note at first sight is one too;
   one that came back without a note is told as new, whatever it had been told before.
2. A note belongs to the revision that brought it: a silent change repeats it. One that is told again counts once, last.
3. The newest is dated as the text itself (`Variant.updated_at`, which feeds and embeds state), those before by their
   revision; none before the release was public.

Pages, cards, embeds, feeds and the API all go by these, and so does what is sent to who had an older text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syndicator.domain.model import Release, Revision, Variant

__all__ = ["Correction", "corrections", "is_corrected", "untold"]


@dataclass(frozen=True, slots=True)
class Correction:
    """A note for people, and when they were told."""

    at: datetime
    note: str


def is_corrected(revision: Revision) -> bool:
    """Whether a text, at this current revision, is one that was corrected."""
    return bool(revision.note)


def corrections(release: Release, variant: Variant, history: Sequence[Revision]) -> tuple[Correction, ...]:
    """What was told of a language version, newest first; `history` are its revisions that could be seen, newest first.

    There is one exactly when `is_corrected`.
    """
    if not is_corrected(variant.revision):
        return ()
    told: list[Correction] = []
    for revision in _noted(history):
        when = revision.created_at if told else variant.updated_at
        told.append(Correction(max(when or release.public_at, release.public_at), revision.note))
    return tuple(told)


def untold(history: Sequence[Revision], told: int) -> tuple[str, ...]:
    """The notes, oldest first, that whoever read revision number `told` has not been told; 0 for who read none."""
    if not history or not is_corrected(history[0]):
        return ()
    return tuple(one.note for one in reversed(_noted(history)) if one.number > told)


def _noted(history: Sequence[Revision]) -> list[Revision]:
    """The revisions that brought a note, newest first (rule 2)."""
    before = [*((one.note, one.major) for one in history[1:]), ("", 0)]
    found: list[Revision] = []
    for revision, older in zip(history, before, strict=True):
        if not revision.note or (revision.note, revision.major) == older:
            continue
        if not (found and found[-1].note == revision.note):
            found.append(revision)
    return found
