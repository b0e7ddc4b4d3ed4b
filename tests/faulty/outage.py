"""PostgreSQL is taken away from a running cluster for a while, and comes back: who was served, and who was missed?

`python -m tests.faulty.outage` is the long run: stopped for 60 s, then frozen (it answers nobody, and nothing is reset)
for 60 s. Rules of the judge:

1. Feeds answer 200 throughout, and each answer comes within `SERVED` seconds; so does what a balancer asks about them.
2. What was under way and what the office wrote meanwhile reaches everybody within two minutes of the server's return,
   and the feeds as well.
3. A repeat is counted and told: an outage that lasts longer than a process counts as alive for may bring back what
   stood `sending`, never more of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.cluster.running import Cluster, Machine
from tests.cluster.server import Server
from tests.program import wait_for
from tests.relay import RelayProcess

SERVED = 2.0  # seconds for an answer of a machine that shares two cores with seven others
CAUGHT_UP = 120.0
FEED, STAND = "/feeds/en/all.json", "/readyz/feeds"


@dataclass(frozen=True)
class Report:
    """What readers of feeds and mails saw. Seconds count from the server's return."""

    kind: str
    away: float
    asked: int
    refused: int
    slowest: float
    promised: int
    missed: int
    repeated: int
    in_flight: int
    feeds_after: float
    mails_after: float
    ended: int

    @property
    def right(self) -> bool:
        served = not self.refused and self.slowest < SERVED
        told = (
            not self.missed and self.repeated <= self.in_flight and max(self.feeds_after, self.mails_after) < CAUGHT_UP
        )
        return served and told and not self.ended

    def __str__(self) -> str:
        return (
            f"{self.kind} for {self.away:.0f} s: {self.asked} questions for feeds, {self.refused} not answered, the "
            f"slowest {self.slowest:.2f} s; {self.promised} mails promised, {self.missed} missed, {self.repeated} "
            f"repeated ({self.in_flight} in flight when it went); feeds {self.feeds_after:.1f} s and mails "
            f"{self.mails_after:.1f} s after it was back; {self.ended} processes ended"
        )


class Reader:
    """Somebody who asks for a feed again and again, from a thread of their own."""

    def __init__(self, web: Machine) -> None:
        self._web, self._over = web, threading.Event()
        self.asked, self.refused, self.slowest = 0, 0, 0.0
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> Reader:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._over.set()
        self._thread.join(30)

    def _read(self) -> None:
        while not self._over.wait(0.2):
            begun = time.monotonic()
            try:
                good = all(self._web.get(path)[0] == 200 for path in (FEED, STAND))
            except OSError:
                good = False
            self.asked += 1
            self.refused += not good
            self.slowest = max(self.slowest, time.monotonic() - begun)


def run(folder: Path, kind: Literal["stopped", "frozen"], *, people: int, seconds: float) -> Report:
    """One release is being sent when the database goes, another is written while it is away."""
    server = Server(safe=True).start()
    relay = RelayProcess(folder, delay=0.02)
    cluster = Cluster(folder, server.migrated()).mail_through(relay.port)
    addresses = [f"r{n}@example.org" for n in range(people)]
    try:
        cluster.subscribe(*(f"{address},email,en,,immediate" for address in addresses))
        web = cluster.start("web", "scheduler", "worker", "worker") and cluster.machines[0]
        cluster.write("n0.en.txt", "Notice number 0\n\nA text for everyone.\n")
        wait_for(lambda: cluster.count("sent") > people / 20, "the first mails", 60)
        in_flight = cluster.count("sending")
        (server.stop if kind == "stopped" else server.freeze)()
        reader = Reader(web).start()
        gone = time.monotonic()
        time.sleep(seconds / 2)
        cluster.write("n1.en.txt", "Notice number 1\n\nA text for everyone.\n")
        time.sleep(max(0.0, gone + seconds - time.monotonic()))
        (server.start if kind == "stopped" else server.thaw)()
        back = time.monotonic()
        away = back - gone
        wait_for(lambda: "Notice number 1" in web.titles(), "the feeds to have what was written meanwhile", 180)
        feeds_after = time.monotonic() - back
        wait_for(lambda: len(set(relay.arrivals())) >= 2 * people, "everybody to be told", 180)
        mails_after = time.monotonic() - back
        wait_for(lambda: not cluster.count("due", "sending", "deferred"), "the ledger to say so", 120)
        reader.stop()
        copies = Counter((address, subject) for address, subject, _ in relay.arrivals())
        return Report(
            kind=kind,
            away=away,
            asked=reader.asked,
            refused=reader.refused,
            slowest=reader.slowest,
            promised=2 * people,
            missed=2 * people - len(copies),
            repeated=copies.total() - len(copies),
            in_flight=in_flight,
            feeds_after=feeds_after,
            mails_after=mails_after,
            ended=sum(not machine.running for machine in cluster.machines),
        )
    finally:
        cluster.close()
        relay.stop()
        server.close()


def main() -> None:
    """The long runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["stopped", "frozen"], help="stopped, frozen")
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    right = True
    for kind in chosen.kinds:
        with tempfile.TemporaryDirectory(prefix="outage-") as folder:
            report = run(Path(folder), kind, people=chosen.people, seconds=chosen.seconds)
        print(report, flush=True)  # noqa: T201  # the result
        right = right and report.right
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
