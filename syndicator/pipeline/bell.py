"""A bell: whoever writes rings it, the engine hears it once it hangs there. Before that, nobody needs to hear."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Bell"]


class Bell:
    """Joins those who write with the engine that is made after them."""

    def __init__(self) -> None:
        self._heard: Callable[[], None] | None = None

    def hang(self, heard: Callable[[], None]) -> None:
        """From now on, ringing calls this."""
        self._heard = heard

    def ring(self) -> None:
        """Something was written."""
        if self._heard is not None:
            self._heard()
