"""Archives as they are asked for: read from disk, the last ones kept in memory up to a number of bytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path

from feeds import files
from feeds.files import Kept, Stored

__all__ = ["ArchiveReader"]

_BYTES = 16_000_000


class ArchiveReader:
    """Reads files that their manifest vouches for. `room` is in bytes."""

    def __init__(self, directory: Path, room: int = _BYTES) -> None:
        self._directory, self._room = directory, room
        self._held: OrderedDict[str, Stored] = OrderedDict()
        self._size = 0

    async def read(self, name: str, kept: Kept) -> Stored | None:
        """The file as `kept` knows it; None where it is missing or another."""
        held = self._held.get(name)
        if held is not None and held.etag == kept.etag:
            self._held.move_to_end(name)
            return held
        stored = await asyncio.to_thread(files.load, self._directory, name, kept)
        self._drop(name)
        if stored is not None:
            self._hold(name, stored)
        return stored

    def _hold(self, name: str, stored: Stored) -> None:
        if _size(stored) > self._room:
            return
        self._held[name] = stored
        self._size += _size(stored)
        while self._size > self._room:
            self._drop(next(iter(self._held)))

    def _drop(self, name: str) -> None:
        gone = self._held.pop(name, None)
        if gone is not None:
            self._size -= _size(gone)


def _size(stored: Stored) -> int:
    return len(stored.body) + sum(map(len, stored.packed.values()))
