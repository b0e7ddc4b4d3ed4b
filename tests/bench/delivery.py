"""Delivery: mails a second and CPU a mail, of the whole pipeline beside the bare SMTP transport in the same run.

The pipeline is what runs in production: engine, claims and settlements in SQLite with every commit synced, mails
compiled for each reader, four connections. The bare transport gets finished mails. The relay has its own process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from bots.email.channel import EmailChannel
from bots.email.compile import Compiler, Mail
from bots.email.smtp import SmtpTransport
from syndicator.domain.letters import Letter, Outcome, Sent
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.i18n import Texts
from syndicator.store import migrate
from syndicator.store.database import Database
from tests.bench.crowd import LANGS, NOW, SITE, announce, crowd, taxonomy
from tests.bench.figures import Figure, child
from tests.bench.whole_road import all_sent
from tests.relay import RelayProcess

__all__ = ["measure"]

PEOPLE = 5000
CONNECTIONS = 4
PATIENCE = 120  # seconds
BEGUN = time.monotonic()


def measure(folder: Path, people: int = PEOPLE) -> Iterator[Figure]:
    """The bare transport first, then the pipeline, over the same relay."""
    relay = RelayProcess(folder)
    try:
        found = child("delivery", str(folder), str(relay.port), str(people))
        took = len({address for address, _, _ in relay.arrivals()})
    finally:
        relay.stop()
    assert took == people, f"the relay has mails for {took} of {people}"
    bare, whole = found["bare"], found["whole"]
    yield Figure(
        "bare SmtpTransport, finished mails", f"{bare['rate']:.0f} mails/s", f"{found['bytes']:,} bytes a mail"
    )
    yield Figure(
        "whole pipeline", f"{whole['rate']:.0f} mails/s", f"bare {bare['rate']:.0f}", whole["rate"] / bare["rate"]
    )
    yield Figure(
        "CPU a mail, whole pipeline", f"{whole['cpu']:.2f} ms", f"bare {bare['cpu']:.2f} ms", whole["cpu"] / bare["cpu"]
    )


class Keeping(EmailChannel):
    """Keeps the letters it sent, so that the bare run can send the same mails again."""

    def __init__(self, compiler: Compiler, port: int) -> None:
        super().__init__(compiler, transport(port))
        self.letters: list[Letter] = []

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        self.letters += letters
        return await super().send(letters, now)


def transport(port: int) -> SmtpTransport:
    """As the service makes it for a relay on its own machine."""
    return SmtpTransport("127.0.0.1", port, local_hostname="press.example.org", tls="none", connections=CONNECTIONS)


def clock() -> datetime:
    """The release is announced at a fixed moment, so this clock goes on from there."""
    return NOW + timedelta(seconds=time.monotonic() - BEGUN)


async def _both(folder: str, port: int, people: int) -> None:
    url = f"sqlite:///{folder}/delivery.db"
    await migrate.upgrade(url)
    database = Database(url)
    await crowd(database, people, 1, chats=0)
    await announce(database)
    compiler = Compiler(site=SITE, texts=Texts.load(LANGS), taxonomy=taxonomy(), sender="news@press.example.org")
    channel = Keeping(compiler, port)
    policy = RetryPolicy(12, ResendUnknown.ONCE)
    whole = await all_sent(database, channel, policy, people, clock=clock, patience=PATIENCE)
    mails = [compiler.mail(letter, clock()) for letter in channel.letters]
    bare = await _bare(mails, port)
    await database.close()
    print(json.dumps({"bare": bare, "whole": whole, "bytes": len(mails[0].data)}))  # noqa: T201  # to the parent


async def _bare(mails: Sequence[Mail], port: int) -> Mapping[str, float]:
    line = transport(port)
    waiting = list(mails)
    begun, cpu = time.perf_counter(), time.process_time()

    async def work() -> None:
        while waiting:
            (outcome,) = await line.send([waiting.pop()], clock())
            assert isinstance(outcome, Sent)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    seconds, spent = time.perf_counter() - begun, time.process_time() - cpu
    await line.close()
    return {"rate": len(mails) / seconds, "cpu": spent / len(mails) * 1000}


if __name__ == "__main__":
    asyncio.run(_both(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
