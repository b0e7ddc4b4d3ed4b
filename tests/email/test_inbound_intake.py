"""Mail that comes in, over real lines: nothing is answered with 250 and nothing deleted before it is committed."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bots.email.inbound import listening
from bots.email.inbound.fetching import BATCH, PUT_OFF, Fetcher
from bots.email.inbound.intake import Intake
from bots.email.inbound.keeping import Full, Keep
from bots.email.inbound.listening import Listener
from bots.email.inbound.mailboxes import open_mailbox
from bots.email.inbound.opening import open_inbound
from config.email import EmailSettings
from config.section import BadSettings
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
UNCLEAR = mail("From: somebody@example.org\nSubject: hello", "who are you?")


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

    def part(self, kind: str, **inbound: Any) -> Any:
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


@pytest.fixture
async def office(sqlite_database, now, site, tmp_path) -> Office:
    made = Office(sqlite_database, now, site, tmp_path / "inbound", Metrics())
    async with sqlite_database.writing() as session:
        who = await subscriptions.ensure(session, ChannelKind.EMAIL, READER, language="en", timezone="UTC", now=now)
        active = {"cadence": Cadence.IMMEDIATE, "state": SubscriptionState.ACTIVE, "consent": None}
        one = await subscriptions.subscribe(session, who.id, parse(""), now=now, **active)
        await ledger.welcome(session, one.id, who.id, now=now)
        (batch,) = await ledger.open_batches(session)
        (claimed,) = await ledger.claim(session, batch.id, now, 1)
        await ledger.settle(session, [Settlement(claimed.id, DeliveryState.SENT, answer={"said": "ok"})], now)
        made.reader, made.delivery = who.id, claimed.id
    return made


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

        async def talk(recipients, data):
            """The replies: for each recipient who was taken, or one by SMTP."""

            def do():
                client = (smtplib.LMTP if kind == "lmtp" else smtplib.SMTP)("127.0.0.1", part.port)
                try:
                    client.ehlo_or_helo_if_needed()
                    client.mail("")
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


@pytest.mark.parametrize("kind", ["lmtp", "smtp"])
async def test_a_report_that_our_server_brings_has_its_consequence_when_it_is_answered(office, listening_for, kind):
    async with listening_for(kind) as (talk, _):
        assert await talk([office.bounce_to], office.report()) == [250]
        assert await office.state() == ("paused", 1)
        assert await talk([office.bounce_to.upper()], office.report()) == [250]
        assert (office.counted("hard"), office.counted("known")) == (1, 1)


async def test_a_mail_to_leave_ends_everything(office, listening_for):
    async with listening_for() as (talk, _):
        assert await talk([office.leave_to], mail(f"From: {READER}\nSubject: unsubscribe", "")) == [250]
        assert await office.state() == ("active", 0)


async def test_each_recipient_has_an_answer_by_lmtp(office, listening_for):
    async with listening_for() as (talk, _):
        assert await talk([office.leave_to, BOUNCES, "x@else.example"], UNCLEAR) == [550, 250, 250]
        assert await office.state() == ("active", 0)
        assert len(office.kept()) == 1


@pytest.mark.parametrize(
    "recipient",
    [
        "reader@example.org",
        "news@press.example.org",
        "bounces@else.example",
        "bounces+" + "a" * 48 + "@press.example.org",
        f"bounces+{Tokens(b'somebody else altogether').mailbox('return', 1)}@press.example.org",
        "bounces",
    ],
)
async def test_only_our_own_addresses_are_taken(listening_for, recipient):
    async with listening_for() as (talk, _):
        assert await talk([recipient], UNCLEAR) == [550]


@pytest.mark.parametrize(("kind", "answers"), [("lmtp", [451, 451]), ("smtp", [451])])
async def test_what_cannot_be_written_is_to_come_again(office, listening_for, kind, answers):
    locked = Locked(office.database)
    async with listening_for(kind) as (talk, _):
        assert await talk([office.bounce_to, office.leave_to], office.report()) == answers
        locked.is_locked = False
        assert await office.state() == ("active", 1)
        assert set(await talk([office.bounce_to, BOUNCES], office.report())) == {250}
        assert await office.state() == ("paused", 1)


async def test_what_nobody_understands_is_kept_until_there_is_no_room(office, listening_for, monkeypatch):
    monkeypatch.setattr(Keep.__init__, "__kwdefaults__", {"files": 1, "size": 10_000})
    async with listening_for() as (talk, _):
        assert office.metrics.registry.get_sample_value("syndicator_unclear_mails") == 0
        assert await talk([BOUNCES], UNCLEAR) == [250]
        assert await talk([BOUNCES], UNCLEAR) == [250]
        assert await talk([BOUNCES], UNCLEAR.replace(b"hello", b"other")) == [451]
        assert office.metrics.registry.get_sample_value("syndicator_unclear_mails") == 1
    assert len(office.kept()) == 1
    assert office.failures() == 1


async def test_a_mail_that_is_too_large_is_refused_for_each_recipient(office, listening_for, monkeypatch):
    monkeypatch.setattr(listening, "LARGEST", 1000)
    async with listening_for() as (talk, _):
        assert await talk([BOUNCES, office.leave_to], b"x" * 70 + b"\r\n" * 1000) == [552, 552]
        assert office.kept() == []


async def _said(port, *sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for one in sent:
            writer.write(one)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b"cut"
    finally:
        writer.close()


async def test_an_endless_line_is_cut(listening_for, monkeypatch):
    for name in ("LARGEST", "MORE"):
        monkeypatch.setattr(listening, name, 100_000)
    async with listening_for() as (_, part):
        start = f"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{BOUNCES}>\r\nDATA\r\n".encode()
        await _said(part.port, start, b"x" * 1_000_000)
        for _ in range(100):
            if not part.open:
                break
            await asyncio.sleep(0.01)
        assert not part.open


async def test_one_connection_too_many_is_told_so(listening_for, monkeypatch):
    monkeypatch.setattr(listening, "CONNECTIONS", 1)
    async with listening_for() as (talk, part):
        reader, writer = await asyncio.open_connection("127.0.0.1", part.port)
        await reader.readline()
        assert (await _said(part.port)).startswith(b"421 4.3.2")
        writer.close()
        await writer.wait_closed()
        for _ in range(100):
            if not part.open:
                break
            await asyncio.sleep(0.01)
        assert await talk([BOUNCES], UNCLEAR) == [250]


async def test_a_connection_that_says_nothing_is_ended(listening_for, monkeypatch):
    monkeypatch.setattr(listening, "TIMEOUT", 0.05)
    async with listening_for() as (_, part):
        assert (await _said(part.port)).startswith(b"220 ")


async def test_a_taken_port_is_an_error_of_the_outside(office):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        part = office.part("smtp")
        part.port = taken.getsockname()[1]
        with pytest.raises(OSError, match="address already in use"):
            await part.start()
        await part.stop()


# -- fetching


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


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_mailbox_is_emptied_and_what_it_held_has_its_consequence(office, fetching, kind):
    leave = mail(f"To: {office.leave_to}\nSubject: unsubscribe", ".", "..dots and a line: " + "x" * 5000)
    box, part = await fetching(kind, office.report(), leave, UNCLEAR)
    assert await part.once() is False
    assert box.mails == {}
    assert await office.state() == ("paused", 0)
    (kept,) = office.kept()
    assert kept.strip() == UNCLEAR.strip()


@pytest.mark.parametrize("kind", ["pop3", "imap"])
@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_server_shows_a_certificate_that_is_trusted_or_nothing_is_said_to_it(
    office, fetching, kind, is_trusted, certificate
):
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    office.trust = ssl.create_default_context(cafile=certificate) if is_trusted else None
    box, part = await fetching(kind, office.report(), tls=server)
    if is_trusted:
        await part.once()
        assert box.mails == {}
    else:
        with pytest.raises(OSError, match="certificate verify failed"):
            await part.once()
        assert box.log == []


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_nothing_is_deleted_before_it_is_committed(office, fetching, kind):
    locked = Locked(office.database)
    box, part = await fetching(kind, office.report())
    await part.once()
    assert len(box.mails) == 1
    assert not {"DELE", "STORE", "EXPUNGE"} & set(box.log)
    assert office.failures() == 1
    locked.is_locked = False
    await part.once()
    assert box.mails == {}
    assert await office.state() == ("paused", 1)


@pytest.mark.parametrize(
    ("kind", "command"), [("pop3", "DELE"), ("pop3", "QUIT"), ("imap", "STORE"), ("imap", "EXPUNGE")]
)
async def test_a_session_that_breaks_after_the_commit_takes_the_same_mail_again(office, fetching, kind, command):
    box, part = await fetching(kind, office.report(), break_at=command)
    with pytest.raises(OSError):  # noqa: PT011  # whatever the library says
        await part.once()
    assert len(box.mails) == 1
    assert await office.state() == ("paused", 1)
    box.break_at = ""
    box.flagged.clear()
    await part.once()
    assert box.mails == {}
    assert (office.counted("hard"), office.counted("known")) == (1, 1)


@pytest.mark.parametrize(("kind", "command"), [("pop3", "RETR"), ("imap", "FETCH")])
async def test_a_mail_at_which_a_session_breaks_comes_last_the_next_time(office, fetching, kind, command):
    box, part = await fetching(kind, UNCLEAR, office.report(), break_at=command)
    with pytest.raises(OSError):  # noqa: PT011
        await part.once()
    box.break_at = ""
    taken: list[str] = []

    class Watched(Intake):
        async def take(self, data, recipients=(), *, whole=True):
            taken.append("unclear" if b"hello" in data else "report")
            return await super().take(data, recipients, whole=whole)

    part._intake.__class__ = Watched
    await part.once()
    assert taken == ["report", "unclear"]


async def test_a_server_without_uidplus_is_only_told_that_a_mail_is_done_with(office, fetching):
    box, part = await fetching("imap", office.report(), uidplus=False)
    box.flagged.add("777")  # somebody else's
    await part.once()
    await part.once()
    assert (list(box.mails), box.flagged) == (["101"], {"101", "777"})
    assert "EXPUNGE" not in box.log
    assert office.counted("hard") == 1
    assert office.counted("known") == 0


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_mail_that_is_too_large_is_read_as_far_as_needed_and_left_if_that_tells_nothing(
    office, fetching, kind, monkeypatch
):
    monkeypatch.setattr("bots.email.inbound.mailboxes.LARGEST", 3000)
    large = mail(f"From: a@example.org\nTo: {BOUNCES}\nSubject: long", *["x" * 70] * 100)
    box, part = await fetching(kind, large, office.report() + b"x\r\n" * 2000)
    await part.once()
    assert list(box.mails) == ["101"]
    assert await office.state() == ("paused", 1)
    assert office.kept() == []


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_session_takes_so_many_and_the_next_follows(office, fetching, kind, monkeypatch):
    monkeypatch.setattr("bots.email.inbound.fetching.BATCH", 2)
    assert BATCH > 2
    mails = [UNCLEAR.replace(b"hello", str(number).encode()) for number in range(3)]
    box, part = await fetching(kind, *mails)
    assert await part.once() is True
    assert len(box.mails) == 1
    assert await part.once() is False
    assert len(office.kept()) == 3


async def test_many_that_must_wait_end_a_session_and_hold_nothing_up(office, fetching, monkeypatch):
    monkeypatch.setattr(Keep.__init__, "__kwdefaults__", {"files": 0, "size": 10_000})
    mails = [UNCLEAR.replace(b"hello", str(number).encode()) for number in range(PUT_OFF + 2)]
    box, part = await fetching("pop3", *mails, office.report())
    for _ in range(2):
        await part.once()
    assert await office.state() == ("paused", 1)
    assert len(box.mails) == PUT_OFF + 2


@pytest.mark.parametrize("kind", ["pop3", "imap"])
async def test_a_wrong_password_is_one_line_and_the_next_time_comes(office, fetching, kind):
    box, part = await fetching(kind, office.report(), password="wrong")
    with pytest.raises(OSError, match="wrong password") as refused:
        await part.once()
    assert "\n" not in str(refused.value)
    part._interval = 0.01
    await part.start()
    for _ in range(300):
        if office.failures() >= 2:
            break
        await asyncio.sleep(0.01)
    await part.stop()
    await part.stop()
    assert office.failures() >= 2
    assert len(box.mails) == 1


async def test_stopping_waits_for_no_server(office):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = office.part("pop3", host="127.0.0.1", port=silent.getsockname()[1])
        await settings.start()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await settings.stop()


def test_a_mail_is_kept_whole_and_for_our_eyes_only(tmp_path):
    keep = Keep(tmp_path / "kept", files=2, size=1000)
    assert [keep.keep(one) for one in (b"a", b"a", b"b")] == [1, 1, 2]
    with pytest.raises(Full):
        keep.keep(b"c")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kept").iterdir()} == {0o600}
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    with pytest.raises(Full):
        Keep(tmp_path / "small", size=3).keep(b"four")


def test_nothing_comes_in_unless_it_is_asked_for_and_then_it_needs_an_address(office):
    assert open_inbound(EmailSettings(), None, site=None, tokens=None, metrics=None, clock=None, wake=None) == ()
    asked = EmailSettings.model_validate({"inbound": {"kind": "lmtp"}})
    with pytest.raises(BadSettings, match="bounce_address is needed"):
        open_inbound(asked, None, site=None, tokens=None, metrics=None, clock=None, wake=None)


def test_a_mailbox_speaks_what_the_settings_say():
    for kind in ("pop3", "imap"):
        asked = {"inbound": {"kind": kind, "user": "a", "password": "b"}}
        assert type(open_mailbox(EmailSettings.model_validate(asked).inbound)).__name__.lower() == kind
    assert Fetcher.__doc__
