"""Fan-out: from a message to one ledger row per person, by set-based SQL, in steps of some 20,000 people.

Rules, in order:

1. One row a person and message, however many of their filters match (the smallest subscription id stands); who has
   a row already gets no second one, so a step may be repeated and a late translation reaches only who lacked it.
2. A release goes to active subscribers with an active, immediate subscription that matches; an urgent one at once also
   to who reads digests (decision 25). A filter with `lang` has
   chosen the version; else it is the reader's own language; else, for who takes another one, the site's first.
   The subscription must be older than that version's coming out: nobody gets the past. Who was told of it in a digest
   (or is about to be) gets it no second time, whatever it has become since.
3. People are given another language only `settle` after the release came out: an office saves its languages one by one,
   and who got the first would not get their own any more. Until then the message stays open; then only they are
   looked for.
4. A correction, an edit and a withdrawal go to who was sent the old text (`following`), a digest to whom it is due.
5. The office's public channels come first, in batches of their own that go before all people's, of whatever message
   (`batching`), in the language there is; people follow in the order of their ids.
6. A release that may not be shown now gets no row. While its time has not come (again) the message stays open.
7. Each step reads message and release in its own transaction. A release that changed since its matches were written
   (a translation came, a topic was ticked) is matched again, and everybody is looked at from the beginning.
8. Who was to get a release while it was withdrawn gets it when it has come back: nothing of it had been sent to them.
9. A message whose deliveries are kept no longer is told to nobody: whoever had it would get it again (`retention`).
10. A message of a kind that only another version knows is left to it (`known`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState, MessageKind, Release, Standing, SubscriberRole, Urgency
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.store.batching import ANEW
from syndicator.store.digesting import runs_about, write_digest
from syndicator.store.following import write_followers
from syndicator.store.indexed import has_answer
from syndicator.store.known import KINDS, Strange
from syndicator.store.loading import get
from syndicator.store.matching import write_matches
from syndicator.store.messages import FORGOTTEN, Message, message_of
from syndicator.store.stepping import PEOPLE, Step, Tells, advance, next_high, write_step
from syndicator.store.tables import DELIVERY, MESSAGE
from syndicator.store.told import WITHDRAWN

__all__ = ["MATCHED", "fan_out", "matching"]

# CROSS JOIN keeps SQLite's order of joining: a few thousand people by key, then what belongs to each. Filters first
# would read every subscription again at each step.
MATCHED = """
    SELECT p.id AS subscriber_id, p.channel, s.id AS subscription_id, m.lang,
        ROW_NUMBER() OVER (PARTITION BY p.id ORDER BY s.id) AS choice
    FROM subscriber p CROSS JOIN subscription s CROSS JOIN filter f CROSS JOIN match m CROSS JOIN variant v
    WHERE {people} AND s.subscriber_id = p.id AND s.subscriber_id BETWEEN :first AND :last
        AND s.state = 'active' AND (s.cadence = 'immediate' OR :urgent)
        AND f.id = s.filter_id AND m.release_id = :release AND m.filter_id = f.id
        AND m.lang = CASE
            WHEN :again AND (f.has_langs OR p.language IN :langs) THEN ''
            WHEN f.has_langs THEN m.lang
            WHEN p.language IN :langs THEN p.language
            WHEN :others AND (p.other_language = 'always' OR (p.other_language = 'urgent' AND :urgent)) THEN :fallback
            ELSE '' END
        AND v.release_id = :release AND v.lang = m.lang
        AND COALESCE(s.confirmed_at, s.created_at) <= CASE
            WHEN v.opened_at > :opened THEN v.opened_at ELSE :opened END
        AND p.id NOT IN (
            SELECT d.subscriber_id FROM delivery d CROSS JOIN digest_item i
            WHERE d.message_id IN :runs AND d.subscriber_id > :low AND d.subscriber_id <= :high
                AND i.delivery_id = d.id AND i.release_id = :release
                AND (d.state NOT IN ('suppressed', 'failed') OR CAST(d.answer AS TEXT) <> :nothing))
