"""Requests to strangers' addresses reach public machines only, whatever is tried."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from syndicator.net import Broken, Forbidden, Outgoing, TookTooLong, Unreachable, checked, is_public

HOSTILE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://0/",
    "http://0.0.0.0/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://127.0.0.1.0x0/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[0:0:0:0:0:ffff:10.0.0.1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::10.0.0.1]/",
    "http://[2002:7f00:0001::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://192.0.0.8/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://203.0.113.5/",
    "http://224.0.1.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "ftp://reader.example.org/",
    "file:///etc/passwd",
    "gopher://reader.example.org:70/",
    "unix:///run/docker.sock",
    "javascript:alert(1)",
    "//reader.example.org/",
    "http:///path",
    "http://",
    "",
    "http://user@reader.example.org/",
    "http://user:secret@reader.example.org/",
    "http://reader.example.org:22/",
    "http://reader.example.org:25/",
    "http://reader.example.org:6667/",
    "http://reader.example.org:0/",
    "http://reader.example.org:99999/",
    "http://reader.example.org/ x",
    "http://reader.example.org/\r\nHost: other",
    "http://reader.example.org/\x00",
    "http://reader.example.org\\@127.0.0.1/",
    "http://１２７.０.０.１/",
    "http://[::1/",
]


@pytest.mark.parametrize("address", HOSTILE)
def test_an_address_that_may_not_be_called_is_refused_as_it_is_written(address):
    with pytest.raises(Forbidden):
        checked(address)


FINE = [
    "http://reader.example.org/",
    "https://reader.example.org:8443/cb?x=%2F&y=a+b",
    "http://93.184.216.34/",
    "http://[2606:2800:220:1:248:1893:25c8:1946]/",
    "http://[64:ff9b::93.184.216.34]/",
    "http://xn--oxucu-iya.example.org/",
]


@pytest.mark.parametrize("address", FINE)
def test_a_public_address_may_be_called_and_stays_as_it_is_written(address):
    assert str(checked(address)) == address


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_never_public_where_its_ipv4_one_is_not(address):
    for inner in (address.ipv4_mapped, address.sixtofour):
        if inner is not None and not is_public(inner):
            assert not is_public(address)


@given(st.one_of(*(st.ip_addresses(network=net) for net in ("10.0.0.0/8", "127.0.0.0/8", "100.64.0.0/10"))))
def test_private_addresses_are_private_in_every_wrapping(inner):
    number = int(inner)
    for wrapped in (
        f"::ffff:{inner}",
        f"64:ff9b::{inner}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        str(inner),
    ):
        assert not is_public(ip_address(wrapped))


@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_check(text):
    for address in (text, f"http://{text}", f"http://{text}/"):
        try:
            url = checked(address)
        except Forbidden:
            continue
        assert url.scheme in ("http", "https")
        assert str(url) == address


class Names(AbstractResolver):
    """A resolver that says what it is told, a new thing each time."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            {"hostname": host, "host": one, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for one in found
        ]

    async def close(self):
        pass


class Counting:
    """A server on this machine that must not be reached."""

    def __init__(self):
        self.reached = 0
        self.answer = None

    async def handle(self, request):
        self.reached += 1
        return await self.answer(request) if self.answer else web.Response(text="hello")


@pytest.fixture
async def server():
    made = Counting()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    async with TestServer(app, host="127.0.0.1") as running:
        made.port = running.port
        yield made


@pytest.fixture
async def client():
    made = []

    def opened(*allow, **values):
        made.append(Outgoing(allow, agent="test", **{"total": 2.0, "connect": 1.0} | values))
        return made[-1]

    yield opened
    for one in made:
        await one.close()


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["10.0.0.1", "169.254.169.254"], ["0.0.0.0"]])
async def test_a_name_of_a_private_address_is_not_called(server, client, answers):
    with pytest.raises(Forbidden, match="no public address"):
        await client(resolver=Names(answers)).ask("GET", f"http://reader.example.org:{server.port}/")
    assert server.reached == 0


async def test_of_several_addresses_only_those_that_may_be_are_called(server, client):
    asking = client("127.0.0.0/8", resolver=Names(["10.0.0.1", "127.0.0.1", "169.254.169.254"]))
    assert (await asking.ask("GET", f"http://reader.example.org:{server.port}/")).status == 200


async def test_a_name_that_changes_after_the_check_is_still_not_called(server, client, monkeypatch):
    """Even if the resolver's own filter were got round, the socket is not made."""
    monkeypatch.setattr("syndicator.net._Resolver.resolve", lambda self, *a, **k: self._inner.resolve(*a, **k))
    names = Names(["127.0.0.1"])
    with pytest.raises(Forbidden, match="not a public address"):
        await client(resolver=names).ask("GET", f"http://reader.example.org:{server.port}/")
    assert (names.asked, server.reached) == (1, 0)


async def test_this_machines_own_names_are_not_called(server, client):
    with pytest.raises(Forbidden):
        await client().ask("GET", f"http://localhost:{server.port}/")
    assert server.reached == 0


async def test_networks_that_are_allowed_are_exempt(server, client):
    assert (await client("127.0.0.0/8").ask("GET", f"http://127.0.0.1:{server.port}/", limit=3)).body == b"hel"


async def test_redirects_are_not_followed_and_cookies_not_kept(server, client):
    seen = []

    async def answer(request):
        seen.append(request.headers.get("Cookie"))
        response = web.Response(status=302, headers={"Location": "/elsewhere"})
        response.set_cookie("a", "b")
        return response

    server.answer = answer
    asking = client("127.0.0.0/8")
    for _ in range(2):
        assert (await asking.ask("GET", f"http://127.0.0.1:{server.port}/")).status == 302
    assert seen == [None, None]


async def test_no_proxy_of_the_environment_is_used(server, client, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert (await client("127.0.0.0/8").ask("GET", f"http://127.0.0.1:{server.port}/")).status == 200


async def test_a_huge_or_endless_answer_is_cut(server, client):
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        except (ConnectionError, asyncio.CancelledError):
            return response

    server.answer = endless
    answer = await client("127.0.0.0/8").ask("GET", f"http://127.0.0.1:{server.port}/", limit=100)
    assert answer.body == b"x" * 100


async def test_a_packed_answer_is_not_unpacked(server, client):
    async def packed(request):
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"\x1f\x8b bomb", headers={"Content-Encoding": "gzip"})

    server.answer = packed
    assert (await client("127.0.0.0/8").ask("GET", f"http://127.0.0.1:{server.port}/", limit=50)).body[
        :2
    ] == b"\x1f\x8b"


async def test_who_says_nothing_in_time_may_have_got_it(server, client):
    async def slow(request):
        await asyncio.sleep(1)
        return web.Response()

    server.answer = slow
    with pytest.raises(TookTooLong, match=r"^127\.0\.0\.1 gave no answer in time$"):
        await client("127.0.0.0/8", total=0.1).ask("POST", f"http://127.0.0.1:{server.port}/secret", body=b"x")


async def test_a_line_that_breaks_may_have_brought_it(server, client):
    async def cut(request):
        request.transport.abort()
        await asyncio.sleep(0.05)
        return web.Response()

    server.answer = cut
    with pytest.raises(Broken) as caught:
        await client("127.0.0.0/8").ask("POST", f"http://127.0.0.1:{server.port}/secret", body=b"x")
    assert "secret" not in str(caught.value)


async def test_where_nobody_listens_nothing_has_arrived(client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(Unreachable) as caught:
            await client("127.0.0.0/8").ask("POST", f"http://127.0.0.1:{port}/secret", body=b"x")
    assert "secret" not in str(caught.value)
