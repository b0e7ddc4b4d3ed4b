"""A thin SMTP relay in a process of its own: it takes every mail, costs little, and outlives the service it serves.

`relay = RelayProcess(folder)`: `relay.port`; `relay.arrivals()` gives, for each mail, its address, its Subject and
the number that `relay.mark(n)` had set when its connection was opened (or, `at_arrival`, when it came). For tests that
send much: aiosmtpd spends more on a mail than the service does. It speaks what RFC 5321 asks of a receiver that never
refuses, and takes what is sent ahead (RFC 2920) in its order.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tests.program import ROOT

END = b"\r\n.\r\n"
SUBJECT = re.compile(rb"^Subject: (.*)\r$", re.MULTILINE | re.IGNORECASE)
ADDRESS = re.compile(rb"<(.*?)>")


class _Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, relay: _Relay) -> None:
        self.relay, self.life = relay, relay.life
        self.held, self.recipient, self.in_data, self.waits = b"", b"", False, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 relay.example.org ready\r\n")

    def data_received(self, data: bytes) -> None:
        self.held += data
        self.go_on()

    def go_on(self) -> None:
        """Work through what came in, in order; what was sent ahead waits for its turn."""
        while not self.waits and (end := self.held.find(END if self.in_data else b"\r\n")) >= 0:
            whole = self.held[:end]
            self.held = self.held[end + (len(END) if self.in_data else 2) :]
            if self.in_data:
                self.in_data = False
                self.relay.take(self.recipient.decode(), whole, self.life)
                self.answer_late()
            else:
                self.command(whole)

    def answer_late(self) -> None:
        if self.relay.delay:
            self.waits = True
            asyncio.get_running_loop().call_later(self.relay.delay, self.answer_now)
        else:
            self.answer(b"250 taken")

    def answer_now(self) -> None:
        self.waits = False
        self.answer(b"250 taken")
        self.go_on()

    def answer(self, line: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(line + b"\r\n")

    def command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.answer(b"250-relay.example.org\r\n250-SIZE 50000000\r\n250-PIPELINING\r\n250 8BITMIME")
        elif verb == b"DATA":
            self.in_data = True
            self.answer(b"354 go on")
        elif verb == b"QUIT":
            self.answer(b"221 bye")
            self.transport.close()
        else:
            if verb == b"RCPT" and (found := ADDRESS.search(line)):
                self.recipient = found[1]
            self.answer(b"250 ok")


class _Relay:
    """All connections; what was taken goes to a file, a line each."""

    def __init__(self, out: TextIO, delay: float, *, at_arrival: bool) -> None:
        self.out, self.delay, self.life, self.at_arrival = out, delay, 0, at_arrival

    def take(self, recipient: str, mail: bytes, life: int) -> None:
        subject, life = SUBJECT.search(mail), self.life if self.at_arrival else life
        self.out.write(json.dumps([recipient, subject[1].decode() if subject else "", life]) + "\n")
        self.out.flush()


class RelayProcess:
    """The relay from outside."""

    def __init__(self, folder: Path, delay: float = 0.0, *, at_arrival: bool = False) -> None:
        self._taken = folder / "relay.jsonl"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.relay", str(self._taken), str(delay), str(int(at_arrival))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._said())

    def mark(self, life: int) -> None:
        """Connections opened from now on belong to this life of the service."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{life}\n")
        self._process.stdin.flush()
        assert int(self._said()) == life

    def arrivals(self) -> Iterator[tuple[str, str, int]]:
        with self._taken.open(encoding="utf-8") as lines:
            for line in lines:
                address, subject, life = json.loads(line)
                yield address, subject, life

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


async def _main(taken: str, delay: float, *, at_arrival: bool) -> None:
    loop = asyncio.get_running_loop()
    with Path(taken).open("w", encoding="utf-8") as out:  # noqa: ASYNC230  # a line a mail, to the page cache
        relay = _Relay(out, delay, at_arrival=at_arrival)
        server = await loop.create_server(lambda: _Session(relay), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # the parent reads it
        while line := await asyncio.to_thread(sys.stdin.readline):
            relay.life = int(line)
            print(relay.life, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], float(sys.argv[2]), at_arrival=sys.argv[3] == "1"))
