"""A seat: what exactly one process does at a time, with parts and a memory of its own that last as long as it sits.

Rules, in order:

1. Everything in it is made anew each time that it is taken, and let go when it is left: nothing that was true of an
   earlier tenure (a pace, a pause, what was told) is believed in the next.
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
