"""What Telegram told any web machine, kept until the one process that answers has dealt with it.

Rules, in order:

1. An update is known by its number: one that is brought again, by whatever machine, changes nothing, and is handled no
   second time. Telegram repeats for 24 hours; a number is remembered for `REMEMBERED` after that it was dealt with.
2. What a person wrote is kept no longer than it waits, and that no longer than `REMEMBERED`: the bot that it was
   written to may be another one by now, or none.
3. All processes are told when one came (`wanted.tell`).

https://core.telegram.org/bots/api#getting-updates
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store.tables import TELEGRAM_UPDATE
from syndicator.store.upsert import insert_for
from syndicator.store.wanted import tell

__all__ = ["REMEMBERED", "done", "forget", "keep", "waiting", "waits"]

REMEMBERED = timedelta(days=2)
_NUMBER, _BODY = TELEGRAM_UPDATE.c.number, TELEGRAM_UPDATE.c.body


async def keep(session: AsyncSession, bot: int, number: int, body: str, now: datetime) -> None:
    """That update came (rule 1)."""
    row = insert_for(session, TELEGRAM_UPDATE).values(bot=bot, number=number, body=body, came_at=now)
    if (await session.execute(row.on_conflict_do_nothing().returning(_NUMBER))).first() is not None:
        tell(session)


async def waiting(
    session: AsyncSession, bot: int, limit: int, beside: Collection[int] = ()
) -> Sequence[tuple[int, str]]:
    """(number, body) of what is not dealt with yet, oldest first; `beside` those that are in hand."""
    query = select(_NUMBER, _BODY).where(TELEGRAM_UPDATE.c.bot == bot, TELEGRAM_UPDATE.c.done_at.is_(None))
    if beside:
        query = query.where(_NUMBER.not_in(beside))
    return [(number, body) for number, body in await session.execute(query.order_by(_NUMBER).limit(limit))]


async def waits(session: AsyncSession, bot: int, most: int = 1) -> int:
    """How many wait, counted up to `most`."""
    query = select(_NUMBER).where(TELEGRAM_UPDATE.c.bot == bot, TELEGRAM_UPDATE.c.done_at.is_(None)).limit(most)
    return int(await session.scalar(select(func.count()).select_from(query.subquery())) or 0)


async def done(session: AsyncSession, bot: int, numbers: Collection[int], now: datetime) -> None:
    """These are dealt with; what was long ago is forgotten (rules 1 and 2)."""
    ours = (TELEGRAM_UPDATE.c.bot == bot) & _NUMBER.in_(numbers)
    await session.execute(update(TELEGRAM_UPDATE).where(ours).values(body="", done_at=now))
    await session.execute(delete(TELEGRAM_UPDATE).where(TELEGRAM_UPDATE.c.done_at < now - REMEMBERED))


async def forget(session: AsyncSession, now: datetime) -> int:
    """Whatever waits too long for anybody, of any bot (rule 2); how many those were."""
    late = TELEGRAM_UPDATE.c.done_at.is_(None), TELEGRAM_UPDATE.c.came_at < now - REMEMBERED
    return len((await session.execute(delete(TELEGRAM_UPDATE).where(*late).returning(_NUMBER))).all())
