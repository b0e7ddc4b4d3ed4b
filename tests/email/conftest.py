"""A site, letters, and a relay that does as it is told."""

from __future__ import annotations

import asyncio
import ssl
import tomllib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from bots.email.compile import Compiler, Mail
from bots.email.smtp import SmtpTransport
from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, Release, Revision, State, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.text import plain
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from tests.email.inbound_office import fetching, listening_for, office

__all__ = ["fetching", "listening_for", "office"]  # fixtures that stand in a file of their own

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HERE = Path(__file__).parent

DROP = "drop"  # hang up
HANG = "hang"  # never answer
WAIT = "wait"  # answer once the relay may `go_on`


GOOD = {
    "CONNECT": "220 relay ready",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    "BODY": "",
    "END": "250 2.0.0 queued as X1",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 bye",
}
GROUPED = {"MAIL", "RCPT", "RSET"}  # what may stand before another command in a group (RFC 2920 section 3.1)


class Relay:
    """A scripted relay, and a strict one. `script` gives, for each stage, what to do at its 1st, 2nd, ... time; after
    that all is well.

    Stages: CONNECT EHLO STARTTLS AUTH MAIL RCPT DATA BODY END RSET. What to do is a reply, DROP, HANG or WAIT; BODY
    acts when the message begins, END after the final dot. `scripts` does the same for a single recipient: stage by
    address. `mails` are the bytes that came, `taken` those that were answered with 2xx, each with its sender and
    recipient. What a client must not do stands in `faults`: commands in an order or a group that RFC 5321 and 2920
    forbid.
    With `takes_void` DATA is accepted even where every recipient was refused.
    """

    def __init__(self) -> None:
        self.script: dict[str, list[str]] = {}
        self.scripts: dict[str, dict[str, list[str]]] = {}
        self.offers = ["PIPELINING", "8BITMIME", "SIZE 10240000"]
        self.tls: ssl.SSLContext | None = None
        self.takes_void = False
        self.mails: list[bytes] = []
        self.taken: list[tuple[str, str, bytes]] = []
        self.commands: list[str] = []
        self.faults: list[str] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self.go_on = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._over.set()
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """End every connection there is."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        self._writers.add(writer)
        try:
            await _Visit(self, reader, writer).serve()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()


class _Visit:
    """One connection to the relay, and how far its transaction is."""

    def __init__(self, relay: Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.relay, self.reader, self.writer = relay, reader, writer
        self.sender: str | None = None
        self.recipient: str | None = None
        self.asked = ""  # the recipient last named, taken or not

    async def serve(self) -> None:
        if await self.act("CONNECT") is None:
            return
        while line := (await self.reader.readline()).decode("utf-8", "replace").strip():
            self.relay.commands.append(line)
            verb = line.split()[0].upper()
            await self.look(verb)
            if not await self.command(verb, line):
                return

    async def act(self, stage: str) -> str | None:
        """Do what the script says; None if the connection is over."""
        actions = self.relay.scripts.get(self.asked, {}).get(stage) or self.relay.script.get(stage, [])
        action = actions.pop(0) if actions else GOOD.get(stage, "250 ok")
        if action == HANG:
            await self.relay._over.wait()
            return None
        if action == WAIT:
            await self.relay.go_on.wait()
            action = GOOD.get(stage, "250 ok")
        if action == DROP:
            self.writer.transport.abort()
            return None
        if action:
            await self.say(action)
        return None if action.startswith("421") else action

    async def say(self, reply: str) -> None:
        self.writer.write(reply.encode() + b"\r\n")
        await self.writer.drain()

    async def look(self, verb: str) -> None:
        """Whether something stands behind a command that must be the last of its group."""
        if verb in GROUPED and "PIPELINING" in self.relay.offers:
            return
        for _ in range(3):
            await asyncio.sleep(0)
        if verb.isalpha() and self.reader._buffer:  # type: ignore[attr-defined]
            self.relay.faults.append(f"{verb} is not the last of its group")

    async def command(self, verb: str, line: str) -> bool:
        """Deal with one command; whether the connection goes on."""
        if verb == "EHLO" and "EHLO" not in self.relay.script:
            lines = ["relay.example", *self.relay.offers]
            marks = ["-"] * (len(lines) - 1) + [" "]
            await self.say("\r\n".join(f"250{m}{x}" for m, x in zip(marks, lines, strict=True)))
            return True
        if verb == "STARTTLS" and self.relay.tls is not None:
            await self.say(self.relay.script.get("STARTTLS", ["220 go"])[0])
            await self.writer.start_tls(self.relay.tls)
            return True
        if (wrong := self.out_of_order(verb, line)) is not None:
            await self.say(wrong)
            return True
        if verb == "DATA" and self.recipient is None and self.relay.takes_void:
            await self.say("354 go on")
            return await self.message()
        reply = await self.act(verb)
        if reply is None or verb == "QUIT":
            return False
        self.note(verb, line, taken=reply.startswith("2"))
        return not (verb == "DATA" and reply.startswith("354")) or await self.message()

    def out_of_order(self, verb: str, line: str) -> str | None:
        """What a strict server says to a command whose time has not come."""
        self.asked = line.partition("<")[2].partition(">")[0] if verb == "RCPT" else self.asked
        if verb == "MAIL" and self.sender is not None:
            self.relay.faults.append("MAIL within a transaction")
            return "503 5.5.1 nested MAIL"
        if verb == "RCPT" and self.sender is None:
            return "503 5.5.1 MAIL first"
        if verb == "DATA" and self.recipient is None and not self.relay.takes_void:
            return "554 5.5.1 no valid recipients" if self.sender is not None else "503 5.5.1 MAIL first"
        return None

    def note(self, verb: str, line: str, *, taken: bool) -> None:
        if verb == "MAIL" and taken:
            self.sender = line.partition("<")[2].partition(">")[0]
        elif verb == "RCPT" and taken:
            self.recipient = self.asked
        elif verb == "RSET":
            self.sender = self.recipient = None

    async def message(self) -> bool:
        """The message and the answer to its final dot."""
        sender, recipient = self.sender, self.recipient
        self.sender = self.recipient = None
        if recipient is None:
            if (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
                self.relay.faults.append(f"a message for nobody: {line[:60]!r}")
                await self.reader.readuntil(b"\r\n.\r\n")
            await self.say("554 5.5.1 no valid recipients")
            return True
        if await self.act("BODY") is None:
            return False
        mail = await self.reader.readuntil(b"\r\n.\r\n")
        self.relay.mails.append(mail)
        reply = await self.act("END")
        if reply is not None and reply.startswith("2"):
            self.relay.taken.append((sender or "", recipient, mail))
        return reply is not None


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    server = Relay()
    await server.start()
    yield server
    await server.stop()
    assert not server.faults


@pytest.fixture
async def sender(relay: Relay) -> AsyncIterator[Callable[..., SmtpTransport]]:
    """Transports to that relay, one at each call."""
    made: list[SmtpTransport] = []

    def make(**changes: Any) -> SmtpTransport:
        given = {"local_hostname": "press.example.org", "tls": "none", "connections": 1, "timeout": 0.3}
        made.append(SmtpTransport("127.0.0.1", relay.port, **(given | changes)))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()


@pytest.fixture(scope="session")
def site() -> Site:
    names = {"az": "Aldera Respublikası Miqrasiya Xidməti", "en": "Aldera Migration Service", "ru": "Служба Алдеры"}
    return Site("https://press.example.org", names, ("az", "en", "ru"), "az", "Asia/Baku")


@pytest.fixture(scope="session")
def texts(site: Site) -> Texts:
    return Texts.load(site.languages)


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return Taxonomy.from_mapping(tomllib.loads((HERE.parents[1] / "config" / "topics.toml").read_text("utf-8")))


@pytest.fixture
def make_compiler(site: Site, texts: Texts, taxonomy: Taxonomy) -> Callable[..., Compiler]:
    def make(**changes: Any) -> Compiler:
        given = {"site": site, "texts": texts, "taxonomy": taxonomy, "sender": "news@example.org"}
        return Compiler(**(given | changes))

    return make


@pytest.fixture
def compiler(make_compiler: Callable[..., Compiler]) -> Compiler:
    return make_compiler()


def a_release(**changes: Any) -> Release:
    """A public release in one language; `changes` go to the revision, the variant's language or the release."""
    text = {
        "number": 1,
        "major": 0,
        "title": "New visa rules",
        "summary": "What changes.",
        "body": '<p>Read the <a href="https://visa.example.org/a?b=1&amp;c=2">rules</a>.</p>',
        "text": "",
    }
    text |= {key: changes.pop(key) for key in list(changes) if key in Revision.__slots__}
    revision = Revision(**(text | {"text": plain(str(text["body"]))}))
    variant = Variant(1, changes.pop("lang", "en"), "tag:x", "new-visa-rules", NOW, revision)
    facts = {
        "number": 12,
        "uid": "tag:y",
        "source": "d",
        "key": "k",
        "kind": "news",
        "urgency": Urgency.NORMAL,
        "state": State.PUBLIC,
        "public_at": NOW,
        "opened_at": NOW,
        "topics": ("visas",),
        "variants": (variant,),
    }
    return Release(**(facts | changes))


