"""Mails that nobody can make sense of, kept as files for a person: none is lost, and the disk is not filled.

Rules, in order:

1. A mail is on the disk, whole and synced, before `keep` returns. The same mail again is the same file.
2. At most `FILES` mails and `BYTES` of them; then `Full`, and the mail stays where it is. A person looks, and deletes.
3. They may hold what people have written: only the service's own user reads them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BYTES", "FILES", "Full", "Keep"]

FILES = 1000
BYTES = 100_000_000


class Full(OSError):
    """No more is kept: somebody must look at what is there."""


class Keep:
    """A folder of .eml files, made when the first one comes."""

    def __init__(self, folder: Path, *, files: int = FILES, size: int = BYTES) -> None:
        self._folder = folder
        self._files = files
        self._size = size

    def keep(self, data: bytes) -> int:
        """Keep that mail; how many there are now. It blocks: call it in a thread.

        Raises:
            Full: there are too many (rule 2).
            OSError: it cannot be written.
        """
        path = self._folder / f"{hashlib.sha256(data).hexdigest()[:40]}.eml"
        sizes = list(self._sizes())
        if path.exists():
            return len(sizes)
        if len(sizes) >= self._files or sum(sizes) + len(data) > self._size:
            raise Full(f"{self._folder}: full of mails that nobody can make sense of: look at them, and delete them")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return len(sizes) + 1

    def count(self) -> int:
        """How many wait for a person."""
        return len(list(self._sizes()))

    def _sizes(self) -> Iterator[int]:
        if not self._folder.is_dir():
            return
        with os.scandir(self._folder) as found:
            for entry in found:
                if entry.name.endswith(".eml"):
                    yield entry.stat().st_size