"""


@dataclass(frozen=True, slots=True)
class _How:
    """What a step is told from outside; see `fan_out`."""

    taxonomy: Taxonomy
    order: Sequence[str]
    now: datetime
    tells: Tells
    limit: int
    batch_size: int
    settle: timedelta

    async def step(self, session: AsyncSession, message: Message, low: int) -> Step:
        """The next people after `low`."""
        channels = sorted(kind for kind, kinds in self.tells.items() if message.kind in kinds)
        edits = [kind for kind in channels if MessageKind.EDIT in self.tells[kind]]
        high = await next_high(session, low, self.limit)
        return Step(message, self.now, low, high, self.batch_size, channels, edits)


async def fan_out(
    session: AsyncSession,
    number: int,
    *,
    taxonomy: Taxonomy,
    order: Sequence[str],
    now: datetime,
    tells: Tells,
    limit: int = 20_000,
    batch_size: int = 500,
    settle: timedelta = timedelta(0),
) -> int | None:
    """Write deliveries of that message for the next `limit` subscribers by id; returns the rows of this step.

    None when nobody was left: the message is then closed, or waits until the languages have settled (rule 3). `order`
    is the site's languages, best first; `tells` says what each channel has words for.

    Raises:
        Strange: rule 10.
    """
    how = _How(taxonomy, order, now, tells, limit, batch_size, settle)
    query = select(MESSAGE).where(MESSAGE.c.id == number, MESSAGE.c.fanned_out_at.is_(None)).with_for_update()
    row = (await session.execute(query)).mappings().one_or_none()
    if row is None:
        return None
    if row["kind"] not in KINDS:  # rule 10
        raise Strange(f"message {number}: {row['kind']!r} is a kind of another version")
    message = message_of(row)
    if (row["matched"] or {}).get(FORGOTTEN):  # rule 9
        await advance(session, number, fanned_out_at=now)
        return None
    if message.kind is MessageKind.DIGEST:
        step = await how.step(session, message, message.cursor)
        return await write_digest(session, step, row["matched"], taxonomy=taxonomy, order=order)
    # Read after the lock: what was announced before it is seen here, what comes later opens the message again.
    release = None if message.release is None else await get(session, message.release)
    if release is None or not await _may_go(session, message, release, now):
        return None
    if message.kind is MessageKind.RELEASE:
        return await _tell(session, message, row["matched"], release, how)
    return await _follow(session, message, release, how)


async def _may_go(session: AsyncSession, message: Message, release: Release, now: datetime) -> bool:
    """Whether it may be told now (rule 6); what may not be, and has no time ahead, is closed."""
    shown = standing(release.state, release.public_at, release.opened_at, now)
    if shown is (Standing.WITHDRAWN if message.kind is MessageKind.WITHDRAWAL else Standing.PUBLIC):
        return True
    if shown is not Standing.HIDDEN:
        await advance(session, message.id, fanned_out_at=now)
    return False


async def _follow(session: AsyncSession, message: Message, release: Release, how: _How) -> int | None:
    """A step of what follows a release."""
    step = await how.step(session, message, message.cursor)
    if step.high is None:
        await advance(session, message.id, fanned_out_at=how.now)
        return None
    written = await write_followers(session, step, release, message.langs or release.langs)
    await advance(session, message.id, cursor=step.high)
    return written


async def _tell(
    session: AsyncSession, message: Message, matched: Mapping[str, Any], release: Release, how: _How
) -> int | None:
    """A step of a release itself."""
    cursor, again = message.cursor, message.again_at is not None
    if matched.get("change") != release.change:
        cursor, again = 0, False
        await advance(session, message.id, again_at=None)
    if cursor == 0:
        about = await write_matches(session, release, how.taxonomy, how.now)
        said = {"change": release.change, "about": about, "order": list(how.order)}
        await advance(session, message.id, matched=said)
    settled = _settled(release, how)
    step = await how.step(session, message, cursor)
    if step.high is None:
        waits = settled is not None and settled > how.now
        await advance(
            session, message.id, **({"cursor": 0, "again_at": settled} if waits else {"fanned_out_at": how.now})
        )
        return None
    written = await _revive(session, step)
    runs = await runs_about(session, [release.number], step.low, step.high)
    values = matching(release, how.order) | {"again": again, "runs": runs, "nothing": "{}"}
    for role in step.roles:
        values["others"] = role is SubscriberRole.CHANNEL or settled is None or settled <= how.now
        written += await write_step(session, step, MATCHED, PEOPLE[role], values, role=role)
    await advance(session, message.id, cursor=step.high)
    return written


def _settled(release: Release, how: _How) -> datetime | None:
    """When people are given another language than theirs; None where no language is missing."""
    if set(how.order) <= set(release.langs):
        return None
    return (release.opened_at or release.public_at) + how.settle


def matching(release: Release, order: Sequence[str]) -> dict[str, Any]:
    """What `MATCHED` asks of the release."""
    return {
        "release": release.number,
        "langs": list(release.langs),
        "urgent": release.urgency is Urgency.URGENT,
        "opened": release.opened_at or release.public_at,
        "fallback": next((lang for lang in order if lang in release.langs), ""),
    }


async def _revive(session: AsyncSession, step: Step) -> int:
    """Rows of this step that a withdrawal held back go out after all, if nothing of them can have arrived (rule 8)."""
    held = (
        update(DELIVERY)
        .where(
            DELIVERY.c.message_id == step.message.id,
            DELIVERY.c.subscriber_id > step.low,
            DELIVERY.c.subscriber_id <= step.high,
            DELIVERY.c.state == DeliveryState.SUPPRESSED,
            DELIVERY.c.reason == WITHDRAWN,
            ~DELIVERY.c.resent,
            ~has_answer(),
        )
        .values(state=DeliveryState.DEFERRED, due_at=step.now, settled_at=None, batch_id=None, **ANEW)
    )
    return int((await session.execute(held)).rowcount)  # type: ignore[attr-defined]  # an UPDATE has one
