"""Memory: one release by mail to 10,000, 100,000 and 1,000,000 subscribers, each in a process that does only this.

All deliveries are written, and 20,000 mails leave over a real relay; what a process keeps for each subscriber, or for
each batch that still waits, shows as growth. The peak is the kernel's own (VmHWM).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from bots.email.channel import EmailChannel
from syndicator.domain.retry import RetryPolicy
from syndicator.store import migrate
from syndicator.store.database import Database
from tests.bench.crowd import announce, crowd
from tests.bench.email import SESSIONS, receiver
from tests.bench.fanout import peak_mb
from tests.bench.figures import Figure, child
from tests.bench.mailing import PATIENCE, clock, compiler, fan_out, transport
from tests.bench.whole_road import all_sent

__all__ = ["measure"]

CROWDS = (10_000, 100_000, 1_000_000)
SENT = 20_000
LIMIT_MB = 300


def measure(folder: Path, crowds: Sequence[int] = CROWDS, sent: int = SENT) -> Iterator[Figure]:
    """Each crowd beside the smallest."""
    first = 0.0
    with receiver(folder) as (port, _):
        for people in crowds:
            database = folder / f"{people}.db"
            message = asyncio.run(_prepare(f"sqlite:///{database}", people))
            mails = min(sent, people)
            peak = child("memory", str(database), str(message), str(port), str(mails))["peak_mb"]
            first = first or peak
            name = f"{people:,} subscribers fanned out, {mails:,} mails sent"
            yield Figure(name, f"{peak:.0f} MB", f"limit {LIMIT_MB} MB", peak / first)
            for left in folder.glob(f"{people}.db*"):
                left.unlink()


async def _prepare(url: str, people: int) -> int:
    await migrate.upgrade(url)
    database = Database(url)
    await crowd(database, people, 1, chats=0)
    message = await announce(database)
    await database.close()
    return message


async def _send(path: str, message: int, port: int, mails: int) -> None:
    database = Database(f"sqlite:///{path}")
    await fan_out(database, message)
    channel = EmailChannel(compiler(), transport(port, SESSIONS))
    await all_sent(database, channel, RetryPolicy(), mails, clock=clock, patience=PATIENCE)
    await database.close()
    print(json.dumps({"peak_mb": peak_mb()}))  # noqa: T201  # to the parent


if __name__ == "__main__":
    uvloop.run(_send(sys.argv[1], *map(int, sys.argv[2:])))
