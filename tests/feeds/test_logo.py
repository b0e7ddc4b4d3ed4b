"""The office's picture: which file, where it may be shown, and what is said of one that does not fit."""

import struct

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from config.settings import BadSettings
from feeds import build
from feeds.logo import picture_routes, read_pictures
from feeds.streams import ALL, Stream, describe

BASE = "https://press.example.org/feeds"


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def shown(site, taxonomy, texts, pictures):
    channel = describe(Stream("en", ALL), site, taxonomy, texts, pictures.logo)
    return {fmt: build.render(fmt, channel, [], 60).decode() for fmt in ("rss", "atom", "json")}


def test_without_a_setting_the_shipped_pictures_are_shown_everywhere(site, taxonomy, texts):
    pictures = read_pictures("", site)
    assert sorted(pictures.bodies) == ["icon.png", "logo.png"]
    feeds = shown(site, taxonomy, texts, pictures)
    title = "<title>Migration Service &#x26; Co</title><link>https://press.example.org/en/</link>"
    size = "<width>144</width><height>72</height>"
    assert f"<image><url>{BASE}/logo.png</url>{title}{size}</image>" in feeds["rss"]
    assert f"<icon>{BASE}/icon.png</icon><logo>{BASE}/logo.png</logo>" in feeds["atom"].replace("\n", "")
    assert f'"icon":"{BASE}/icon.png","favicon":"{BASE}/icon.png"' in feeds["json"]


@pytest.mark.parametrize(
    ("name", "body", "in_rss", "is_icon", "line"),
    [
        ("a.png", png(144, 72), True, False, ""),
        ("a.png", png(100, 100), True, True, ""),
        ("a.png", png(145, 60), False, False, "too large"),
        ("a.png", png(512, 512), False, True, "too large"),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', False, False, "no SVG"),
    ],
)
def test_a_picture_is_shown_where_it_fits_and_a_line_says_where_not(
    site, taxonomy, texts, tmp_path, name, body, in_rss, is_icon, line
):
    path = tmp_path / name
    path.write_bytes(body)
    with capture_logs() as logs:
        pictures = read_pictures(str(path), site)
    feeds = shown(site, taxonomy, texts, pictures)
    assert ("<image>" in feeds["rss"]) == in_rss
    assert ("<icon>" in feeds["atom"]) == is_icon
    assert f"<logo>{BASE}/logo.{name[-3:]}</logo>" in feeds["atom"]
    assert [log["event"] for log in logs if line in log["event"]] == [log["event"] for log in logs]
    assert bool(logs) == bool(line)


@pytest.mark.parametrize("body", [None, b"", b"GIF89a", png(0, 5), png(5, 5)[:20], b"<svg" + b" " * 500_000])
def test_a_file_that_is_no_picture_stops_the_start_with_one_line(site, tmp_path, body):
    path = tmp_path / "logo.png"
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(BadSettings, match=r"^feeds\.logo: [^\n]+$"):
        read_pictures(str(path), site)


async def test_the_pictures_may_be_kept_for_a_day_by_anybody(site, make, ask):
    for name in ("logo.png", "icon.png"):
        status, headers, body = await ask(f"/feeds/{name}")
        assert status == 200
        assert headers["Content-Type"] == "image/png"
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Cache-Control"].startswith("public, max-age=86400")
        assert body.startswith(b"\x89PNG")
        again, _, _ = await ask(f"/feeds/{name}", headers["ETag"])
        assert again == 304


@pytest.fixture
async def ask(site, make):
    app = web.Application()
    app.add_routes(picture_routes(read_pictures("", site), site, lambda: make.now))
    async with TestClient(TestServer(app)) as client:

        async def get(path, etag=None):
            async with client.get(path, headers={"If-None-Match": etag} if etag else {}) as answer:
                return answer.status, answer.headers, await answer.read()

        yield get
