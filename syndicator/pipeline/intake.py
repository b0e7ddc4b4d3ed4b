"""Intake: one pass over a publication store, from what it reports to releases in the store.

Rules, in order:

1. Storing, announcing and moving the cursor are one transaction: a crash repeats a document, never loses one.
2. A bad document is reported by name and reason, once, and skipped; the others go on. It is looked at again at each
   pass: what was wrong may have been the topic file, or a full disk.
3. Only what is new is announced: public within the last `announce_hours`, counted from the embargo if any.
4. What follows a change of what people have been told is announced with it (`corrections`).
5. Harvesting the same store twice changes nothing and sends nothing.
6. A text with a time ahead, of a release that is out already, waits in its source: it is reported, and read again at
   every pass until its time has come. What was published stands meanwhile.
7. What may have been told before a restore is told to nobody (`store.restored`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Change, MessageKind, Priority, Problem, Release, State, Urgency
from syndicator.domain.ports import Clock, MediaStore, Source, SourceItem
from syndicator.domain.site import Site
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy
from syndicator.metrics import Metrics
from syndicator.pipeline.corrections import came_back, follow, withdraw
from syndicator.pipeline.preparing import Prepared, prepare, ruled_topics, state_of
from syndicator.store import ledger, releases, restored, sourcing
from syndicator.store.database import Database
from syndicator.store.releases import Draft, Recorded
from syndicator.store.restored import Quiet

__all__ = ["Intake", "Taken", "Tally", "announce"]

log = structlog.get_logger()

GROUP = 50  # documents a transaction; a full store is read in few commits, a single file in one
CHANGES = ("new", "added", "revised", "withdrawn")
COUNTED_AS = {"new": "changed", "added": "changed", "revised": "changed"}  # in the metrics
NOT_PUBLIC = "not public yet"
BEFORE_RESTORE = "public before the restore: its deliveries stand as unknown (`deliveries retry --release` sends them)"
GROUP_WEIGHT = 200_000  # characters a transaction: while it is written, no embargo opens and no mail is settled


@dataclass(slots=True)
class Tally:
    """What a pass did. `too_old` counts what came in new and is told to nobody by rule 3."""

    seen: int = 0
    changed: int = 0
    announced: int = 0
    too_old: int = 0
    problems: int = 0
    left_out: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one document: the release it is of now, or the problem for which it was left out.

    `result` is new, added (a language), revised, same or withdrawn. `silence` says why it was not announced.
    """

    release: Release | None
    problem: Problem | None = None
    result: str = ""
    announced: bool = False
    silence: str = ""


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
            awaited = await restored.awaited(session, source.name, self._clock())
        lacking = 0
        group: list[_Ready] = []
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

    async def _take(self, source: str, group: Sequence[_Ready], tally: Tally, *, by_hand: bool = False) -> list[Taken]:
        if not group:
            return []
        now = self._clock()
        async with self._database.writing() as session:
            await releases.lock_changes(session)  # before any other row: two passes never wait in a circle
            quiet = await restored.quiet(session, source, now, by_hand=by_hand, within=self._announce_for)
            taken = [await self._store(session, ready, quiet, now) for ready in group]
            if group[-1].cursor:
                await sourcing.advance(session, source, group[-1].cursor, now)
        for one in taken:
            _count(one, tally)
        if any(one.result in CHANGES for one in taken):
            self._wake()
        return taken

    async def _store(self, session: AsyncSession, ready: _Ready, quiet: Quiet | None, now: datetime) -> Taken:
        problem = ready.problem or await self._early(session, ready.prepared, now)
        if problem is not None:
            await self._report(session, problem, now)
            return Taken(None, problem)
        change = ready.change
        if change is None:
            return Taken(None)
        taken = await self._record(session, ready.prepared, change, now)
        if quiet is not None and taken.release is not None and taken.result in CHANGES:
            taken = await _hushed(session, quiet, change, taken, taken.release)
        await sourcing.remember(session, change.source, change.origin, change.key, change.lang, change.fingerprint, now)
        self._metrics.harvested.labels(change.source, COUNTED_AS.get(taken.result, taken.result)).inc()
        return taken

    @staticmethod
    async def _early(session: AsyncSession, prepared: Prepared | None, now: datetime) -> Problem | None:
        """Why it has to wait (rule 6), or None. Without a fingerprint it is read again."""
        if prepared is None or prepared.change.state is not State.PUBLIC or prepared.public_at <= now:
            return None
        change = prepared.change
        existing = await releases.get_by_key(session, change.source, change.key)
        if existing is None or existing.opened_at is None:
            return None
        until = prepared.public_at.isoformat(timespec="minutes")
        reason = f"embargo: release {existing.number} is public already; this text waits until {until}"
        return Problem(change.source, change.origin, reason)

    async def _record(self, session: AsyncSession, prepared: Prepared | None, change: Change, now: datetime) -> Taken:
        existing = await releases.get_by_key(session, change.source, change.key)
        if prepared is None:
            if existing is None or existing.state is State.WITHDRAWN:
                return Taken(existing, result="same")
            gone = await withdraw(session, existing.number, one_line(change.reason), now)
            return Taken(gone, result="withdrawn")
        draft = await self._draft(session, prepared, existing, now)
        recorded = await releases.record(session, draft, site_uids=self._site, now=now)
        result, announced, silence = _result(existing, recorded, change.lang), False, ""
        if recorded.changed:
            await follow(session, existing, recorded.release, now)
        if _is_news(existing, recorded):
            silence = _silence(recorded.release, self._announce_for, now)
            announced = await announce(session, recorded.release, self._announce_for, now)
        if recorded.changed:
            log.info(
                "recorded",
                release=recorded.release.number,
                origin=change.origin,
                lang=change.lang,
                state=recorded.release.state.value,
                result=result,
                announced=announced,
                reason=silence,
                remarks=list(change.remarks),
            )
        return Taken(recorded.release, result=result, announced=announced, silence=silence)

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
            was_public=_was_public(prepared, now),
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

    async def _look_for(self, source: str, lacking: int) -> None:
        """Whether the source is back after a restore."""
        async with self._database.writing() as session:
            await restored.passed(session, source, lacking, self._clock())
        if lacking:
            log.warning(
                "not back since the restore: what comes is told to nobody until it is, for an hour at most",
                source=source,
                lacks=lacking,
            )


