"""What one of several processes may use of a limit that holds for all of them together. Pure.

Rules, in order:

1. A rate is divided evenly. Places (connections, what is left of a day) are whole: each has as many, and the first in
   the order that all know have one more. So a limit holds for all together, and where there are fewer places than
   processes some have none.
2. Who does not know how many there are has no share: what is limited waits for those who know.
"""

from __future__ import annotations

from dataclasses import dataclass

from bots.email.pace.limits import Ceiling

__all__ = ["NO_SHARE", "Share"]


@dataclass(frozen=True, slots=True)
class Share:
    """Number `place`, from 0, of `among`; none at all where that is 0."""

    place: int = 0
    among: int = 1

    def of_places(self, places: int) -> int:
        """How many of so many."""
        if not self.among:
            return 0
        each, more = divmod(places, self.among)
        return each + (self.place < more)

    def of_ceiling(self, ceiling: Ceiling) -> Ceiling:
        """What a domain that takes so much may be sent."""
        rate, places = ceiling.per_second, ceiling.connections
        if rate is None and places is None:
            return ceiling
        if not self.among:
            return Ceiling(rate, 0)
        return Ceiling(None if rate is None else rate / self.among, None if places is None else self.of_places(places))


NO_SHARE = Share(0, 0)
