"""An office whose mail has come back: a subscriber who was sent one, what takes mail in, and servers to bring it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bots.email.inbound.listening import Listener
from bots.email.inbound.opening import open_inbound
from config.email import EmailSettings
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, DeliveryState, SubscriptionState
from syndicator.domain.tokens import Tokens
from syndicator.metrics import Metrics
from syndicator.store import ledger, subscriptions
from syndicator.store.database import Database, DatabaseTrouble
from syndicator.store.ledger import Settlement
from tests.email.mailbox_double import Box
from tests.email.returned import FAILED, READER, dsn, mail

BOUNCES, LEAVING = "bounces@press.example.org", "unsubscribe@press.example.org"
TOKENS = Tokens(b"a secret of these tests")
UNCLEAR = mail("From: mailer-daemon@example.org\nSubject: hello", "who are you?")
SPAM = mail("From: somebody@example.org\nSubject: hello", "cheap watches")


@dataclass
class Office:
    """A subscriber who was sent a mail, and what takes mail in."""

    database: Database
    now: Any
    site: Any
    folder: Path
    metrics: Metrics
    reader: int = 0
    delivery: int = 0
    trust: ssl.SSLContext | None = None

    @property
    def bounce_to(self) -> str:
        return f"bounces+{TOKENS.mailbox('return', self.delivery)}@press.example.org"

    @property
    def leave_to(self) -> str:
        return f"unsubscribe+{TOKENS.mailbox('leave', self.reader)}@press.example.org"

    def report(self) -> bytes:
        return dsn(FAILED).replace(b"To: bounces@press.example.org", f"To: {self.bounce_to}".encode())

    def part(self, kind: str, *, shared: bool = False, **inbound: Any) -> Any:
        settings = EmailSettings.model_validate(
            {
                "bounce_address": BOUNCES,
                "unsubscribe_address": LEAVING,
                "inbound": {
                    "kind": kind,
                    "tls": "none",
                    "user": "press",
                    "password": "right",
                    "keep": str(self.folder),
                    "interval": 5,
                    **inbound,
                },
            }
        )
        (part,) = open_inbound(
            settings,
            self.database,
            site=self.site,
            tokens=TOKENS,
            metrics=self.metrics,
            clock=lambda: self.now,
            wake=lambda: None,
            context=self.trust,
            shared=shared,
        )
        if isinstance(part, Listener):
            part.port = 0
        return part

    async def state(self) -> tuple[str, int]:
        """Whether the reader is paused, and how many subscriptions they have."""
        async with self.database.reading() as session:
            who = await subscriptions.by_id(session, self.reader)
            assert who is not None
            return who.state, len(await subscriptions.of(session, self.reader))

    def counted(self, kind: str) -> float:
        return self.metrics.registry.get_sample_value("syndicator_mail_returned_total", {"kind": kind}) or 0

    def failures(self) -> float:
        found = self.metrics.intake_failures.collect()
        return sum(one.value for family in found for one in family.samples)

    def kept(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.glob("*.eml"))]

    def others(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.glob("others/*.eml"))]


async def make_office(database: Database, now: Any, site: Any, folder: Path) -> Office:
    """One on that database; what nobody can make sense of goes into the folder."""
    made = Office(database, now, site, folder, Metrics())
    async with database.writing() as session:
        who = await subscriptions.ensure(session, ChannelKind.EMAIL, READER, language="en", timezone="UTC", now=now)
        active = {"cadence": Cadence.IMMEDIATE, "state": SubscriptionState.ACTIVE, "consent": None}
        one = await subscriptions.subscribe(session, who.id, parse(""), now=now, **active)
        await ledger.welcome(session, one.id, who.id, now=now)
        (batch,) = await ledger.open_batches(session)
        (claimed,) = await ledger.claim(session, batch.id, now, 1)
        await ledger.settle(session, [Settlement(claimed.id, DeliveryState.SENT, answer={"said": "ok"})], now)
        made.reader, made.delivery = who.id, claimed.id
    return made


@pytest.fixture
async def office(sqlite_database, now, site, tmp_path) -> Office:
    return await make_office(sqlite_database, now, site, tmp_path / "inbound")


class Locked:
    """A database that cannot be written just now."""

    def __init__(self, database: Database) -> None:
        self._writing = database.writing
        self.is_locked = True
        database.writing = self.writing  # type: ignore[method-assign]

    @asynccontextmanager
    async def writing(self) -> Any:
        if self.is_locked:
            raise DatabaseTrouble("database: locked")
        async with self._writing() as session:
            yield session


@pytest.fixture
def listening_for(office):
    """A listener that runs, and a way to talk to it."""

    @asynccontextmanager
    async def listen(kind="lmtp"):
        part = office.part(kind)
        await part.start()

        async def talk(recipients, data, sender=""):
            """The replies: for each recipient who was taken, or one by SMTP. Without `sender` it is a report."""

            def do():
                client = (smtplib.LMTP if kind == "lmtp" else smtplib.SMTP)("127.0.0.1", part.port)
                try:
                    client.ehlo_or_helo_if_needed()
                    client.mail(sender)
                    codes = [client.rcpt(one)[0] for one in recipients]
                    if 250 not in codes:
                        return codes
                    code, _ = client.data(data)
                    more = [client.getreply()[0] for _ in range(codes.count(250) - 1)] if kind == "lmtp" else []
                    return [*(one for one in codes if one != 250), code, *more]
                finally:
                    client.close()

            return await asyncio.to_thread(do)

        try:
            yield talk, part
        finally:
            await part.stop()
            await part.stop()

    return listen


@pytest.fixture
async def fetching(office):
    """A mailbox double with a fetcher for it; each call is one session."""
    running: list[Box] = []

    async def make(kind, *mails, **values):
        password = values.pop("password", "right")
        box = Box(mails={str(number): one for number, one in enumerate(mails, 101)}, **values)
        await box.start(kind)
        running.append(box)
        host = "localhost" if box.tls else "127.0.0.1"
        tls = {"tls": "tls"} if box.tls else {}
        return box, office.part(kind, host=host, port=box.port, password=password, **tls)

    yield make
    for box in running:
        await box.stop()
