"""A seat: what exactly one process does at a time, with parts and a memory of its own that last as long as it sits.

Rules, in order:

1. Its parts are asked for each time that it is taken, and let go when it is left. Its engine is a new one. A part that
   lives as long as the process (the bot, who fetches, the hub's workplace) forgets at `start` what others may have
   changed since (a pace, a pause), or asks the database each time (what was told of a feed).
2. Its parts begin in order and end in the opposite one; one that cannot begin ends those before it.
3. A part that fails while ending is logged; the others end all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from syndicator.domain.ports import Part

__all__ = ["Seat"]

log = structlog.get_logger()


class Seat:
    """A `domain.ports.Part` that may be taken and left many times. `take` makes its parts."""

    def __init__(self, name: str, take: Callable[[], Sequence[Part]]) -> None:
        self._name = name
        self._take = take
        self._parts: list[Part] = []

    @property
    def taken(self) -> bool:
        """Whether this process sits on it."""
        return bool(self._parts)

    async def start(self) -> None:
        """Take it. Raises what a part raises that cannot begin."""
        try:
            for part in self._take():
                self._parts.append(part)
                await part.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Leave it; safe to call twice."""
        while self._parts:
            part = self._parts.pop()
            try:
                await part.stop()
            except Exception:
                log.exception("a part did not stop cleanly", seat=self._name, part=type(part).__name__)
