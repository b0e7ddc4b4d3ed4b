"""nginx on a static tree, with one worker, on a free port of 127.0.0.1; nothing where it is not installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.program import free_port, wait_for

__all__ = ["nginx"]

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=1000 inactive=60s;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    types {{ application/rss+xml rss; application/atom+xml atom; application/feed+json json; text/x-opml opml; }}
    server {{
        listen 127.0.0.1:{port};
        location /feeds/ {{
            alias {tree}/;
            gzip_static on;
            if_modified_since before;
            add_header Cache-Control "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400";
            add_header Access-Control-Allow-Origin "*";
            add_header X-Content-Type-Options nosniff;
            add_header Vary Accept-Encoding;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, tree: Path) -> Iterator[tuple[int, psutil.Process] | None]:
    """Its port and its worker's process, or None."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    port = free_port()
    written = folder / "nginx.conf"
    written.write_text(CONFIGURATION.format(folder=folder, port=port, tree=tree))
    master = subprocess.Popen([program, "-e", f"{folder}/nginx.log", "-c", str(written), "-p", str(folder)])
    try:
        process = psutil.Process(master.pid)
        wait_for(lambda: process.children() and (folder / "nginx.pid").exists(), "nginx")
        yield port, process.children()[0]
    finally:
        master.terminate()
        master.wait(10)