@pytest.fixture
def release() -> Callable[..., Release]:
    return a_release


@pytest.fixture
def letter() -> Callable[..., Letter]:
    """A letter about a release; `about` is what the release differs in."""

    def make(about: dict[str, Any] | None = None, **changes: Any) -> Letter:
        lang = (about or {}).get("lang", "en")
        given = {
            "delivery": 1,
            "message": "release:12:0",
            "kind": MessageKind.RELEASE,
            "subscriber": 7,
            "address": "reader@example.com",
            "lang": lang,
            "reader_lang": lang,
            "timezone": "Asia/Baku",
            "filter_text": "topic=visas",
            "manage_token": "m" * 40,
            "unsubscribe_token": "u" * 40,
            "confirm_token": "c" * 40,
        }
        if changes.get("kind", MessageKind.RELEASE) is not MessageKind.CONFIRMATION:
            given["release"] = a_release(**(about or {}))
        return Letter(**(given | changes))

    return make


@pytest.fixture
def read() -> Callable[[bytes], EmailMessage]:
    """What a receiver makes of it."""

    def parse(data: bytes) -> EmailMessage:
        message = BytesParser(policy=policy.default).parsebytes(data)
        assert isinstance(message, EmailMessage)
        return message

    return parse


@pytest.fixture
def mail(compiler: Compiler, letter: Callable[..., Letter]) -> Callable[..., Mail]:
    """A finished mail."""

    def make(about: dict[str, Any] | None = None, **changes: Any) -> Mail:
        return compiler.mail(letter(about, **changes), NOW)

    return make


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def certificate() -> Path:
    """A certificate for localhost with its key; nobody else trusts it."""
    return HERE / "localhost.pem"
