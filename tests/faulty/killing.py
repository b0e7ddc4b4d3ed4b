"""Machines of a cluster are killed with SIGKILL, one each second, while they send mail over real SMTP: who was missed?

`python -m tests.faulty.killing` is the long run: 3 workers, a random one killed each second for a minute, 50,000
deliveries. With `--any` the scheduler and the bot are killed as well, each as often as every worker, and people are
written to by Telegram, too; processes then count as dead after 4 s, as a judge that is killed every few seconds would
never see 20 s pass. The web machine lives: it has no part in what is sent. The judge is that of `tests.killing`, with
these differences:

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
from dataclasses import dataclass, field
from pathlib import Path

from tests import killing
from tests.cluster.running import Cluster, Machine
from tests.cluster.server import Server
from tests.faulty.dying import QUICK, RHYTHM
from tests.program import wait_for
from tests.relay import RelayProcess
from tests.soak import FIRST, Metered, arrivals, still

TITLE = killing.TITLE
NUMBER = re.compile(r'"number": (\d+), "event": "this process counts as alive"')
SENDING = """
    SELECT s.address, r.title FROM delivery d
    JOIN subscriber s ON s.id = d.subscriber_id JOIN message m ON m.id = d.message_id
    JOIN variant v ON v.release_id = m.release_id
    JOIN revision r ON r.variant_id = v.id AND r.number = v.revision_number
    WHERE d.state = 'sending' AND d.claimed_by = ANY(%s)
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


class Victim:
    """A machine that is killed and started again."""

    def __init__(self, cluster: Cluster, roles: str) -> None:
        self.cluster = cluster
        self.machine: Machine = cluster.spawn(roles)

    def kill(self) -> set[killing.Copy]:
        """What stood `sending` in its name when it was killed."""
        assert not self.machine.dead(), self.machine.log()[-3000:]
        self.machine.kill()
        numbers = NUMBER.findall(self.machine.logs[-1].read_text())
        rows = self.cluster.sql(SENDING, list(map(int, numbers)))
        return {(address, int(title.removeprefix("Notice number "))) for address, title in rows}


@dataclass
class Outlets:
    """Who takes what is sent, and notes in which life it came: a relay, and Telegram where there are `chats`."""

    folder: Path
    chats: int
    relay: RelayProcess = field(init=False)
    double: Metered | None = None
    held: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.relay = RelayProcess(self.folder, delay=0.005, at_arrival=True)
        if self.chats:
            self.double = Metered(self.folder, self.chats)

    def configure(self, cluster: Cluster) -> Cluster:
        cluster.mail_through(self.relay.port)
        if self.double is not None:
            self.double.post_for(cluster)  # type: ignore[arg-type]  # it takes what has an `environ`
            del cluster.environ["SYNDICATOR_TELEGRAM__CHANNELS"]  # people alone are counted
        return cluster

    def killed(self, roles: str, lives: int) -> None:
        """What comes from now on is of the next life; what the dead one had on the wire is still of its own."""
        time.sleep(0.1)
        self.relay.mark(lives)
        if self.double is not None:
            self.held.append(still(self.double) if "bot" in roles else len(self.double.lines()))

    def came(self) -> Iterator[tuple[killing.Copy, int]]:
        for address, subject, life in self.relay.arrivals():
            found = TITLE.fullmatch(subject)
            assert found, f"a mail with the subject {subject!r}"
            yield (address, int(found[1])), life
        if self.double is not None:
            yield from arrivals(self.double.lines(), self.held)

    def stop(self) -> None:
        self.relay.stop()
        if self.double is not None:
            self.double.stop()


def run(
    folder: Path,
    url: str,
    *,
    people: int,
    releases: int,
    workers: int,
    seconds: float,
    every: float,
    seed: int,
    chats: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Report:
    """`people` times `releases` mails; a random worker dies every `every` seconds for `seconds`, and comes back.

    With `chats`, that many people are written to by Telegram, and the scheduler and the bot die in their turn.
    """
    dice = random.Random(seed)  # moments, not secrets
    outlets = Outlets(folder, chats)
    cluster = outlets.configure(Cluster(folder, url, environ=dict(environ or {})))
    addresses = [f"r{n}@example.org" for n in range(people)]
    numbers = [str(FIRST + n) for n in range(chats)]
    try:
        rows = [(one, "email") for one in addresses] + [(one, "telegram") for one in numbers]
        cluster.subscribe(*(f"{address},{channel},en,,immediate" for address, channel in rows))
        cluster.start("web" if chats else "web,scheduler")
        mortal = ["worker"] * workers + ["scheduler", "bot"] * bool(chats)
        crew = [Victim(cluster, roles) for roles in mortal]
        for one in crew:
            one.machine.wait()
        for number in range(releases):
            cluster.write(f"n{number}.en.txt", f"Notice number {number}\n\nA text for everyone.\n")
        wait_for(lambda: cluster.count("sent") > 0, "the first mail", 60)
        begun = time.monotonic()
        sending = _kill(outlets, crew, dice, begun + seconds, every, in_turn=bool(chats))
        wanted = [(address, release) for address, _ in rows for release in range(releases)]
        wait_for(lambda: _counted(cluster, *SETTLED) >= len(wanted), f"all {len(wanted)} messages", 600)
        took = time.monotonic() - begun
        left = _left(cluster)
        seen = killing.judge(wanted, outlets.came(), sending, took)
        return Report(seen, left, _counted(cluster, *OPEN, "failed", "unknown", "suppressed"))
    finally:
        cluster.close()
        outlets.stop()


def _counted(cluster: Cluster, *states: str) -> int:
    return sum(cluster.count(*states, channel=channel) for channel in ("email", "telegram"))


def _kill(
    outlets: Outlets, crew: Sequence[Victim], dice: random.Random, until: float, every: float, *, in_turn: bool
) -> list[set[killing.Copy]]:
    """Kill one, start it again without waiting for it, and so on; `in_turn`: each once before any a second time."""
    sending = list[set[killing.Copy]]()
    turns = list[Victim]()
    while (now := time.monotonic()) < until or turns:
        turns = turns or (dice.sample(crew, len(crew)) if in_turn else [dice.choice(crew)])
        one = turns.pop()
        sending.append(one.kill())
        outlets.killed(one.machine.roles, len(sending))
        one.machine.begin()
        time.sleep(max(0.0, dice.uniform(0.5, 1.5) * every - (time.monotonic() - now)))
    return sending


def _left(cluster: Cluster) -> tuple[object, ...]:
    """Jobs that are still there a while after the last mail."""
    end = time.monotonic() + 45
    while (found := cluster.sql(JOBS_LEFT)) and time.monotonic() < end:
        time.sleep(0.5)
    return tuple(found)


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--releases", type=int, default=5)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--any", action="store_true", help="the scheduler and the bot are killed, too")
    parser.add_argument("--chats", type=int, default=300, help="people who are written to by Telegram, with --any")
    chosen = parser.parse_args()
    server = Server().start()
    try:
        with tempfile.TemporaryDirectory(prefix="killing-") as folder:
            report = run(
                Path(folder),
                server.migrated(),
                people=chosen.people,
                releases=chosen.releases,
                workers=chosen.workers,
                seconds=chosen.seconds,
                every=1.0,
                seed=chosen.seed,
                chats=chosen.chats if chosen.any else 0,
                environ={RHYTHM: QUICK} if chosen.any else None,
            )
    finally:
        server.close()
    print(f"cluster, seed {chosen.seed}: {report}", flush=True)  # noqa: T201  # the result
    sys.exit(0 if report.right else 1)


if __name__ == "__main__":
    main()
