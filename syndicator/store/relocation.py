"""A database whose office has moved to another one, and the other one that has taken it in.

Rules, in order:

1. Before anything is carried over, the old database is marked: from then on no service runs on it. Killed in between,
   it stays so until the move is repeated or the operator says that the office stays.
2. What arrived says by the move's name that it did, in the transaction that brought it: a move that is repeated sees
   whether there is still anything to carry.
3. The old database is left as it was but for its mark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.store import meta
from syndicator.store.tables import META

__all__ = ["Journey", "Moved", "arrive", "begin", "came_by", "of", "refuse", "save", "stay"]

LEFT = "moved"  # in the old one
CAME = "came"  # in the new one


class Moved(RuntimeError):
    """The office has moved away from this database; one clear line that says where."""


@dataclass(frozen=True, slots=True)
class Journey:
    """A move, by its name. `to` is where, without a password; `done` that all of it is there."""

    name: str
    to: str
    at: str
    done: bool


async def of(session: AsyncSession) -> Journey | None:
    """The move away from this database, if there is one."""
    return _read(await meta.get(session, LEFT))


async def begin(session: AsyncSession, to: str, now: datetime) -> Journey:
    """Mark it (rule 1); a move to the same place that was begun before goes on.

    Raises:
        Moved: it has moved, or begun to, to another place.
    """
    known = await of(session)
    if known is not None and (known.to != to or known.done):
        raise Moved(_line(known))
    journey = known or Journey(uuid4().hex, to, now.isoformat(timespec="seconds"), done=False)
    await save(session, journey)
    return journey


async def save(session: AsyncSession, journey: Journey) -> None:
    """Write the mark."""
    said = {"name": journey.name, "to": journey.to, "at": journey.at, "done": journey.done}
    await meta.put(session, LEFT, json.dumps(said))


async def arrive(session: AsyncSession, journey: Journey) -> None:
    """Say in the new database that this move brought it, and that nobody has moved away from it."""
    await meta.forget(session, LEFT)
    await meta.put(session, CAME, journey.name)


async def came_by(session: AsyncSession) -> str:
    """The name of the move that filled this database; "" if none did."""
    return await meta.get(session, CAME) or ""


async def stay(session: AsyncSession) -> Journey | None:
    """The operator says that the office stays here after all; what mark there was."""
    known = await of(session)
    await meta.forget(session, LEFT)
    return known


def refuse(connection: Connection) -> None:
    """Whether the office is here.

    Raises:
        Moved: it is not: it has moved away, or this is a backup of it.
    """
    if connection.scalar(select(META.c.value).where(META.c.name == meta.BACKUP)) is not None:
        raise Moved("this database is a backup: `restore` brings the office back from it")
    known = _read(connection.scalar(select(META.c.value).where(META.c.name == LEFT)))
    if known is not None:
        raise Moved(_line(known))


def _read(said: str | None) -> Journey | None:
    return Journey(**json.loads(said)) if said else None


def _line(journey: Journey) -> str:
    if journey.done:
        return (
            f"the office has moved from this database to {journey.to} ({journey.at}): put that into database.url; "
            "`migrate --stay` makes this one the office's again"
        )
    return (
        f"a move from this database to {journey.to} was begun ({journey.at}) and not finished: "
        "repeat `migrate --to` with that address, or `migrate --stay`"
    )