async def announce(session: AsyncSession, release: Release, within: timedelta, now: datetime) -> bool:
    """Write the message of a release that has just become public, if it is new enough (rule 3)."""
    if _silence(release, within, now):
        return False
    priority = Priority.URGENT if release.urgency is Urgency.URGENT else Priority.NORMAL
    await ledger.announce(session, release.number, kind=MessageKind.RELEASE, major=0, priority=priority, now=now)
    return True


def _silence(release: Release, within: timedelta, now: datetime) -> str:
    """Why a release is not announced; "" for one that is."""
    if release.state is not State.PUBLIC or release.opened_at is None:
        return NOT_PUBLIC
    if now - release.public_at > within:
        hours = within / timedelta(hours=1)
        return f"older than {hours:g} hours (published {release.public_at.isoformat(timespec='minutes')})"
    return ""


async def _hushed(session: AsyncSession, quiet: Quiet, change: Change, taken: Taken, release: Release) -> Taken:
    """Rule 7; what became of the document then."""
    seen_at = change.seen_at if change.title else None
    if not quiet.holds(release.public_at if taken.announced else None, seen_at, change.embargo):
        return taken
    if not await restored.hush(session, release.number):
        return taken
    if taken.announced:
        await restored.date_back(session, release.number)
    log.info("may have been told before the restore, and is told to nobody", release=release.number)
    return replace(taken, announced=False, silence=BEFORE_RESTORE if taken.announced else taken.silence)


def _result(existing: Release | None, recorded: Recorded, lang: str) -> str:
    if existing is None or not recorded.changed:
        return "new" if recorded.changed else "same"
    return "revised" if existing.variant(lang) else "added"


def _count(taken: Taken, tally: Tally) -> None:
    tally.seen += 1
    tally.changed += taken.result in CHANGES
    tally.announced += taken.announced
    tally.too_old += taken.silence not in ("", NOT_PUBLIC)
    if taken.problem is not None and taken.problem.reason:
        tally.problems += 1
        tally.left_out.append(taken.problem)


def _is_news(existing: Release | None, recorded: Recorded) -> bool:
    """Whether somebody may not have been told: a first opening, a missing language, the end of a withdrawal."""
    opened_now = recorded.release.opened_at is not None and (existing is None or existing.opened_at is None)
    return opened_now or recorded.new_variant or came_back(existing, recorded.release)


def _weight(ready: _Ready) -> int:
    return len(ready.prepared.revision.text) if ready.prepared else 0


def _was_public(prepared: Prepared, now: datetime) -> bool:
    """Whether readers have seen it elsewhere: its source says since when, and that time has passed."""
    return prepared.change.published is not None and prepared.public_at <= now
