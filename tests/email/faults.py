"""The fault server: a relay that behaves badly as it is told, for each receiving domain, and keeps a ledger of its own.

Rules, in order:

1. It is a real ESMTP server (RFC 5321, 2920, 1870, 6152, 6531, 3461) on one port. What no script touches is taken.
2. A script is a list of faults for a domain ("*": before any recipient is named). A fault has a stage, what happens
   there, how many times it lets pass first (`after`), how often it happens (`times`) and with what odds.
3. What happens: a reply, or DROP (hang up), TAKE_AND_DROP (take the mail, and hang up before the answer), or TARPIT
   (the reply comes a byte at a time). `most` caps how many mails for a domain may be on their way at once; who comes
   beyond gets 421.
4. `taken` is what it took, to whom and when. `violations` is what the client did that the RFCs forbid: that is a
   fault of ours, whatever the server did.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import Self

__all__ = ["DROP", "TAKE_AND_DROP", "TARPIT", "Fault", "FaultServer", "Taken"]

DROP, TAKE_AND_DROP, TARPIT = "drop", "take and drop", "tarpit"
LONGEST_COMMAND, LONGEST_LINE = 2048, 1000  # octets: RFC 5321 section 4.5.3.1 with room for parameters
LAST_IN_GROUP = frozenset({"EHLO", "HELO", "DATA", "VRFY", "EXPN", "NOOP", "QUIT", "STARTTLS", "AUTH"})
OFFERS = ("PIPELINING", "SIZE 10240000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
NEEDS = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8"} | dict.fromkeys(
    ("RET", "ENVID", "NOTIFY", "ORCPT"), "DSN"
)
PATH = re.compile(r"^(?:FROM|TO):<([^<>]*)>((?: [^ ]+)*)$", re.IGNORECASE)
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at `stage` (CONNECT, EHLO, MAIL, RCPT, DATA, BODY, END); see the module."""

    stage: str
    does: str
    after: int = 0
    times: int | None = None
    odds: float = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that the server took; `answered` is False where it hung up instead of saying so."""

    message_id: str
    recipient: str
    at: float
    answered: bool = True


@dataclass(slots=True)
class _Session:
    """One connection's state."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeted: bool = False
    sender: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    recipient: str = ""
    rejected: bool = False  # a recipient was, in this transaction
    places: list[str] = field(default_factory=list)  # domains whose place it holds

    @property
    def waiting(self) -> bytes:
        """What the client has sent beyond what was read."""
        return bytes(self.reader._buffer)  # type: ignore[attr-defined]

    @property
    def domain(self) -> str:
        return self.recipient.rpartition("@")[2].lower()


class _Over(Exception):
    """The connection ends here."""


