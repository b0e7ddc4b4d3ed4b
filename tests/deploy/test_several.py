"""Several web machines behind nginx and Caddy, started with the files that are shipped: who answers, and how often."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientError, web

from tests.feeds.proxies import DEPLOY, KINDS, free_port, need, plain_client, replaced
from tests.program import PATIENCE

LASTING = ("/feeds/en/", "/embed", "/static/", "/favicon.svg", "/robots.txt")


class Machine:
    """A web machine: ready or not, there or not, or one that hangs up on what it has taken."""

    def __init__(self, name):
        self.name, self.port = name, free_port()
        self.ready, self.drops, self.database = True, False, True
        self.asked: list[str] = []
        self.visitors: list[str] = []
        self.runner = None

    async def answer(self, request):
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready and self.database else 503)
        if request.path == "/readyz/feeds":
            return web.Response(status=200 if self.ready else 503)
        self.asked.append(f"{request.method} {request.path}")
        self.visitors.append(request.headers.get("X-Forwarded-For", ""))
        await request.read()
        if self.drops:
            request.transport.abort()
        if not self.ready:
            return web.Response(status=503, text="Feeds are being built; try again in a moment.")
        if not self.database and not request.path.startswith(LASTING):
            return web.Response(status=503, text="Try again in a moment.")
        return web.Response(text=self.name, headers={"ETag": '"one"'})

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def stop(self):
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None


def nginx(folder: Path, port: int, first: Machine, second: Machine) -> list[str]:
    shipped = replaced(
        (DEPLOY / "nginx.several.conf").read_text(),
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port};",
            "ssl_certificate     /etc/ssl/press.example.org.pem;": "",
            "ssl_certificate_key /etc/ssl/press.example.org.key;": "",
            "10.0.0.11:8080": f"127.0.0.1:{first.port}",
            "10.0.0.12:8080": f"127.0.0.1:{second.port}",
            "fail_timeout=5s": "fail_timeout=1s",  # as the rest, only sooner
        },
    )
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "main.conf").write_text(
        f"{'user root root;' if os.geteuid() == 0 else ''}\ndaemon off;\npid {folder}/pid;\nworker_processes 1;\n"
        f"error_log stderr crit;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\n{shipped}\n}}\n"
    )
    return ["-p", str(folder), "-e", "stderr", "-c", str(folder / "main.conf")]


def caddy(folder: Path, port: int, first: Machine, second: Machine) -> list[str]:
    shipped = replaced(
        (DEPLOY / "Caddyfile.several").read_text(),
        {
            "{$SITE:press.example.org} {": f"http://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n",
            "10.0.0.11:8080 10.0.0.12:8080": f"127.0.0.1:{first.port} 127.0.0.1:{second.port}",
            "health_interval 2s": "health_interval 500ms",  # as the rest, only sooner
            "fail_duration 5s": "fail_duration 1s",
            "lb_try_duration 5s": "lb_try_duration 1500ms",
        },
    )
    quiet = "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel FATAL\n\t}\n}\n"
    (folder / "Caddyfile").write_text(quiet + shipped)
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@asynccontextmanager
async def in_front(kind: str, folder: Path, first: Machine, second: Machine):
    program, port = need(kind), free_port()
    arguments = {"nginx": nginx, "caddy": caddy}[kind](folder, port, first, second)
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as heard:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=heard, stderr=heard, env=environment, cwd=folder
        )
    try:
        for _ in range(int(PATIENCE / 0.05)):
            assert process.returncode is None, (folder / "log").read_text()
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture(params=KINDS)
async def stand(request, tmp_path):
    """(client, address, two machines) behind each kind of proxy."""
    machines = Machine("first"), Machine("second")
    for machine in machines:
        await machine.start()
    try:
        async with in_front(request.param, tmp_path, *machines) as base, plain_client() as client:
            yield client, base, machines
    finally:
        for machine in machines:
            await machine.stop()


async def ask(client, base, path="/en/", method="GET"):
    async with client.request(method, base + path) as answer:
        return answer.status, await answer.text(), answer.headers


async def until(question):
    for _ in range(int(PATIENCE / 0.1)):
        if await question():
            return True
        await asyncio.sleep(0.1)
    return False


async def test_a_machine_that_is_gone_or_not_ready_is_not_noticed_by_who_reads(stand):
    client, base, (first, second) = stand
    both = {(await ask(client, base, f"/en/{number}"))[1] for number in range(20)}
    assert both == {"first", "second"}
    assert set(first.visitors + second.visitors) == {"127.0.0.1"}
    await first.stop()
    for number in range(20):
        assert (await ask(client, base, f"/feeds/en/{number}.rss"))[:2] == (200, "second")
    await first.start()

    async def first_is_back():
        return (await ask(client, base))[1] == "first"

    assert await until(first_is_back)
    second.ready = False  # it has just been started: its feeds are not built

    async def only_first():
        return {(await ask(client, base, f"/ru/{number}"))[:2] for number in range(10)} == {(200, "first")}

    assert await until(only_first)


async def test_what_was_posted_is_never_posted_again_and_what_is_read_is_asked_of_the_other(stand):
    client, base, (first, second) = stand
    first.drops = second.drops = True
    for _ in range(4):
        first.asked.clear()
        second.asked.clear()
        try:
            status = (await ask(client, base, "/en/subscribe", "POST"))[0]
        except ClientError:
            status = 502
        assert status >= 500
        assert len(first.asked + second.asked) <= 1
    second.drops = False

    async def second_answers():
        status, said, _ = await ask(client, base)
        return (status, said) == (200, "second")

    assert await until(second_answers)


ALWAYS = (
    "/feeds/en/all.rss",
    "/feeds/en/all.json",
    "/feeds/en/visas/2026-11.atom",
    "/embed-1.js",
    "/embed/frame?lang=en",
    "/static/site.css",
    "/favicon.svg",
    "/robots.txt",
)


async def test_while_the_database_is_away_feeds_and_embeds_are_answered_though_nothing_else_is(stand):
    client, base, machines = stand
    for machine in machines:
        machine.database = False

    async def nobody():
        return (await ask(client, base, "/en/"))[0] == 503

    assert await until(nobody)
    for number in range(8):  # what fails meanwhile takes nobody out
        assert (await ask(client, base, f"/en/{number}"))[0] == 503
        assert (await ask(client, base, f"/feeds/custom.rss?q=word{number}"))[0] == 503
        for path in ALWAYS:
            assert (await ask(client, base, path))[0] == 200, path
    for machine in machines:
        machine.database = True

    async def all_again():
        return (await ask(client, base, "/en/"))[0] == 200

    assert await until(all_again)


async def test_nobody_outside_sees_what_is_for_machines_and_nobody_ready_means_try_again(stand):
    client, base, (first, second) = stand
    for path in ("/metrics", "/readyz", "/readyz/feeds", "/healthz"):
        assert (await ask(client, base, path))[0] == 403
    await first.stop()
    await second.stop()
    status, said, headers = await ask(client, base, "/feeds/en/all.rss")
    assert status == 503
    assert "try again in a moment" in said
    assert (headers["Retry-After"], headers["Cache-Control"]) == ("5", "no-cache")
    assert headers["Access-Control-Allow-Origin"] == "*"
