"""The ports: what the pipeline asks of the world, each with what it may raise.

1. A port speaks in words of `domain.model`, never in those of a library.
2. An adapter that cannot do its part raises `OSError` or says so in its outcome; it never returns half an answer.
3. Handlers of jobs are safe to run twice; an engine may repeat one after a crash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from syndicator.domain.filters import Filter
from syndicator.domain.letters import Letter, Outcome
from syndicator.domain.model import Attachment, Change, ChannelKind, MessageKind, Priority, Problem

__all__ = [
    "ALONE",
    "Again",
    "Alone",
    "Answered",
    "Attendance",
    "Channel",
    "Clock",
    "Done",
    "Engine",
    "FeedCatalogue",
    "FeedEntry",
    "FeedLinks",
    "FeedPublisher",
    "Handler",
    "Job",
    "MediaStore",
    "Overlapping",
    "Part",
    "Pending",
    "Source",
    "SourceItem",
    "Turn",
    "Verdict",
    "Workplace",
]

Clock = Callable[[], datetime]
Answered = Callable[[int, Outcome], None]
"""Is told a letter's outcome, with its place among those that were given together."""


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One step of a pass: a change or a problem, and the cursor that says "read up to here"."""

    found: Change | Problem
    cursor: str


class Source(Protocol):
    """A publication store, read only. It never sees subscribers."""

    name: str

    def changes(self, cursor: str, known: Mapping[str, str]) -> AsyncIterator[SourceItem]:
        """What is new since `cursor` ("" at first), oldest first; `known` maps an origin to the fingerprint taken last.

        A document that cannot be read comes as a `Problem`; the pass goes on.

        Raises:
            OSError: the store itself cannot be reached; the pass ends, nothing is lost.
        """
        ...

    def watch(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed; ends at once where the store cannot tell."""
        ...


class MediaStore(Protocol):
    """Where pictures and files that came with a release are kept and served from."""

    async def keep(self, attachment: Attachment) -> Attachment:
        """Copy a local file in; returns the attachment with its site-relative `url`, type and length.

        Raises:
            OSError: the file cannot be read or kept.
            ValueError: it is too large or of a type that is not served.
        """
        ...

    def path(self, url: str) -> Path | None:
        """The kept file behind a site-relative `url` on this machine, or None."""
        ...

    async def find(self, url: str) -> Path | None:
        """The same, fetched first where only another machine has it.

        Raises:
            OSError: it cannot be fetched now.
        """
        ...


class Channel(Protocol):
    """A way out. It renders once per (revision, language) and sends; it never touches the ledger."""

    kind: ChannelKind
    lanes: int
    """Batches sent side by side."""

    @property
    def tells(self) -> Collection[MessageKind]:
        """What it has words for; no delivery of another kind is written for it."""
        ...

    @property
    def chunk(self) -> int:
        """Deliveries claimed and sent at a time; what a crash may repeat. Fewer while it is unsure of its line."""
        ...

    def ready_at(self, now: datetime) -> datetime | None:
        """None if it can send; else a time after `now` before which nothing at all can go, so nothing is claimed.

        It speaks of the channel as a whole, never of one letter, and answers at once from what it knows.
        """
        ...

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        """Send each letter; the answers stand in the same order. One letter's trouble never becomes another's.

        Never raises for what a peer answered: that is an outcome. A bug may raise; the letters then stand `unknown`.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; safe to call twice."""
        ...


