"""A process dies at each named point of a release's way (`tests.faulty.dying`), once each: who was missed?

One office, one release for each point: the process that works on it dies there, and the next one goes on, to die at the
next point. The judge is that of `tests.killing`: everybody gets every release, and only what stood `sending` at a death
may come again.

`engine` does the same within a cluster's engine (`ENGINE_POINTS`): besides, no job, no row of a worker and no empty
seat may be left, and who comes last goes on with what all of them have left together.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests import killing
from tests.cluster.running import Cluster
from tests.faulty.dying import DIES_AT, POINTS, QUICK, RHYTHM
from tests.faulty.killing import JOBS_LEFT
from tests.program import Program, mail_through, make_program, wait_for
from tests.relay import RelayProcess

SENDING = killing.SENDING.replace("?", "'email'")
SETTLED = "SELECT count(*) FROM delivery WHERE state = 'sent'"
TITLE = re.compile(r"Notice number (\d+)")
FIRST_TO_DIE = {  # at once: none of them waits for another
    "after this process was registered": "worker",
    "after a seat was taken": "bot",
    "before what is pending is asked for": "scheduler",
}
THEN = {  # one after the other; the last of them judges all others, and has mails that stand `sending` to give back
    "after a job was taken": "worker",
    "after a job was done": "worker",
    "after the mail was sent": "worker",
    "before the ledger hears of the dead": "scheduler",
}
DUE_NOW = """
    WITH due AS (UPDATE release SET public_at = now() WHERE state = 'scheduled' RETURNING id)
    SELECT pg_notify('syndicator', '') FROM due