class FaultServer:
    """See the module. `pace` is a tarpit's seconds a byte, `costs` the seconds that taking a mail takes."""

    def __init__(
        self,
        scripts: Mapping[str, Iterable[Fault]] | None = None,
        *,
        most: Mapping[str, int] | None = None,
        offers: Iterable[str] = OFFERS,
        accepts_data_for_nobody: bool = False,
        pace: float = 1.0,
        costs: float = 0.0,
        seed: int = 7,
    ) -> None:
        self.scripts = {domain: list(faults) for domain, faults in (scripts or {}).items()}
        self.offers = tuple(offers)
        self.taken: list[Taken] = []
        self.refused: Counter[str] = Counter()  # "450 RCPT example.org"
        self.violations: list[str] = []
        self.connections = 0
        self.highest: Counter[str] = Counter()  # mails on their way at once, by domain
        self.port = 0
        self._most = dict(most or {})
        self._accepts_for_nobody = accepts_data_for_nobody
        self._pace, self._costs = pace, costs
        self._random = random.Random(seed)
        self._seen: dict[int, int] = defaultdict(int)
        self._done: dict[int, int] = defaultdict(int)
        self._flying: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def to(self, recipient: str) -> list[Taken]:
        """What was taken for that address."""
        return [one for one in self.taken if one.recipient == recipient]

    def rate(self, domains: Iterable[str], share: float = 1.0) -> float:
        """Mails a second that these domains took, from the first until that share of them."""
        names = tuple(f"@{domain}" for domain in domains)
        times = sorted(one.at for one in self.taken if one.recipient.endswith(names))
        times = times[: max(2, int(len(times) * share))]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    # -- a connection
    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        session = _Session(reader, writer)
        try:
            await self._serve(session)
        except (_Over, ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._leave(session)
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, session: _Session) -> None:
        if session.waiting:
            self._note("it spoke before the greeting")
        await self._say(session, "CONNECT", "220 fault.example ESMTP")
        while True:
            line = await session.reader.readuntil(b"\r\n")
            await self._command(session, line)

    async def _command(self, session: _Session, line: bytes) -> None:
        verb, rest = self._read(session, line)
        if session.waiting and (verb in LAST_IN_GROUP or not self._offered("PIPELINING")):
            self._note(f"more was sent before the answer to {verb}")
        match verb:
            case "EHLO" | "HELO":
                await self._ehlo(session, verb)
            case "MAIL":
                await self._mail(session, rest)
            case "RCPT":
                await self._rcpt(session, rest)
            case "DATA":
                await self._data(session)
            case "RSET" | "NOOP":
                if verb == "RSET":
                    self._forget(session)
                await self._reply(session, "250 2.0.0 ok")
            case "QUIT":
                await self._reply(session, "221 2.0.0 bye")
                raise _Over
            case _:
                self._note(f"unknown command {verb[:20]}")
                await self._reply(session, "500 5.5.1 what?")

    def _read(self, session: _Session, line: bytes) -> tuple[str, str]:
        """A command's verb, and the rest of it."""
        if len(line) > LONGEST_COMMAND or BARE.search(line):
            self._note(f"a command of {len(line)} octets, or with a bare CR or LF")
        words = line.decode("utf-8", "replace").rstrip("\r\n")
        if not line.isascii() and "SMTPUTF8" not in session.parameters and "SMTPUTF8" not in words.upper():
            self._note("octets beyond ASCII in a command without SMTPUTF8")
        verb, _, rest = words.partition(" ")
        return verb.upper(), rest

    async def _ehlo(self, session: _Session, verb: str) -> None:
        self._forget(session)
        session.greeted = True
        lines = ["fault.example", *self.offers] if verb == "EHLO" else ["fault.example"]
        marks = ["-"] * (len(lines) - 1) + [" "]
        await self._say(session, "EHLO", "\r\n".join(f"250{m}{x}" for m, x in zip(marks, lines, strict=True)))

    async def _mail(self, session: _Session, rest: str) -> None:
        if not session.greeted or session.sender is not None:
            self._note("MAIL within a transaction, or before EHLO")
            await self._reply(session, "503 5.5.1 out of order")
            return
        path, session.parameters = self._path("MAIL", rest)
        if await self._say(session, "MAIL", "250 2.1.0 ok"):
            session.sender = path

    async def _rcpt(self, session: _Session, rest: str) -> None:
        if session.sender is None:
            if not self.refused.total():
                self._note("RCPT without MAIL")
            await self._reply(session, "503 5.5.1 MAIL first")
            return
        path, _ = self._path("RCPT", rest)
        session.recipient = path
        domain, most = session.domain, self._most.get(session.domain)
        if most is not None and self._flying[domain] >= most:
            session.recipient, session.rejected = "", True
            self.refused[f"421 RCPT {domain}"] += 1
            await self._reply(session, "421 4.7.0 too many connections from you")
            raise _Over
        self._flying[domain] += 1
        session.places.append(domain)
        self.highest[domain] = max(self.highest[domain], self._flying[domain])
        if not await self._say(session, "RCPT", "250 2.1.5 ok"):
            session.recipient, session.rejected = "", True
            self._leave(session)

    async def _data(self, session: _Session) -> None:
        if session.sender is None or not session.recipient:
            if not session.rejected and session.sender is not None:
                self._note("DATA without RCPT")
            if session.sender is not None and self._accepts_for_nobody:
                await self._reply(session, "354 go on")
                if await self._body(session) != b"":
                    self._note("a message for nobody: RFC 2920 wants a lone dot")
                self._forget(session)
                await self._reply(session, "554 5.5.1 no valid recipients")
                return
            await self._reply(session, "503 5.5.1 no valid recipients")
            return
        if not await self._say(session, "DATA", "354 go on"):
            return
        if (fault := self._fault("BODY", session.domain)) is not None and fault.does == DROP:
            await session.reader.read(100)
            raise _Over
        body = await self._body(session)
        await self._end(session, body)

    async def _body(self, session: _Session) -> bytes:
        lines: list[bytes] = []
        while (line := await session.reader.readuntil(b"\n")) != b".\r\n":
            if len(line) > LONGEST_LINE or BARE.search(line):
                self._note(f"a line of {len(line)} octets, or with a bare CR or LF, in a message")
            lines.append(line[1:] if line.startswith(b".") else line)
        body = b"".join(lines)
        if not body.isascii() and session.parameters.get("BODY", "").upper() != "8BITMIME":
            self._note("eight bits without BODY=8BITMIME")
        if int(session.parameters.get("SIZE") or len(body)) < len(body):
            self._note("SIZE is less than the message")
        if session.waiting and not self._offered("PIPELINING"):
            self._note("more was sent before the answer to the message")
        return body

    async def _end(self, session: _Session, body: bytes) -> None:
        recipient, domain = session.recipient, session.domain
        message_id = str(BytesHeaderParser().parsebytes(body).get("Message-ID", ""))
        fault = self._fault("END", domain)
        if self._costs:
            await asyncio.sleep(self._costs)
        self._forget(session)
        if fault is None or fault.does in (TAKE_AND_DROP, TARPIT):
            answered = fault is None or fault.does == TARPIT
            self.taken.append(Taken(message_id, recipient, time.monotonic(), answered))
        await self._answer(session, "END", domain, fault, "250 2.0.0 taken")

    # -- what is said
    async def _say(self, session: _Session, stage: str, good: str) -> bool:
        """What a script has for that stage, or what is hoped for; whether it was the latter."""
        domain = session.domain if session.recipient else "*"
        return await self._answer(session, stage, domain, self._fault(stage, domain), good)

    async def _answer(self, session: _Session, stage: str, domain: str, fault: Fault | None, good: str) -> bool:
        if fault is None:
            await self._reply(session, good)
            return True
        if fault.does in (DROP, TAKE_AND_DROP):
            session.writer.transport.abort()
            raise _Over
        if fault.does == TARPIT:
            for byte in good.encode() + b"\r\n":
                session.writer.write(bytes([byte]))
                await session.writer.drain()
                await asyncio.sleep(self._pace)
            return True
        self.refused[f"{fault.does[:3]} {stage} {domain}"] += 1
        await self._reply(session, fault.does)
        if fault.does.startswith("421") or stage == "CONNECT":
            raise _Over
        return False

    async def _reply(self, session: _Session, text: str) -> None:
        session.writer.write(text.encode() + b"\r\n")
        await session.writer.drain()

    def _fault(self, stage: str, domain: str) -> Fault | None:
        """The first fault of that domain that happens now; each is asked and counted in its order."""
        for fault in self.scripts.get(domain, ()):
            if fault.stage != stage:
                continue
            key = id(fault)
            self._seen[key] += 1
            if self._seen[key] <= fault.after or (fault.times is not None and self._done[key] >= fault.times):
                continue
            if fault.odds < 1 and self._random.random() >= fault.odds:
                continue
            self._done[key] += 1
            return fault
        return None

    # -- small things
    def _path(self, verb: str, rest: str) -> tuple[str, Mapping[str, str]]:
        found = PATH.match(rest)
        if found is None:
            self._note(f"{verb} with a path that is none")
            return "", {}
        pairs = [part.partition("=") for part in found[2].split()]
        parameters = {name.upper(): value for name, _, value in pairs}
        for name in parameters:
            if not self._offered(NEEDS.get(name, "")):
                self._note(f"{verb} with {name}, which was not offered")
        return found[1], parameters

    def _offered(self, keyword: str) -> bool:
        return any(offer.split()[0] == keyword for offer in self.offers)

    def _forget(self, session: _Session) -> None:
        session.sender, session.parameters, session.recipient, session.rejected = None, {}, "", False
        self._leave(session)

    def _leave(self, session: _Session) -> None:
        self._flying.subtract(session.places)
        session.places.clear()

    def _note(self, text: str) -> None:
        self.violations.append(text)
