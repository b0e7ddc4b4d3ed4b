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
from syndicator.domain.letters import Letter
from syndicator.domain.model import MessageKind, Release, Revision, State, Urgency, Variant
from syndicator.domain.site import Site
from syndicator.domain.text import plain
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HERE = Path(__file__).parent

DROP = "drop"  # hang up
HANG = "hang"  # never answer


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


class Relay:
    """A scripted relay. `script` gives, for each stage, what to do at its 1st, 2nd, ... time; after that all is well.

    Stages: CONNECT EHLO STARTTLS AUTH MAIL RCPT DATA BODY END RSET. What to do is a reply, DROP or HANG; BODY acts when
    the message begins, END after the final dot.
    """

    def __init__(self) -> None:
        self.script: dict[str, list[str]] = {}
        self.offers = ["PIPELINING", "8BITMIME", "SIZE 10240000"]
        self.tls: ssl.SSLContext | None = None
        self.mails: list[bytes] = []
        self.commands: list[str] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._over.set()
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """End every connection there is."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _act(self, stage: str, writer: asyncio.StreamWriter) -> str | None:
        """Do what the script says; None if the connection is over."""
        actions = self.script.get(stage, [])
        action = actions.pop(0) if actions else GOOD.get(stage, "250 ok")
        if action == HANG:
            await self._over.wait()
            return None
        if action == DROP:
            writer.transport.abort()
            return None
        if action:
            writer.write(action.encode() + b"\r\n")
            await writer.drain()
        return None if action.startswith("421") else action

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        self._writers.add(writer)
        try:
            if await self._act("CONNECT", writer) is not None:
                await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode("utf-8", "replace").strip():
            self.commands.append(line)
            verb = line.split()[0].upper()
            if verb == "EHLO" and "EHLO" not in self.script:
                lines = ["relay.example", *self.offers]
                marks = ["-"] * (len(lines) - 1) + [" "]
                writer.write("".join(f"250{m}{x}\r\n" for m, x in zip(marks, lines, strict=True)).encode())
                continue
            if verb == "STARTTLS" and self.tls is not None:
                writer.write(b"220 go\r\n")
                await writer.start_tls(self.tls)
                continue
            reply = await self._act(verb, writer)
            if reply is None or verb == "QUIT":
                return
            if reply.startswith("354") and not await self._data(reader, writer):
                return

    async def _data(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if await self._act("BODY", writer) is None:
            return False
        self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
        return await self._act("END", writer) is not None


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    server = Relay()
    await server.start()
    yield server
    await server.stop()


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
