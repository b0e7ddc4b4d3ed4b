"""nginx as `deploy/nginx.conf` has it, on the tree that the service keeps; nothing where it is not installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.feeds.proxies import BROTLI, nginx_files
from tests.program import free_port, wait_for

__all__ = ["nginx"]


@contextmanager
def nginx(folder: Path, tree: Path, service: int) -> Iterator[tuple[int, psutil.Process] | None]:
    """Its port and its one worker's process, or None; `service` is the port that it hands everything else to."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None or not BROTLI.exists():
        yield None
        return
    port = free_port()
    arguments = nginx_files(folder, tree, port, service)
    master = subprocess.Popen([program, *arguments])
    try:
        process = psutil.Process(master.pid)
        wait_for(lambda: process.children() and (folder / "pid").exists(), "nginx")
        yield port, process.children()[0]
    finally:
        master.terminate()
        master.wait(10)
