"""What a restored database says again to nobody: what may have been sent between its backup and its loss.

Rules, in order:

1. `until` is the moment until which the lost service may have sent: the restore, unless the operator knows better.
2. What waited to go out in the backup, and what would have come due until then, stands as `unknown`, with the reason:
   the operator sees it, and sends by `deliveries retry` what did not go out. Corrections still follow it.
3. What the sources tell in the first whole pass after the restore was perhaps told before, whatever times they give it:
   a folder that was copied back has new ones. Its messages are `hushed`: recipients are written, and stand as
   `unknown`. Where the operator has named the moment, times count: what was public by then, and changes made by then.
   A pass that lacks most of the newest documents that the backup knows is no whole one: the folder is not back yet,
   and nothing has gone from it.
   After an hour in which none of them came it is not waited for any longer: a folder that is being filled slowly is
   waited for as long as it fills. From then on, as after the whole pass, times count for as long
   as anything is announced: the rest of a folder comes with its old ones.
4. A document that is taken in by hand is hushed if its release was public by then; what it changes is not.
5. All else goes out: embargoes that end later, what is new, what is changed later.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState
from syndicator.store import meta, sourcing
from syndicator.store.indexed import OPEN, in_state
from syndicator.store.tables import (
    BATCH,
    DELIVERY,
    MESSAGE,
    META,
    RELEASE,
    SOURCE_CURSOR,
    SUBSCRIBER,
    TELEGRAM_UPDATE,
    VARIANT,
)

__all__ = [
    "MAY_HAVE_BEEN",
    "Quiet",
    "Restored",
    "awaited",
    "begin",
    "close_books",
    "date_back",
    "hush",
    "keep_quiet",
    "lacks",
    "of",
    "passed",
    "quiet",
    "reason",
]

RESTORED = "restored"
BEHIND = "behind:"  # and the source's name: it was not read to its end since; when it last lacked fewer, and how many
HUSHED = "hushed:"  # and the message's number
PATIENCE = timedelta(hours=1)
AWAITED = 20  # documents; older ones an office may have moved away
MAY_HAVE_BEEN = "restored from the backup of "


@dataclass(frozen=True, slots=True)
class Restored:
    """From which moment the backup was, and until when the lost service may have sent; `named` by the operator."""

    backup_at: datetime
    until: datetime
    named: bool = False


def reason(backup_at: datetime) -> str:
    """Why a row is unknown."""
    return f"{MAY_HAVE_BEEN}{backup_at.isoformat(timespec='minutes')}: may have been sent after it"


async def of(session: AsyncSession) -> Restored | None:
    """The last restore, if there was one."""
    said = await meta.get(session, RESTORED)
    if not said:
        return None
    kept = json.loads(said)
    moments = [datetime.fromisoformat(kept[name]) for name in ("backup_at", "until")]
    return Restored(moments[0], moments[1], named=bool(kept.get("named")))


async def begin(session: AsyncSession, backup_at: datetime, until: datetime, *, named: bool = False) -> None:
    """Note the restore, and that every source lags behind (rule 3).

    Where a source was not back yet since an earlier restore, as the backup knows, times do not count for that either.
    """
    earlier = await of(session)
    behind = select(META.c.name).where(META.c.name.startswith(BEHIND, autoescape=True)).limit(1)
    if earlier is not None and not earlier.named and await session.scalar(behind) is not None:
        named = False
    said = {"backup_at": backup_at.isoformat(), "until": until.isoformat(), "named": named}
    await meta.put(session, RESTORED, json.dumps(said))
    for source in await session.scalars(select(SOURCE_CURSOR.c.source)):
        await meta.put(session, BEHIND + source, "")


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is told of a source that may have been told before; `timeless`: whatever times it gives (rule 3)."""

    until: datetime
    by_hand: bool
    timeless: bool = False
    first: bool = True  # in the first whole pass: what has gone was perhaps missed before

    def holds(self, public_at: datetime | None, seen_at: datetime | None, embargo: datetime | None = None) -> bool:
        """Whether it is told to nobody: news that was public then, or else (None) a change that was seen then.

        A change without a time (something has gone) was perhaps told too, in the first whole pass. An embargo is no
        time of a file.
        """
        if self.timeless:
            return embargo is None or embargo <= self.until
        if public_at is not None:
            return public_at <= self.until
        return not self.by_hand and (self.first if seen_at is None else seen_at <= self.until)


async def quiet(
    session: AsyncSession, source: str, now: datetime, *, by_hand: bool, within: timedelta = timedelta()
) -> Quiet | None:
    """Rules 3 and 4; None where all that is found is told as usual. `within`: how old what is announced may be."""
    restore = await of(session)
    if restore is None:
        return None
    if by_hand:
        return Quiet(restore.until, by_hand=True)
    behind = await meta.get(session, BEHIND + source)
    if behind is None:
        return Quiet(restore.until, by_hand=False, first=False) if now - restore.until <= within else None
    return Quiet(restore.until, by_hand=False, timeless=not restore.named and _is_awaited(behind, now))


