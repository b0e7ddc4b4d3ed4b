"""The process is killed with SIGKILL at random moments while it sends: who was missed, and who got it twice?

`python -m tests.killing` is the long run (20,000 mails' readers and 300 chats, 20 kills each); tests run small ones.
Rules of the judge:

1. Every subscriber got every release.
2. A repeat is explained by a kill: after that kill, and not before it, the message came again, and at that kill its row
   stood `sending`. What no kill explains is a fault, however small the sum.
3. In which life of the process a message left is known from its connection (mail), or from what the chats held
   when the process was dead (Telegram).
"""

from __future__ import annotations

import argparse
import random
import re
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.doubled import TelegramProcess
from tests.program import Program, mail_through, make_program
from tests.relay import RelayProcess

Copy = tuple[str, int]  # an address, and the number of the release it is to get
TITLE = re.compile(r"Notice number (\d+)")
SENDING = """
    SELECT s.address, r.title FROM delivery d
    JOIN subscriber s ON s.id = d.subscriber_id JOIN message m ON m.id = d.message_id
    JOIN variant v ON v.release_id = m.release_id
    JOIN revision r ON r.variant_id = v.id AND r.number = v.revision_number
    WHERE d.state = 'sending' AND s.channel = ? AND s.role = 'person'
"""
SETTLED = """
    SELECT count(*) FROM delivery d JOIN subscriber s ON s.id = d.subscriber_id
    WHERE d.state NOT IN ('due', 'sending', 'deferred') AND s.channel = ? AND s.role = 'person'
"""


@dataclass(frozen=True)
class Report:
    """What people saw. `sending` are the rows that stood so at each kill, `repeated` what came again after it."""

    promised: int
    missed: int
    sending: tuple[int, ...]
    repeated: tuple[int, ...]
    unexplained: int
    seconds: float

    @property
    def right(self) -> bool:
        within = all(again <= stood for again, stood in zip(self.repeated, self.sending, strict=True))
        return self.missed == 0 and self.unexplained == 0 and within

    def __str__(self) -> str:
        return (
            f"{self.promised} messages promised, {len(self.sending)} kills, {sum(map(bool, self.sending))} of them "
            f"while rows stood sending: {self.missed} missed, {sum(self.repeated)} repeated, {self.unexplained} of no "
            f"kill's making; {self.seconds:.0f} s\n  stood sending at each kill {list(self.sending)}"
            f"\n  repeated after it          {list(self.repeated)}"
        )


class Mail:
    """A relay that takes its time over each mail, so that a kill finds some in flight."""

    channel = "email"

    def __init__(self, folder: Path) -> None:
        self.relay = RelayProcess(folder, delay=0.005)
        self.life = 0

    def configure(self, program: Program) -> Program:
        return mail_through(program, self.relay.port)

    def addresses(self, number: int) -> list[str]:
        return [f"r{n}@example.org" for n in range(number)]

    def killed(self) -> None:
        """Whoever connects from now on is the next life; what the dead one still had on the wire stays its own."""
        self.life += 1
        self.relay.mark(self.life)

    def arrivals(self) -> Iterable[tuple[Copy, int]]:
        for address, subject, life in self.relay.arrivals():
            found = TITLE.fullmatch(subject)
            assert found, f"a mail with the subject {subject!r}"
            yield (address, int(found[1])), life

    def stop(self) -> None:
        self.relay.stop()


class Chats:
    """Personal Telegram messages, to the double of the Bot API."""

    channel = "telegram"

    def __init__(self, folder: Path) -> None:
        self.double = TelegramProcess()
        self.held: list[int] = []  # how many messages stood in the chats at each kill

    def configure(self, program: Program) -> Program:
        return self.double.post_for(program, per_second=1000)

    def addresses(self, number: int) -> list[str]:
        chats = range(7001, 7001 + number)
        self.double.begin_chats(chats)
        return [str(chat) for chat in chats]

    def killed(self) -> None:
        """Wait until nothing of the dead process is on the wire any more: two equal looks."""
        before, now = -1, len(self.double.messages())
        for _ in range(100):
            if before == now:
                break
            time.sleep(0.05)
            before, now = now, len(self.double.messages())
        self.held.append(now)

    def arrivals(self) -> Iterable[tuple[Copy, int]]:
        for place, message in enumerate(self.double.messages()):
            found = TITLE.search(message["text"])
            if found and message["chat"] > 0:
                yield (str(message["chat"]), int(found[1])), sum(place >= held for held in self.held)

    def stop(self) -> None:
        self.double.stop()