@runtime_checkable
class Overlapping(Channel, Protocol):
    """A channel that answers letter by letter: the next go out while those that are slow are still under way."""

    stragglers: int
    """Letters, of all lanes together, that may still be under way when the next are claimed."""

    async def send(
        self, letters: Sequence[Letter], now: datetime, answered: Answered | None = None
    ) -> Sequence[Outcome]:
        """As `Channel.send`; `answered` is told outcomes as they come, what is returned stands for the rest.

        Told to stop (cancelled), it answers for all of them soon, and honestly.
        """
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. Equal `key`s waiting together are one job. `args` are plain values only."""

    name: str
    key: str
    priority: Priority
    due: datetime
    lane: str = "main"
    args: Mapping[str, int | str] = field(default_factory=dict)


class Done:
    """The job is finished."""


@dataclass(frozen=True, slots=True)
class Again:
    """The job gave way or must wait: run it again, not before `due`."""

    due: datetime


Verdict = Done | Again


class Turn(Protocol):
    """What a running job may ask of its engine."""

    def should_yield(self) -> bool:
        """Whether more important work waits for this lane, or the engine stops: finish the chunk, return `Again`."""
        ...


Handler = Callable[[Job, Turn], Awaitable[Verdict]]
Pending = Callable[[datetime], Awaitable[Sequence[Job]]]


class Workplace(Protocol):
    """A room with work of its own, which `pipeline.work` asks beside its own; names of jobs and lanes are unique."""

    def handlers(self) -> Mapping[str, Handler]:
        """Its jobs by name; each safe to run twice."""
        ...

    async def pending(self, now: datetime) -> Sequence[Job]:
        """All that is unfinished there now, read from what lasts; asked often, so it answers quickly."""
        ...


class Engine(Protocol):
    """Runs jobs: on one machine inside the process, on many by a queue. It stores no truth of its own."""

    async def submit(self, job: Job, occurrence: datetime | None = None) -> None:
        """Ask for a job; one of the same key that still waits is the same job, at the earlier due time.

        With an `occurrence` (a turn of a timetable) whoever asks for it first has asked for all: on however many
        machines a timetable runs, each turn is one job.
        """
        ...

    def wake(self) -> None:
        """Something was written: ask the database for pending work now."""
        ...

    async def start(self) -> None:
        """Begin; first of all resume whatever the database says is unfinished."""
        ...

    async def stop(self, grace: float) -> None:
        """Take no new job; let running ones finish their chunk, at most `grace` seconds; then cancel them."""
        ...


class Part(Protocol):
    """Something that runs: the engine, the clockwork, the web server, the bot."""

    async def start(self) -> None:
        """Begin. Raises OSError where the outside does not allow it (a taken port)."""
        ...

    async def stop(self) -> None:
        """End; safe to call twice."""
        ...


class Attendance(Protocol):
    """Whether this process counts as alive with all others, and as whom it claims deliveries."""

    @property
    def number(self) -> int | None:
        """Under which claims are made; None where one process has the database to itself."""
        ...

    def is_sure(self) -> bool:
        """Whether nobody can have taken this process for dead; if not, nothing that is claimed may be sent."""
        ...


class Alone:
    """The attendance of a process that has the database to itself."""

    number: int | None = None

    def is_sure(self) -> bool:
        """Nobody is there who could take it for dead."""
        return True


ALONE: Attendance = Alone()


@dataclass(frozen=True, slots=True)
class FeedLinks:
    """One feed's addresses, absolute, for pages and autodiscovery. `topic` is a slug, `all` or `custom`."""

    lang: str
    topic: str
    title: str
    rss: str
    atom: str
    json: str
    opml: str = ""  # a subscription list of it


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A finished feed as served: identity bytes and their validators."""

    body: bytes
    etag: str
    content_type: str
    last_modified: datetime


class FeedCatalogue(Protocol):
    """What pages may know of feeds."""

    def links(self, lang: str) -> Sequence[FeedLinks]:
        """Every stream of that language, `all` first, then topics in the order of the topic file."""
        ...

    def link(self, lang: str, topic: str) -> FeedLinks | None:
        """One stream."""
        ...

    def custom(self, wanted: Filter, lang: str) -> FeedLinks:
        """The feed of a filter at its canonical address, titled in `lang`; the stream where there is an equal one.

        A filter that names no language means `lang`.
        """
        ...

    def hubs(self) -> Sequence[str]:
        """The WebSub hubs that feeds name, ours first; none where pushing is off."""
        ...


class FeedPublisher(Protocol):
    """Keeps every feed right on disk and in memory."""

    async def refresh(self, now: datetime) -> int:
        """Rewrite the feeds that changed releases touch; returns how many files were written.

        Raises:
            OSError: the store cannot be read, and what is served stays as it was; or the feeds' folder cannot be
                written, and what is served has moved on without its files.
        """
        ...

    async def stale(self) -> bool:
        """Whether a refresh is to be done; a no is a check against the store, too."""
        ...

    def newest(self) -> datetime | None:
        """When feeds were last known to be as the store has it, for the alarm on silent feeds."""
        ...
