"""The connections to one relay: opened when mails wait for one, used again, and left in time.

Rules, in order:

1. An idle connection is used before another is opened. It is left after some hundred mails, and when it was idle so
   long that a relay will have hung up.
2. No more are opened than there are mails that wait, and `most` at most; while the relay is not steady, one at a time.
3. A relay that takes no further connection, whatever way it shows that, while others work keeps those for a while.
   Where none works it cannot be reached, and that is its keeper's to deal with.
4. What ended one waiting connection has most likely ended them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bots.email.relay.connecting import Opened, Trouble
from bots.email.relay.desk import Broken, Desk
from bots.email.relay.session import Session
from bots.email.verdicts import RELAY_WAIT
from syndicator.domain.letters import Later

__all__ = ["Keeper", "Pool"]

PAUSE = timedelta(seconds=30)

log = structlog.get_logger()


class Keeper(Desk, Protocol):
    """Whose connections they are."""

    @property
    def name(self) -> str:
        """The relay, for people."""
        ...

    @property
    def steady(self) -> bool:
        """Whether the relay dealt with the last mail."""
        ...

    @property
    def waits(self) -> int:
        """How many mails wait for a connection."""
        ...

    @property
    def closings(self) -> int:
        """How often the relay has closed."""
        ...

    def may_begin(self) -> bool:
        """Whether another mail may go now."""
        ...

    def moment(self) -> datetime:
        """The present."""
        ...

    async def try_out(self, patience: float, now: datetime) -> Opened | Trouble:
        """Open a connection."""
        ...

    def unreachable(self, trouble: Later) -> None:
        """None could be opened, and none works."""
        ...

    def staff(self) -> None:
        """Something has changed: look who may work."""
        ...


class Pool:
    """See the module. `timeout` is for each reply, in seconds."""

    def __init__(self, keeper: Keeper, most: int, timeout: float) -> None:
        self.sessions: set[Session] = set()
        self._keeper = keeper
        self._wanted = most
        self._timeout = timeout
        self._idle: list[Session] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = 0
        self._most: tuple[int, datetime | None] = (most, None)

    @property
    def has_room(self) -> bool:
        """Whether one is idle, or one more could be opened."""
        return bool(self._idle) or len(self.sessions) + self._opening < self._wanted

    def staff(self, now: datetime) -> None:
        """Let idle connections work, and open new ones for what they leave."""
        keeper = self._keeper
        while keeper.waits and self._idle and keeper.may_begin():
            session = self._idle.pop()
            before = keeper.waits
            if session.fresh(now):
                session.work()
                if keeper.waits == before:
                    break  # what waits may not go now
            else:
                self._spawn(session.quit())
        while keeper.waits > self._opening and not self._idle and self._may_open(now):
            self._opening += 1
            self._spawn(self._open(now))

    def rests(self, session: Session) -> None:
        """It has nothing to do: it waits, or leaves after so many mails."""
        if session.has_room:
            self._idle.append(session)
        else:
            self._spawn(session.quit())
            self._keeper.staff()

    def ended(self, session: Session, how: Broken) -> None:
        """It is over."""
        self.sessions.discard(session)
        if session in self._idle:
            self._idle.remove(session)
        if how is Broken.HUNG_UP:
            self.forget()

    def forget(self) -> None:
        """Hang up on every waiting connection."""
        idle, self._idle = self._idle, []
        for session in idle:
            session.drop()

    async def close(self) -> None:
        """Say goodbye on every idle connection and leave the others."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for session in idle))
        for session in list(self.sessions):
            session.drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _may_open(self, now: datetime) -> bool:
        most, until = self._most
        if until is not None and not now < until <= now + RELAY_WAIT:  # over, or the clock was set back
            most, _ = self._most = (self._wanted, None)
        if not self._keeper.may_begin() or (self._opening and not self._keeper.steady):
            return False
        return len(self.sessions) + self._opening < most

    async def _open(self, now: datetime) -> None:
        keeper, closings = self._keeper, self._keeper.closings
        try:
            found = await keeper.try_out(self._timeout, now)
        except Exception as error:
            log.exception("connection cannot be opened", relay=keeper.name)
            reason = f"{type(error).__name__} while connecting"
            found = Trouble(Later(reason, not_before=now + PAUSE, counts=False))
        finally:
            self._opening -= 1
        if isinstance(found, Trouble):
            self._not_opened(found.later)
        elif closings != keeper.closings:  # it closed meanwhile
            await found.leave()
            keeper.staff()
        else:
            session = Session(found, keeper, self._timeout, now)
            self.sessions.add(session)
            session.work()

    def _not_opened(self, trouble: Later) -> None:
        keeper, working = self._keeper, len(self.sessions)
        if working and keeper.steady:
            self._most = (working, keeper.moment() + RELAY_WAIT)
            log.info("relay takes no further connection", relay=keeper.name, connections=working, reason=trouble.reason)
            keeper.staff()
        else:
            keeper.unreachable(trouble)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
