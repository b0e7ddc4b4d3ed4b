"""A bell: whoever writes rings it, and those who hang there hear it. Before somebody hangs there, nobody needs to."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Bell", "Hanging"]


class Bell:
    """Joins those who write with the engines that are made after them."""

    def __init__(self) -> None:
        self._heard: list[Callable[[], None]] = []

    def hang(self, heard: Callable[[], None]) -> None:
        """From now on, ringing calls this too."""
        self._heard.append(heard)

    def unhang(self, heard: Callable[[], None]) -> None:
        """Ringing does not call it any more; nothing, if it does not hang there."""
        if heard in self._heard:
            self._heard.remove(heard)

    def ring(self) -> None:
        """Something was written."""
        for heard in tuple(self._heard):
            heard()


class Hanging:
    """A part that hangs there as long as it runs."""

    def __init__(self, bell: Bell, heard: Callable[[], None]) -> None:
        self._bell, self._heard = bell, heard

    async def start(self) -> None:
        """Hang there."""
        self._bell.hang(self._heard)

    async def stop(self) -> None:
        """No more; safe to call twice."""
        self._bell.unhang(self._heard)
