"""Budgets that several processes draw on: one row each, taken from by one statement.

Rules, in order:

1. A budget is the generic cell rate algorithm (ITU-T I.371): `turns` a second in the long run, `burst` at once after a
   rest. Its row keeps when the next turn would be on time; several turns are taken together, and the answer says when
   the first of them may go. In any stretch of time never more turns are due than it has at its rate, and a burst.
2. One clock counts, or processes whose clocks differ would give each other's turns away: the database's, where `now`
   is None (PostgreSQL). Where one process has the database to itself `now` is its own. Answers are spans, never times:
   whoever gets one waits by a clock that only goes forward.
3. Nobody is sent further away than `longest`: who would have to wait longer takes nothing. What stands further ahead
   than that was written under a clock that was ahead, and counts no more; it locks nobody out.
4. A flow can also be measured (`meter`): each is counted, and it is said when there are more than turns. What is over
   stays over until the flow falls below the rate.
5. A name that stands for a person is a fingerprint. What has passed says nothing, and is deleted in time (`forget`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import ColumnElement, Float, case, delete, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from syndicator.store.columns import UtcTime
from syndicator.store.tables import RATE
from syndicator.store.upsert import insert_for

__all__ = ["Budget", "forget", "in_haste", "later", "meter", "present", "reserve", "wait"]

KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Budget:
    """`turns` in `span`, evenly; `burst` of them at once after a rest; none is given out further ahead than `longest`.

    Raises:
        ValueError: there would be nothing to give, or a burst lies further ahead than `longest`.
    """

    name: str
    turns: float
    span: timedelta
    burst: int
    longest: timedelta

    def __post_init__(self) -> None:
        """Refuse what would never give anything."""
        if self.turns <= 0 or self.span <= timedelta() or self.burst < 1:
            raise ValueError(f"budget {self.name}: it gives nothing")
        if self.longest < self.burst * self.every:
            raise ValueError(f"budget {self.name}: its burst lies further ahead than it gives out")

    @classmethod
    def at_once(cls, name: str, turns: int, span: timedelta) -> Budget:
        """So many at once, and as many again in each span; who finds none waits for nothing and comes again."""
        return cls(name, turns, span, turns, span)

    @property
    def every(self) -> timedelta:
        """Between two turns."""
        return self.span / self.turns

    @property
    def most(self) -> int:
        """So many can be taken together."""
        return int(self.longest / self.every)


class _Later(FunctionElement[datetime]):
    """A time, so many seconds later. SQLite knows thousandths of a second; other databases more."""

    type = UtcTime()
    inherit_cache = True


@compiles(_Later)
def _later(element: _Later, compiler: SQLCompiler, **options: Any) -> str:
    at, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({at} + make_interval(secs => {seconds}))"


@compiles(_Later, "sqlite")
def _later_on_sqlite(element: _Later, compiler: SQLCompiler, **options: Any) -> str:
    at, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"strftime('%Y-%m-%d %H:%M:%f', {at}, {seconds} || ' seconds') || '000'"


def later(session: AsyncSession, at: ColumnElement[datetime], span: timedelta) -> ColumnElement[datetime]:
    """That time, and so long; never less."""
    seconds = span.total_seconds()
    if session.get_bind().dialect.name == "sqlite":
        seconds = ceil(seconds * 1000) / 1000
    return _Later(at, literal(seconds, Float))


def present(now: datetime | None) -> ColumnElement[datetime]:
    """The time that counts (rule 2)."""
    return func.clock_timestamp(type_=UtcTime()) if now is None else literal(now, UtcTime())


async def reserve(session: AsyncSession, budget: Budget, turns: int, now: datetime | None = None) -> timedelta | None:
    """Take so many turns: in how long the first may go, each other `budget.every` after the one before it.

    Less than nothing: those whose time has passed may go at once, together. None: they would have to wait longer than
    the budget gives out (rule 3), and nothing is taken. See rule 2 for `now`.

    Raises:
        ValueError: so many are never given together.
        DatabaseTrouble: the database fails; nothing is taken.
    """
    if not 0 < turns <= budget.most:
        raise ValueError(f"budget {budget.name}: {turns} turns together; from 1 to {budget.most} are")
    moment, stands, taken = present(now), RATE.c.turn_at, budget.every * turns
    horizon = later(session, moment, budget.longest)
    is_astray = stands > horizon
    begins = case((or_(is_astray, stands < moment), moment), else_=stands)
    row = insert_for(session, RATE).values(name=budget.name, turn_at=later(session, moment, taken))
    query = row.on_conflict_do_update(
        index_elements=["name"],
        set_={"turn_at": later(session, begins, taken)},
        where=or_(is_astray, stands <= later(session, moment, budget.longest - taken)),
    ).returning(stands, moment.label("moment"))
    found = (await session.execute(query)).one_or_none()
    if found is None:
        return None
    next_turn, moment_then = found
    first: timedelta = (next_turn - taken) - moment_then - budget.every * (budget.burst - 1)
    return first


async def meter(session: AsyncSession, budget: Budget, now: datetime | None = None) -> bool:
    """Count one more: whether there are more than the budget has turns for (rule 4). See rule 2 for `now`.

    Raises:
        DatabaseTrouble: the database fails; nothing is counted.
    """
    moment, stands, every = present(now), RATE.c.turn_at, budget.every
    full = later(session, moment, budget.longest + every)
    begins = case((or_(stands > full, stands < moment), moment), else_=stands)
    counted = later(session, begins, every)
    row = insert_for(session, RATE).values(name=budget.name, turn_at=later(session, moment, every))
    query = row.on_conflict_do_update(
        index_elements=["name"], set_={"turn_at": case((counted > full, full), else_=counted)}
    ).returning(stands, moment.label("moment"))
    next_turn, moment_then = (await session.execute(query)).one()
    return bool(next_turn - moment_then > budget.longest)


async def in_haste(session: AsyncSession) -> None:
    """Let this transaction not wait for the disk: a crash of the server may forget what it took.

    Raises:
        DatabaseTrouble: the database fails.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SET LOCAL synchronous_commit = off"))


async def wait(session: AsyncSession, budget: Budget, now: datetime | None = None) -> timedelta:
    """In how long a turn may be had, where nobody takes one before; nothing or less: now. Nothing is taken.

    Raises:
        DatabaseTrouble: the database fails.
    """
    moment = present(now)
    query = select(RATE.c.turn_at, moment.label("moment")).where(RATE.c.name == budget.name)
    found = (await session.execute(query)).one_or_none()
    if found is None or found[0] > found[1] + budget.longest:
        return timedelta()
    first: timedelta = (found[0] - found[1]) - budget.every * (budget.burst - 1)
    return first


async def forget(session: AsyncSession, now: datetime) -> int:
    """Delete what has passed long enough ago that no clock can tell; how many rows that were."""
    gone = await session.execute(delete(RATE).where(RATE.c.turn_at < now - KEPT))
    return int(gone.rowcount)  # type: ignore[attr-defined]  # a DELETE's result has it
