"""The lines to PostgreSQL that a cluster's engine has: a small pool, and one line that listens.

Rules, in order:

1. A server or a line that gives no answer is given up (`syndicator.patience`), and who waits gets an error: one that
   hangs is so one that fails. What only takes its time, such as waiting for a lock, has `STATEMENT` seconds.
   Who is silent in a transaction is ended by the server (`libpq.SILENT`): a frozen process keeps nothing locked.
2. A process has at most `MOST` lines and the listening one, whatever it works on.
3. Words: `syndicator` says that somebody wrote something that others may have to act on; Procrastinate's own channel
   that a job was put into the queue; 'syndicator_queue' that one which waits has become due or more important. None
   says more than that it was said. After a line was lost everything counts as said.
4. What fails is a `QueueTrouble`: one line, nothing of a job's arguments in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import psycopg
import psycopg_pool
import structlog
from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException

from syndicator.ending import ended
from syndicator.libpq import CONNECT, SILENT, cut
from syndicator.patience import PatientConnection

__all__ = ["Listener", "QueueTrouble", "connector_for", "plainly"]

log = structlog.get_logger()

MOST = 4
STATEMENT = 60  # seconds
FREE = 4.0  # seconds for a line of the pool to be free, or made
TOLD = "syndicator"
PUT = "procrastinate_any_queue_v1"
MOVED = "syndicator_queue"
PULSE = 5.0  # seconds of silence after which the listening line is tried
LONGEST_PAUSE = 1.0  # seconds between tries to listen again: who hears that the database is back, tells all others here


class QueueTrouble(OSError):
    """The queue cannot be reached or refuses; nothing was changed, and it may be tried again."""


class Line(PatientConnection):
    """A connection that nobody waits for in vain (rule 1)."""

    async def cancel_safe(self, *, timeout: float = 0.0) -> None:  # noqa: ARG002, ASYNC109  # the library's
        """Whoever gives up waiting gives up the line: a server that hangs would not hear of it either."""
        self._cut()

    def _cut(self) -> None:
        with suppress(psycopg.Error):  # it is closed already
            cut(self.pgconn.socket)


def connector_for(url: str) -> PsycopgConnector:
    """Procrastinate's connector, over lines of ours. Opened and closed by whoever runs."""
    return PsycopgConnector(
        conninfo=url,
        connection_class=Line,
        kwargs={**CONNECT, "application_name": "syndicator queue", "options": _bounded(url)},
        min_size=1,
        max_size=MOST,
        timeout=FREE,
        reconnect_timeout=2.0,  # who asks for a line then makes the next try
    )


def _bounded(url: str) -> str:
    """A statement may take `STATEMENT`, and silence in a transaction is short; what the address says wins."""
    said = psycopg.conninfo.conninfo_to_dict(url).get("options") or ""
    return f"-c statement_timeout={STATEMENT}s {SILENT} {said}".strip()


@asynccontextmanager
async def plainly() -> AsyncIterator[None]:
    """The libraries' errors as one line.

    Raises:
        QueueTrouble: instead of theirs.
    """
    try:
        yield
    except (ConnectorException, psycopg.Error, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed) as error:
        cause = error.__cause__ if isinstance(error, ConnectorException) and error.__cause__ else error
        diagnosis = getattr(getattr(cause, "diag", None), "message_primary", None)  # without DETAIL and its values
        said = diagnosis or str(cause).strip() or type(cause).__name__
        raise QueueTrouble(f"queue: {said.splitlines()[0]}") from None


class Listener:
    """Hears what is said (rule 3): `told` for words of transactions, `moved` for the queue."""

    def __init__(self, url: str, *, told: Callable[[], None], moved: Callable[[], None]) -> None:
        self._url = url
        self._told = told
        self._moved = moved
        self._task: asyncio.Task[None] | None = None
        self.listens = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen; what is said before is not heard."""
        self._task = asyncio.create_task(self._run(), name="listen")

    async def stop(self) -> None:
        """End; safe to call twice."""
        if self._task is not None:
            await ended(self._task)
            self._task = None

    async def _run(self) -> None:
        pause = 0.1
        while True:
            try:
                async with plainly():
                    await self._listen()
            except OSError as error:
                if self.listens.is_set():
                    pause = 0.1
                    log.warning("the line that listens is lost; tried again", reason=str(error))
                self.listens.clear()
            except Exception:
                log.exception("the line that listens is lost; tried again")
                self.listens.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen(self) -> None:
        async with await Line.connect(
            self._url, autocommit=True, **CONNECT, application_name="syndicator listens"
        ) as line:
            for channel in (TOLD, PUT, MOVED):
                await line.execute(f'LISTEN "{channel}"')  # three constants
            self.listens.set()
            self._told()
            self._moved()
            while True:
                async for word in line.notifies(timeout=PULSE):
                    (self._told if word.channel == TOLD else self._moved)()
                await line.execute("SELECT 1")
