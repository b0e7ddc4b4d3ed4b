"""Two workers beside one, on PostgreSQL: the whole service as it runs on several machines, and a relay that takes time.

Rules, in order:

1. A scheduler and one worker, then a scheduler and two, each on a database of its own on the same server, in turn. All
   are processes of the program itself; what they are to send is written when all of them are ready.
2. The relay takes `TAKES` for each message on a connection, and any number of connections. The rate of all mail is set
   out of the way, or the workers would keep it together.
3. `rate` is from the first mail to the last; `steady` is that of the middle four fifths, without the seconds in which
   each process finds out how much it may send to a domain that it does not know.
4. Workers have few connections each (`CONNECTIONS`), so that it is the relay that they wait for, and not the one
   machine that all of them share here.
5. What is committed on the server survives a crash of it, as in an office.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from syndicator.engine.cluster import open_post
from syndicator.store.database import Database
from tests.bench.crowd import announce, crowd
from tests.bench.figures import Figure
from tests.cluster.running import Cluster
from tests.cluster.server import Server
from tests.relay import RelayProcess

__all__ = ["measure", "sent"]

TAKES = 0.020
CONNECTIONS = 4
PEOPLE = 10_000
ROUNDS = 2
BAR = 1.8
PATIENCE = 180.0  # seconds
Run = Mapping[str, float]  # `rate`, `steady`, mails a second; `cpu`, milliseconds of it a mail, of all workers together


def measure(folder: Path, people: int = PEOPLE, rounds: int = ROUNDS) -> Iterator[Figure]:
    """One worker and two, in turn; the ratio is the middle of the rounds'."""
    server = Server(safe=True).start()
    try:
        runs = [
            {
                workers: sent(folder / f"{number}-{workers}", server.migrated(), workers, people, CONNECTIONS)
                for workers in (1, 2)
            }
            for number in range(rounds)
        ]
    finally:
        server.close()
    for workers in (1, 2):
        rate, cpu = (median(run[workers][what] for run in runs) for what in ("rate", "cpu"))
        yield Figure(
            f"{workers} worker(s), {CONNECTIONS} connections each, relay of 20 ms",
            f"{rate:,.0f} mails/s",
            f"{cpu:.2f} ms of CPU a mail",
        )
    for what, words in (("rate", "from the first mail to the last"), ("steady", "the middle four fifths")):
        ratio = median(run[2][what] / run[1][what] for run in runs)
        yield Figure(f"two workers / one, {words}", f"{ratio:.2f}", f"bar {BAR:g}", ratio)


def sent(folder: Path, url: str, workers: int, people: int, connections: int, releases: int = 1) -> Run:
    """So many readers get so many mails by way of so many workers, each with so many connections."""
    folder.mkdir()
    relay = RelayProcess(folder, TAKES)
    cluster = Cluster(folder, url).mail_through(relay.port)
    cluster.environ |= {
        "SYNDICATOR_EMAIL__PER_SECOND": "100000",
        "SYNDICATOR_EMAIL__CONNECTIONS": str(connections),
        "SYNDICATOR_TELEGRAM__CHANNELS": "[]",
    }
    mails = people * releases
    try:
        cluster.start("scheduler", *["worker"] * workers)
        asyncio.run(_write(url, people, releases))
        times = _watched(folder / "relay.jsonl", mails)
        spent = sum(_cpu(machine.process.pid) for machine in cluster.machines[1:] if machine.process is not None)
        assert len({address for address, _, _ in relay.arrivals()}) == people, "mails for each reader"
        whole, middle = times[1.0] - times[0.0], times[0.9] - times[0.1]
        return {"rate": mails / whole, "steady": 0.8 * mails / middle, "cpu": spent / mails * 1000}
    finally:
        cluster.close()
        relay.stop()


async def _write(url: str, people: int, releases: int) -> None:
    database = Database(url)
    await crowd(database, people, 1, chats=0)
    database.attach(open_post(lambda: datetime.now(UTC)))
    for number in range(releases):
        await announce(database, key=f"permits-{number}")
    await database.close()


def _cpu(number: int) -> float:
    times = psutil.Process(number).cpu_times()
    return float(times.user + times.system)


def _watched(taken: Path, mails: int, ticks: Callable[[], float] = time.monotonic) -> Mapping[float, float]:
    """When the first mail, a tenth of them, nine tenths and the last had come."""
    times: dict[float, float] = {}
    give_up, seen = ticks() + PATIENCE, 0
    with taken.open("rb") as lines:
        while seen < mails:
            seen += sum(part.count(b"\n") for part in iter(lambda: lines.read(1 << 20), b""))
            for share in (0.0, 0.1, 0.9, 1.0):
                if seen and seen >= share * mails:
                    times.setdefault(share, ticks())
            assert ticks() < give_up, f"{seen} of {mails} mails have come"
            time.sleep(0.01)
    return times
