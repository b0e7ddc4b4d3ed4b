"""The archives: every month of every stream, built off the urgent road (RFC 5005 section 4). A `Workplace`.

Rules, in order:

1. Archives follow the live feeds: when those have moved on, the months of what changed are looked through again. All
   months are, when settings or the renderer changed.
2. Changed months go first, then the newest. Between months the job gives way and looks for new changes, so that a
   withdrawal never waits for a first build; rendering and writing happen in a thread that lets others through. A
   month to which something was only added may rest, see `feeds.archives_waiting`.
3. Files first, then the month's manifest, then memory, then the list of what is to do. After a crash a month is done
   again, and equal bytes are not written.
4. A month that cannot be built keeps no other from being built, and is tried again. Where the disk takes nothing more,
   one that shows what nobody may read any more is taken away.
5. What is damaged is not served; its month is built again. What was built with other settings is served until it is
   built again, unless something in it has changed.
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

from feeds import files, tree
from feeds.archives_folder import CHANGED, GONE, OTHER, ArchiveFolder, Month, Progress
from feeds.archives_memory import Memory, recall
from feeds.archives_month import Before, MonthOfFeeds
from feeds.archives_reading import ArchiveReader
from feeds.archives_survey import Presence, Surveyor, around, beside, most_urgent
from feeds.archives_waiting import SURVEY, Waiting
from feeds.build import Fragment
from feeds.composer import NOTHING_BUILT
from feeds.files import Kept, Stored
from feeds.months import archive_name, parse_name, span
from feeds.publisher import Publisher
from feeds.shelf import Shelf, StoreShelf, View
from feeds.streams import Stream
from syndicator.domain.model import Priority
from syndicator.domain.ports import Again, Clock, Done, Handler, Job, Turn, Verdict
from syndicator.domain.site import FEED_FORMATS, Site
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
        self._metrics, self._clock, self._waiting = metrics, clock, Waiting()
        metrics.archives_wait.set_function(lambda: self._waiting.seconds(clock()))
        self._progress: Progress | None = None
        self._written: Progress | None = None
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
        if self._publisher.built == NOTHING_BUILT:
            return ()
        due = self._due(now)
        return [Job(_JOB, _JOB, Priority.NORMAL, due, lane=_JOB)] if due is not None else ()

    def _due(self, now: datetime) -> datetime | None:
        """When there is something to do, if ever."""
        progress = self._progress
        if progress is None or self._present is None or self._is_behind(progress):
            self._waiting.note([SURVEY, *(progress.todo if progress else ())], now)
            return now
        self._waiting.note(progress.todo, now)
        revisit = max(now, progress.revisit) if progress.revisit is not None else None
        times = [when for when in (self._waiting.next_at(progress.todo, now), revisit) if when is not None]
        return min(times, default=None)

    async def _work(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # there is one job
        _, finished = await self._run(self._clock, turn.should_yield, rests=True)
        now = self._clock()
        due = self._due(now) if finished else now
        return Done() if due is None else Again(due)

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
        if found is None or done is None or found[0] not in done.streams or not self._may_serve(found[1], done):
            return None
        if self._publisher.link(found[0].lang, found[0].topic) is None:
            return None  # other settings have no such stream
        held = self._folder.held(found[1])
        if held is None:
            held = await asyncio.to_thread(self._folder.files, found[1])
        return await self._reader.read(name, held[name]) if name in held else None

    def _may_serve(self, month: str, done: Month) -> bool:
        """Whether a month may be shown as it was built, see rule 5."""
        if done.settings == self._composer.settings:
            return True
        progress = self._progress
        return self._present is not None and progress is not None and progress.todo.get(month, OTHER) > CHANGED

    async def _mend(self, name: str) -> None:
        found, progress = parse_name(name), self._progress
        if found is None or progress is None or found[1] in progress.todo:
            return
        log.warning("archive is missing or damaged; its month is built again", file=name)
        await asyncio.to_thread(files.remove, self._directory, [name])
        await self._remember(replace(self._progress or progress, todo={**progress.todo, found[1]: CHANGED}))

    # -- the work
    async def _run(self, clock: Clock, give_way: Callable[[], bool], *, rests: bool = False) -> tuple[int, bool]:
        """Build what is to be built; how many files were written, and whether it came to the end but for what rests."""
        written, failed = 0, dict[str, Exception]()
        async with self._working:
            if not self._read:
                self._progress, self._done = await asyncio.to_thread(self._folder.read)
                self._written = self._progress
                self._read = True
            while (month := await self._next(clock(), failed, rests=rests)) is not None:
                try:
                    begun = clock()
                    written += await self._build(month, begun)
                    self._waiting.rest(month, begun, clock())
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

    async def _next(self, now: datetime, failed: Mapping[str, Exception], *, rests: bool) -> str | None:
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
            self._present = present
            await self._remember(progress)
        self._waiting.note(progress.todo, now)
        ready = (m for m in progress.next() if not rests or self._waiting.ready_at(progress.todo, m, now) <= now)
        return next((month for month in ready if month not in failed), None)

    async def _remember(self, progress: Progress) -> None:
        """Memory first: what is to be taken away must not wait for room on the disk, which then only knows of more."""
        self._progress = progress
        if self._written is None or replace(self._written, checked=progress.checked) != progress:
            await self._put(partial(self._folder.write_progress, progress))
            self._written = progress

    async def _build(self, month: str, now: datetime) -> int:
        """Write one month of every stream; returns how many files were written."""
        before = await asyncio.to_thread(self._before, month)
        numbers: set[int] = set()
        streams: set[Stream] = set()
        kept: dict[str, Kept] = {}
        learned: list[Memory] = []
        written = 0
        async with self._shelf.open() as view:
            change = await view.last_change()
            async for made, changed in self._parts(view, month, before, now):
                kept |= made.kept
                numbers |= made.numbers
                streams.update(made.streams)
                written += len(changed)
                async with self._turning:
                    await self._put(partial(self._save, changed))
                    self._folder.hold(month, {**self._folder.files(month), **kept})
                if not any(made.memory is one for one in learned):
                    learned.append(made.memory)
        held = Month(self._composer.settings, frozenset(numbers), frozenset(streams), change)
        memory = Memory(self._composer.settings)
        for one in learned:
            memory.learn(one, kept, month)
        async with self._turning:
            await self._put(partial(self._turn, month, held, kept, memory))
            self._done = {m: done for m, done in {**self._done, month: held}.items() if done.streams}
        self._metrics.feeds_written.inc(written)
        await self._settle(month, held.streams)
        return written

    async def _parts(
        self, view: View, month: str, before: Before, now: datetime
    ) -> AsyncIterator[tuple[MonthOfFeeds, dict[str, Stored]]]:
        """The files of a month that are other than before, some at a time; a very full one goes by language."""
        placed = await view.within(*span(month, self._site.zone), now)
        known, languages = self._present or {}, self._site.languages
        together = len(placed) <= _AT_ONCE
        for langs in [languages] if together else [(lang,) for lang in languages]:
            recalled = await asyncio.to_thread(self._recall, month, langs, before.memory)
            made = self._new_month(month, langs, placed=placed, recalled=recalled, now=now)
            unread = made.unread()
            for start in range(0, len(unread), _PAGE):
                releases = await view.many(unread[start : start + _PAGE])
                await asyncio.to_thread(made.add, releases.values())
            await asyncio.to_thread(made.arrange)
            present = frozenset(made.streams) if together else known.get(month, frozenset())
            chunks = made.put_together(before, partial(around, known, month=month), present)
            while (changed := await asyncio.to_thread(next, chunks, None)) is not None:
                yield made, changed

    def _before(self, month: str) -> Before:
        """What there is of a month. Where its manifest is lost, files still tell their times."""
        found = self._folder.files(month)
        standing = {name for name, kept in found.items() if tree.points_to(self._directory, name, kept.tag)}
        if not found:
            names = [archive_name(stream, month, fmt) for stream in self._composer.streams for fmt in FEED_FORMATS]
            found = files.remains(self._directory, names)
        return Before(found, standing, self._folder.remembered(month, self._composer.settings))

    def _recall(
        self, month: str, langs: Sequence[str], memory: Memory | None
    ) -> dict[tuple[str, int], tuple[int, Fragment]]:
        return {
            (lang, number): found
            for lang in langs
            for number, found in recall(self._directory, month, lang, memory).items()
        }

    async def _put(self, write: Callable[[], None]) -> None:
        """Write to the disk; where it takes nothing more, see rule 4."""
        try:
            await asyncio.to_thread(write)
        except OSError:
            todo = self._progress.todo if self._progress is not None else {}
            for month in (month for month in self._done if todo.get(month) == GONE):
                log.error("archives with a withdrawn text are taken away until they can be written", month=month)  # noqa: TRY400  # raised
                self._done = {other: done for other, done in self._done.items() if other != month}
                await asyncio.to_thread(self._take_away, month)
            raise

    def _take_away(self, month: str) -> None:
        with self._disk:
            files.remove(self._directory, sorted(self._folder.files(month)))

    def _save(self, changed: Mapping[str, Stored]) -> None:
        with self._disk:
            files.save(self._directory, changed, together=True)

    def _turn(self, month: str, held: Month, kept: Mapping[str, Kept], memory: Memory) -> None:
        """Let go of what is no more, and vouch for the rest."""
        with self._disk:
            files.remove(self._directory, sorted(self._folder.files(month).keys() - kept.keys()))
            self._folder.remember(month, memory)
            self._folder.write_month(month, held, kept)

    async def _settle(self, month: str, streams: frozenset[Stream]) -> None:
        """Take a built month off the list; what it turned out to hold may be news to its neighbours."""
        before, progress = self._present or {}, self._progress
        if progress is None:
            return
        after = {m: held for m, held in {**before, month: streams}.items() if held}
        todo = {m: rank for m, rank in progress.todo.items() if m != month}
        self._present = after
        await self._remember(replace(progress, todo=most_urgent(dict.fromkeys(beside(before, after), OTHER), todo)))
