"""The tree of finished files: versions named by what they hold, and public names that point to them.

Another web server may serve the folder, with the validators that the service gives. Rules, in order:

1. A version is written once and never changed: `.versions/az/all.SHA256.rss`, its codings beside it (`….rss.br`), its
   time being the Last-Modified. The digest in the name is the ETag, so no tag can ever stand with another's body.
2. Public names are symbolic links: `az/all.rss`, and `az/all.rss.gz` for servers that know no more than files.
3. First all new versions are written and synced, each identity beside its place and named when all are whole; then
   the links turn, codings before identities; then older versions go, again codings first. A reader that has one open
   keeps it; one that had only looked it up finds nothing and asks the service.
4. A crash, wherever it comes, leaves each link at a whole version, old or new. Before the links turn, nothing has
   happened but for files that nobody reads; after, the manifest (written last) does not vouch for what it does not
   know, so the next start writes it again, and sweeps. Between the two, a server that finds versions by their names
   instead of by the links (Caddy) may give the old one or the new one: each whole, under its own tag.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

__all__ = ["VERSIONS", "Version", "drop", "points_to", "replace_file", "swap", "sync_folder", "tag_of"]

VERSIONS = ".versions"
_WRITERS = 4  # a disk syncs what comes at once together: 63 files in a fifth of the time, on a busy one
_WRITTEN = re.compile(r"\.?(?P<stem>[^.]+)\.(?P<tag>[0-9a-f]{64})\.(?P<ext>[a-z]+)(?:\.[a-z]+)?(?P<torn>\.tmp)?")


@dataclass(frozen=True, slots=True)
class Version:
    """A file's bytes by the suffix of their coding, `""` being the file itself; `tag` is its sha256 in hex."""

    tag: str
    parts: Mapping[str, bytes]
    modified: datetime

    def suffixes(self) -> list[str]:
        """Codings first, the identity last."""
        return sorted(self.parts, reverse=True)


def swap(directory: Path, versions: Mapping[str, Version], *, together: bool = False) -> None:
    """Let these names stand for these versions, and let go of the ones before.

    `together`: one sync of everything before the links turn, instead of one for each file.

    Raises:
        OSError: something could not be written. Before the first link turned, every name stands for what it did;
            after, each for an old version or a new one.
    """
    for home in {place for name in versions for place in (_home(directory, name), (directory / name).parent)}:
        home.mkdir(parents=True, exist_ok=True)
    parts = _parts(directory, versions)
    if together:
        ready = [_prepare(*one, synced=False) for one in parts]
        os.sync()
    else:
        with ThreadPoolExecutor(_WRITERS) as writers:
            ready = list(writers.map(lambda one: _prepare(*one), parts))
    for beside, place in filter(None, ready):
        os.replace(beside, place)  # noqa: PTH105  # hundreds in a row: text is half the cost of Path
    for name, version in versions.items():
        _turn(directory, name, version)
    for folder in {(directory / name).parent for name in versions} if not together else ():
        sync_folder(folder)  # together: a link that a crash undoes stands for the version before, see rule 4
    _sweep(directory, {name: version.tag for name, version in versions.items()})


def drop(directory: Path, names: Iterable[str]) -> None:
    """Take these names away, with all they stood for."""
    gone = list(names)
    for name in gone:
        path = directory / name
        for link in (path, *path.parent.glob(f"{path.name}.*")):
            link.unlink(missing_ok=True)
    _sweep(directory, dict.fromkeys(gone, ""))
    for folder in {(directory / name).parent for name in gone} - {directory}:
        for emptied in (folder, directory / VERSIONS / folder.relative_to(directory)):
            if emptied.is_dir() and not any(emptied.iterdir()):
                emptied.rmdir()


def tag_of(directory: Path, name: str) -> str | None:
    """The tag of the version that the public name stands for; None where it is no such link."""
    path = directory / name
    found = _WRITTEN.fullmatch(path.readlink().name) if path.is_symlink() else None
    return found["tag"] if found else None


