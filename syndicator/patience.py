"""Patience with PostgreSQL: a server or a line that gives no answer is given up within ten seconds, and told at once.

Rules, in order:

1. A statement may take its time (`statement_timeout` bounds it). One that has been waited for `DOUBT` seconds without
   an octet is asked about over a line of its own: does the server answer at all, and is it at work for that session?
2. No answer within `ANSWER` seconds: the server hangs, and everybody who waits for it is told. One that refuses the
   question in words of its own, as all its connections are taken, has answered: nobody is given up for that.
3. An answer, but the session is not at work (or gone) at two looks: that one line is dead, whatever became of it, and
   only who waits on it is told.
4. Who is told gets psycopg's `OperationalError`; the connection is closed here, without a word to the other side.
5. Who is cancelled while waiting waits `GOODBYE` seconds for the server to stop the statement, not longer.
6. Waiting for notifications is no statement, and may last for ever.
7. Who writes waits for each answer (`SteppingCursor`). A process that is frozen in the middle of a pipeline is neither
   idle nor at work to the server: no time-out holds, and it would keep what it has locked for as long as it is frozen.

This module loads psycopg: it is imported only where there is a PostgreSQL. `PatientConnection` stands wherever psycopg
takes a class of connections: SQLAlchemy's `async_creator_fn`, psycopg_pool's `connection_class`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Generator, Iterable
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
import structlog
from psycopg.pq import TransactionStatus

__all__ = ["PatientConnection", "SteppingCursor"]

log = structlog.get_logger()

DOUBT = 1.5  # seconds without an octet before anybody asks
ANSWER = 3.0  # seconds for an answer to that
LOOK_AGAIN = 1.0  # seconds between two looks at a session
GOODBYE = 2.0  # seconds for a statement to end that nobody waits for any more

AT_WORK = """
SELECT pid FROM pg_stat_activity WHERE usename = current_user
AND (state = 'disabled' OR state IN ('active', 'fastpath function call') AND wait_event_type IS DISTINCT FROM 'Client')
"""

REFUSED = re.compile(r"failed: [^:]+:  ")  # libpq writes severity, colon and two spaces before a server's own words
ANYBODY = range(1, 2**31)  # the server is at work, for whomever

RV = TypeVar("RV")
Steps = Generator[Any, Any, RV]


class _Asking(psycopg.AsyncConnection[Any]):
    """A line that is thrown away without a word when it is told to stop."""

    async def _try_cancel(self, *, timeout: float = 0) -> None:  # noqa: ARG002, ASYNC109  # psycopg's signature
        self.pgconn.finish()


# By loop and server: the question that is under way, shared by all who wait.
_asked: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[Collection[int] | None]]]
_asked = WeakKeyDictionary()


def _at_work(conninfo: str) -> asyncio.Task[Collection[int] | None]:
    """Which sessions the server is at work for, by their process numbers; None where it does not answer."""
    asking = _asked.setdefault(asyncio.get_running_loop(), {})
    if (task := asking.get(conninfo)) is None:
        task = asking[conninfo] = asyncio.create_task(_ask(conninfo), name="does the database answer?")
        task.add_done_callback(lambda _: asking.pop(conninfo, None))
    return task


async def _ask(conninfo: str) -> Collection[int] | None:
    try:
        async with (
            asyncio.timeout(ANSWER),
            await _Asking.connect(conninfo, autocommit=True, connect_timeout=int(ANSWER)) as line,
        ):
            return {row[0] for row in await (await line.execute(AT_WORK)).fetchall()}
    except (OSError, psycopg.Error) as error:  # TimeoutError is an OSError
        reason = str(error).partition("\n")[0] or "no answer in time"
        if REFUSED.search(reason):
            log.warning("the database cannot be asked whether it works", reason=reason)
            return ANYBODY
        log.warning("the database does not answer", reason=reason)
        return None


class PatientConnection(psycopg.AsyncConnection[Any]):
    """A connection by the module's rules."""

    _question: asyncio.Task[Collection[int] | None] | None = None
    _ask_at = 0.0  # by the monotonic clock, like the next
    _until: float | None = None  # rule 5
    _absent = 0  # looks at which the server was not at work for us

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """As psycopg's, by the module's rules.

        Raises:
            psycopg.OperationalError: the server or this line gives no answer.
        """
        self._question, self._absent, self._until = None, 0, None
        return await super().wait(self._watched(gen), interval, timeout)

    async def _try_cancel(self, *, timeout: float = GOODBYE) -> None:  # noqa: ASYNC109  # psycopg's signature
        """Rule 5: psycopg itself waits twice five seconds here."""
        self._until = monotonic() + GOODBYE
        await super()._try_cancel(timeout=min(timeout, GOODBYE))

    def _watched(self, steps: Steps[RV]) -> Steps[RV]:
        """The steps of psycopg; each time that it looks up without an octet, so do we."""
        self._ask_at = monotonic() + DOUBT
        try:
            step = next(steps)
            while True:
                ready = yield step
                if ready:
                    self._ask_at, self._question, self._absent = monotonic() + DOUBT, None, 0
                elif self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    self._consider(monotonic())
                step = steps.send(ready)
        except StopIteration as end:
            found: RV = end.value
            return found

    def _consider(self, now: float) -> None:
        """Whether to go on waiting.

        Raises:
            psycopg.OperationalError: no.
        """
        if self._until is not None:
            if now > self._until:
                self._give_up("the database does not end a statement that nobody waits for")
        elif self._question is None:
            if now > self._ask_at:
                self._question = _at_work(self._server)
        elif self._question.done():
            self._judge(self._question.result())
            self._question, self._ask_at = None, now + (LOOK_AGAIN if self._absent else DOUBT)

    def _judge(self, at_work: Collection[int] | None) -> None:
        if at_work is None:
            self._give_up("the database gives no answer")
        elif self.pgconn.backend_pid in at_work:
            self._absent = 0
        else:
            self._absent += 1
            if self._absent > 1:
                self._give_up("the line to the database is dead")

    @property
    def _server(self) -> str:
        """Where to ask, and as whom: as this connection did."""
        return psycopg.conninfo.make_conninfo(**self.info.get_parameters(), password=self.info.password or None)

    def _give_up(self, why: str) -> None:
        self.pgconn.finish()
        raise psycopg.OperationalError(why)


class SteppingCursor(psycopg.AsyncCursor[Any]):
    """Rule 7: a statement for many rows is one for each, and not a pipeline of them."""

    _moved: int | None = None

    async def execute(self, *given: Any, **named: Any) -> SteppingCursor:
        """As psycopg's."""
        self._moved = None
        await super().execute(*given, **named)
        return self

    async def executemany(self, query: Any, params_seq: Iterable[Any], *, returning: bool = False) -> None:
        """As psycopg's, without a pipeline.

        Raises:
            psycopg.NotSupportedError: rows are to come back.
        """
        if returning:
            raise psycopg.NotSupportedError("no rows come back of a statement for many")
        moved = 0
        for values in params_seq:
            await self.execute(query, values)
            moved += max(0, self.rowcount)
        self._moved = moved

    @property
    def rowcount(self) -> int:
        """Rows of all its statements."""
        return super().rowcount if self._moved is None else self._moved
