"""A folder as seen from outside: its files, whether one has changed, and its bytes. It blocks: use a thread.

Rules, in order:

1. Hidden names (a leading dot) and editors' and transfers' own files are not there. Folders inside are walked.
2. A link is followed to a file inside the folder only; a linked folder never, so no walk goes in circles.
3. Only regular files are opened, and without waiting: a pipe in the folder stops nobody.
4. A file that changes while it is read is not read: `Moving` says to come back at the next pass.
5. A stamp is trusted only if the file had been quiet for `QUIET_NS` when it was taken: file times are coarse, and two
   writes in one tick look alike (git's "racy" entries).
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Entry", "Listing", "Moving", "Stamp", "digest", "inside", "is_ignored", "read", "stamp_of", "walk"]

QUIET_NS = 2_000_000_000
DEEPEST = 32  # folders in folders
CHUNK = 1 << 20  # bytes

_IGNORED_STARTS = (".", "~", "#")
_IGNORED_ENDS = (
    "~",
    ".tmp",
    ".temp",
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".swp",
    ".swo",
    ".swx",
    ".bak",
    "#",
)


class Moving(Exception):
    """The file changes while it is read."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file does. Times in nanoseconds since 1970, size in bytes."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int

    def quiet(self, now_ns: int) -> bool:
        """Whether an equal stamp later will mean an equal file."""
        return max(self.modified_ns, self.changed_ns) + QUIET_NS < now_ns


@dataclass(frozen=True, slots=True)
class Entry:
    """A file. `origin` is its path within the folder, with "/" between."""

    origin: str
    path: Path
    stamp: Stamp


@dataclass(slots=True)
class Listing:
    """A walk's result: the files with the wanted suffixes, and what could not be looked at (origin -> reason)."""

    entries: list[Entry] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def is_ignored(relative: str) -> bool:
    """Whether any part of a path is hidden or somebody's unfinished business."""
    return any(
        part.startswith(_IGNORED_STARTS) or part.lower().endswith(_IGNORED_ENDS) for part in relative.split("/") if part
    )


def walk(root: Path, suffixes: frozenset[str]) -> Listing:
    """Every document below `root` (a real path), in the order of names.

    Raises:
        OSError: `root` itself cannot be listed.
    """
    listing = Listing()
    folders = [(root, "", 0)]
    while folders:
        folder, prefix, depth = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise
            listing.problems[prefix.rstrip("/")] = f"the folder cannot be read: {error.strerror}"
            continue
        for entry in entries:
            relative = prefix + entry.name
            if is_ignored(entry.name):
                continue
            if entry.is_dir():
                if entry.is_symlink() or depth >= DEEPEST:
                    listing.problems[_shown(relative)] = "a linked or too deep folder is not followed"
                else:
                    folders.append((Path(entry.path), relative + "/", depth + 1))
            elif os.path.splitext(entry.name)[1].lower() in suffixes:  # noqa: PTH122  # a Path each costs too much here
                _add(listing, root, entry, relative)
    listing.entries.sort(key=lambda entry: entry.origin)
    return listing


def _add(listing: Listing, root: Path, entry: os.DirEntry[str], relative: str) -> None:
    if not relative.isprintable() or not _is_text(relative):
        listing.problems[_shown(relative)] = "the file name has characters that cannot be shown"
        return
    path = Path(entry.path)
    try:
        if entry.is_symlink() and inside(root, path) is None:
            listing.problems[relative] = "a link that leads out of the folder is not followed"
            return
        listing.entries.append(Entry(relative, path, _stamp(entry.stat())))
    except FileNotFoundError:
        if entry.is_symlink():
            listing.problems[relative] = "the link leads nowhere"
    except OSError as error:
        listing.problems[relative] = f"the file cannot be read: {error.strerror}"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")


def inside(root: Path, path: Path) -> Path | None:
    """The real path of a file below `root`, or None where it leads out (or in circles)."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    return real if real.is_relative_to(root) else None


def stamp_of(path: Path) -> Stamp | None:
    """A file's stamp; None where there is no such file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return _stamp(found)


def read(path: Path, limit: int) -> tuple[bytes, Stamp]:
    """The bytes of a regular file and the stamp they belong to.

    Raises:
        Moving: it changed meanwhile.
        ValueError: it is larger than `limit` bytes, or no regular file.
        OSError: it cannot be opened or read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise ValueError("it is not a regular file")
        if before.st_size > limit:
            raise ValueError(f"the file has {before.st_size:,} bytes; at most {limit:,} are taken")
        data = file.read(limit + 1)
        after = os.fstat(handle)
    if _stamp(before) != _stamp(after) or len(data) != after.st_size:
        raise Moving(path)
    return data, _stamp(after)


def digest(path: Path, limit: int) -> str:
    """SHA-256 of a file's bytes, read in pieces.

    Raises:
        Moving, ValueError, OSError: as `read`.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise ValueError("it is not a regular file")
        if before.st_size > limit:
            raise ValueError(f"the file has {before.st_size:,} bytes; at most {limit:,} are taken")
        found = hashlib.sha256()
        while piece := file.read(CHUNK):
            found.update(piece)
        after = os.fstat(handle)
    if _stamp(before) != _stamp(after):
        raise Moving(path)
    return found.hexdigest()


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
