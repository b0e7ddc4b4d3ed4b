"""The cluster's engine: jobs of all machines in one queue, Procrastinate's, on PostgreSQL.

Rules, in order:

1. The ledger stays the truth: every job follows from rows. Who plans (`plans`) asks for what is pending and sees to it
   that the queue has it; what a transaction makes due goes into the queue with it (`post`).
2. Equal keys are one job, on however many machines: one waits at most, and one runs.
3. A process takes jobs of its own lanes (`works_on`), as many side by side as each lane has workers.
4. Whoever dies is found by its missing signs of life, and its jobs are done anew (`judge`). Whoever was only frozen
   finds that out before anything else (`attendance`).
5. A database that is gone stops nothing for good: everything here goes on by itself once it is back.
6. `stop` starts nothing new, lets running chunks finish, then cancels; what was cancelled goes back into the queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from time import monotonic

import structlog
from procrastinate import App, JobContext
from procrastinate.worker import Worker

from syndicator.clock import machine_clock
from syndicator.domain.ports import Clock, Handler, Job, Part, Pending
from syndicator.engine.attendance import Attended
from syndicator.engine.crew import Crew
from syndicator.engine.judge import Judge
from syndicator.engine.line import Listener, connector_for
from syndicator.engine.planner import Planner
from syndicator.engine.queue import Post, Queue
from syndicator.engine.rhythm import Rhythm
from syndicator.engine.seats import Seats
from syndicator.metrics import Metrics

__all__ = ["ClusterEngine", "open_post"]

log = structlog.get_logger()

ALL = 1000  # jobs side by side, of all lanes: each lane has its own limit
LONGEST_PAUSE = 5.0  # seconds before a worker that ended by itself is begun again
ENDING = 20.0  # seconds for what runs to give way, where a worker ends by itself; a seat's Part ends whatever it takes
CALM = 60.0  # seconds of work after which such an end is the first one again
GOODBYE = 3.0  # seconds for the database to hear what was cancelled, and that this process leaves

for noisy in ("procrastinate", "psycopg.pool"):  # what matters of it is said here, in one line
    logging.getLogger(noisy).setLevel(logging.CRITICAL)


def open_post(clock: Clock = machine_clock) -> Post:
    """For commands: puts jobs into the queue with a transaction, and tells all processes; see `Database.attach`."""
    return Post(clock)


async def _nobody() -> None:
    """Where nobody keeps a ledger."""


class ClusterEngine:
    """See the module's rules. Give `post` to `Database.attach`, and `attendance` to whoever claims deliveries.

    Args:
        url: postgresql://…, migrated, with Procrastinate's tables (`engine.schema`).
        handlers: this process's jobs by name; one that is not there goes back into the queue.
        pending: what is unfinished and shared; asked only where `plans`.
        clock: the program's.
        metrics: counts jobs.
        lanes: how many jobs of a lane run side by side here; a lane not named has one.
        works_on: whether this process takes jobs of that lane.
        plans: whether it plans and judges: the role `scheduler`.
        seats: what one process of all may run, by name; see `engine.seats`.
        heard: is called whenever any process told something, and after words may have been missed.
        bereaved: is called where `plans`, after processes died and from time to time: what they had claimed is due.
        agreed: hears what the database's clock says, and when by the steady one it was asked; see `syndicator.clock`.
        rhythm: the times that all processes agree on.
    """

    def __init__(
        self,
        url: str,
        handlers: Mapping[str, Handler],
        pending: Pending,
        *,
        clock: Clock,
        metrics: Metrics,
        lanes: Mapping[str, int] | None = None,
        works_on: Callable[[str], bool] = lambda _: True,
        plans: bool = True,
        seats: Mapping[str, Part] | None = None,
        heard: Callable[[], None] = lambda: None,
        bereaved: Callable[[], Awaitable[None]] = _nobody,
        agreed: Callable[[datetime, float], None] = lambda theirs, asked: None,  # noqa: ARG005
        rhythm: Rhythm | None = None,
    ) -> None:
        self._rhythm = rhythm or Rhythm()
        self._connector = connector_for(url)
        self._queue = Queue(self._connector, clock)
        self.post = Post(clock)
        self.attendance = Attended(self._connector, self._rhythm, agreed)
        self._seats = Seats(seats or {}, self._queue, self.attendance)
        self._handlers = {**handlers, **self._seats.handlers()}
        self._crew = Crew(
            self._connector,
            self._queue,
            self.attendance,
            self._handlers,
            lanes=dict(lanes or {}),
            works_on=lambda lane: self._seats.wants(lane) or (not lane.startswith("seat:") and works_on(lane)),
            clock=clock,
            metrics=metrics,
            rhythm=self._rhythm,
        )
        self._planner = Planner(self._queue, pending, clock, self._rhythm) if plans else None
        self._judge = Judge(self._connector, self._rhythm, lambda: self.attendance.number, bereaved) if plans else None
        self._heard = heard
        self._listener = Listener(url, told=self._told, moved=self._crew.nudge)
        self._worker: Worker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()

    # -- the port
    async def submit(self, job: Job, occurrence: datetime | None = None) -> None:
        """Ask for a job; see `domain.ports.Engine`.

        Raises:
            KeyError: no handler has that name here.
            QueueTrouble: the database fails; nobody was asked.
        """
        if job.name not in self._handlers:
            raise KeyError(f"no handler for job {job.name!r}")
        await self._opened()
        if occurrence is None:
            await self._queue.put([job])
        else:
            await self._queue.put_turn(job, occurrence)

    def wake(self) -> None:
        """Something was written: ask the database for pending work now, if this process plans."""
        if self._planner is not None:
            self._planner.wake()

    async def start(self) -> None:
        """Register, and begin with what the database says is unfinished.

        Raises:
            QueueTrouble: the database cannot be reached.
        """
        self._stopping.clear()
        self._crew.stopping = False
        await self._opened()
        await self.attendance.start()
        await self._listener.start()
        if self._planner is not None:
            await self._planner.start()
        if self._judge is not None:
            await self._judge.start()
        await self._seats.start()
        self._tasks = [
            asyncio.create_task(self._work(), name="worker"),
            asyncio.create_task(self._pay(), name="given back later"),
        ]

    async def stop(self, grace: float) -> None:
        """Take nothing new; let running jobs finish their chunk within `grace` seconds, then cancel them.

        This process still counts as alive: what its deliveries answer may yet be written. See `leave`.
        """
        self._stopping.set()
        self._crew.stopping = True
        for part in (self._planner, self._judge, self._seats):
            if part is not None:
                await part.stop()
        if self._worker is not None:
            self._worker.shutdown_graceful_timeout = grace
            self._worker.stop()  # type: ignore[no-untyped-call]  # the library does not say
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace + GOODBYE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=GOODBYE)
            self._tasks = []
        await self._listener.stop()

    async def leave(self) -> None:
        """After `stop`, and after the last answer was written: count as alive no more. Safe to call twice."""
        try:
            async with asyncio.timeout(GOODBYE):
                await self._crew.pay()
                if self.attendance.number is not None:
                    await self._seats.leave()
        except (OSError, TimeoutError) as error:
            log.warning("the others find out by themselves that this process has ended", reason=str(error))
        await self.attendance.stop(strike=not self._crew.busy)
        await self._connector.close_async()

    # -- within
    def _told(self) -> None:
        """A word of some process."""
        self.wake()
        self._seats.wake()
        self._crew.nudge()
        self._heard()

    async def _opened(self) -> None:
        async with self._opening:
            await self._connector.open_async()

    async def _work(self) -> None:
        """Procrastinate's worker; one that ends by itself is begun again, after a growing while."""
        pause = 0.1
        app = _app(self._crew, self._handlers)
        while not self._stopping.is_set():
            self._worker = Worker(
                app,
                name="syndicator",
                concurrency=ALL,
                fetch_job_polling_interval=self._rhythm.poll,
                install_signal_handlers=False,
                delete_jobs="always",
                shutdown_graceful_timeout=ENDING,
            )
            begun = monotonic()
            try:
                await self._worker.run()  # type: ignore[no-untyped-call]  # the library does not say
            except Exception as error:
                log.exception("the worker ended; begun again", reason=str(error))
            if self._stopping.is_set():
                return
            pause = 0.1 if monotonic() - begun >= CALM else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _pay(self) -> None:
        """What could not be given back is, as soon as that goes."""
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), self._rhythm.look)
            except TimeoutError:
                try:
                    await self._crew.pay()
                except OSError:
                    continue  # said when it first failed
                except Exception:
                    log.exception("a finished job cannot be given back; tried again")


def _app(crew: Crew, names: Iterable[str]) -> App:
    """Procrastinate's app with a task for each name, all of them done by the crew."""
    app = App(connector=crew.connector)
    app.job_manager = crew

    async def work(context: JobContext, /, **_: object) -> None:
        await crew.perform(context.job)

    for name in names:
        app.task(name=name, pass_context=True)(work)
    return app
