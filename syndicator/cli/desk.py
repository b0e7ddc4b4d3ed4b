"""What commands work with, and how they end: `main.py` fills a `Desk`, commands use it, errors are one line.

Rules, in order:

1. Exit code 0: done. 1: it could not be done, said in one line, or something was left out, each named with its reason.
   2: the command was written wrongly (Typer's own).
2. Only errors that name a person's mistake or the outside's trouble become one line; a bug keeps its trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import uvloop

from config.loading import load
from config.settings import BadSettings, Settings
from syndicator.cli.output import fail
from syndicator.domain.model import Attachment, Change, ChannelKind, MessageKind, Problem, Release
from syndicator.domain.ports import Clock, Source
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.roles import Role
from syndicator.store.database import Database
from syndicator.store.locks import AlreadyRunning
from syndicator.store.migrate import NewerSchema
from syndicator.store.relocation import Moved

__all__ = ["Check", "Desk", "Preview", "Session", "Wiring", "reason"]

T = TypeVar("T")
Preview = Callable[[Release, str], str]


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the doctor. `ask` returns what was found, or raises OSError or ValueError with the reason."""

    name: str
    ask: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a command may need, on an open database. `examine` tells what a local file would be kept as."""

    settings: Settings
    site: Site
    texts: Texts
    taxonomy: Taxonomy
    database: Database
    tokens: Tokens
    intake: Intake
    sources: Mapping[str, Source]
    read_file: Callable[[Path], Awaitable[Change | Problem]]
    examine: Callable[[Attachment], Awaitable[Attachment]]
    previews: Mapping[str, Preview]
    build_feeds: Callable[[Path], Awaitable[int]]
    clock: Clock


class Wiring(Protocol):
    """The composition root, as commands see it."""

    def open(self, settings: Settings) -> AbstractAsyncContextManager[Desk]:
        """A desk on an existing, current database.

        Raises:
            MissingDatabase: there is none yet, or it is not current; one clear line.
        """
        ...

    async def serve(self, settings: Settings, roles: Collection[Role]) -> None:
        """Run the service, or the share of it that these roles say, until it is told to stop."""
        ...

    async def migrate(self, settings: Settings) -> None:
        """Bring the database to the newest schema."""
        ...

    def checks(self, settings: Settings) -> Sequence[Check]:
        """What the doctor asks; no question has a side effect."""
        ...

    def log_trouble(self) -> None:
        """Log what an operator must see, and nothing else, for a command that opens no desk."""
        ...

    def clock(self) -> datetime:
        """The one clock of the program."""
        ...

    def tells(self) -> Mapping[ChannelKind, Collection[MessageKind]]:
        """What each way out has words for, of those that recipients are written for."""
        ...


@dataclass(slots=True)
class Session:
    """One call of the program: the wiring, and where its settings are."""

    wiring: Wiring
    config: Path | None = None

    def settings(self, *, demo: bool = False) -> Settings:
        """The settings, or the end of the command with one line."""
        try:
            return load(self.config, demo=demo)
        except BadSettings as error:
            fail(str(error))

    def at_desk(self, work: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
        """Do some work on an open desk, or end the command with one line."""
        settings = self.settings()

        async def do() -> T:
            async with self.wiring.open(settings) as desk:
                return await work(desk)

        return self.run(do())

    @staticmethod
    def run(work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine; what the outside or the person did wrong ends the command with one line."""
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(work)
        except BrokenPipeError:  # whoever reads the results has seen enough; Typer ends quietly
            raise
        except (OSError, ValueError, LookupError, AlreadyRunning, NewerSchema, Moved) as error:
            if type(error) in (KeyError, IndexError, UnicodeEncodeError):
                raise
            fail(reason(error))


def reason(error: BaseException) -> str:
    """An error as one line for people."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    return " ".join(text.splitlines()[0].split())
