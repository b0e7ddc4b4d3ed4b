"""What was compiled and may be wanted again: the newest, so many and so many bytes of it.

A pattern that was asked for last goes last. One that alone is larger than all that may be kept is made each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

__all__ = ["Kept"]


class Sized(Protocol):
    """Anything that knows its bytes."""

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Sized)


class Kept(Generic[T]):
    """At most `number` things, and at most `octets` bytes."""

    def __init__(self, number: int, octets: int) -> None:
        self._number = number
        self._octets = octets
        self._things: OrderedDict[Hashable, T] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._things)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What stands under this key; made now, if it does not."""
        found = self._things.get(key)
        if found is not None:
            self._things.move_to_end(key)
            return found
        made = make()
        self._things[key] = made
        self.size += made.size
        while self._things and (len(self._things) > self._number or self.size > self._octets):
            _, gone = self._things.popitem(last=False)
            self.size -= gone.size
        return made
