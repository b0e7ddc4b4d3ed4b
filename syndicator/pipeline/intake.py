"""Intake: one pass over a publication store, from what it reports to releases in the store.

Rules, in order:

1. Storing, announcing (`taking`) and moving the cursor are one transaction: a crash repeats one, never loses one.
2. A bad document is reported and skipped; the others go on. It is looked at again at each pass.
3. Harvesting the same store twice changes nothing and sends nothing.
4. After a restore a source is awaited until it is back (`store.restored`); what it brings till then is told to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from syndicator.domain.model import Change, Problem, State
from syndicator.domain.ports import Clock, MediaStore, Source, SourceItem
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.metrics import Metrics
from syndicator.pipeline.preparing import prepare
from syndicator.pipeline.taking import CHANGES, NOT_PUBLIC, Ready, Taken, Taking, announce
from syndicator.store import releases, restored, sourcing
from syndicator.store.database import Database

__all__ = ["Intake", "Tally"]

log = structlog.get_logger()

GROUP = 50  # documents a transaction; a full store is read in few commits, a single file in one
GROUP_WEIGHT = 200_000  # characters a transaction: while it is written, no embargo opens and no mail is settled


@dataclass(slots=True)
class Tally:
    """What a pass did. `too_old` counts what came in new and is too old to be announced."""

    seen: int = 0
    changed: int = 0
    announced: int = 0
    too_old: int = 0
    problems: int = 0
    left_out: list[Problem] = field(default_factory=list)


class Intake:
    """Takes releases in. `announce_for` is how long after its publication a release is announced."""

    def __init__(
        self,
        database: Database,
        *,
        site: Site,
        taxonomy: Taxonomy,
        media: MediaStore,
        announce_for: timedelta,
        clock: Clock,
        metrics: Metrics,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._taking = Taking(site=site, taxonomy=taxonomy, announce_for=announce_for, metrics=metrics)
        self._site = site
        self._taxonomy = taxonomy
        self._media = media
        self._announce_for = announce_for
        self._clock = clock
        self._wake = wake

    async def harvest(self, source: Source) -> Tally:
        """One pass over a source.

        Raises:
            OSError: the source could not be read; what was taken before stays.
        """
        tally = Tally()
        async with self._database.reading() as session:
            cursor = await sourcing.cursor(session, source.name)
            known = await sourcing.known(session, source.name)
            awaited = await restored.awaited(session, source.name, self._clock())
        lacking = 0
        group: list[Ready] = []
        trouble: OSError | None = None
        try:
            if awaited is not None:  # only whether they are there: what was taken may have been corrected by hand
                seen = {item.found.origin async for item in source.changes("", {})}
                lacking = restored.lacks(awaited, seen)
                known = {origin: mark for origin, mark in known.items() if not lacking or origin in seen}
            async for item in source.changes(cursor, known):
                group.append(await self._ready(item))
                if len(group) >= GROUP or sum(map(_weight, group)) >= GROUP_WEIGHT:
                    await self._take(source.name, group, tally)
                    group = []
        except OSError as error:
            trouble = error
        await self._take(source.name, group, tally)
        await self._end_pass(source.name, str(trouble or ""))
        if awaited is not None and trouble is None:
            await self._look_for(source.name, lacking)
        if trouble is not None:
            raise trouble
        return tally

    async def take(self, change: Change) -> Taken:
        """One document by hand (`publish`, `correct`)."""
        ready = await self._ready(SourceItem(change, ""))
        (taken,) = await self._take(change.source, [replace(ready, cursor="")], Tally(), by_hand=True)
        async with self._database.reading() as session:
            return replace(taken, release=await releases.get_by_key(session, change.source, change.key))

    async def open_due(self) -> int:
        """Open the releases whose time has come, and announce them; returns how many."""
        now = self._clock()
        async with self._database.writing() as session:
            opened = await releases.open_due(session, now)
            for release in opened:
                await announce(session, release, self._announce_for, now)
        if opened:
            log.info("opened", releases=[r.number for r in opened])
            self._wake()
        return len(opened)

    # -- one item
    async def _ready(self, item: SourceItem) -> Ready:
        if isinstance(item.found, Problem):
            return Ready(None, None, item.found, item.cursor)
        change = item.found
        if change.state is State.WITHDRAWN and not change.title:
            return Ready(None, change, None, item.cursor)
        try:
            kept = tuple([await self._media.keep(a) if a.path else a for a in change.attachments])
            prepared = await asyncio.to_thread(prepare, change, kept, self._site, self._taxonomy, self._clock())
        except (ValueError, OSError) as error:
            problem = Problem(change.source, change.origin, str(error), f"!{change.fingerprint}")
            return Ready(None, change, problem, item.cursor)
        return Ready(prepared, change, None, item.cursor)

    async def _take(self, source: str, group: Sequence[Ready], tally: Tally, *, by_hand: bool = False) -> list[Taken]:
        if not group:
            return []
        now = self._clock()
        async with self._database.writing() as session:
            await releases.lock_changes(session)  # before any other row: two passes never wait in a circle
            quiet = await restored.quiet(session, source, now, by_hand=by_hand, within=self._announce_for)
            taken = await self._taking.take(session, group, quiet, now)
            if group[-1].cursor:
                await sourcing.advance(session, source, group[-1].cursor, now)
        for one in taken:
            _count(one, tally)
        if any(one.result in CHANGES for one in taken):
            self._wake()
        return taken

    async def _end_pass(self, source: str, problem: str) -> None:
        async with self._database.writing() as session:
            await sourcing.passed(session, source, self._clock(), problem)

    async def _look_for(self, source: str, lacking: int) -> None:
        """Whether the source is back after a restore."""
        async with self._database.writing() as session:
            await restored.passed(session, source, lacking, self._clock())
        if lacking:
            log.warning(
                "not back since the restore: what comes is told to nobody until it is, or stands still for an hour",
                source=source,
                lacks=lacking,
            )


def _count(taken: Taken, tally: Tally) -> None:
    tally.seen += 1
    tally.changed += taken.result in CHANGES
    tally.announced += taken.announced
    tally.too_old += taken.silence not in ("", NOT_PUBLIC)
    if taken.problem is not None and taken.problem.reason:
        tally.problems += 1
        tally.left_out.append(taken.problem)


def _weight(ready: Ready) -> int:
    return len(ready.prepared.revision.text) if ready.prepared else 0
