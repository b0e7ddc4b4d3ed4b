"""What the languages of a release say together: one kind, one urgency, one time. Pure.

A source hands in one document a language, each saying something of the release as a whole. Rules, in order:

1. Only versions that are let go count; while all are drafts, all count.
2. It is urgent if any version says so, and of the first kind that is not the usual `news`: a translation without
   front matter takes nothing back.
3. The latest time holds: an embargo stands until every version is free of it.

So the order in which languages arrive, and saying the same again, change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syndicator.domain.model import State, Urgency

__all__ = ["Agreed", "Said", "agree"]

USUAL_KIND = "news"


@dataclass(frozen=True, slots=True)
class Said:
    """What one language's document says of the release."""

    state: State
    public_at: datetime
    kind: str
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Agreed:
    """What holds for the release; `released` is False while every version is a draft."""

    released: bool
    public_at: datetime
    kind: str
    urgency: Urgency


def agree(said: Sequence[Said]) -> Agreed:
    """What holds, of one saying or more, in the order the languages were written."""
    loose = [one for one in said if one.state is not State.DRAFT]
    counted = loose or list(said)
    urgent = any(one.urgency is Urgency.URGENT for one in counted)
    return Agreed(
        released=bool(loose),
        public_at=max(one.public_at for one in counted),
        kind=next((one.kind for one in counted if one.kind != USUAL_KIND), USUAL_KIND),
        urgency=Urgency.URGENT if urgent else Urgency.NORMAL,
    )
