"""A real Postfix of the test's own: a relay on a free port of this machine, with its own folder, queue and routes.

`with postfix(routes) as relay:` `relay.port`; `routes` are ways by domain, such as `by_smtp(port)`, and what is for
another domain is returned.
It needs Debian's `postfix` and root, since Postfix itself does; where they are absent the test skips with the reason,
in CI it fails.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.needing import absent

PATIENCE = 15.0  # seconds for it to come and to go

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}/log
myhostname = relay.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
smtp_host_lookup = native
alias_maps =
alias_database =
local_recipient_maps =
default_transport = error:5.1.2 no such domain here
transport_maps = inline:{{ {routes} }}
smtp_tls_security_level = none
smtpd_tls_security_level = none
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """It listens on `port`; `log` tells what it did."""

    port: int
    folder: Path

    @property
    def log(self) -> str:
        path = self.folder / "log" / "mail.log"
        return path.read_text() if path.exists() else ""


def by_smtp(port: int) -> str:
    """To a server on this machine that speaks SMTP."""
    return f"smtp:[127.0.0.1]:{port}"


def by_lmtp(port: int) -> str:
    """To a server on this machine that speaks LMTP."""
    return f"lmtp:inet:127.0.0.1:{port}"


@contextmanager
def postfix(
    routes: Mapping[str, str], settings: str = "", tables: Mapping[str, str] | None = None
) -> Iterator[Postfix]:
    """Start one, and stop it in the end. `settings` are more lines of main.cf, with `{conf}` for where `tables` lie."""
    program = shutil.which("postfix") or "/usr/sbin/postfix"
    if not Path(program).exists():
        absent("Postfix is not installed (Debian: apt install postfix)")
    if os.geteuid() != 0:
        absent("Postfix starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="postfix-"))  # its own users look in, too: no folder of pytest's
    try:
        relay = _written(folder, routes)
        with (folder / "conf" / "main.cf").open("a") as main:
            main.write(settings.replace("{conf}", str(folder / "conf")))
        for name, text in (tables or {}).items():
            (folder / "conf" / name).write_text(text)
        _command(program, folder, "start")
        try:
            _wait(relay)
            yield relay
        finally:
            _command(program, folder, "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _written(folder: Path, routes: Mapping[str, str]) -> Postfix:
    folder.chmod(0o755)
    for name in ("conf", "queue", "data", "log"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    ways = " ".join(f"{{ {domain} = {way} }}" for domain, way in routes.items())
    port = _free_port()
    (folder / "conf" / "main.cf").write_text(MAIN.format(folder=folder, routes=ways))
    (folder / "conf" / "master.cf").write_text(MASTER.format(port=port))
    return Postfix(port, folder)


def _command(program: str, folder: Path, what: str) -> None:
    """Tell it what to do; its master keeps what it inherits open, so nothing is piped."""
    with (folder / "log" / "command.log").open("a+b") as said:
        command = [program, "-c", str(folder / "conf"), what]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=60, check=False)
        said.seek(0)
        assert done.returncode == 0, said.read().decode()


def _wait(relay: Postfix) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", relay.port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"Postfix does not listen: {relay.log}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
