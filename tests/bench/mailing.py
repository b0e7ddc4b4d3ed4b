"""Senders of mail to measure, each in a process that does only this: `python -m tests.bench.mailing SENDER ...`.

`prepare DATABASE PEOPLE SAMPLE` fills a database, fans out, and writes one of its mails to a file. `whole DATABASE PORT
PEOPLE CONNECTIONS` is the pipeline as it runs in production: engine, claims and settlements in SQLite with every commit
synced, mails compiled for each reader. `bare SAMPLE PORT PEOPLE CONNECTIONS` is our transport alone, with finished
mails. `plain SAMPLE PORT PEOPLE CONNECTIONS` is what one writes in an afternoon: an EmailMessage for each reader, and
aiosmtplib. Times begin when everything is imported and the database is open.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import uvloop

from bots.email.addresses import address
from bots.email.channel import EmailChannel
from bots.email.compile import Compiler, Mail
from bots.email.smtp import SmtpTransport
from syndicator.domain.letters import Letter, Outcome, Sent
from syndicator.domain.model import ChannelKind, MessageKind, Priority
from syndicator.domain.ports import Answered, Done, Job
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.i18n import Texts
from syndicator.pipeline.fanout import Fanout
from syndicator.store import migrate
from syndicator.store.database import Database
from tests.bench.crowd import LANGS, NOW, SITE, announce, crowd, taxonomy
from tests.bench.whole_road import all_sent

SENTENCES = 72  # with them a mail has 20 KB
PATIENCE = 200  # seconds
BEGUN = time.monotonic()


class Alone:
    """A turn that nobody else wants."""

    def should_yield(self) -> bool:
        return False


class Tasting(EmailChannel):
    """Sends nothing: keeps the first mail, as the relay would get it."""

    def __init__(self, compiler: Compiler, transport: SmtpTransport, sample: Path) -> None:
        super().__init__(compiler, transport)
        self.sample = sample

    async def send(
        self, letters: Sequence[Letter], now: datetime, answered: Answered | None = None
    ) -> Sequence[Outcome]:
        self.sample.write_bytes(self._compiler.mail(letters[0], now).data)
        return [Sent() for _ in letters]


def clock() -> datetime:
    """The release is announced at a fixed moment, so this clock goes on from there."""
    return NOW + timedelta(seconds=time.monotonic() - BEGUN)


def compiler() -> Compiler:
    """As an office has it that wants bounces and leaving by mail."""
    return Compiler(
        site=SITE,
        texts=Texts.load(LANGS),
        taxonomy=taxonomy(),
        sender="news@press.example.org",
        bounce_address="bounces@press.example.org",
        unsubscribe_address="leave@press.example.org",
    )


def transport(port: int, connections: int) -> SmtpTransport:
    """As the service makes it for a relay on its own machine."""
    return SmtpTransport("127.0.0.1", port, local_hostname="press.example.org", tls="none", connections=connections)


async def prepare(path: str, people: str, sample: str) -> Mapping[str, float]:
    """So many readers who all are to get one release; first one of another, for a mail to look at."""
    url = f"sqlite:///{path}"
    await migrate.upgrade(url)
    database = Database(url)
    await crowd(database, 1, 1, chats=0)
    await announce(database, SENTENCES)
    taste = Tasting(compiler(), transport(1, 1), Path(sample))
    await all_sent(database, taste, RetryPolicy(), 1, clock=clock, patience=PATIENCE)
    await database.close()
    _forget(path)
    await migrate.upgrade(url)
    database = Database(url)
    await crowd(database, int(people), 1, chats=0)
    message = await announce(database, SENTENCES)
    await fan_out(database, message)
    await database.close()
    return {"bytes": len(_read(sample))}


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _forget(path: str) -> None:
    Path(path).unlink()


async def fan_out(database: Database, message: int) -> None:
    """Write all deliveries and batches."""
    tells = {ChannelKind.EMAIL: [MessageKind.RELEASE]}
    fanout = Fanout(database, site=SITE, taxonomy=taxonomy(), tells=tells, clock=lambda: NOW, wake=lambda: None)
    job = Job("fanout", "fanout", Priority.NORMAL, NOW, args={"message": message})
    assert isinstance(await fanout.fan_out(job, Alone()), Done)


async def whole(path: str, port: str, people: str, connections: str) -> Mapping[str, float]:
    """The pipeline; see the module."""
    database = Database(f"sqlite:///{path}")
    channel = EmailChannel(compiler(), transport(int(port), int(connections)))
    policy = RetryPolicy(12, ResendUnknown.ONCE)
    found = await all_sent(database, channel, policy, int(people), clock=clock, patience=PATIENCE)
    await database.close()
    return found


async def bare(sample: str, port: str, people: str, connections: str) -> Mapping[str, float]:
    """The transport alone: all mails are there before it begins, twenty at a time for each connection."""
    data, many = _read(sample), int(people)
    mails = [_mail(data, number) for number in range(many)]
    way = transport(int(port), int(connections))
    assert isinstance((await way.send(mails[:1], clock()))[0], Sent)  # one goes first, to find out
    chunks = iter([mails[at : at + 20] for at in range(0, many, 20)])

    async def work() -> None:
        for chunk in chunks:
            assert all(isinstance(one, Sent) for one in await way.send(chunk, clock()))

    found = await _timed(work, int(connections) + 1, many)
    await way.close()
    return found


def _mail(data: bytes, number: int) -> Mail:
    to = address(f"reader{number}@example.org")
    return Mail("bounces@press.example.org", to, f"<{number}@press.example.org>", data, f"{number:048d}")


async def plain(sample: str, port: str, people: str, connections: str) -> Mapping[str, float]:
    """EmailMessage and aiosmtplib, the same two texts in it, and as many headers."""
    parsed = email.message_from_bytes(_read(sample), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    texts = [part.get_content() for part in parsed.iter_parts() if isinstance(part, EmailMessage)]
    headers = {name: str(value) for name, value in parsed.items() if name.lower() not in HELD}
    numbers = iter(range(int(people)))

    async def work() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=int(port), use_tls=False, start_tls=False) as client:
            for number in numbers:
                await client.send_message(_message(headers, texts, number))

    return await _timed(work, int(connections), int(people))


HELD = ("to", "message-id", "mime-version", "content-type", "content-transfer-encoding")


def _message(headers: Mapping[str, str], texts: Sequence[str], number: int) -> EmailMessage:
    made = EmailMessage()
    for name, value in headers.items():
        made[name] = value
    made["To"] = f"reader{number}@example.org"
    made["Message-ID"] = f"<{number}@press.example.org>"
    made.set_content(texts[0])
    made.add_alternative(texts[1], subtype="html")
    return made


async def _timed(work: Callable[[], Awaitable[None]], lanes: int, many: int) -> Mapping[str, float]:
    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(lanes)))
    seconds, spent = time.perf_counter() - begun, time.process_time() - cpu
    return {"rate": many / seconds, "cpu": spent / many * 1000}


if __name__ == "__main__":
    SENDERS: Mapping[str, Callable[..., Awaitable[Mapping[str, float]]]] = {
        sender.__name__: sender for sender in (prepare, whole, bare, plain)
    }

    async def _main() -> None:
        print(json.dumps(await SENDERS[sys.argv[1]](*sys.argv[2:])))  # noqa: T201  # to the parent

    uvloop.run(_main())
