"""A database whose office has moved to another one, and the other one that has taken it in.

Rules, in order:

1. Before anything is carried over, the new database is marked, and then the old one: from then on no service runs on
   either. Killed in between, it stays so until the move is repeated or the operator says where the office is. A service
   that began on what is still empty there would be a second office, and post again what this one has posted.
2. What arrived says by the move's name that it did, in the transaction that brought it and took the new one's mark
   away: a move that is repeated sees whether there is still anything to carry.
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

__all__ = [
    "Journey",
    "Moved",
    "arrive",
    "await_",
    "begin",
    "begun",
    "came_by",
    "let_go",
    "of",
    "refuse",
    "save",
    "stay",
]

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


async def begun(session: AsyncSession, to: str) -> Journey | None:
    """The move to that place, if it was begun before.

    Raises:
        Moved: the office has moved, or begun to, to another place; or it has not come here itself.
    """
    known = await of(session)
    if known is not None and (known.to != to or known.done):
        raise Moved(_line(known))
    if (since := await meta.get(session, meta.AWAITED)) is not None:
        raise Moved(_not_arrived(since))
    return known


async def begin(session: AsyncSession, to: str, now: datetime) -> Journey:
    """Mark the old one (rule 1); a move to the same place that was begun before goes on.

    Raises:
        Moved: as `begun`.
    """
    known = await begun(session, to)
    journey = known or Journey(uuid4().hex, to, now.isoformat(timespec="seconds"), done=False)
    await save(session, journey)
    return journey


async def save(session: AsyncSession, journey: Journey) -> None:
    """Write the mark."""
    said = {"name": journey.name, "to": journey.to, "at": journey.at, "done": journey.done}
    await meta.put(session, LEFT, json.dumps(said))


async def await_(session: AsyncSession, now: datetime) -> None:
    """Mark the new one, which is empty yet (rule 1)."""
    await meta.put(session, meta.AWAITED, now.isoformat(timespec="seconds"))


async def let_go(session: AsyncSession) -> None:
    """Nothing comes into the new one any more."""
    await meta.forget(session, meta.AWAITED)


async def arrive(session: AsyncSession, journey: Journey) -> None:
    """Say in the new database that this move brought it, and that nobody has moved away from it or is awaited."""
    await meta.forget(session, LEFT, meta.AWAITED)
    await meta.put(session, CAME, journey.name)


async def came_by(session: AsyncSession) -> str:
    """The name of the move that filled this database; "" if none did."""
    return await meta.get(session, CAME) or ""


async def stay(session: AsyncSession) -> Journey | None:
    """The operator says that the office stays here after all; what mark there was."""
    known = await of(session)
    await meta.forget(session, LEFT, meta.AWAITED)
    return known


def refuse(connection: Connection, *, arriving: bool = False) -> None:
    """Whether the office is here, or (`arriving`) may come here.

    Raises:
        Moved: it is not: it has moved away, or not arrived yet, or this is a backup of it.
    """
    if connection.scalar(select(META.c.value).where(META.c.name == meta.BACKUP)) is not None:
        raise Moved("this database is a backup: `restore` brings the office back from it")
    known = _read(connection.scalar(select(META.c.value).where(META.c.name == LEFT)))
    if known is not None:
        raise Moved(_line(known))
    since = connection.scalar(select(META.c.value).where(META.c.name == meta.AWAITED))
    if since is not None and not arriving:
        raise Moved(_not_arrived(since))


def _read(said: str | None) -> Journey | None:
    return Journey(**json.loads(said)) if said else None


def _not_arrived(since: str) -> str:
    return (
        f"a move into this database was begun ({since}) and has not arrived: repeat `migrate --to` where the office "
        "is, or let this database be an office's of its own by `migrate --stay`"
    )


def _line(journey: Journey) -> str:
    """Why no service runs on a database that was moved away from."""
    if journey.done:
        return (
            f"the office has moved from this database to {journey.to} ({journey.at}): put that into database.url; "
            "`migrate --stay` makes this one the office's again"
        )
    return (
        f"a move from this database to {journey.to} was begun ({journey.at}) and not finished: "
        "repeat `migrate --to` with that address, or `migrate --stay`"
    )
