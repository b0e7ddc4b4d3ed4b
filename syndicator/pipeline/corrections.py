"""What follows a change of a release: the one place that decides whether copies follow it, and who is told.

Rules, in order:

1. It is decided and announced in the transaction of the change itself: intake and the press office's commands alike.
2. What was told to nobody is followed by nothing: a draft, an embargoed release, one that was too old to announce.
3. A withdrawal of a release that had opened is told to all who have it.
4. A major revision is told to the readers of the language that was corrected; one that ends a withdrawal, to all.
5. What else changed of what readers see (a text, an attachment, or what stands beside every text: topics, urgency) is
   not told: copies in the languages concerned follow silently, by an edit. A new language, or one that is let go,
   changes no copy; nor does another kind, which no copy shows.
6. Who is concerned says the ledger, when the message is fanned out (`store.following`). Newer messages overtake older
   ones when they are sent (`store.holding`), so that several changes at once need nothing of their own here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import MessageKind, Priority, Release, Revision, State
from syndicator.store import ledger, releases, retention

__all__ = ["Consequence", "came_back", "consequences", "follow", "withdraw"]

log = structlog.get_logger()

PRIORITIES = {
    MessageKind.WITHDRAWAL: Priority.URGENT,
    MessageKind.CORRECTION: Priority.URGENT,
    MessageKind.EDIT: Priority.LATER,
}


@dataclass(frozen=True, slots=True)
class Consequence:
    """A message that is to follow, and the languages whose readers it concerns; `number` ends its key."""

    kind: MessageKind
    number: int
    langs: tuple[str, ...]


def consequences(before: Release | None, after: Release) -> Sequence[Consequence]:
    """What is to follow this change of a release, most important first; pure."""
    if before is None or before.opened_at is None:
        return ()
    if after.state is State.WITHDRAWN:
        gone = before.state is not State.WITHDRAWN
        return (Consequence(MessageKind.WITHDRAWAL, after.major, before.langs),) if gone else ()
    if after.state is not State.PUBLIC:
        return ()
    if came_back(before, after):
        return (Consequence(MessageKind.CORRECTION, after.major, after.langs),)
    found: list[Consequence] = []
    corrected: tuple[str, ...] = ()
    if after.major > before.major:
        corrected = tuple(v.lang for v in after.variants if v.revision.major > before.major)
        found.append(Consequence(MessageKind.CORRECTION, after.major, corrected))
    if changed := tuple(lang for lang in _changed(before, after) if lang not in corrected):
        found.append(Consequence(MessageKind.EDIT, after.change, changed))
    return found


def came_back(before: Release | None, after: Release) -> bool:
    """Whether this change ended a withdrawal."""
    return before is not None and before.state is State.WITHDRAWN and after.state is State.PUBLIC


async def follow(session: AsyncSession, before: Release | None, after: Release, now: datetime) -> Sequence[Consequence]:
    """Announce what follows this change, if anybody was told of the release; returns what was announced.

    Both are read under `releases.lock_changes`, so that messages are numbered in the order of the changes.
    """
    found = consequences(before, after)
    if not found or not await ledger.was_told(session, after.number):
        return ()
    if await retention.was_forgotten(session, after.number):
        log.warning(
            "what was sent of this release is kept no longer: who has it from then is not told", release=after.number
        )
    for one in found:
        await ledger.announce(
            session,
            after.number,
            kind=one.kind,
            major=one.number,
            priority=PRIORITIES[one.kind],
            langs=one.langs,
            now=now,
        )
        log.info("copies follow", release=after.number, kind=one.kind.value, langs=list(one.langs))
    return found


async def withdraw(session: AsyncSession, number: int, reason: str, now: datetime) -> Release | None:
    """Withdraw a release and tell who has it; None if there is no such release. Twice is once."""
    await releases.lock_changes(session)
    before = await releases.get(session, number)
    after = await releases.withdraw(session, number, reason, now)
    if after is not None:
        await follow(session, before, after, now)
    return after


def _changed(before: Release, after: Release) -> Sequence[str]:
    """Languages that existed before and look otherwise now."""
    beside = [(one.topics, one.urgency) for one in (before, after)]
    return [
        new.lang
        for new in after.variants
        if (old := before.variant(new.lang)) is not None
        and (beside[0] != beside[1] or (old.slug, _seen(old.revision)) != (new.slug, _seen(new.revision)))
    ]


def _seen(revision: Revision) -> Revision:
    """What of a revision readers see."""
    return replace(revision, number=0, major=0, created_at=None)