def run(folder: Path, kind: type[Mail | Chats], *, subscribers: int, kills: int, seed: int) -> Report:
    """Kill `kills` times; each time the ledger has run empty, publish one more release to keep it busy."""
    dice = random.Random(seed)  # moments, not secrets
    outlet = kind(folder)
    program = outlet.configure(make_program(folder, warm=True))
    begun = time.monotonic()
    try:
        addresses = outlet.addresses(subscribers)
        program.subscribe(*(f"{address},{outlet.channel},en,,immediate" for address in addresses))
        releases = _publish(program, 0)
        sending = []
        for _ in range(kills):
            program.spawn()
            _live(program, outlet.channel, dice)
            assert not program.dead(), program.log()[-4000:]
            program.kill()
            outlet.killed()
            sending.append(standing(program, outlet.channel))
            if _unfinished(program, outlet.channel, releases * subscribers) == 0:
                releases = _publish(program, releases)
        program.start()
        for _ in range(300):
            if _unfinished(program, outlet.channel, releases * subscribers) == 0:
                break
            time.sleep(1)
        assert program.stop() == 0, program.log()[-4000:]
        wanted = [(address, release) for address in addresses for release in range(releases)]
        return judge(wanted, outlet.arrivals(), sending, time.monotonic() - begun)
    finally:
        if program.process is not None and not program.dead():
            program.kill()
        outlet.stop()


def _live(program: Program, channel: str, dice: random.Random) -> None:
    """A short life: half of them end at any moment from the first, half while messages leave."""
    if dice.random() < 0.5:
        program.run_for(dice.uniform(0.3, 4.0))
        return
    before = _unfinished(program, channel, 0)
    for _ in range(1500):  # half a minute on a machine that is busy with other things
        if _unfinished(program, channel, 0) < before:
            break
        program.run_for(0.02)
    program.run_for(dice.uniform(0.0, 1.5))


def judge(
    wanted: Sequence[Copy], arrivals: Iterable[tuple[Copy, int]], sending: Sequence[set[Copy]], seconds: float
) -> Report:
    """Hold what came, and in which life of the process, against what was promised and what stood sending."""
    lives: dict[Copy, list[int]] = defaultdict(list)
    for copy, life in arrivals:
        lives[copy].append(life)
    repeated, unexplained = [0] * len(sending), 0
    for copy, seen in lives.items():
        seen.sort()
        for earlier, later in pairwise(seen):
            why = [kill for kill in range(earlier, later) if copy in sending[kill]]
            if why:
                repeated[why[-1]] += 1
            else:
                unexplained += 1
    missed = sum(copy not in lives for copy in wanted)
    return Report(len(wanted), missed, tuple(map(len, sending)), tuple(repeated), unexplained, seconds)


def _publish(program: Program, so_far: int) -> int:
    program.write(f"n{so_far}.en.txt", f"Notice number {so_far}\n\nA text for everyone.\n")
    return so_far + 1


def standing(program: Program, channel: str) -> set[Copy]:
    """What stands `sending` in the ledger's file."""
    rows = _ask(program, SENDING, channel)
    return {(address, int(title.removeprefix("Notice number "))) for address, title in rows}


def _unfinished(program: Program, channel: str, promised: int) -> int:
    """How many of the promised are not settled yet, or not even written."""
    return promised - int(_ask(program, SETTLED, channel)[0][0])


def _ask(program: Program, query: str, channel: str) -> list[Any]:
    """The ledger's file itself: it can be read while the process runs, and when it is dead."""
    with closing(sqlite3.connect(f"file:{program.folder}/var/syndicator.db?mode=ro", uri=True)) as database:
        return database.execute(query, (channel,)).fetchall()


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outlets", nargs="*", default=["email", "telegram"], help="email, telegram")
    parser.add_argument("--subscribers", type=int, default=20_000)
    parser.add_argument("--chats", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    ways: dict[str, tuple[type[Mail | Chats], int]] = {
        "email": (Mail, chosen.subscribers),
        "telegram": (Chats, chosen.chats),
    }
    right = True
    for name in chosen.outlets:
        outlet, number = ways[name]
        with tempfile.TemporaryDirectory() as folder:
            report = run(Path(folder), outlet, subscribers=number, kills=chosen.kills, seed=chosen.seed)
        print(f"{name}, seed {chosen.seed}: {report}", flush=True)  # noqa: T201  # the result
        right = right and report.right
    if not right:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
