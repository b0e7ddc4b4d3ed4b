"""One document by itself, for the commands: read as a directory source would, from wherever it lies.

Rules, in order:

1. It is a release of the source `desk`, under the name that its file has; a command may put another name in its place.
2. Pictures and files it names are looked for beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from syndicator.domain.model import Change, Problem
from syndicator.sources.document import FORMATS
from syndicator.sources.folder import Entry, stamp_of
from syndicator.sources.footer import RIGHTS, Footer
from syndicator.sources.survey import Surveyor

__all__ = ["DESK", "DocumentReader"]

DESK = "desk"


class DocumentReader:
    """Reads single files."""

    def __init__(self, languages: Sequence[str], default_language: str, zone: ZoneInfo) -> None:
        self._languages = tuple(languages)
        self._default_language = default_language
        self._zone = zone

    async def read(self, path: Path) -> Change | Problem:
        """What one file says, or what is wrong with it."""
        return await asyncio.to_thread(self._read, path)

    def _read(self, path: Path) -> Change | Problem:
        if path.suffix.lower() not in FORMATS:
            return Problem(DESK, path.name, f"the name must end with one of {', '.join(sorted(FORMATS))}")
        try:
            real = path.resolve(strict=True)
        except OSError as error:
            return Problem(DESK, path.name, f"the file cannot be read: {error.strerror}")
        stamp = stamp_of(real)
        if stamp is None:
            return Problem(DESK, path.name, "is no file")
        surveyor = Surveyor(
            DESK, real.parent, self._languages, self._default_language, self._zone, Footer(RIGHTS, ()), time.time_ns
        )
        looked = surveyor.look(Entry(real.name, real, stamp))
        if looked is None:
            return Problem(DESK, path.name, "the file changes while it is read; try again")
        finding, change = looked
        return change if change is not None else Problem(DESK, path.name, finding.reason)
