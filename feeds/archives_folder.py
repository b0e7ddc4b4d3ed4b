"""What lasts of the archives beside their files: how far they are built, and what each month holds.

Rules, in order:

1. `.archives/progress.json` says up to which change the months were looked through, and which are still to do;
   `.archives/YYYY-MM.json` vouches for the files of a month, as `manifest.json` does for the live feeds.
2. Each is replaced whole. A month is taken off the list only after its own manifest stands, so that a crash repeats
   work and never skips any.
3. `.archives/YYYY-MM.entries.json` is what a month remembers, see `feeds.archives_memory`.
4. What cannot be read is not believed: everything is looked through and built again, and equal bytes stay as they are.
5. Of the many files only the validators of a few months are held in memory.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from feeds import archives_memory, tree
from feeds.archives_memory import Memory
from feeds.composer import NOTHING_BUILT
from feeds.files import Kept, kept_data, kept_from, time_of
from feeds.months import MONTH, parse_name
from feeds.streams import Stream

__all__ = ["ADDED", "CHANGED", "GONE", "OTHER", "ArchiveFolder", "Month", "Progress"]

_FOLDER = ".archives"
_PROGRESS = "progress.json"
_OPEN_MONTHS = 12

GONE, CHANGED, ADDED, OTHER = range(4)
"""Why a month is to be built: something it shows may not be read any more, is other now, something is new, the rest."""

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Month:
    """What a built month holds: the releases, as of which change, and the streams that have an archive of it."""

    settings: str
    numbers: frozenset[int]
    streams: frozenset[Stream]
    change: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Up to which change, and which moment, all months were looked through.

    `todo` are the months to build, by rank: `GONE` to `OTHER`.
    `revisit` is when the clock alone brings a release into view.
    """

    settings: str
    built: int
    checked: datetime
    revisit: datetime | None = None
    todo: Mapping[str, int] = field(default_factory=dict)

    def next(self) -> list[str]:
        """The months to build, in order: by rank, then the newest first."""
        return sorted(sorted(self.todo, reverse=True), key=self.todo.__getitem__)


class ArchiveFolder:
    """The manifests of the archives in the feeds' folder; made if missing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / _FOLDER
        self._files: OrderedDict[str, Mapping[str, Kept]] = OrderedDict()
        self._holding = threading.Lock()

    def read(self) -> tuple[Progress | None, dict[str, Month]]:
        """What the last process left; no progress where anything of it cannot be believed."""
        months: dict[str, Month] = {}
        trouble = False
        for path in sorted(self._directory.glob("*.json")):
            if MONTH.fullmatch(path.stem):
                found = _read(path, _month)
                if found is None:
                    trouble = True
                else:
                    months[path.stem] = found
        progress = _read(self._directory / _PROGRESS, _progress)
        return (None if trouble else progress), months

    def held(self, month: str) -> Mapping[str, Kept] | None:
        """The validators of a month's files, if they are in memory."""
        return self._files.get(month)

    def files(self, month: str) -> Mapping[str, Kept]:
        """The validators of a month's files, by name; nothing where it was never built."""
        if (held := self.held(month)) is not None:
            return held
        found = _read(self._directory / f"{month}.json", _kept) or {}
        self.hold(month, found)
        return found

    def hold(self, month: str, files: Mapping[str, Kept]) -> None:
        """Take these for the month's, until its manifest is read again."""
        with self._holding:
            self._files[month] = files
            while len(self._files) > _OPEN_MONTHS:
                self._files.popitem(last=False)

    def write_month(self, month: str, held: Month, files: Mapping[str, Kept]) -> None:
        """Vouch for these files; for none: forget the month.

        Raises:
            OSError: the manifest could not be written; the month is built again.
        """
        path = self._directory / f"{month}.json"
        if not files:
            path.unlink(missing_ok=True)
            self._memory(month).unlink(missing_ok=True)
            self.hold(month, {})
            return
        data = {
            "settings": held.settings,
            "change": held.change,
            "numbers": sorted(held.numbers),
            "files": kept_data(files),
        }
        self._write(path, data)
        self.hold(month, files)

    def remembered(self, month: str, settings: str) -> Memory | None:
        """What is remembered of a month; None where it is of other settings."""
        found = _read(self._memory(month), archives_memory.from_data)
        return found if found is not None and found.settings == settings else None

    def remember(self, month: str, memory: Memory) -> None:
        """Keep this for the next build.

        Raises:
            OSError: it could not be written; entries are rendered again.
        """
        self._write(self._memory(month), archives_memory.to_data(memory))

    def write_progress(self, progress: Progress) -> None:
        """Remember how far it is.

        Raises:
            OSError: it could not be written; the next start does more again than it must.
        """
        data = {
            "settings": progress.settings,
            "built": progress.built,
            "checked": progress.checked.isoformat(),
            "revisit": progress.revisit.isoformat() if progress.revisit else None,
            "todo": dict(progress.todo),
        }
        self._write(self._directory / _PROGRESS, data)

    def _memory(self, month: str) -> Path:
        return self._directory / f"{month}.entries.json"

    def _write(self, path: Path, data: Mapping[str, Any]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        tree.replace_file(path, json.dumps(data, separators=(",", ":")).encode())
        tree.sync_folder(self._directory)


def _read(path: Path, parse: Callable[[Any], T]) -> T | None:
    try:
        return parse(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("archive manifest cannot be read; archives are built again", file=str(path), reason=str(error))
        return None


def _progress(data: Any) -> Progress:
    todo = {month: int(rank) for month, rank in data["todo"].items() if MONTH.fullmatch(month)}
    revisit = time_of(data["revisit"]) if data["revisit"] else None
    return Progress(str(data["settings"]), int(data["built"]), time_of(data["checked"]), revisit, todo)


def _month(data: Any) -> Month:
    named = (parse_name(name) for name in _kept(data))
    streams = frozenset(found[0] for found in named if found)
    numbers = frozenset(map(int, data["numbers"]))
    return Month(str(data["settings"]), numbers, streams, int(data.get("change", NOTHING_BUILT)))


def _kept(data: Any) -> dict[str, Kept]:
    return kept_from(data["files"], lambda name: parse_name(name) is not None)
