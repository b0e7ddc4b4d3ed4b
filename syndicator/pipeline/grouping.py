"""Grouping: what several lanes want of the ledger at the same time is one transaction.

Rules, in order:

1. One transaction at a time. Whatever is asked for while it runs goes into the next, together: a synced commit then
   costs a message the less, the more there is to do. Nobody waits for a timer.
2. First the answers of all are written, then the next rows of each are claimed.
3. A transaction that fails is not written. Where the database is in trouble, all who shared it are told. Anything else
   lies with one of them (a row that cannot be read, say): each is written alone then, and only that one is told.
4. Rows are claimed under the number by which this process counts as alive with all others (`domain.ports.Attendance`).
5. A lane that is told to stop takes nothing from the others. It ends when the transaction that it had a part in has
   ended; what was claimed for it is given back, untouched, at whatever moment it left. What cannot be given back then
   is owed, and tried again (`clear_up`): this process may live on, and its rows are nobody else's meanwhile.
6. Where the line breaks before the server has said that a claim is committed, that is found out before anything else is
   claimed (`store.doubts`). Nobody knows of such rows, so they go back untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState
from syndicator.domain.ports import Attendance, Clock
from syndicator.store import ledger
from syndicator.store.database import Database
from syndicator.store.doubts import Doubt, mark, was_committed
from syndicator.store.ledger import Claimed, Wish

__all__ = ["Asked", "Grouping"]

Answers = TypeVar("Answers")

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Asked(Generic[Answers]):
    """What one lane wants: its answers written, its next rows claimed, or both.

    `written` says afterwards whether the answers are in the ledger; `left`, that nobody waits for the rows any more.
    """

    answers: Answers | None
    wish: Wish | None
    written: bool = False
    left: bool = False
    given: asyncio.Future[Sequence[Claimed]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Grouping(Generic[Answers]):
    """Writes what is asked of it, as much as there is in one go. `note` writes answers into a session."""

    def __init__(
        self,
        database: Database,
        note: Callable[[AsyncSession, Sequence[Answers]], Awaitable[None]],
        clock: Clock,
        attendance: Attendance,
    ) -> None:
        self._database = database
        self._note = note
        self._clock = clock
        self._attendance = attendance
        self._queue: list[Asked[Answers]] = []
        self._doubts: list[tuple[Doubt, Sequence[Claimed]]] = []
        self._unwanted: list[Sequence[Claimed]] = []  # rule 5: what could not be given back yet
        self._writing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked[Answers]) -> Sequence[Claimed]:
        """Write and claim; returns what was claimed.

        Raises:
            Exception: whatever the database says; nothing is written.
        """
        self._queue.append(asked)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="ledger")
        try:
            return await asyncio.shield(asked.given)
        except asyncio.CancelledError:
            asked.left = True
            if asked in self._queue:
                self._queue.remove(asked)
            else:  # a task of its own: whoever is told twice to stop leaves, and it goes on
                leaving = asyncio.create_task(self._leave(asked), name="ledger, given back")
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
                await asyncio.shield(leaving)
            raise

    async def _write(self) -> None:
        try:
            while self._queue:
                group, self._queue = self._queue, []
                await self._together(group)
        finally:
            self._writing = None

    async def _together(self, group: Sequence[Asked[Answers]]) -> None:
        try:
            found = await self._transaction(group)
        except Exception as error:  # noqa: BLE001  # each is told
            if len(group) > 1 and not isinstance(error, OSError):
                log.warning("a shared transaction failed: each alone", lanes=len(group), reason=type(error).__name__)
                for one in group:
                    await self._together([one])
                return
            _tell(group, error)
        except BaseException as error:
            _tell(group, error)
            raise
        else:
            for one, claimed in zip(group, found, strict=True):
                one.given.set_result(claimed)

    @property
    def owes(self) -> bool:
        """Whether rows are to be given back: those that could not be (rule 5), and those in doubt (rule 6)."""
        return bool(self._unwanted or self._doubts)

    async def clear_up(self) -> None:
        """Give back what was claimed for nobody, as far as it was.

        Raises:
            OSError: the database does not say, or take it, yet.
        """
        while self._unwanted:
            await self._give_up(self._unwanted[0])
            self._unwanted.pop(0)
        if self._doubts:
            await self._transaction([])

    async def _transaction(self, group: Sequence[Asked[Answers]]) -> Sequence[Sequence[Claimed]]:
        doubted, doubt, claimed = list(self._doubts), None, list[Claimed]()

        async def write(session: AsyncSession) -> Sequence[Sequence[Claimed]]:
            nonlocal doubt, claimed
            doubt, claimed = None, []
            await self._give_back(session, doubted)
            if answers := [one.answers for one in group if one.answers is not None]:
                await self._note(session, answers)
            wanted = [None if one.left else one.wish for one in group]
            wishes = [wish for wish in wanted if wish is not None]
            by = self._attendance.number
            rows = await ledger.claim_each(session, wishes, self._clock(), by=by) if wishes else ()
            claimed = [one for some in rows for one in some]
            doubt = await mark(session) if claimed else None
            left = iter(rows)
            return [() if wish is None else next(left) for wish in wanted]

        try:
            found = await self._database.again(write)
        except OSError:
            if doubt is not None:
                self._doubts.append((doubt, claimed))
            raise
        self._doubts = [one for one in self._doubts if one not in doubted]
        for one in group:
            one.written = True
        return found

    async def _give_back(self, session: AsyncSession, doubted: Sequence[tuple[Doubt, Sequence[Claimed]]]) -> None:
        for doubt, claimed in doubted:
            if await was_committed(session, doubt):
                await self._untouched(session, claimed)

    async def _give_up(self, claimed: Sequence[Claimed]) -> None:
        await self._database.again(lambda session: self._untouched(session, claimed))

    async def _untouched(self, session: AsyncSession, claimed: Sequence[Claimed]) -> None:
        back = [one.settled(DeliveryState.DUE, counted=False) for one in claimed]
        await ledger.settle(session, back, self._clock())

    async def _leave(self, asked: Asked[Answers]) -> None:
        """Rule 5: what nobody waits for any more goes back, once it is known what that is."""
        await asyncio.wait([asked.given])
        if asked.given.exception() is not None or not (claimed := asked.given.result()):
            return
        try:
            await self._give_up(claimed)
        except Exception as error:  # noqa: BLE001  # said here; nobody is left to be told
            self._unwanted.append(claimed)
            log.warning("rows cannot be given back yet", rows=len(claimed), reason=type(error).__name__)


def _tell(group: Sequence[Asked[Answers]], error: BaseException) -> None:
    for one in group:
        if not one.given.done():
            one.given.set_exception(error)
