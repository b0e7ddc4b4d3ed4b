"""A folder to write documents into, and passes over it as intake makes them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from syndicator.domain.model import Change, Problem
from syndicator.sources.directory import DirectorySource

BAKU = ZoneInfo("Asia/Baku")
NOON_NS = 1_795_000_000_000_000_000  # in November 2026
MUCH_LATER_NS = 4_000_000_000_000_000_000


@dataclass
class Office:
    """A folder, its source, and what has been taken so far."""

    folder: Path
    source: DirectorySource
    known: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str | bytes, age: int = 0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        moment = NOON_NS - age * 1_000_000_000
        os.utime(path, ns=(moment, moment))
        return path

    async def look(self) -> list[Change | Problem]:
        """A pass that is forgotten."""
        return [item.found async for item in self.source.changes("", self.known)]

    async def take(self) -> list[Change | Problem]:
        """A pass that is remembered, as intake does."""
        found = await self.look()
        self.known |= {item.origin: item.fingerprint for item in found}
        return found

    async def change(self, name: str, text: str | bytes) -> Change:
        """The change that a document alone makes."""
        self.write(name, text)
        (found,) = await self.look()
        assert isinstance(found, Change), found
        return found

    async def problem(self, name: str, text: str | bytes) -> str:
        """Why a document alone is left out."""
        self.write(name, text)
        (found,) = await self.look()
        assert isinstance(found, Problem), found
        assert "\n" not in found.reason
        return found.reason


@pytest.fixture
def open_office(tmp_path) -> Callable[..., Office]:
    def make(folder: Path = tmp_path / "store", **options) -> Office:
        folder.mkdir(exist_ok=True)
        given = {"languages": ("az", "en", "ru"), "default_language": "az", "zone": BAKU, "settle": 0}
        return Office(
            folder, DirectorySource("press", folder, **(given | {"clock_ns": lambda: MUCH_LATER_NS} | options))
        )

    return make


@pytest.fixture
def office(open_office) -> Office:
    return open_office()