def points_to(directory: Path, name: str, tag: str) -> bool:
    """Whether the public name is a link to that version."""
    path = directory / name
    return path.is_symlink() and path.readlink().name == _named(name, tag)


def replace_file(path: Path, data: bytes) -> None:
    """Put a plain file in its place, whole or not at all."""
    Path(_write_beside(str(path), data, None)).replace(path)


def sync_folder(folder: Path) -> None:
    """Make the renames last; a no-op where folders cannot be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _home(directory: Path, name: str) -> Path:
    return directory / VERSIONS / name.rpartition("/")[0]


def _named(name: str, tag: str) -> str:
    stem, _, ext = name.rpartition("/")[2].rpartition(".")
    return f"{stem}.{tag}.{ext}"


def _parts(directory: Path, versions: Mapping[str, Version]) -> Iterator[tuple[str, str, Version]]:
    """Each file to be written: the version's place, the suffix of its coding, the version."""
    for name, version in versions.items():
        place = f"{_home(directory, name)}/{_named(name, version.tag)}"
        for suffix in version.suffixes():
            yield place, suffix, version


def _prepare(place: str, suffix: str, version: Version, *, synced: bool = True) -> tuple[str, str] | None:
    """Write one file; where it lies beside its place, says what is to be named how."""
    data = version.parts[suffix]
    if suffix and _create(place + suffix, data, version.modified, synced=synced):
        return None  # nobody looks for a coding before its identity is there
    return _write_beside(place + suffix, data, version.modified, synced=synced), place + suffix


def _turn(directory: Path, name: str, version: Version) -> None:
    """Point the public names at this version. Links are relative, so that the folder may be moved."""
    folder, _, last = f"{directory}/{name}".rpartition("/")  # text: hundreds in a row
    way = "../" * name.count("/") + f"{VERSIONS}/{name.rpartition('/')[0]}".removesuffix("/")
    for suffix in version.suffixes():
        beside = f"{folder}/.{last}{suffix}.tmp"
        target = f"{way}/{_named(name, version.tag)}{suffix}"
        try:
            os.symlink(target, beside)  # noqa: PTH211
        except FileExistsError:  # a crash left it
            os.unlink(beside)  # noqa: PTH108
            os.symlink(target, beside)  # noqa: PTH211
        os.replace(beside, f"{folder}/{last}{suffix}")  # noqa: PTH105


def _sweep(directory: Path, tags: Mapping[str, str]) -> None:
    """Remove every version of these names but the one of this tag, and what a crash left half written."""
    for parent in {PurePosixPath(name).parent for name in tags}:
        home = directory / VERSIONS / parent
        # `….rss.gz` goes before `….rss`
        written = sorted(os.listdir(home), reverse=True) if home.is_dir() else []  # noqa: PTH208  # hundreds of names
        for found in filter(None, map(_WRITTEN.fullmatch, written)):
            tag = tags.get(str(parent / f"{found['stem']}.{found['ext']}"))
            if tag is not None and (found["tag"] != tag or found["torn"]):
                (home / found.string).unlink(missing_ok=True)


def _create(place: str, data: bytes, modified: datetime, *, synced: bool) -> bool:
    """A new file; False where there is one, which somebody may be reading."""
    try:
        _write(place, data, modified, "xb", synced=synced)
    except FileExistsError:
        return False
    return True


def _write_beside(place: str, data: bytes, modified: datetime | None, *, synced: bool = True) -> str:
    """A file beside its place; its name."""
    folder, _, name = place.rpartition("/")
    beside = f"{folder}/.{name}.tmp"
    _write(beside, data, modified, "wb", synced=synced)
    return beside


def _write(place: str, data: bytes, modified: datetime | None, mode: Literal["wb", "xb"], *, synced: bool) -> None:
    with open(place, mode) as file:  # noqa: PTH123
        file.write(data)
        file.flush()
        if modified is not None:
            os.utime(file.fileno(), (modified.timestamp(), modified.timestamp()))
        if synced:
            os.fsync(file.fileno())
