"""A cluster as its operator runs it: several real processes, each a machine with folders of its own, on one PostgreSQL.

    cluster = Cluster(tmp_path, postgresql_url)
    web = cluster.start("web")              # waits until it is ready; `spawn` does not
    cluster.start("scheduler,worker")
    cluster.write("a.en.txt", "Title\\n\\nText.\\n")
    web.kill(); web.freeze(); web.thaw(); web.stop()
    cluster.close()                         # ends what still runs

Each machine listens on a port of its own: the site where it has the role web, else /healthz, /readyz and /metrics.
The folder of releases is one that all machines see. Settings are environment variables, in `cluster.environ`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.program import Program, free_port, wait_for

ALL = "web,scheduler,worker,bot"


@dataclass
class Machine(Program):
    """One process of the service, in a folder of its own; see `tests.program.Program` for what else it can do."""

    roles: str = ALL

    def begin(self) -> Machine:
        """Start it (again), without waiting."""
        self.spawn("--roles", self.roles)
        return self

    def wait(self, patience: float = 30.0) -> Machine:
        """Until it is ready, or has ended, which fails."""
        wait_for(lambda: self.dead() or self.ready(), f"{self.folder.name} to be ready", patience)
        assert not self.dead(), self.log()[-4000:]
        return self

    def freeze(self) -> None:
        """It does nothing any more, and nobody is told."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self.process is not None and not self.dead()

    @property
    def state(self) -> dict[str, Any]:
        """What /readyz says, ready or not."""
        found: dict[str, Any] = json.loads(self.get("/readyz")[1])
        return found

    def count(self, *states: str, channel: str = "email") -> int:
        raise NotImplementedError("ask the cluster")

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@dataclass
class Cluster:
    """Machines on the database at `url`; `warm` copies a loaded program instead of loading it for each start."""

    folder: Path
    url: str
    warm: bool = True
    machines: list[Machine] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.releases.mkdir(parents=True, exist_ok=True)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SYNDICATOR_")}
        self.environ = plain | {
            "SYNDICATOR_SITE__BASE_URL": "http://127.0.0.1",
            "SYNDICATOR_DATABASE__URL": self.url,
            "SYNDICATOR_ENGINE__KIND": "procrastinate",
            "SYNDICATOR_SOURCES": json.dumps([{"kind": "directory", "path": str(self.releases)}]),
            "SYNDICATOR_TELEGRAM__CHANNELS": json.dumps([{"chat": "@press", "language": "en"}]),
            "PYTHONDONTWRITEBYTECODE": "",  # a start that compiles everything again takes seconds
            **self.environ,
        }

    @property
    def releases(self) -> Path:
        """The folder that every machine with the role scheduler reads."""
        return self.folder / "releases"

    # -- machines
    def machine(self, roles: str = ALL, **environ: str) -> Machine:
        """Another machine, not started; `environ` is its own."""
        name = f"{len(self.machines)}-{roles.replace(',', '-')}"
        home = self.folder / name
        home.mkdir()
        port = free_port()
        own = {"SYNDICATOR_WEB__PORT": str(port), "SYNDICATOR_MONITORING__PORT": str(port), **environ}
        made = Machine(home, self.environ | own, port, warm=self.warm, roles=roles)
        self.machines.append(made)
        return made

    def spawn(self, roles: str = ALL, **environ: str) -> Machine:
        """Start another machine, and do not wait for it."""
        return self.machine(roles, **environ).begin()

    def start(self, *roles: str, **environ: str) -> Machine:
        """Start machines at once, one for each argument, and wait until all are ready; returns the last of them."""
        begun = [self.spawn(one, **environ) for one in roles or (ALL,)]
        for machine in begun:
            machine.wait()
        return begun[-1]

    def close(self) -> None:
        """End whatever still runs, at once."""
        for machine in self.machines:
            if machine.running:
                machine.thaw()
                machine.kill()

    def stop(self) -> Sequence[int]:
        """End all as their operator would; how each ended."""
        running = [machine for machine in self.machines if machine.running]
        for machine in running:
            machine._signal(signal.SIGTERM)
        return [machine.process.wait(35) for machine in running if machine.process is not None]

    # -- what goes in
    def mail_through(self, port: int) -> Cluster:
        """From the next start on, mail goes to a relay on 127.0.0.1."""
        self.environ |= {
            "SYNDICATOR_EMAIL__TRANSPORT": "smtp",
            "SYNDICATOR_EMAIL__HOST": "127.0.0.1",
            "SYNDICATOR_EMAIL__PORT": str(port),
            "SYNDICATOR_EMAIL__TLS": "none",
            "SYNDICATOR_EMAIL__FROM": "news@press.example.org",
        }
        return self

    def write(self, name: str, text: str) -> Path:
        """A document, there whole or not at all."""
        beside = self.folder / f"{name}.writing"
        beside.write_text(text, encoding="utf-8")
        return beside.replace(self.releases / name)

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of the program, on a machine that runs no service."""
        return self._desk.command(*arguments, check=check)

    def subscribe(self, *rows: str) -> None:
        """Import people; a row is `address,channel,language,filter,cadence`."""
        self._desk.subscribe(*rows)

    # -- what comes out
    def posts(self, method: str = "sendMessage") -> list[dict[str, Any]]:
        """What Telegram would have been told, by whichever machine."""
        return [post for machine in self.machines for post in machine.posts(method)]

    def log(self) -> str:
        """What all machines said."""
        return "".join(machine.log() for machine in self.machines)

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database itself, in a transaction of its own."""
        psycopg: Any = importlib.import_module("psycopg")
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(query, values)
            return list(cursor.fetchall()) if cursor.description else []

    def count(self, *states: str, channel: str = "email") -> int:
        """Rows of the ledger in these states."""
        query = (
            "SELECT count(*) FROM delivery d JOIN subscriber s ON s.id = d.subscriber_id "
            "WHERE s.channel = %s AND d.state = ANY(%s)"
        )
        return int(self.sql(query, channel, list(states))[0][0])

    @property
    def _desk(self) -> Program:
        home = self.folder / "desk"
        home.mkdir(exist_ok=True)
        return Program(home, self.environ, 0, warm=self.warm)
