"""What a receiving domain said of a mail that was on its way, in the words of pace."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Heard"]


class Heard(StrEnum):
    """One of these ends each turn.

    TAKEN: it took the mail. SLOW_DOWN: it wants fewer (421, 4.7.x). LATER: not this one now (a full mailbox,
    greylisting). REFUSED: not this one ever. BROKEN: the line broke. TIMED_OUT: it held the line and said nothing.
    NOTHING: it was not asked after all.
    """

    TAKEN = "taken"
    SLOW_DOWN = "slow_down"
    LATER = "later"
    REFUSED = "refused"
    BROKEN = "broken"
    TIMED_OUT = "timed_out"
    NOTHING = "nothing"
