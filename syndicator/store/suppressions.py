"""Who is to get nothing: addresses as fingerprints, which survive the person's erasure and name nobody.

Rules, in order:

1. A fingerprint is `Tokens.fingerprint("address", normal form of the address)`; it is computed outside, since only who
   holds the secret can.
2. The stronger reason stays (`domain.bounces.Suppressed`); the time is that of the reason.
3. Only their own yes takes an address off (`lift`), and of those who may not even be asked only the office does
   (`allow`). A file never does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import case, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Suppressed
from syndicator.store.tables import SUPPRESSION
from syndicator.store.upsert import insert_for

__all__ = ["add", "allow", "counts", "has", "lift", "many"]

STEP = 500  # as many as an IN holds well


async def add(session: AsyncSession, fingerprint: str, reason: Suppressed, now: datetime) -> None:
    """Keep that address out; a stronger reason that stands already stays."""
    new = insert_for(session, SUPPRESSION).values(fingerprint=fingerprint, reason=reason.value, at=now)
    rank = case(*((SUPPRESSION.c.reason == one.value, one.rank) for one in Suppressed), else_=-1)
    set_ = {"reason": reason.value, "at": now}
    await session.execute(
        new.on_conflict_do_update(index_elements=["fingerprint"], set_=set_, where=rank < reason.rank)
    )


async def has(session: AsyncSession, fingerprint: str) -> Suppressed | None:
    """Why that address is kept out; None if it is not."""
    found = await session.scalar(select(SUPPRESSION.c.reason).where(SUPPRESSION.c.fingerprint == fingerprint))
    return None if found is None else Suppressed(found)


async def many(session: AsyncSession, fingerprints: Iterable[str]) -> Mapping[str, Suppressed]:
    """Those of them that are kept out, and why."""
    wanted, found = list(dict.fromkeys(fingerprints)), dict[str, Suppressed]()
    for start in range(0, len(wanted), STEP):
        query = select(SUPPRESSION.c.fingerprint, SUPPRESSION.c.reason).where(
            SUPPRESSION.c.fingerprint.in_(wanted[start : start + STEP])
        )
        found |= {print_: Suppressed(reason) for print_, reason in await session.execute(query)}
    return found


async def lift(session: AsyncSession, fingerprint: str) -> bool:
    """The person said yes: they may be written to, unless they may not even be asked. Returns whether it was there."""
    asked = [one.value for one in Suppressed if one.may_be_asked]
    theirs = (SUPPRESSION.c.fingerprint == fingerprint) & SUPPRESSION.c.reason.in_(asked)
    gone = await session.execute(delete(SUPPRESSION).where(theirs).returning(SUPPRESSION.c.fingerprint))
    return gone.first() is not None


async def allow(session: AsyncSession, fingerprint: str) -> Suppressed | None:
    """The office's word: whatever the reason was, which it gives back; None if there was none."""
    theirs = SUPPRESSION.c.fingerprint == fingerprint
    gone = await session.scalar(delete(SUPPRESSION).where(theirs).returning(SUPPRESSION.c.reason))
    return None if gone is None else Suppressed(gone)


async def counts(session: AsyncSession) -> Mapping[Suppressed, int]:
    """How many are kept out, by reason, the strongest first."""
    query = select(SUPPRESSION.c.reason, func.count()).group_by(SUPPRESSION.c.reason)
    found = {Suppressed(reason): number for reason, number in await session.execute(query)}
    return dict(sorted(found.items(), key=lambda item: -item[0].rank))
