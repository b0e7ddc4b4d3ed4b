"""The web servers that `deploy/` is written for, started as ordinary processes with the very files that are shipped.

Only the lines that an operator changes are changed: where to listen, certificates, the folder, the service's port.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, DummyCookieJar, web

from tests.needing import missing

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = "/var/lib/syndicator/var/feeds"
BROTLI = Path("/usr/lib/nginx/modules/ngx_http_brotli_static_module.so")
KINDS = ("nginx", "caddy")
SEVERAL = {
    "nginx": {"if_modified_since before;": "if_modified_since off;", "# add_header Last-": "add_header Last-"},
    "caddy": {"# -Last-Modified": "-Last-Modified", "# request_header -If-Mod": "request_header -If-Mod"},
}
"""What an operator changes where several machines keep the feeds, each its own."""


def need(kind: str) -> str:
    """The program, or a skip with the reason; in CI a failure."""
    program = shutil.which(kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or (kind == "nginx" and not BROTLI.exists()):
        missing(kind, "Debian: apt install nginx libnginx-mod-http-brotli-static caddy")
    return str(program)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the shipped file no longer says {old!r}"
        text = text.replace(old, new)
    return text


def nginx_files(folder: Path, feeds: Path, port: int, service: int, *, several: bool = False) -> list[str]:
    folder.mkdir()
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "ssl_certificate     /etc/ssl/press.example.org.pem;": "",
        "ssl_certificate_key /etc/ssl/press.example.org.key;": "",
        FOLDER: str(feeds),
        "server 127.0.0.1:8080;": f"server 127.0.0.1:{service};",
    }
    shipped = replaced((DEPLOY / "nginx.conf").read_text(), changes | (SEVERAL["nginx"] if several else {}))
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "main.conf").write_text(
        f"{'user root root;' if os.geteuid() == 0 else ''}\n"
        f"load_module {BROTLI};\ndaemon off;\npid {folder}/pid;\nworker_processes 1;\nerror_log stderr warn;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}\n{shipped}\n}}\n"
    )
    return ["-p", str(folder), "-e", "stderr", "-c", str(folder / "main.conf")]


def caddy_files(folder: Path, feeds: Path, port: int, service: int, *, several: bool = False) -> list[str]:
    folder.mkdir()
    changes = {
        "{$SITE:press.example.org} {": f"http://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n",
        FOLDER: str(feeds),
        "127.0.0.1:8080": f"127.0.0.1:{service}",
    }
    shipped = replaced((DEPLOY / "Caddyfile").read_text(), changes | (SEVERAL["caddy"] if several else {}))
    quiet = "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n"
    (folder / "Caddyfile").write_text(quiet + shipped)
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@asynccontextmanager
async def proxy(kind: str, folder: Path, feeds: Path, service: int, *, several: bool = False) -> AsyncIterator[str]:
    """That server in front of a service and the folder it keeps, or of one of `several`; gives its address."""
    program, port = need(kind), free_port()
    arguments = {"nginx": nginx_files, "caddy": caddy_files}[kind](folder, feeds, port, service, several=several)
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    log = folder / "log"
    with log.open("wb") as heard:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=heard, stderr=heard, env=environment, cwd=folder
        )
    try:
        for _ in range(200):
            assert process.returncode is None, log.read_text()
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            await asyncio.sleep(0.05)
        else:
            pytest.fail(f"{kind} does not listen: {log.read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def service(routes: list[web.RouteDef]) -> AsyncIterator[int]:
    """The service itself, as far as feeds go, and a page; gives its port."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=f"page {request.raw_path}")

    app = web.Application()
    app.add_routes([*routes, web.get("/{lang}/", page), web.get("/feeds/custom.{ext}", page)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def plain_client() -> AsyncIterator[ClientSession]:
    """A client that adds nothing and unpacks nothing."""
    async with ClientSession(
        auto_decompress=False, cookie_jar=DummyCookieJar(), skip_auto_headers=("Accept-Encoding", "Accept")
    ) as one:
        yield one
