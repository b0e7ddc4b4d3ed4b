"""Workers of a cluster are killed with SIGKILL, one each second, while they send mail over real SMTP: who was missed?

`python -m tests.faulty.killing` is the long run: 3 workers, a random one killed each second for a minute, 50,000
deliveries. The judge is that of `tests.killing`, with these differences:

1. A kill explains a repeat only of rows that stood `sending` in the name of the process that was killed.
2. Nothing is left behind: neither rows that wait or are `sending`, nor jobs in the queue beside the seats.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import killing
from tests.cluster.running import Cluster, Machine
from tests.cluster.server import Server
from tests.program import wait_for
from tests.relay import RelayProcess

TITLE = killing.TITLE
NUMBER = re.compile(r'"number": (\d+), "event": "this process counts as alive"')
SENDING = """
    SELECT s.address, r.title FROM delivery d
    JOIN subscriber s ON s.id = d.subscriber_id JOIN message m ON m.id = d.message_id
    JOIN variant v ON v.release_id = m.release_id
    JOIN revision r ON r.variant_id = v.id AND r.number = v.revision_number
    WHERE d.state = 'sending' AND s.channel = 'email' AND d.claimed_by = ANY(%s)
"""
JOBS_LEFT = """
    SELECT task_name, queue_name, status, count(*) FROM procrastinate_jobs
    WHERE coalesce(lock, '') NOT LIKE 'seat:%%'
    GROUP BY 1, 2, 3
"""
SETTLED = ("sent", "failed", "unknown", "suppressed")
OPEN = ("due", "sending", "deferred")


@dataclass(frozen=True)
class Report:
    """What people saw, what was left, and how long it took from the first kill to the last mail."""

    seen: killing.Report
    left: tuple[object, ...]
    unsent: int

    @property
    def right(self) -> bool:
        return self.seen.right and not self.left and not self.unsent

    def __str__(self) -> str:
        return f"{self.seen}\n  jobs left behind {list(self.left)}, rows that were not sent {self.unsent}"


class Worker:
    """A machine with the role worker that is killed and started again."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.machine: Machine = cluster.spawn("worker")

    def kill(self) -> set[killing.Copy]:
        """What stood `sending` in its name when it was killed."""
        assert not self.machine.dead(), self.machine.log()[-3000:]
        self.machine.kill()
        numbers = NUMBER.findall(self.machine.logs[-1].read_text())
        rows = self.cluster.sql(SENDING, list(map(int, numbers)))
        return {(address, int(title.removeprefix("Notice number "))) for address, title in rows}


def run(
    folder: Path,
    server: Server,
    *,
    people: int,
    releases: int,
    workers: int,
    seconds: float,
    every: float,
    seed: int,
    environ: Mapping[str, str] | None = None,
) -> Report:
    """`people` times `releases` mails; a random worker dies every `every` seconds for `seconds`, and comes back."""
    dice = random.Random(seed)  # moments, not secrets
    relay = RelayProcess(folder, delay=0.005, at_arrival=True)
    cluster = Cluster(folder, server.migrated(), environ=dict(environ or {})).mail_through(relay.port)
    addresses = [f"r{n}@example.org" for n in range(people)]
    try:
        cluster.subscribe(*(f"{address},email,en,,immediate" for address in addresses))
        cluster.start("web,scheduler")
        crew = [Worker(cluster) for _ in range(workers)]
        for one in crew:
            one.machine.wait()
        for number in range(releases):
            cluster.write(f"n{number}.en.txt", f"Notice number {number}\n\nA text for everyone.\n")
        wait_for(lambda: cluster.count("sent") > 0, "the first mail", 60)
        begun = time.monotonic()
        sending = _kill(relay, crew, dice, begun + seconds, every)
        total = people * releases
        wait_for(lambda: cluster.count(*SETTLED) >= total, f"all {total} mails", 600)
        took = time.monotonic() - begun
        left = _left(cluster)
        wanted = [(address, release) for address in addresses for release in range(releases)]
        seen = killing.judge(wanted, _arrivals(relay), sending, took)
        return Report(seen, left, cluster.count(*OPEN) + cluster.count("failed", "unknown", "suppressed"))
    finally:
        cluster.close()
        relay.stop()


def _kill(
    relay: RelayProcess, crew: Sequence[Worker], dice: random.Random, until: float, every: float
) -> list[set[killing.Copy]]:
    """Kill one, start it again without waiting for it, and so on."""
    sending = list[set[killing.Copy]]()
    while (now := time.monotonic()) < until:
        one = dice.choice(crew)
        sending.append(one.kill())
        time.sleep(0.1)  # what it had on the wire still arrives as of its life
        relay.mark(len(sending))
        one.machine.begin()
        time.sleep(max(0.0, dice.uniform(0.5, 1.5) * every - (time.monotonic() - now)))
    return sending


def _left(cluster: Cluster) -> tuple[object, ...]:
    """Jobs that are still there a while after the last mail."""
    end = time.monotonic() + 45
    while (found := cluster.sql(JOBS_LEFT)) and time.monotonic() < end:
        time.sleep(0.5)
    return tuple(found)


def _arrivals(relay: RelayProcess) -> Iterator[tuple[killing.Copy, int]]:
    for address, subject, life in relay.arrivals():
        found = TITLE.fullmatch(subject)
        assert found, f"a mail with the subject {subject!r}"
        yield (address, int(found[1])), life


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--releases", type=int, default=5)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    server = Server().start()
    try:
        with tempfile.TemporaryDirectory(prefix="killing-") as folder:
            report = run(
                Path(folder),
                server,
                people=chosen.people,
                releases=chosen.releases,
                workers=chosen.workers,
                seconds=chosen.seconds,
                every=1.0,
                seed=chosen.seed,
            )
    finally:
        server.close()
    print(f"cluster, seed {chosen.seed}: {report}", flush=True)  # noqa: T201  # the result
    sys.exit(0 if report.right else 1)


if __name__ == "__main__":
    main()
