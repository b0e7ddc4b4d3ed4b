"""The bot's seat changes hands in the middle of a broadcast: `python -m tests.cluster.takeover stop kill freeze`.

Real processes on a PostgreSQL of their own, and the double at Telegram's limits, in real time. Whoever has the seat is

1. stopped: it finishes what it sends and leaves; nobody gets anything twice.
2. killed: another has the seat within 30 s, and only what stood `sending` comes again.
3. frozen, and thawed while its successor sends: it says nothing more, and the budget holds in every second.

Nobody is missed, and nobody is told to wait (429). Tests do the first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.running import Cluster, Machine
from tests.cluster.server import Server
from tests.program import wait_for
from tests.soak import FIRST, TITLE, Metered

WAYS = ("stop", "kill", "freeze")
OPEN = ("due", "sending", "deferred")
LIMIT = 30  # messages in any second


@dataclass(frozen=True)
class Takeover:
    """What people saw. `gap`: seconds from the event to the first message of the next; `held`: `sending` just then."""

    how: str
    promised: int
    missed: int
    repeats: int
    held: int
    floods: int
    gap: float
    most: int  # messages in any one second
    conflicts: int
    left: int  # how the one that had the seat ended, if it did

    @property
    def right(self) -> bool:
        """Whether all of it is as promised."""
        quiet = self.floods == self.conflicts == self.missed == self.left == 0
        return quiet and self.repeats <= self.held and self.most <= LIMIT and self.gap < 30

    def __str__(self) -> str:
        return (
            f"{self.how}: {self.promised} people, {self.missed} missed, {self.repeats} twice "
            f"({self.held} were sending), {self.gap:.1f} s without a sender, {self.most} in the fullest second, "
            f"{self.floods} times 429, {self.conflicts} conflicts of polling"
        )


def take_over(cluster: Cluster, folder: Path, people: int, how: str) -> Takeover:
    """One release to that many people; a fifth of them has it when it happens."""
    double = Metered(folder, people)
    try:
        double.post_for(cluster)  # type: ignore[arg-type]  # it takes what has an `environ`
        for roles in ("scheduler,worker", "bot", "bot"):
            cluster.spawn(roles)
        for machine in cluster.machines:
            machine.wait()
        cluster.subscribe(*(f"{FIRST + n},telegram,en,,immediate" for n in range(people)))
        cluster.write("n0.en.txt", "Notice number 0\n\nA text for everyone.\n")
        wait_for(lambda: len(_news(double)) > people / 5, "a part of the broadcast")
        held, at, left = _happens(cluster, how)
        if how == "freeze":
            wait_for(lambda: _news(double)[-1][0] > at + 5, "the next one to send", 40)
            _holder(cluster, first=True).thaw()
        wait_for(lambda: not cluster.count(*OPEN, channel="telegram"), "the rest", 60 + 2 * people / 25)
        ends = cluster.stop()
        assert set(ends) <= {0}, cluster.log()[-4000:]
        return _report(cluster, double, how, people, at, held, left)
    finally:
        cluster.close()
        double.stop()


def _happens(cluster: Cluster, how: str) -> tuple[int, float, int]:
    """(rows `sending` then, when it was, how the process ended)."""
    machine, left = _holder(cluster, first=True), 0
    at = time.time()
    if how == "stop":
        left = machine.stop()
        return 0, time.time(), left
    if how == "kill":
        machine.kill()
    else:
        machine.freeze()
    time.sleep(0.3)  # what is on the wire arrives
    return cluster.count("sending", channel="telegram"), at, left


def _holder(cluster: Cluster, *, first: bool) -> Machine:
    """Who took the bot's seat first."""
    took = [one for one in cluster.machines if one.roles == "bot" and "this process has the seat" in one.log()]
    assert took, cluster.log()[-4000:]
    return took[0] if first else took[-1]


def _news(double: Metered) -> list[tuple[float, int]]:
    found: list[tuple[float, int]] = []
    for at, chat, text in double.lines():
        if text and TITLE.search(text) and isinstance(chat, int) and chat > 0:
            found.append((at, chat))
    return found


def _report(cluster: Cluster, double: Metered, how: str, people: int, at: float, held: int, left: int) -> Takeover:
    news: Any = _news(double)
    copies = Counter(chat for _, chat in news)
    times = sorted(when for when, _, text in double.lines() if text)
    fullest = max(bisect_left(times, when + 1) - place for place, when in enumerate(times))
    after = min(when for when, _ in news if when > at + (0 if how == "stop" else 0.3))
    return Takeover(
        how=how,
        promised=people,
        missed=sum(FIRST + n not in copies for n in range(people)),
        repeats=sum(number - 1 for number in copies.values()),
        held=held,
        floods=sum(text is None for _, _, text in double.lines()),
        gap=after - at,
        most=fullest,
        conflicts=cluster.log().count("another program polls"),
        left=left,
    )


def main() -> None:
    """All ways, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", default=WAYS, help=", ".join(WAYS))
    parser.add_argument("--people", type=int, default=400)
    chosen = parser.parse_args()
    server, right = Server().start(), True
    try:
        for how in chosen.ways:
            with tempfile.TemporaryDirectory(prefix="takeover-") as folder:
                found = take_over(Cluster(Path(folder), server.migrated()), Path(folder), chosen.people, how)
            print(found, "" if found.right else "WRONG", flush=True)  # noqa: T201  # the result
            right = right and found.right
    finally:
        server.close()
    sys.exit(not right)


if __name__ == "__main__":
    main()
