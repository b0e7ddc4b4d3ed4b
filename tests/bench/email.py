"""Mail: the whole pipeline beside postfix's smtp-source, our transport alone, and EmailMessage with aiosmtplib.

Rules, in order:

1. One receiver for all: postfix's smtp-sink, or a thin relay of our own where it is not installed; it does as little as
   one can. All send the same 20 KB; what is personal in them differs for each reader, except in smtp-source's.
2. All run in turn, several times over; the middle of each is shown, and ratios are made within one round. Whoever
   measures a sender on a busy machine measures the machine.
3. The CPU is that of the sending process alone. `ledger on`: SQLite, every commit synced, claims and settlements of
   every mail; nothing is left out that the service does.
4. Far away is ten milliseconds there and back, made by a wire in a process of its own (`far`).
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.far import Far
from tests.bench.figures import Figure, child
from tests.program import free_port
from tests.relay import RelayProcess

__all__ = ["measure"]

SESSIONS = 10
ROUND_TRIP = 0.010
ROUNDS = 3
BARS = {"smtp-source": 0.15, "plain": 6.0}
Run = Mapping[str, float]  # `rate`, messages a second; `cpu`, milliseconds of it a message


@dataclass(frozen=True)
class Amounts:
    """How many messages each sends in a round: enough for some seconds."""

    near: int = 10_000
    near_plain: int = 600
    far: int = 3000
    far_source: int = 1000
    far_plain: int = 600


@dataclass
class Rounds:
    """What each sender did, round by round."""

    runs: dict[str, list[Run]] = field(default_factory=dict)

    def add(self, sender: str, run: Run) -> None:
        self.runs.setdefault(sender, []).append(run)

    def middle(self, sender: str, what: str) -> float:
        return statistics.median(run[what] for run in self.runs[sender])

    def ratio(self, sender: str, peer: str, what: str) -> float:
        """The middle of the rounds' ratios."""
        pairs = zip(self.runs[sender], self.runs[peer], strict=True)
        return statistics.median(one[what] / other[what] for one, other in pairs)


def measure(
    folder: Path, amounts: Amounts | None = None, rounds: int = ROUNDS, *, away: bool = True
) -> Iterator[Figure]:
    """On loopback, then at ten milliseconds there and back."""
    many = amounts or Amounts()
    with receiver(folder) as (port, said):
        near, far = Rounds(), Rounds()
        for _ in range(rounds):
            size = _round(near, folder, port, (many.near, many.near, many.near_plain))
        yield Figure("each mail, in bytes; the receiver", f"{size:,}", said)
        yield from _figures("loopback", near)
        if away:
            with Far(port, ROUND_TRIP) as wire:
                _round(far, folder, wire.port, (many.far, many.far_source, many.far_plain))
            yield from _figures("10 ms away", far)


def _round(found: Rounds, folder: Path, port: int, many: tuple[int, int, int]) -> int:
    """Each sender once: so many mails of ours, of smtp-source's and of the plain sender's; returns a mail's bytes."""
    ours, sources, plains = many
    database, sample = folder / "crowd.db", folder / "sample.eml"
    size = int(child("mailing", "prepare", str(database), str(ours), str(sample))["bytes"])
    if shutil.which("smtp-source"):
        found.add("smtp-source", smtp_source(sample, port, sources))
    found.add("whole", child("mailing", "whole", str(database), str(port), str(ours), str(SESSIONS)))
    for left in folder.glob("crowd.db*"):
        left.unlink()
    found.add("bare", child("mailing", "bare", str(sample), str(port), str(ours), str(SESSIONS)))
    found.add("plain", child("mailing", "plain", str(sample), str(port), str(plains), str(SESSIONS)))
    return size


NAMES = {
    "smtp-source": f"smtp-source, {SESSIONS} sessions",
    "whole": f"whole pipeline, ledger on, {SESSIONS} connections",
    "bare": f"our transport alone, {SESSIONS} connections",
    "plain": f"EmailMessage and aiosmtplib, {SESSIONS} connections",
}


def _figures(place: str, found: Rounds) -> Iterator[Figure]:
    for sender in found.runs:
        rate, cpu = found.middle(sender, "rate"), found.middle(sender, "cpu")
        yield Figure(f"{place}: {NAMES[sender]}", f"{rate:,.0f} mails/s", f"{cpu:.3f} ms of CPU a mail")
    for peer, bar in BARS.items():
        if peer not in found.runs:
            yield Figure(f"{place}: beside smtp-source", "skipped", "postfix is not installed")
            continue
        for what, words in (("rate", "messages a second"), ("cpu", "CPU a message")):
            ratio = found.ratio("whole", peer, what)
            said = f"bar {bar:g}" if what == "rate" else ""
            yield Figure(f"{place}: whole pipeline / {peer}, {words}", f"{ratio:.2f}", said, ratio)


def smtp_source(sample: Path, port: int, many: int) -> Run:
    """Postfix's generator over connections that it keeps; it knows no pipelining."""
    lines = sample.with_suffix(".lf")  # it ends the lines itself
    lines.write_bytes(sample.read_bytes().replace(b"\r\n", b"\n"))
    ends = ("-f", "bounces@press.example.org", "-t", "reader@example.org", f"127.0.0.1:{port}")
    begun = time.perf_counter()
    process = subprocess.Popen(["smtp-source", "-d", "-s", str(SESSIONS), "-m", str(many), "-F", str(lines), *ends])
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"smtp-source ended with {process.returncode}"
    return {"rate": many / seconds, "cpu": (used.ru_utime + used.ru_stime) / many * 1000}


@contextmanager
def receiver(folder: Path) -> Iterator[tuple[int, str]]:
    """Who takes the mails: the port, and what it is."""
    if shutil.which("smtp-sink") is None:
        relay = RelayProcess(folder)
        try:
            yield relay.port, "a relay of our own: postfix's smtp-sink is not installed"
        finally:
            relay.stop()
        return
    port, user = free_port(), ("-u", "nobody") if os.getuid() == 0 else ()
    process = subprocess.Popen(["smtp-sink", *user, "-m", "1024", f"127.0.0.1:{port}", "1024"])
    try:
        _wait_for(port, process)
        yield port, "postfix's smtp-sink"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[bytes], *, tries: Sequence[float] = (0.05,) * 100) -> None:
    for pause in tries:
        assert process.poll() is None, "smtp-sink ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(pause)
    raise AssertionError("smtp-sink does not listen")