async def awaited(session: AsyncSession, source: str, now: datetime) -> set[str] | None:
    """The documents by which is seen whether the source is back (rule 3); none after an hour; None: nobody looks."""
    restore, behind = await of(session), await meta.get(session, BEHIND + source)
    if restore is None or behind is None:
        return None
    return await sourcing.newest(session, source, AWAITED, restore.until) if _is_awaited(behind, now) else set()


def _is_awaited(behind: str | None, now: datetime) -> bool:
    return not behind or now - datetime.fromisoformat(behind.partition("|")[0]) < PATIENCE


def lacks(awaited: Collection[str], seen: Collection[str]) -> int:
    """How many a pass lacks of those that are awaited; 0: the source is back."""
    missing = len(set(awaited) - set(seen))
    return missing if missing * 2 > len(awaited) else 0


async def passed(session: AsyncSession, source: str, lacking: int, now: datetime) -> None:
    """A pass that looked has ended, and lacked so many."""
    if not lacking:
        await meta.forget(session, BEHIND + source)
        return
    lacked = ((await meta.get(session, BEHIND + source)) or "").partition("|")[2]
    if not lacked or lacking < int(lacked):  # it is being filled
        await meta.put(session, BEHIND + source, f"{now.isoformat()}|{lacking}")


async def hush(session: AsyncSession, release: int | None = None) -> int:
    """Nobody is to get what is said now of that release (or of anything) before its fan-out is done; how many."""
    query = select(MESSAGE.c.id).where(MESSAGE.c.fanned_out_at.is_(None))
    open_ = list(await session.scalars(query if release is None else query.where(MESSAGE.c.release_id == release)))
    known = select(META.c.name).where(META.c.name.in_([f"{HUSHED}{number}" for number in open_]))
    had = set(await session.scalars(known))
    rows = [{"name": name, "value": ""} for number in open_ if (name := f"{HUSHED}{number}") not in had]
    if rows:
        await session.execute(insert(META), rows)
    return len(open_)


async def date_back(session: AsyncSession, release: int) -> None:
    """It came out when it says, not when the sources brought it after the restore: its digest is that of its time."""
    out = select(RELEASE.c.public_at).where(RELEASE.c.id == release).scalar_subquery()
    for table, number in ((RELEASE, RELEASE.c.id), (VARIANT, VARIANT.c.release_id)):
        await session.execute(update(table).where(number == release, table.c.opened_at > out).values(opened_at=out))


async def keep_quiet(session: AsyncSession, message: int) -> int:
    """In the transaction that wrote recipients: those of a hushed message stand as unknown; how many."""
    name = f"{HUSHED}{message}"
    if await meta.get(session, name) is None:
        return 0
    restored = await of(session)
    theirs = (DELIVERY.c.message_id == message) & (DELIVERY.c.state == DeliveryState.DUE)
    said = reason(restored.backup_at) if restored else ""
    moved = update(DELIVERY).where(theirs, DELIVERY.c.attempts == 0)
    values = {"state": DeliveryState.UNKNOWN, "reason": said, "settled_at": DELIVERY.c.due_at, "batch_id": None}
    written = await session.execute(moved.values(values))
    if await session.scalar(select(MESSAGE.c.fanned_out_at).where(MESSAGE.c.id == message)) is not None:
        await meta.forget(session, name)
    return int(written.rowcount)  # type: ignore[attr-defined]  # an UPDATE has one


async def close_books(session: AsyncSession, backup_at: datetime, now: datetime) -> Mapping[tuple[str, str], int]:
    """What waits becomes unknown, and no batch is left (rule 2); rows by kind of message and channel."""
    found: dict[tuple[str, str], int] = {}
    for state in OPEN:
        query = (
            select(MESSAGE.c.kind, SUBSCRIBER.c.channel, func.count())
            .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
            .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
            .where(in_state(state))
            .group_by(MESSAGE.c.kind, SUBSCRIBER.c.channel)
        )
        for kind, channel, number in await session.execute(query):
            found[kind, channel] = found.get((kind, channel), 0) + number
        values = {"state": DeliveryState.UNKNOWN, "reason": reason(backup_at), "settled_at": now, "batch_id": None}
        unclaimed = {"claimed_at": None, "claimed_by": None}
        await session.execute(update(DELIVERY).where(in_state(state)).values(**values, **unclaimed))
    await session.execute(delete(BATCH))
    await session.execute(delete(TELEGRAM_UPDATE))  # answered since, for all we know
    return found
