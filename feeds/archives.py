"""The archives: every month of every stream, built off the urgent road (RFC 5005 section 4). A `Workplace`.

Rules, in order:

1. Archives follow the live feeds: when those have moved on, the months of what changed are looked through again. All
   months are, when settings or the renderer changed.
2. Changed months go first, then the newest. Between months the job gives way and looks for new changes, so that a
   withdrawal never waits for a first build; rendering and writing happen in a thread that lets others through.
3. Files first, then the month's manifest, then memory, then the list of what is to do. After a crash a month is done
   again, and equal bytes are not written.
4. A month that cannot be built keeps no other from being built, and is tried again.
5. What is damaged is not served; its month is built again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from feeds import files
from feeds.archives_folder import ArchiveFolder, Month, Progress
from feeds.archives_month import MonthOfFeeds
from feeds.archives_reading import ArchiveReader
from feeds.archives_survey import Presence, Surveyor, around, beside
from feeds.composer import NOTHING_BUILT
from feeds.files import Kept, Stored
from feeds.months import parse_name, span
from feeds.publisher import Publisher
from feeds.shelf import Shelf, StoreShelf, View
from feeds.streams import Stream
from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Clock, Done, Handler, Job, Turn, Verdict
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics
from syndicator.store.database import Database

__all__ = ["Archives"]

_JOB = "archives"
_AT_ONCE = 400  # releases of a month that are held in every language at once; a fuller month goes by language
_PAGE = 100

log = structlog.get_logger()


class Archives:
    """Builds and finds archives. `directory` is that of the live feeds."""

    def __init__(
        self,
        database: Database | Shelf,
        publisher: Publisher,
        *,
        site: Site,
        taxonomy: Taxonomy,
        texts: Texts,
        directory: Path,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._shelf: Shelf = StoreShelf(database) if isinstance(database, Database) else database
        self._publisher, self._composer = publisher, publisher.composer
        self._site, self._directory = site, directory
        self._new_month = partial(
            MonthOfFeeds, composer=self._composer, live=publisher.piece, site=site, taxonomy=taxonomy, texts=texts
        )
        self._surveyor = Surveyor(site, taxonomy, self._composer.settings)
        self._folder, self._reader = ArchiveFolder(directory), ArchiveReader(directory)
        self._metrics, self._clock = metrics, clock
        self._progress: Progress | None = None
        self._done: Mapping[str, Month] = {}
        self._present: Presence | None = None  # None before the first look
        self._read = False
        self._working = asyncio.Lock()
        self._turning = asyncio.Lock()  # from the first new file of a month until memory knows it
        self._disk = threading.Lock()  # a cancelled job leaves its thread writing; the next one waits for it

    # -- the workplace
    def handlers(self) -> Mapping[str, Handler]:
        """Its one job."""
        return {_JOB: self._work}

    async def pending(self, now: datetime) -> Sequence[Job]:
        """The job, if the live feeds are further than the archives, months are left, or a time has come."""
        progress, due = self._progress, now
        if self._publisher.built == NOTHING_BUILT:
            return ()
        if progress is not None and self._present is not None and not self._is_behind(progress) and not progress.todo:
            if progress.revisit is None:
                return ()
            due = max(now, progress.revisit)
        return [Job(_JOB, _JOB, Priority.NORMAL, due, lane=_JOB)]

    async def _work(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one job
        _, finished = await self._run(self._clock, turn.should_yield)
        return Done() if finished else Again(self._clock())

    async def build_all(self, now: datetime) -> int:
        """Bring every archive up to the store's state at `now`; returns how many files were written.

        Raises:
            OSError: the store cannot be read or the folder cannot be written; what was done stays.
        """
        written, _ = await self._run(lambda: now, lambda: False)
        return written

    # -- what is served
    def knows(self, name: str) -> bool | None:
        """Whether there is such an archive, built or not; None before anybody can tell."""
        found = parse_name(name)
        if found is None or self._publisher.link(found[0].lang, found[0].topic) is None:
            return False
        return None if self._present is None else found[0] in self._present.get(found[1], ())

    async def find(self, name: str) -> Stored | None:
        """The archive as it stands; None where there is none, or not yet."""
        stored = await self._load(name)
        if stored is None and self.knows(name):
            async with self._turning:  # its month may just be turning
                stored = await self._load(name)
            if stored is None:
                await self._mend(name)
        return stored

    async def _load(self, name: str) -> Stored | None:
        found = parse_name(name)
        done = self._done.get(found[1]) if found else None
        if found is None or done is None or done.settings != self._composer.settings or found[0] not in done.streams:
            return None
        held = self._folder.held(found[1])
        if held is None:
            held = await asyncio.to_thread(self._folder.files, found[1])
        return await self._reader.read(name, held[name]) if name in held else None

    async def _mend(self, name: str) -> None:
        found, progress = parse_name(name), self._progress
        if found is None or progress is None or found[1] in progress.todo:
            return
        log.warning("archive is missing or damaged; its month is built again", file=name)
        await asyncio.to_thread(files.remove, self._directory, [name])
        await self._remember(replace(self._progress or progress, todo={**progress.todo, found[1]: 0}))

    # -- the work
    async def _run(self, clock: Clock, give_way: Callable[[], bool]) -> tuple[int, bool]:
        """Build what is to be built; how many files were written, and whether it came to the end."""
        written, failed = 0, dict[str, Exception]()
        async with self._working:
            if not self._read:
                self._progress, self._done = await asyncio.to_thread(self._folder.read)
                self._read = True
            while (month := await self._next(clock(), failed)) is not None:
                try:
                    written += await self._build(month, clock())
                except OSError:
                    raise
                except Exception as error:  # noqa: BLE001  # told below; the other months come first
                    failed[month] = error
                if give_way():
                    return written, False
        if written:
            log.info("archives written", count=written, change=self._progress.built if self._progress else 0)
        if failed:
            raise RuntimeError(f"archives of {', '.join(sorted(failed))} cannot be built") from next(
                iter(failed.values())
            )
        return written, True

    def _is_behind(self, progress: Progress) -> bool:
        return progress.built != self._publisher.built

    async def _next(self, now: datetime, failed: Mapping[str, Exception]) -> str | None:
        """The month to build next, after whatever has changed since the last look."""
        progress = self._progress
        if (
            progress is None
            or self._present is None
            or self._is_behind(progress)
            or (progress.revisit is not None and progress.revisit <= now)
        ):
            async with self._shelf.open() as view:
                progress, present = await self._surveyor.look(view, progress, self._done, self._present, now)
            await self._remember(progress)
            self._present = present
        return next((month for month in progress.next() if month not in failed), None)

    async def _remember(self, progress: Progress) -> None:
        if self._progress is None or replace(self._progress, checked=progress.checked) != progress:
            await asyncio.to_thread(self._folder.write_progress, progress)
        self._progress = progress

    async def _build(self, month: str, now: datetime) -> int:
        """Write one month of every stream; returns how many files were written."""
        before = await asyncio.to_thread(self._standing, month)
        numbers: set[int] = set()
        streams: set[Stream] = set()
        kept: dict[str, Kept] = {}
        written = 0
        async with self._shelf.open() as view:
            async for made, changed in self._parts(view, month, before, now):
                kept |= made.kept
                numbers |= made.numbers
                streams.update(made.streams)
                written += len(changed)
                async with self._turning:
                    await asyncio.to_thread(self._save, changed)
                    self._folder.hold(month, {**before, **kept})
        held = Month(self._composer.settings, frozenset(numbers), frozenset(streams))
        async with self._turning:
            await asyncio.to_thread(self._turn, month, held, kept)
            self._done = {m: done for m, done in {**self._done, month: held}.items() if done.streams}
        self._metrics.feeds_written.inc(written)
        await self._settle(month, held.streams)
        return written

    async def _parts(
        self, view: View, month: str, before: Mapping[str, Kept], now: datetime
    ) -> AsyncIterator[tuple[MonthOfFeeds, dict[str, Stored]]]:
        """The files of a month that are other than before, some at a time; a very full one goes by language."""
        placed = [one.number for one in await view.within(*span(month, self._site.zone), now)]
        known, languages = self._present or {}, self._site.languages
        together = len(placed) <= _AT_ONCE
        for langs in [languages] if together else [(lang,) for lang in languages]:
            made = self._new_month(month, langs, now=now)
            for start in range(0, len(placed), _PAGE):
                releases = await view.many(placed[start : start + _PAGE])
                await asyncio.to_thread(made.add, releases.values())
            present = frozenset(made.streams) if together else known.get(month, frozenset())
            chunks = made.put_together(before, partial(around, known, month=month), present)
            while (changed := await asyncio.to_thread(next, chunks, None)) is not None:
                yield made, changed

    def _standing(self, month: str) -> dict[str, Kept]:
        """What stands of a month, as far as it is there."""
        found = self._folder.files(month)
        return {name: kept for name, kept in found.items() if (self._directory / name).exists()}

    def _save(self, changed: Mapping[str, Stored]) -> None:
        with self._disk:
            files.save(self._directory, changed)

    def _turn(self, month: str, held: Month, kept: Mapping[str, Kept]) -> None:
        """Let go of what is no more, and vouch for the rest."""
        with self._disk:
            files.remove(self._directory, sorted(self._folder.files(month).keys() - kept.keys()))
            self._folder.write_month(month, held, kept)

    async def _settle(self, month: str, streams: frozenset[Stream]) -> None:
        """Take a built month off the list; what it turned out to hold may be news to its neighbours."""
        before, progress = self._present or {}, self._progress
        if progress is None:
            return
        after = {m: held for m, held in {**before, month: streams}.items() if held}
        todo = {m: rank for m, rank in progress.todo.items() if m != month}
        self._present = after
        await self._remember(replace(progress, todo=dict.fromkeys(beside(before, after), 1) | todo))
