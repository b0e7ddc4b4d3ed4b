"""The process is killed with SIGKILL at random moments while it sends: who was missed, and who got it twice?

`python -m tests.killing` is the long run (5,000 subscribers, 20 kills); a test runs a small one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.program import MailSink, Program, mail_through, make_program, wait_for


@dataclass(frozen=True)
class Report:
    """What the relay saw. `in_flight` are the rows that stood `sending` at each kill."""

    promised: int
    missed: int
    repeats: int
    in_flight: tuple[int, ...]
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.promised} mails promised, {len(self.in_flight)} kills: "
            f"{self.missed} missed, {self.repeats} repeated, "
            f"{sum(self.in_flight)} stood sending at the kills {list(self.in_flight)}, {self.seconds:.0f} s"
        )


class SlowSink(MailSink):
    """Takes its time over each mail, so that a kill finds some in flight."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        await asyncio.sleep(0.005)
        return await super().handle_DATA(server, session, envelope)


def run(folder: Path, *, subscribers: int, kills: int, seed: int) -> Report:
    """Kill `kills` times; each time the ledger has run empty, publish one more release to keep it busy."""
    dice = random.Random(seed)  # moments, not secrets
    sink = SlowSink()
    sink.start()
    program = mail_through(make_program(folder), sink.port)
    begun = time.monotonic()
    try:
        program.subscribe(*(f"r{n}@example.org,email,en,,immediate" for n in range(subscribers)))
        releases = _publish(program, 0)
        in_flight = []
        for _ in range(kills):
            program.spawn()
            program.run_for(dice.uniform(0.3, 4.0))
            program.kill()
            in_flight.append(program.count("sending"))
            if program.count("due", "sending", "deferred") == 0:
                releases = _publish(program, releases)
        program.start()
        promised = releases * subscribers
        wait_for(lambda: program.count("sent") >= promised, f"{promised} mails to be sent", patience=600)
        program.stop()
        return _judge(sink, releases, subscribers, tuple(in_flight), time.monotonic() - begun)
    finally:
        if program.process is not None and not program.dead():
            program.kill()
        sink.stop()


def _publish(program: Program, so_far: int) -> int:
    program.write(f"n{so_far}.en.txt", f"Notice number {so_far}\n\nA text for everyone.\n")
    return so_far + 1


def _judge(sink: MailSink, releases: int, subscribers: int, in_flight: tuple[int, ...], seconds: float) -> Report:
    got = Counter((mail["To"], mail["Subject"]) for mail in sink.mails)
    wanted = [(f"r{n}@example.org", f"Notice number {r}") for n in range(subscribers) for r in range(releases)]
    missed = sum(1 for one in wanted if got[one] == 0)
    return Report(len(wanted), missed, sum(got.values()) - len(got), in_flight, seconds)


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder), subscribers=chosen.subscribers, kills=chosen.kills, seed=chosen.seed)
    print(f"seed {chosen.seed}: {report}")  # noqa: T201  # the result
    if report.missed or report.repeats > sum(report.in_flight):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
