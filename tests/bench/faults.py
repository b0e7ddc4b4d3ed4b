"""What trouble at some domains costs the others: the mails a second that healthy ones get, beside a run without faults.

Rules, in order:

1. The whole road over one relay. Readers are spread evenly over healthy domains and such as refuse, ask to slow down,
   drop lines at every stage, or answer a byte a second. Both runs have the same readers and mails.
2. The relay takes its time for each mail, alike in both: connections are what is scarce, as on a real line, and not
   the processor. A run is several time-outs long, so that one which held everybody would show.
3. The rate is that of the healthy domains from their first mail to their very last.
4. Nobody may be lost, and our ledger must say what the relay's own says; whatever is untrue raises.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from syndicator.store import migrate
from tests.bench.figures import Figure
from tests.email.fault_road import FaultRoad, lost
from tests.email.faults import DROP, TAKE_AND_DROP, TARPIT, Fault, FaultServer

__all__ = ["measure"]

HEALTHY = tuple(f"good{number}.example" for number in range(8))
SICK: Mapping[str, Sequence[Fault]] = {
    "busy.example": [Fault("RCPT", "421 4.7.0 try again later", after=50, times=20)],
    "slow.example": [Fault("END", "421 4.7.28 unusual rate of mail", after=100, times=10)],
    "grey.example": [Fault("RCPT", "450 4.7.1 greylisted", times=150)],
    "odd.example": [Fault("END", "451 4.3.0 try again", odds=0.01), Fault("DATA", "452 4.3.1 no room", odds=0.05)],
    "nobody.example": [Fault("RCPT", "550 5.1.1 no such user", odds=0.5)],
    "strict.example": [Fault("END", "554 5.7.1 not wanted")],
    "tarpit.example": [Fault("RCPT", TARPIT, times=12)],
    "marsh.example": [Fault("RCPT", TARPIT, times=6)],
    "mire.example": [Fault("DATA", TARPIT, times=6)],
    "drops.example": [
        Fault("RCPT", DROP, times=10, odds=0.1),
        Fault("DATA", DROP, times=10, odds=0.1),
        Fault("BODY", DROP, times=10, odds=0.1),
        Fault("END", DROP, times=10, odds=0.1),
        Fault("END", TAKE_AND_DROP, times=10, odds=0.1),
    ],
}
READERS = 120  # at each domain
ROUNDS = 3
COSTS = 0.05  # seconds that the relay takes for each mail
TIMEOUT = 2.0  # seconds for each answer
PATIENCE = 400.0


def measure(folder: Path, readers: int = READERS, rounds: int = ROUNDS, costs: float = COSTS) -> Iterator[Figure]:
    """Without faults, then with them, so many times over."""
    for number in range(rounds):
        rates = []
        for name, scripts in (("clean", {}), ("faulty", SICK)):
            place = folder / f"{name}{number}"
            place.mkdir()
            rates.append(asyncio.run(_run(place, scripts, readers, costs)))
        clean, faulty = rates
        yield Figure(
            f"{len(HEALTHY)} healthy domains beside {len(SICK)} bad ones",
            f"{faulty:.0f} mails/s",
            f"{clean:.0f} mails/s without faults",
            faulty / clean,
        )


async def _run(folder: Path, scripts: Mapping[str, Sequence[Fault]], readers: int, costs: float) -> float:
    """The healthy domains' mails a second."""
    url = f"sqlite:///{folder}/faults.db"
    await migrate.upgrade(url)
    async with (
        FaultServer(scripts, costs=costs, pace=1.0) as server,
        FaultRoad(url, folder, server.port, timeout=TIMEOUT) as road,
    ):
        await road.people([*HEALTHY, *SICK], readers)
        await road.run(patience=PATIENCE)
        rows = await road.rows()
    assert not lost(rows), "somebody was lost"
    assert not server.violations, server.violations
    for row in rows:
        answered = [mail for mail in server.to(row["address"]) if mail.answered]
        assert (row["state"] == "sent") == (len(answered) == 1), row
    return server.rate(HEALTHY)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for figure in measure(Path(scratch), *map(int, sys.argv[1:])):
            print(figure, flush=True)  # noqa: T201  # its output
