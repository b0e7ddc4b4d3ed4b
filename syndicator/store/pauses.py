"""Durable pauses that a channel must keep, by their scope.

Telegram's are `bot`, `chat:ID`, or `crowd:ID` for what a crowd got lately; mail's are `relay` and `mail:DOMAIN`.

1. A pause is only ever made longer by a channel.
2. An operator may lift those of mail; a running service looks for that.
3. Nothing is deleted by reading: one that has passed simply no longer counts.
4. `crowd:ID` is no pause: `reason` says how many messages a group or channel got in its last minute, `until` for how
   long that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store import tables
from syndicator.store.upsert import insert_for

__all__ = ["all", "lift_mail", "live", "of_mail", "pause"]

CROWD = "crowd:"
RELAY, MAIL = "relay", "mail:"


async def all(session: AsyncSession) -> Sequence[tuple[str, datetime, str]]:  # noqa: A001  # read as pauses.all
    """Every row, past or not: scope, until, reason."""
    query = select(tables.PAUSE.c.scope, tables.PAUSE.c.until, tables.PAUSE.c.reason)
    return [(scope, until, reason) for scope, until, reason in await session.execute(query)]


async def live(session: AsyncSession, now: datetime) -> Mapping[str, int]:
    """How many pauses of Telegram hold now, by what they hold: `bot`, `chat`."""
    scope = tables.PAUSE.c.scope
    query = select(scope).where(tables.PAUSE.c.until > now, ~scope.startswith(CROWD))
    found = {"bot": 0, "chat": 0}
    for one in await session.scalars(query):
        kind = one.partition(":")[0]
        if kind in found:
            found[kind] += 1
    return found


async def of_mail(session: AsyncSession, now: datetime, domain: str = "") -> Sequence[tuple[str, datetime, str]]:
    """Pauses of mail that hold now, of one domain or of all and the relay: scope, until, reason."""
    found = [one for one in await all(session) if one[1] > now]
    return sorted(one for one in found if _is_mails(one[0]) and domain in ("", one[0].removeprefix(MAIL)))


async def lift_mail(session: AsyncSession, now: datetime, domain: str = "") -> Sequence[tuple[str, datetime, str]]:
    """End them; which they were."""
    found = await of_mail(session, now, domain)
    await session.execute(delete(tables.PAUSE).where(tables.PAUSE.c.scope.in_([scope for scope, _, _ in found])))
    return found


def _is_mails(scope: str) -> bool:
    return scope == RELAY or scope.startswith(MAIL)


async def pause(session: AsyncSession, scope: str, until: datetime, reason: str) -> None:
    """Keep silent until then; a longer pause that holds already stays."""
    insert = insert_for(session, tables.PAUSE).values(scope=scope, until=until, reason=reason)
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["scope"],
            set_={"until": until, "reason": reason},
            where=tables.PAUSE.c.until < until,
        )
    )
