"""What a built month remembers, so that the next build renders only what is new in it.

Rules, in order:

1. `.archives/YYYY-MM.entries.json` says of each language which entries its archive of everything holds, in order: as of
   which change of the release, and how long each is. Their bytes stand in that archive and nowhere else.
2. An archive that is not the one spoken of, by its digest, other settings, or what cannot be read: nothing is
   remembered, and entries are rendered again.
3. Of each stream it says what its archives were put together from; where that is the same, they stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feeds import build, files
from feeds.build import Fragment
from feeds.files import Kept
from feeds.months import archive_name
from feeds.streams import ALL, Stream
from syndicator.domain.site import FEED_FORMATS
from syndicator.store.calendar import Placed

__all__ = ["Line", "Memory", "from_data", "line_of", "recall", "sum_of", "to_data"]


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of an archive: `lengths` are in bytes, by `FEED_FORMATS`; the fragment is without its bytes."""

    number: int
    change: int
    lengths: tuple[int, ...]
    entry: Fragment


@dataclass(slots=True)
class Memory:
    """One month: its entries by language, the tags of the files that hold them, and each stream's sum."""

    settings: str
    lines: dict[str, Sequence[Line]] = field(default_factory=dict)
    tags: dict[str, Sequence[str]] = field(default_factory=dict)
    sums: dict[Stream, str] = field(default_factory=dict)

    def learn(self, other: Memory, kept: Mapping[str, Kept], month: str) -> None:
        """Take in what has been made of some languages, whose files are `kept`."""
        self.sums |= other.sums
        for lang, lines in other.lines.items():
            self.lines[lang] = lines
            self.tags[lang] = [kept[archive_name(Stream(lang, ALL), month, fmt)].etag for fmt in FEED_FORMATS]


def line_of(placed: Placed, entry: Fragment) -> Line:
    """What is to be remembered of an entry."""
    lengths = tuple(len(getattr(entry, fmt)) for fmt in FEED_FORMATS)
    bare = Fragment(entry.uid, entry.updated, entry.rights, entry.tombstone, b"", b"", b"")
    return Line(placed.number, placed.change, lengths, bare)


def sum_of(entries: Iterable[Placed], around: Sequence[str | None], translated: Collection[str]) -> str:
    """Changes with anything that decides a stream's archives, the settings being the same."""
    facts = [(one.number, one.change) for one in entries], tuple(around), sorted(translated)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def recall(directory: Path, month: str, lang: str, memory: Memory | None) -> dict[int, tuple[int, Fragment]]:
    """The entries of a language out of the files that hold them, with the change each is of, by number."""
    if memory is None or lang not in memory.lines:
        return {}
    lines, cut = memory.lines[lang], []
    for place, fmt in enumerate(FEED_FORMATS):
        try:
            body = (directory / archive_name(Stream(lang, ALL), month, fmt)).read_bytes()
        except OSError:
            return {}
        if files.etag_of(body) != memory.tags[lang][place]:
            return {}
        cut.append(build.cut(fmt, body, [line.lengths[place] for line in lines]))
    found = {}
    for place, line in enumerate(lines):
        bare, parts = line.entry, {fmt: cut[at][place] for at, fmt in enumerate(FEED_FORMATS)}
        found[line.number] = line.change, Fragment(bare.uid, bare.updated, bare.rights, bare.tombstone, **parts)
    return found


def to_data(memory: Memory) -> dict[str, Any]:
    """The memory in JSON."""
    return {
        "settings": memory.settings,
        "tags": {lang: list(tags) for lang, tags in memory.tags.items()},
        "lines": {lang: [_line_data(line) for line in lines] for lang, lines in memory.lines.items()},
        "sums": {f"{stream.lang}/{stream.topic}": found for stream, found in memory.sums.items()},
    }


def from_data(data: Any) -> Memory:
    """The memory out of JSON.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the data are no such thing.
    """
    lines: dict[str, Sequence[Line]] = {lang: [_line(one) for one in held] for lang, held in data["lines"].items()}
    tags: dict[str, Sequence[str]] = {lang: tuple(map(str, data["tags"][lang])) for lang in lines}
    if any(len(found) != len(FEED_FORMATS) for found in tags.values()):
        raise ValueError("a tag is missing")
    sums = {Stream(*name.split("/")): str(found) for name, found in data["sums"].items()}
    return Memory(str(data["settings"]), lines, tags, sums)


def _line_data(line: Line) -> list[Any]:
    entry, ended = line.entry, line.entry.tombstone
    withdrawn = [ended[1].isoformat(), ended[2]] if ended else None
    return [line.number, line.change, list(line.lengths), entry.uid, entry.updated.isoformat(), entry.rights, withdrawn]


def _line(data: Any) -> Line:
    number, change, lengths, uid, updated, rights, withdrawn = data
    tombstone = (str(uid), files.time_of(withdrawn[0]), str(withdrawn[1])) if withdrawn else None
    bare = Fragment(str(uid), files.time_of(updated), str(rights), tombstone, b"", b"", b"")
    sizes = tuple(int(length) for length in lengths)
    if len(sizes) != len(FEED_FORMATS) or min(sizes) < 0:
        raise ValueError("a length is missing")
    return Line(int(number), int(change), sizes, bare)
