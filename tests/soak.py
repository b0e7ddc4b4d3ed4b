"""A broadcast to many people over Telegram, at the limits the Bot API is known to have: `python -m tests.soak`.

Two runs of the real program against the double with its limits on, in real time; tests run small ones. `--delay` is the
round trip to it, in seconds.

1. Steady: nobody is missed, nobody gets it twice, there is no 429, and the rate reaches 95 % of the budget. Meanwhile
   people write to the bot and are answered: how long the slowest waited is told.
2. Killed: SIGKILL every few seconds. Nobody is missed, and only what stood `sending` at a kill comes again
   (`killing.judge`); what nobody can tell of is counted and told.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import killing
from tests.program import Program, make_program

METERED = Path(__file__).parent / "telegram" / "metered.py"
FIRST = 7001
WRITER = 900_001  # the first of those who write to the bot meanwhile
BUDGET = 25.0
ENOUGH = 0.95
TITLE = re.compile(r"Notice number (\d+)")
OPEN = ("due", "sending", "deferred")


class Metered:
    """The double in a process of its own, and what it wrote down."""

    def __init__(self, folder: Path, people: int, delay: float = 0) -> None:
        self._file = folder / "taken.jsonl"
        order = [sys.executable, str(METERED), str(self._file), "--people", str(people), "--delay", str(delay)]
        self._process = subprocess.Popen(order, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self._root, self._token = told["api_root"], told["token"]

    @property
    def port(self) -> int:
        return int(self._root.rpartition(":")[2])

    def post_for(self, program: Program) -> Program:
        program.environ |= {
            "SYNDICATOR_TELEGRAM__TOKEN": self._token,
            "SYNDICATOR_TELEGRAM__API_ROOT": self._root,
            "SYNDICATOR_TELEGRAM__PER_SECOND": str(BUDGET),
        }
        return program

    def say(self, chat: int, text: str) -> None:
        order = json.dumps({"do": "say", "chat": chat, "text": text}).encode()
        request = urllib.request.Request(f"{self._root}/control", order, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.loads(answer.read())["ok"]

    def lines(self) -> list[tuple[float, int | str, str | None]]:
        with self._file.open(encoding="utf-8") as file:
            return [tuple(json.loads(line)) for line in file if line.endswith("\n")]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


@dataclass(frozen=True)
class Steady:
    """What people saw of one broadcast. `rate` is messages a second from the first to the last of them."""

    promised: int
    missed: int
    doubled: int
    floods: int
    rate: float
    answers: int
    slowest_answer: float
    seconds: float

    @property
    def right(self) -> bool:
        return not (self.missed or self.doubled or self.floods) and self.rate >= ENOUGH * BUDGET

    def __str__(self) -> str:
        return (
            f"{self.promised} people at {BUDGET:g}/s: {self.rate:.2f}/s ({self.rate / BUDGET:.3f} of the budget), "
            f"{self.missed} missed, {self.doubled} twice, {self.floods} times 429; {self.answers} questions meanwhile, "
            f"the slowest answer after {self.slowest_answer:.2f} s; {self.seconds:.0f} s, {_load()}"
        )


def steady(folder: Path, people: int, *, ask_every: float = 5.0, delay: float = 0) -> Steady:
    """One release to that many people; `delay` is the seconds there and back."""
    double = Metered(folder, people, delay)
    program = double.post_for(make_program(folder, warm=True))
    begun, asked = time.monotonic(), dict[int, float]()
    try:
        program.subscribe(*(f"{FIRST + n},telegram,en,,immediate" for n in range(people)))
        program.start()
        program.write("n0.en.txt", "Notice number 0\n\nA text for everyone.\n")
        last = time.monotonic() + 60 + 2 * people / BUDGET
        while _settled(program) < people + 1:  # and the public channel
            assert time.monotonic() < last, f"{_settled(program)} of {people} in time; {program.log()[-3000:]}"
            if not asked or time.time() - max(asked.values()) > ask_every:
                asked[WRITER + len(asked)] = time.time()
                double.say(max(asked), "/start")
            program.run_for(0.2)
        assert program.stop() == 0, program.log()[-4000:]
        return _steady(double.lines(), people, asked, time.monotonic() - begun)
    finally:
        if program.process is not None and not program.dead():
            program.kill()
        double.stop()


def _steady(
    lines: Sequence[tuple[float, int | str, str | None]], people: int, asked: dict[int, float], seconds: float
) -> Steady:
    floods = sum(text is None for _, _, text in lines)
    got = [(at, chat) for at, chat, text in lines if text and TITLE.search(text) and isinstance(chat, int) and chat > 0]
    copies = Counter(chat for _, chat in got)
    answers = {chat: at for at, chat, text in reversed(lines) if text and chat in asked and isinstance(chat, int)}
    waits = [answers.get(chat, float("inf")) - at for chat, at in asked.items()]
    took = got[-1][0] - got[0][0] if len(got) > 1 else float("inf")
    return Steady(
        promised=people,
        missed=sum(FIRST + n not in copies for n in range(people)),
        doubled=sum(number > 1 for number in copies.values()),
        floods=floods,
        rate=(len(got) - 1) / took,
        answers=len(waits),
        slowest_answer=max(waits),
        seconds=seconds,
    )


@dataclass(frozen=True)
class Killed:
    """What people saw, how often they were told to wait, and how many rows nobody can tell of."""

    report: killing.Report
    floods: int
    unknown: int
    kills: int

    @property
    def right(self) -> bool:
        return self.report.right and self.floods == 0

    def __str__(self) -> str:
        return f"{self.report}\n  {self.floods} times 429, {self.unknown} unknown; {_load()}"


def killed(folder: Path, people: int, *, seed: int, lives: tuple[float, float] = (3.0, 7.0)) -> Killed:
    """One release to that many people, and the process is killed again and again; each life is so many seconds."""
    double, dice = Metered(folder, people), random.Random(seed)  # moments, not secrets
    program = double.post_for(make_program(folder, warm=True))
    begun = time.monotonic()
    held, sending = list[int](), list[set[killing.Copy]]()
    try:
        program.subscribe(*(f"{FIRST + n},telegram,en,,immediate" for n in range(people)))
        program.write("n0.en.txt", "Notice number 0\n\nA text for everyone.\n")
        last = time.monotonic() + 120 + 5 * people / BUDGET
        while _settled(program) < people + 1:
            assert time.monotonic() < last, f"{_settled(program)} of {people} in time; {program.log()[-3000:]}"
            program.start()
            program.run_for(dice.uniform(*lives))
            assert not program.dead(), program.log()[-4000:]
            program.kill()
            held.append(still(double))
            sending.append(killing.standing(program, "telegram"))
        wanted = [(str(FIRST + n), 0) for n in range(people)]
        report = killing.judge(wanted, arrivals(double.lines(), held), sending, time.monotonic() - begun)
        floods = sum(text is None for _, _, text in double.lines())
        return Killed(report, floods, program.count("unknown", channel="telegram"), len(held))
    finally:
        if program.process is not None and not program.dead():
            program.kill()
        double.stop()


def still(double: Metered) -> int:
    """How many lines there are once nothing of the dead process is on the wire any more: two equal looks."""
    before, now = -1, len(double.lines())
    for _ in range(100):
        if before == now:
            break
        time.sleep(0.05)
        before, now = now, len(double.lines())
    return now


def arrivals(lines: Iterable[Sequence[Any]], held: Sequence[int]) -> Iterable[tuple[killing.Copy, int]]:
    for place, (_, chat, text) in enumerate(lines):
        found = TITLE.search(text or "")
        if found and isinstance(chat, int) and chat > 0:
            yield (str(chat), int(found[1])), sum(place >= one for one in held)


def _settled(program: Program) -> int:
    states = ("sent", "failed", "unknown", "suppressed")
    return program.count(*states, channel="telegram") if not program.count(*OPEN, channel="telegram") else 0


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def main() -> None:
    """The long runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", default=["steady", "killed"], help="steady, killed")
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds to Telegram and back, in the steady run")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    right = True
    for name in chosen.runs:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            if name == "steady":
                found: Steady | Killed = steady(Path(folder), chosen.people, delay=chosen.delay)
            else:
                found = killed(Path(folder), chosen.people, seed=chosen.seed)
        print(f"{name}: {found}", flush=True)  # noqa: T201  # the result
        right = right and found.right
    if not right:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
