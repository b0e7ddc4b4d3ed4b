"""A cache of bounded number and size, which a crowd that asks for each thing once cannot empty.

Rules, in order:

1. What is new is on trial: what is asked for again stays, what is not goes first (segmented LRU).
2. What stays may take four fifths of the room; beyond that the one asked for longest ago is on trial once more.
3. Number and bytes both bound it; one thing larger than all the room is not kept.

Source: Karedla, Love and Wherry, "Caching strategies to improve disk system performance", IEEE Computer 27(3), 1994.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Cache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_PROVEN = 0.8  # of the room


class Cache(Generic[K, V]):
    """At most `number` values of at most `size` bytes together. Not for several threads at once."""

    def __init__(self, number: int, size: int) -> None:
        self._number, self._size = number, size
        self._trial: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._proven: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.bytes = 0
        self._proven_bytes = 0

    def __len__(self) -> int:
        return len(self._trial) + len(self._proven)

    def __contains__(self, key: K) -> bool:
        """Whether it is kept; asking so proves nothing."""
        return key in self._proven or key in self._trial

    def get(self, key: K) -> V | None:
        """The value, which has thereby been asked for again."""
        if (proven := self._proven.get(key)) is not None:
            self._proven.move_to_end(key)
            return proven[0]
        tried = self._trial.pop(key, None)
        if tried is None:
            return None
        self._proven[key] = tried
        self._proven_bytes += tried[1]
        self._demote()
        return tried[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep it, or its new version, in the place that the old one had; `size` is in bytes."""
        place = self._proven if key in self._proven else self._trial
        old = place.pop(key, None)
        if old is not None:
            self._count(-old[1], proven=place is self._proven)
        if size > self._size:
            return
        place[key] = (value, size)
        self._count(size, proven=place is self._proven)
        self._demote()
        while len(self) > self._number or self.bytes > self._size:
            self._evict()

    def _count(self, size: int, *, proven: bool) -> None:
        self.bytes += size
        if proven:
            self._proven_bytes += size

    def _demote(self) -> None:
        while len(self._proven) > 1 and (
            len(self._proven) > _PROVEN * self._number or self._proven_bytes > _PROVEN * self._size
        ):
            key, value = self._proven.popitem(last=False)
            self._proven_bytes -= value[1]
            self._trial[key] = value

    def _evict(self) -> None:
        proven = not self._trial
        _, (_, size) = (self._proven if proven else self._trial).popitem(last=False)
        self._count(-size, proven=proven)
