"""Taking one document in: what becomes of it in the store, and what is announced with it.

Rules, in order:

1. A bad document, and one that waits in its source, are reported by name and reason, once: what was wrong may have been
   the topic file, or a full disk, so each pass looks again.
2. Only what is new is announced: public within the window (`announce_for`), counted from the embargo if any.
3. What follows a change of what people have been told is announced with it (`corrections`).
4. A text with a time ahead, of a release that is out already, waits in its source until its time has come. What was
   published stands meanwhile.
5. What may have been told before a restore is told to nobody (`store.restored`).
6. All of it in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Change, MessageKind, Priority, Problem, Release, State, Urgency
from syndicator.domain.site import Site
from syndicator.domain.text import one_line
from syndicator.domain.topics import Taxonomy
from syndicator.metrics import Metrics
from syndicator.pipeline.corrections import came_back, follow, withdraw
from syndicator.pipeline.preparing import Prepared, ruled_topics, state_of
from syndicator.store import ledger, releases, restored, sourcing
from syndicator.store.releases import Draft, Recorded
from syndicator.store.restored import Quiet

__all__ = ["CHANGES", "NOT_PUBLIC", "Ready", "Taken", "Taking", "announce"]

log = structlog.get_logger()

CHANGES = ("new", "added", "revised", "withdrawn")
COUNTED_AS = {"new": "changed", "added": "changed", "revised": "changed"}  # in the metrics
NOT_PUBLIC = "not public yet"
BEFORE_RESTORE = "public before the restore: its deliveries stand as unknown (`deliveries retry --release` sends them)"


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
class Ready:
    """An item whose texts are prepared, or whose trouble is known; `cursor` says "read up to here"."""

    prepared: Prepared | None
    change: Change | None
    problem: Problem | None
    cursor: str


class Taking:
    """See the module's rules."""

    def __init__(self, *, site: Site, taxonomy: Taxonomy, announce_for: timedelta, metrics: Metrics) -> None:
        self._site = site
        self._taxonomy = taxonomy
        self._announce_for = announce_for
        self._metrics = metrics

    async def take(
        self, session: AsyncSession, group: Sequence[Ready], quiet: Quiet | None, now: datetime
    ) -> list[Taken]:
        """What becomes of each of them; `quiet` holds after a restore."""
        return [await self._one(session, ready, quiet, now) for ready in group]

    async def _one(self, session: AsyncSession, ready: Ready, quiet: Quiet | None, now: datetime) -> Taken:
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
        """Why it has to wait (rule 4), or None. Without a fingerprint it is read again."""
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


async def announce(session: AsyncSession, release: Release, within: timedelta, now: datetime) -> bool:
    """Write the message of a release that has just become public, if it is new enough (rule 2)."""
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
    """Rule 5; what became of the document then."""
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


def _is_news(existing: Release | None, recorded: Recorded) -> bool:
    """Whether somebody may not have been told: a first opening, a missing language, the end of a withdrawal."""
    opened_now = recorded.release.opened_at is not None and (existing is None or existing.opened_at is None)
    return opened_now or recorded.new_variant or came_back(existing, recorded.release)


def _was_public(prepared: Prepared, now: datetime) -> bool:
    """Whether readers have seen it elsewhere: its source says since when, and that time has passed."""
    return prepared.change.published is not None and prepared.public_at <= now
