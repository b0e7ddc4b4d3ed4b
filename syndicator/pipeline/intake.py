"""Intake: one pass over a publication store, from what it reports to releases in the store.

Rules, in order:

1. Storing, announcing and moving the cursor are one transaction: a crash repeats a document, never loses one.
2. A bad document is reported by name and reason, once, and skipped; the others go on. It is looked at again at each
   pass: what was wrong may have been the topic file, or a full disk.
3. Only what is new is announced: public within the last `announce_hours`, counted from the embargo if any.
4. Harvesting the same store twice changes nothing and sends nothing.
5. A text with a time ahead, of a release that is out already, waits in its source: it is reported, and read again at
   every pass until its time has come. What was published stands meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Change, MessageKind, Priority, Problem, Release, State, Urgency
from syndicator.domain.ports import Clock, MediaStore, Source, SourceItem
from syndicator.domain.site import Site
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy
from syndicator.metrics import Metrics
from syndicator.pipeline.preparing import Prepared, prepare, ruled_topics, state_of
from syndicator.store import ledger, releases, sourcing
from syndicator.store.database import Database
from syndicator.store.releases import Draft, Recorded

__all__ = ["Intake", "Tally", "announce"]

log = structlog.get_logger()

GROUP = 50  # documents a transaction; a full store is read in few commits, a single file in one
GROUP_WEIGHT = 200_000  # characters a transaction: while it is written, no embargo opens and no mail is settled


@dataclass(slots=True)
class Tally:
    """What a pass did."""

    seen: int = 0
    changed: int = 0
    announced: int = 0
    problems: int = 0


@dataclass(frozen=True, slots=True)
class _Ready:
    """An item whose texts are prepared, or whose trouble is known; `cursor` says "read up to here"."""

    prepared: Prepared | None
    change: Change | None
    problem: Problem | None
    cursor: str


class Intake:
    """Takes releases in. `announce_for` is rule 3's window."""

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
        self._site = site
        self._taxonomy = taxonomy
        self._media = media
        self._announce_for = announce_for
        self._clock = clock
        self._metrics = metrics
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
        group: list[_Ready] = []
        trouble: OSError | None = None
        try:
            async for item in source.changes(cursor, known):
                group.append(await self._ready(item))
                if len(group) >= GROUP or sum(map(_weight, group)) >= GROUP_WEIGHT:
                    await self._take(source.name, group, tally)
                    group = []
        except OSError as error:
            trouble = error
        await self._take(source.name, group, tally)
        await self._end_pass(source.name, str(trouble or ""))
        if trouble is not None:
            raise trouble
        return tally

    async def take(self, change: Change) -> tuple[Release | None, Problem | None]:
        """One document by hand (`publish`, `correct`): the release it became, or why not."""
        ready = await self._ready(SourceItem(change, ""))
        await self._take(change.source, [replace(ready, cursor="")], Tally())
        async with self._database.reading() as session:
            return await releases.get_by_key(session, change.source, change.key), ready.problem

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
    async def _ready(self, item: SourceItem) -> _Ready:
        if isinstance(item.found, Problem):
            return _Ready(None, None, item.found, item.cursor)
        change = item.found
        if change.state is State.WITHDRAWN and not change.title:
            return _Ready(None, change, None, item.cursor)
        try:
            kept = tuple([await self._media.keep(a) if a.path else a for a in change.attachments])
            prepared = await asyncio.to_thread(prepare, change, kept, self._site, self._taxonomy, self._clock())
        except (ValueError, OSError) as error:
            problem = Problem(change.source, change.origin, str(error), f"!{change.fingerprint}")
            return _Ready(None, change, problem, item.cursor)
        return _Ready(prepared, change, None, item.cursor)

    async def _take(self, source: str, group: Sequence[_Ready], tally: Tally) -> None:
        if not group:
            return
        now = self._clock()
        before = tally.changed
        async with self._database.writing() as session:
            await releases.lock_changes(session)  # before any other row: two passes never wait in a circle
            for ready in group:
                await self._store(session, ready, tally, now)
            if group[-1].cursor:
                await sourcing.advance(session, source, group[-1].cursor, now)
        if tally.changed > before:
            self._wake()

    async def _store(self, session: AsyncSession, ready: _Ready, tally: Tally, now: datetime) -> None:
        tally.seen += 1
        if ready.problem is not None:
            tally.problems += bool(ready.problem.reason)
            await self._report(session, ready.problem, now)
            return
        change = ready.change
        if change is None:
            return
        if (early := await self._early(session, ready.prepared, now)) is not None:
            tally.problems += 1
            await self._report(session, early, now)
            return
        result = await self._record(session, ready.prepared, change, tally, now)
        await sourcing.remember(session, change.source, change.origin, change.key, change.lang, change.fingerprint, now)
        self._metrics.harvested.labels(change.source, result).inc()

    @staticmethod
    async def _early(session: AsyncSession, prepared: Prepared | None, now: datetime) -> Problem | None:
        """Why it has to wait (rule 5), or None. Without a fingerprint it is read again."""
        if prepared is None or prepared.change.state is not State.PUBLIC or prepared.public_at <= now:
            return None
        change = prepared.change
        existing = await releases.get_by_key(session, change.source, change.key)
        if existing is None or existing.opened_at is None:
            return None
        until = prepared.public_at.isoformat(timespec="minutes")
        reason = f"embargo: release {existing.number} is public already; this text waits until {until}"
        return Problem(change.source, change.origin, reason)

    async def _record(
        self, session: AsyncSession, prepared: Prepared | None, change: Change, tally: Tally, now: datetime
    ) -> str:
        existing = await releases.get_by_key(session, change.source, change.key)
        if prepared is None:
            if existing is not None and existing.state is not State.WITHDRAWN:
                await releases.withdraw(session, existing.number, one_line(change.reason), now)
                tally.changed += 1
            return "withdrawn"
        draft = await self._draft(session, prepared, existing, now)
        recorded = await releases.record(session, draft, site_uids=self._site, now=now)
        if recorded.changed:
            tally.changed += 1
            log.info(
                "recorded",
                release=recorded.release.number,
                origin=change.origin,
                lang=change.lang,
                state=recorded.release.state.value,
                remarks=list(change.remarks),
            )
        if _is_news(existing, recorded) and await announce(session, recorded.release, self._announce_for, now):
            tally.announced += 1
        return "changed" if recorded.changed else "same"

    async def _draft(self, session: AsyncSession, prepared: Prepared, existing: Release | None, now: datetime) -> Draft:
        change = prepared.change
        state = state_of(change, prepared.public_at, now)
        topics = prepared.ticked
        if topics is None and existing is not None:
            topics = await releases.ticked(session, existing.number)
        if topics is None:
            topics = ruled_topics(prepared, existing, self._taxonomy)
        return Draft(
            source=change.source,
            key=change.key,
            lang=change.lang,
            slug=prepared.slug,
            kind=change.kind,
            urgency=change.urgency,
            state=state,
            public_at=prepared.public_at,
            revision=prepared.revision,
            topics=topics,
            reason=change.reason,
        )

    async def _report(self, session: AsyncSession, problem: Problem, now: datetime) -> None:
        if await sourcing.problem_of(session, problem.source, problem.origin) == problem.reason != "":
            return
        await sourcing.remember_problem(session, problem, now)
        if not problem.reason:
            log.info("bad document is gone", source=problem.source, origin=problem.origin)
            return
        log.warning("document left out", source=problem.source, origin=problem.origin, reason=problem.reason)
        self._metrics.harvested.labels(problem.source, "problem").inc()

    async def _end_pass(self, source: str, problem: str) -> None:
        async with self._database.writing() as session:
            await sourcing.passed(session, source, self._clock(), problem)


async def announce(session: AsyncSession, release: Release, within: timedelta, now: datetime) -> bool:
    """Write the message of a release that has just become public, if it is new enough (rule 3)."""
    if release.state is not State.PUBLIC or release.opened_at is None or now - release.public_at > within:
        return False
    priority = Priority.URGENT if release.urgency is Urgency.URGENT else Priority.NORMAL
    await ledger.announce(session, release.number, kind=MessageKind.RELEASE, major=0, priority=priority, now=now)
    return True


def _is_news(existing: Release | None, recorded: Recorded) -> bool:
    """Whether somebody may not have been told: a first opening, or a language that was missing."""
    opened_now = recorded.release.opened_at is not None and (existing is None or existing.opened_at is None)
    return opened_now or recorded.new_variant


def _weight(ready: _Ready) -> int:
    return len(ready.prepared.revision.text) if ready.prepared else 0
