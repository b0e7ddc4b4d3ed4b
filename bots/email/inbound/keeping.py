"""Mails that nobody can make sense of, kept as files for a person: no bounce is lost, and the disk is not filled.

Rules, in order:

1. A mail is on the disk, whole and synced, before `keep` returns. The same mail again is the same file.
2. At most `FILES` mails and `BYTES` of them; then `Full`, and the mail stays where it is. A person looks, and deletes.
3. Other people's mail (`keep_other`: no machine wrote it, and it names nobody) lies in `others` beneath. The newest
   `OTHERS` files of it are kept, and `OTHERS_BYTES`; older ones give way, so that nobody can fill the folder by writing
   to us, and make our server keep real bounces.
4. They may hold what people have written: only the service's own user reads them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["BYTES", "FILES", "OTHERS", "OTHERS_BYTES", "Full", "Keep"]

FILES = 1000
BYTES = 100_000_000
OTHERS = 100
OTHERS_BYTES = 10_000_000


class Full(OSError):
    """No more is kept: somebody must look at what is there."""


class Keep:
    """A folder of .eml files, made when the first one comes."""

    def __init__(self, folder: Path, *, files: int = FILES, size: int = BYTES) -> None:
        self._folder = folder
        self._others = folder / "others"
        self._files = files
        self._size = size

    def keep(self, data: bytes) -> int:
        """Keep that mail; how many there are now. It blocks: call it in a thread.

        Raises:
            Full: there are too many (rule 2).
            OSError: it cannot be written.
        """
        sizes = [one.stat().st_size for one in _mails(self._folder)]
        if _path(self._folder, data).exists():
            return len(sizes)
        if len(sizes) >= self._files or sum(sizes) + len(data) > self._size:
            raise Full(f"{self._folder}: full of mails that nobody can make sense of: look at them, and delete them")
        _write(self._folder, data)
        return len(sizes) + 1

    def keep_other(self, data: bytes) -> None:
        """Keep other people's mail for as long as there is room (rule 3). It blocks: call it in a thread.

        Raises:
            OSError: it cannot be written.
        """
        _write(self._others, data)
        newest = sorted(_mails(self._others), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        room = OTHERS_BYTES
        for number, one in enumerate(newest):
            room -= one.stat().st_size
            if number and (number >= OTHERS or room < 0):
                Path(one.path).unlink(missing_ok=True)

    def count(self) -> int:
        """How many wait for a person; other people's mail does not."""
        return len(_mails(self._folder))


def _path(folder: Path, data: bytes) -> Path:
    return folder / f"{hashlib.sha256(data).hexdigest()[:40]}.eml"


def _mails(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as found:
        return [entry for entry in found if entry.name.endswith(".eml")]


def _write(folder: Path, data: bytes) -> None:
    """Rule 1."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _path(folder, data)
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    written = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(written)
    finally:
        os.close(written)
