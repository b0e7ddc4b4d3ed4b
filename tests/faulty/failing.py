"""A process dies at each named point of a release's way (`tests.faulty.dying`), once each: who was missed?

One office, one release for each point: the process that works on it dies there, and the next one goes on, to die at the
next point. The judge is that of `tests.killing`: everybody gets every release, and only what stood `sending` at a death
may come again.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tests import killing
from tests.cluster.running import Cluster
from tests.faulty.dying import DIES_AT, POINTS, QUICK, RHYTHM
from tests.program import Program, mail_through, make_program, wait_for
from tests.relay import RelayProcess

SENDING = killing.SENDING.replace("?", "'email'")
SETTLED = "SELECT count(*) FROM delivery WHERE state = 'sent'"
TITLE = re.compile(r"Notice number (\d+)")


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
        wait_for(dying.dead, f"the end {point}", 40)
        assert dying.process is not None
        assert dying.process.wait(5) == -9, dying.log()[-3000:]
        rows = ask(SENDING)
        sending.append({(address, int(title.removeprefix("Notice number "))) for address, title in rows})
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