"""
SOON = json.dumps({"beat": 0.25, "sure": 1.5, "dead": 2.0, "look": 0.2, "poll": 0.2, "sweep": 2.0})


def embedded(folder: Path, points: Sequence[str], people: int) -> killing.Report:
    """One process on SQLite."""
    relay = RelayProcess(folder, at_arrival=True)
    program = mail_through(make_program(folder, warm=True), relay.port)
    del program.environ["SYNDICATOR_TELEGRAM__CHANNELS"]

    def live(point: str) -> Program:
        program.environ[DIES_AT] = point
        program.spawn()
        return program

    def ask(query: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{folder}/var/syndicator.db?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()

    def finish() -> object:
        del program.environ[DIES_AT]
        return program.start()

    try:
        return _run(points, people, relay, program, live, ask, finish)
    finally:
        program.environ.pop(DIES_AT, None)
        program.stop()
        relay.stop()


def clustered(cluster: Cluster, points: Sequence[str], people: int) -> killing.Report:
    """Workers die beside a web machine and a scheduler that live. Where no worker is meant, one process has all these
    roles, alone: else another would do that work."""
    relay = RelayProcess(cluster.folder, at_arrival=True)
    cluster.mail_through(relay.port).environ |= {RHYTHM: QUICK}
    del cluster.environ["SYNDICATOR_TELEGRAM__CHANNELS"]

    def live(point: str) -> Program:
        return cluster.spawn("worker" if POINTS[point].sends else "web,scheduler,worker", **{DIES_AT: point})

    def finish() -> object:
        return cluster.start("worker")

    try:
        return _run(
            points, people, relay, cluster, live, cluster.sql, finish, lambda: cluster.start("web", "scheduler")
        )
    finally:
        cluster.close()
        relay.stop()


@dataclass(frozen=True)
class Left:
    """What people saw of a cluster, and what its engine has left: all of it as it should be, or named here."""

    seen: killing.Report
    posts: Counter[str]
    jobs: tuple[object, ...]
    workers: int

    @property
    def right(self) -> bool:
        return self.seen.right and not self.jobs and not self.workers and set(self.posts.values()) == {1}


def engine(cluster: Cluster, people: int) -> Left:
    """A process dies at each point of the engine; then one of each role goes on, and is told to stop."""
    relay = RelayProcess(cluster.folder, at_arrival=True)
    cluster.mail_through(relay.port).environ |= {RHYTHM: SOON}
    addresses = [f"r{n}@example.org" for n in range(people)]
    sending = list[set[killing.Copy]]()
    try:
        cluster.subscribe(*(f"{address},email,en,,immediate" for address in addresses))
        for number in range(4):
            later = f"---\nembargo: {(datetime.now(UTC) + timedelta(hours=1)).isoformat()}\n---\n"
            cluster.write(f"n{number}.en.txt", f"{later * (not number)}Notice number {number}\n\nFor everyone.\n")
        begun = time.monotonic()
        dying = {point: cluster.spawn(roles, **{DIES_AT: point}) for point, roles in FIRST_TO_DIE.items()}
        wait_for(lambda: cluster.sql("SELECT count(*) FROM release") == [(4,)], "all to be taken in")
        cluster.sql(DUE_NOW)
        for point, machine in dying.items():
            _dies(point, machine)
        for point, roles in THEN.items():
            _dies(point, cluster.spawn(roles, **{DIES_AT: point}))
            sending.append({(address, _number(title)) for address, title in cluster.sql(SENDING)})
            relay.mark(len(sending))
        assert any(sending), "there is something to give back"
        cluster.start("scheduler", "worker", "bot")
        wanted = [(address, release) for address in addresses for release in range(4)]
        wait_for(lambda: cluster.sql(SETTLED)[0][0] >= len(wanted) + 4, "everybody and the channel to be told", 40)
        seen = killing.judge(wanted, _arrivals(relay), sending, time.monotonic() - begun)
        wait_for(lambda: not cluster.sql(JOBS_LEFT), "no job to be left", 10)
        assert cluster.stop() == [0, 0, 0], cluster.log()[-4000:]
        posts = Counter(found[0] for post in cluster.posts() if (found := TITLE.search(json.dumps(post))))
        jobs = cluster.sql("SELECT queueing_lock, status::text FROM procrastinate_jobs")
        return Left(seen, posts, tuple(jobs), len(cluster.sql("SELECT id FROM procrastinate_workers")))
    finally:
        cluster.close()
        relay.stop()


def _dies(point: str, dying: Program) -> None:
    wait_for(dying.dead, f"the end {point}", 40)
    assert dying.process is not None
    assert dying.process.wait(5) == -9, dying.log()[-3000:]


def _number(title: str) -> int:
    return int(title.removeprefix("Notice number "))


def _run(
    points: Sequence[str],
    people: int,
    relay: RelayProcess,
    office: Program | Cluster,
    live: Callable[[str], Program],
    ask: Callable[[str], list[tuple]],
    finish: Callable[[], object],
    begin: Callable[[], object] = lambda: None,
) -> killing.Report:
    begun, sending, alone = time.monotonic(), list[set[killing.Copy]](), True
    addresses = [f"r{n}@example.org" for n in range(people)]
    office.subscribe(*(f"{address},email,en,,immediate" for address in addresses))
    for number, point in enumerate(sorted(points, key=lambda one: POINTS[one].sends)):
        if alone and POINTS[point].sends:
            begin()
            alone = False
        office.write(f"n{number}.en.txt", f"Notice number {number}\n\nA text for everyone.\n")
        dying = live(point)
        _dies(point, dying)
        sending.append({(address, _number(title)) for address, title in ask(SENDING)})
        time.sleep(0.05)
        relay.mark(len(sending))
    finish()
    wanted = [(address, release) for address in addresses for release in range(len(points))]
    wait_for(lambda: ask(SETTLED)[0][0] >= len(wanted), "everybody to be told", 40)
    return killing.judge(wanted, _arrivals(relay), sending, time.monotonic() - begun)


def _arrivals(relay: RelayProcess) -> Iterator[tuple[killing.Copy, int]]:
    for address, subject, life in relay.arrivals():
        found = TITLE.fullmatch(subject)
        assert found, f"a mail with the subject {subject!r}"
        yield (address, int(found[1])), life
