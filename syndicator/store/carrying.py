"""A digest that still waits when its reader's next one is written: it expires, and what it holds goes along.

Rules, in order:

1. The last run of the same cadence and zone is looked at, and rows of it of which nothing can have arrived: put off by
   4xx, or never tried, since the relay is out of reach. Who has no row of the new run keeps the old one.
2. A digest that was tried is carried once; the next one has its own end (`domain.retry`), or a mailbox that takes
   nothing would be tried for ever. One that was never tried is carried as often as need be: when a relay is back,
   nobody gets three digests in a row.
3. Row and items go in one transaction; a claim that comes first keeps its row.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState
from syndicator.store.indexed import has_answer
from syndicator.store.stepping import Step
from syndicator.store.tables import DELIVERY, DIGEST_ITEM, DIGEST_RUN, MESSAGE
from syndicator.store.upsert import insert_for

__all__ = ["CARRIED", "carry"]

CARRIED = "told with the next digest"
AT_A_TIME = 500
_WAITING = (DeliveryState.DUE, DeliveryState.DEFERRED)


async def carry(session: AsyncSession, step: Step, run: RowMapping) -> int:
    """Expire what waits of the last run for people of this step who have a row of this one; how many."""
    last = await _last_run(session, run)
    if last is None:
        return 0
    held = await _held(session, step, last["message_id"])
    whole = set((last["matched"] or {}).get("releases", ()))
    going = [
        old
        for old, items in held.items()
        if items[0]["attempts"] == 0 or all(item["release_id"] in whole for item in items)
    ]
    for start in range(0, len(going), AT_A_TIME):
        await _go_along(session, step, going[start : start + AT_A_TIME], held)
    return len(going)


async def _last_run(session: AsyncSession, run: RowMapping) -> RowMapping | None:
    query = (
        select(DIGEST_RUN.c.message_id, MESSAGE.c.matched)
        .join(MESSAGE, MESSAGE.c.id == DIGEST_RUN.c.message_id)
        .where(DIGEST_RUN.c.cadence == run["cadence"], DIGEST_RUN.c.zone == run["zone"])
        .where(DIGEST_RUN.c.ends_at < run["ends_at"])
        .order_by(DIGEST_RUN.c.ends_at.desc())
        .limit(1)
    )
    return (await session.execute(query)).mappings().one_or_none()


async def _held(session: AsyncSession, step: Step, last: int) -> dict[int, list[RowMapping]]:
    """What each waiting row of that run tells, of people with a row of this one."""
    new = DELIVERY.alias()
    query = (
        select(DELIVERY.c.id, DELIVERY.c.attempts, new.c.id.label("new"), DIGEST_ITEM.c.release_id, DIGEST_ITEM.c.lang)
        .join_from(DELIVERY, DIGEST_ITEM, DIGEST_ITEM.c.delivery_id == DELIVERY.c.id)
        .join(new, (new.c.message_id == step.message.id) & (new.c.subscriber_id == DELIVERY.c.subscriber_id))
        .where(DELIVERY.c.message_id == last, DELIVERY.c.subscriber_id > step.low)
        .where(DELIVERY.c.subscriber_id <= step.high, DELIVERY.c.state.in_(_WAITING), ~DELIVERY.c.resent, ~has_answer())
        .where(new.c.state == DeliveryState.DUE, new.c.attempts == 0)
    )
    found: defaultdict[int, list[RowMapping]] = defaultdict(list)
    for row in (await session.execute(query)).mappings():
        found[row["id"]].append(row)
    return found


async def _go_along(session: AsyncSession, step: Step, rows: list[int], held: dict[int, list[RowMapping]]) -> None:
    here = DELIVERY.c.id.in_(rows) & DELIVERY.c.state.in_(_WAITING)
    values = {"state": DeliveryState.SUPPRESSED, "reason": CARRIED, "settled_at": step.now, "batch_id": None}
    expired = await session.scalars(update(DELIVERY).where(here).values(values).returning(DELIVERY.c.id))
    items: list[dict[str, Any]] = [
        {"delivery_id": item["new"], "release_id": item["release_id"], "lang": item["lang"]}
        for old in expired
        for item in held[old]
    ]
    if items:
        await session.execute(insert_for(session, DIGEST_ITEM).on_conflict_do_nothing(), items)
