"""The whole program as its operator starts it: a real process, a real folder, real SMTP, feeds over HTTP."""

from __future__ import annotations

import contextlib
import email
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from email.policy import default
from functools import cache
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from tests.warm import Copier, Copy

ROOT = Path(__file__).parents[1]
PATIENCE = 30.0  # seconds a slow, shared machine may take; what is promised in two is measured by the benchmark

CONSENT = "consent_at,consent_source,consent_text"
HEADER = f"address,channel,language,filter,cadence,{CONSENT}"


class MailSink:
    """A real SMTP server on 127.0.0.1 that keeps what it took, with the second of its arrival."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.arrived: list[float] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.taken.append((envelope.rcpt_tos[0], envelope.content))
        self.arrived.append(time.monotonic())
        return "250 taken"

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        return int(self._controller.port)

    @property
    def mails(self) -> list[EmailMessage]:
        return [email.message_from_bytes(raw, EmailMessage, policy=default) for _, raw in list(self.taken)]

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@cache
def copier() -> Copier:
    """Loaded when the first test wants a copy."""
    return Copier()


@dataclass
class Program:
    """One configured program in a folder of its own; `start` runs the service, `command` a command beside it.

    `warm`: its processes are copies of one that has loaded the program already (tests/warm.py).
    """

    folder: Path
    environ: dict[str, str]
    port: int
    process: subprocess.Popen[bytes] | Copy | None = None
    starts: int = 0
    logs: list[Path] = field(default_factory=list)
    python: str = sys.executable
    warm: bool = False

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def outbox(self) -> Path:
        return self.folder / "var" / "outbox"

    def spawn(self, *arguments: str) -> Path:
        """Begin a process and do not wait for it; returns where it logs."""
        self.starts += 1
        log = self.folder / f"run{self.starts}.log"
        self.logs.append(log)
        with log.open("wb") as out:
            if self.warm:
                with Path(os.devnull).open("rb") as nothing:
                    files = (nothing, out, out)
                    self.process = copier().start(["run", *arguments], self.folder, self.environ, files)
                return log
            self.process = subprocess.Popen(
                [self.python, str(ROOT / "main.py"), "run", *arguments],
                cwd=self.folder,
                env=self.environ,
                stdout=out,
                stderr=out,
            )
        return log

    def start(self, *arguments: str) -> Program:
        """Begin, and wait until it answers."""
        log = self.spawn(*arguments)
        wait_for(lambda: self.ready() or self.dead(), "the service to be ready")
        assert not self.dead(), log.read_text()[-4000:]
        return self

    def dead(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def run_for(self, seconds: float) -> None:
        """Let it work for a while, or until it ends by itself."""
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        if self.process is None or self.dead():
            return 0
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def command(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        if self.warm:
            done = self._copied(arguments, stdin or "")
        else:
            done = subprocess.run(
                [self.python, str(ROOT / "main.py"), *arguments],
                cwd=self.folder,
                env=self.environ,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def _copied(self, arguments: tuple[str, ...], stdin: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            code = copier().start(arguments, self.folder, self.environ, (given, out, err)).wait(120)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())

    def write(self, name: str, text: str) -> Path:
        path = self.releases / name
        beside = self.folder / f"{name}.writing"
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
        return path

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
        return self.ask("GET", path, headers=headers)

    def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        url = path if path.startswith("http") else self.base + path
        request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read(), _lower(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), _lower(error.headers)

    def text(self, path: str) -> str:
        return self.get(path)[1].decode()

    def feed(self, lang: str = "en", topic: str = "all") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text(f"/feeds/{lang}/{topic}.json"))
        return found

    def titles(self, lang: str = "en", topic: str = "all") -> list[str]:
        return [item["title"] for item in self.feed(lang, topic)["items"]]

    def posts(self, method: str = "sendMessage") -> list[dict[str, Any]]:
        calls = [json.loads(path.read_text()) for path in sorted(self.outbox.glob("*.json"))]
        return [call for call in calls if call["method"] == method]

    def subscribe(self, *rows: str) -> None:
        table = self.folder / "people.csv"
        consent = "2026-11-01T10:00:00+04:00,desk,I want these messages"
        table.write_text("\n".join([HEADER, *(f"{row},{consent}" for row in rows)]) + "\n", encoding="utf-8")
        self.command("migrate")
        self.command("subscribers", "import", str(table))

    def deliveries(self, **options: str) -> list[dict[str, Any]]:
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        found: list[dict[str, Any]] = json.loads(
            self.command("deliveries", "list", "--json", "--limit", "100000", *arguments).stdout
        )
        return found

    def count(self, *states: str, channel: str = "email") -> int:
        """Rows of the ledger in these states, read from the file itself: it works on a dead process's database too."""
        with sqlite3.connect(f"file:{self.folder}/var/syndicator.db?mode=ro", uri=True) as database:
            marks = ",".join("?" * len(states))
            query = (
                "SELECT count(*) FROM delivery d JOIN subscriber s ON s.id = d.subscriber_id "
                f"WHERE s.channel = ? AND d.state IN ({marks})"
            )
            return int(database.execute(query, (channel, *states)).fetchone()[0])

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.text("/metrics"), re.MULTILINE)
        assert found, f"no metric {name}"
        return float(found[1])

    def log(self) -> str:
        return "".join(log.read_text() for log in self.logs)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def wait_for(true: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, f"waited {patience:g} s for {what}"
        time.sleep(0.05)


def make_program(folder: Path, *, warm: bool = False) -> Program:
    """A program with an empty watched folder, one public channel, and mail and posts as files."""
    port = free_port()
    releases = folder / "releases"
    releases.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNDICATOR_")}
    environ |= {
        "SYNDICATOR_SITE__BASE_URL": f"http://127.0.0.1:{port}",
        "SYNDICATOR_WEB__PORT": str(port),
        "SYNDICATOR_SOURCES": json.dumps([{"kind": "directory", "path": str(releases)}]),
        "SYNDICATOR_TELEGRAM__CHANNELS": json.dumps([{"chat": "@press", "language": "en"}]),
        "PYTHONDONTWRITEBYTECODE": "",  # a start that compiles everything again takes seconds
    }
    return Program(folder, environ, port, warm=warm)


def mail_through(program: Program, port: int) -> Program:
    """The same program, with a relay on 127.0.0.1."""
    program.environ |= {
        "SYNDICATOR_EMAIL__TRANSPORT": "smtp",
        "SYNDICATOR_EMAIL__HOST": "127.0.0.1",
        "SYNDICATOR_EMAIL__PORT": str(port),
        "SYNDICATOR_EMAIL__TLS": "none",
        "SYNDICATOR_EMAIL__FROM": "news@press.example.org",
    }
    return program
