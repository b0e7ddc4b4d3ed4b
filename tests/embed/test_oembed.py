"""oEmbed: what a site gets to show that was given one of our addresses."""

from __future__ import annotations

import json
import struct
import zlib
from datetime import timedelta
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from lxml import html

from syndicator.domain.model import Attachment, State

HOSTILE = "<script>alert(1)</script>\"'&]]>"


def png(width, height):
    """A whole picture of one grey."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def ask(press):
    async def asked(path, **more):
        url = path if path.startswith(("http", "x:")) else press.site.base_url + path
        query = "&".join(f"{name}={quote(str(value))}" for name, value in {"url": url, **more}.items())
        status, headers, text = await press.answer(f"/oembed?{query}")
        return status, (json.loads(text) if status == 200 and "json" in headers["Content-Type"] else text)

    return asked


async def test_a_release_is_quoted_with_real_links_and_no_script(press, ask):
    await press.publish({"az": "Başlıq", "en": HOSTILE, "ru": "Заголовок"}, "1", summary=HOSTILE)
    status, said = await ask("/en/releases/1-office-hours")
    assert status == 200
    base = press.site.base_url
    assert {name: said[name] for name in ("version", "type", "title", "author_name", "provider_url")} == {
        "version": "1.0",
        "type": "rich",
        "title": HOSTILE,
        "author_name": "Migration Service",
        "provider_url": f"{base}/en/",
    }
    quoted = html.fromstring(said["html"])
    assert quoted.tag == "blockquote"
    assert [link.get("href") for link in quoted.xpath("//a")] == [f"{base}/en/releases/1-office-hours", f"{base}/en/"]
    assert HOSTILE in quoted.text_content()
    assert not quoted.xpath("//script | //@style | //@onclick")
    assert isinstance(said["width"], int)
    assert isinstance(said["height"], int)
    assert said["cache_age"] <= 300
    for lang, title in (("az", "Başlıq"), ("ru", "Заголовок")):
        assert (await ask(f"/{lang}/releases/1"))[1]["title"] == title


async def test_xml_says_the_same(press, ask):
    await press.publish(HOSTILE, "1")
    _, said = await ask("/en/releases/1")
    status, headers, text = await press.answer(f"/oembed?format=xml&url={press.site.base_url}/en/releases/1")
    assert (status, headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    root = ET.fromstring(text)
    assert root.tag == "oembed"
    assert {one.tag: one.text for one in root} == {name: str(value) for name, value in said.items()}


async def test_what_may_not_be_seen_is_answered_as_what_never_was(press, ask):
    await press.publish("Secret", "1", state=State.DRAFT)
    await press.publish("Secret", "2", state=State.SCHEDULED, public_at=press.now + timedelta(hours=1))
    never = await press.publish("Secret", "3", state=State.SCHEDULED, public_at=press.now + timedelta(hours=1))
    await press.withdraw(never, "Secret")
    await press.publish({"az": "Only here"}, "4")
    unknown = await ask("/en/releases/999")
    assert unknown[0] == 404
    for path in ("/en/releases/1", "/en/releases/2-office-hours", "/en/releases/3", "/en/releases/4"):
        assert await ask(path) == unknown


async def test_a_withdrawn_release_is_a_notice_without_its_text(press, ask):
    release = await press.publish("Wrong title", "1", summary="Wrong summary.")
    await press.withdraw(release, "A mistake.")
    status, said = await ask("/en/releases/1-office-hours")
    assert status == 200  # a site that asks again replaces what it had
    assert said["title"] == "Release No. 1 was withdrawn"
    assert "This release was withdrawn on 21 November 2026. A mistake." in said["html"]
    assert "Wrong" not in json.dumps(said)
    assert "office-hours" not in said["html"]


async def test_a_correction_is_told(press, ask):
    await press.publish("The fee is 25", "1")
    await press.publish("The fee is 20", "1", note="The fee is 20, not 25.")
    _, said = await ask("/en/releases/1")
    assert "The fee is 20, not 25." in said["html"]


async def test_lists_are_quoted_too(press, ask):
    await press.publish("A", "1", topics=["visas"])
    await press.publish("B", "2", topics=["office"])
    for path, titles in (("/en/", ["B", "A"]), ("/en/topics/visas", ["A"]), ("/en/topics/migration", ["A"])):
        _, said = await ask(path)
        assert [one.text_content() for one in html.fromstring(said["html"]).xpath("//li/a")] == titles


async def test_the_sites_own_address_is_quoted_in_its_first_language(press, ask):
    await press.publish({"az": "Viza", "en": "A visa"}, "1")
    for path in (press.site.base_url, "/"):
        status, said = await ask(path)
        assert (status, html.fromstring(said["html"]).xpath("//li/a/text()")) == (200, ["Viza"])


async def test_addresses_of_others_and_odd_ones_are_unknown(press, ask):
    await press.publish("A", "1")
    base = press.site.base_url
    for url in (
        "https://elsewhere.example/en/releases/1",
        f"{base}.evil.example/en/releases/1",
        base.replace("http://", "http://user@") + "/en/releases/1",
        base.replace("http://", "javascript://") + "/en/releases/1",
        "x:y",
        "http://[",
        f"{base}/de/releases/1",
        f"{base}/en/releases/one",
        f"{base}/en/releases/1/more",
        f"{base}/en/releases/12345678901",
        f"{base}/en/topics/nothing",
        f"{base}/manage/token",
        f"{base}/en/releases/1-" + "a" * 3000,
        f"{base}//",
    ):
        assert (await ask(url))[0] == 404, url
    assert (await ask(base.upper().replace("HTTP", "https") + "/en/releases/1"))[0] == 200  # an old link's scheme


async def test_bad_questions_are_refused_in_one_line(press):
    url = f"url={press.site.base_url}/en/"
    for query, status in (
        ("", 400),
        ("url=", 400),
        (f"{url}&format=yaml", 501),
        (f"{url}&maxwidth=wide", 400),
        (f"{url}&maxwidth=0", 400),
        (f"{url}&maxheight=-1", 400),
    ):
        got, headers, text = await press.answer(f"/oembed?{query}")
        assert got == status, query
        assert text.count("\n") == 1
        assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(("width", "height"), [(320, None), (2000, None), (600, 100), (100, 40), (1, 1)])
async def test_sizes_keep_to_the_room_there_is(press, ask, width, height):
    await press.publish("A title of some length that has to wrap", "1", summary="Many words. " * 40)
    more = {"maxwidth": width} | ({"maxheight": height} if height else {})
    _, said = await ask("/en/releases/1", **more)
    assert 0 < said["width"] <= min(width, 600)
    assert height is None or 0 < said["height"] <= height
    assert ("Many words." in said["html"]) is (height is None)


@pytest.mark.parametrize(
    ("size", "bounds", "named"),
    [((300, 200), {}, True), ((900, 20), {}, False), ((300, 200), {"maxheight": 150}, False)],
)
async def test_a_picture_of_ours_is_the_thumbnail_where_it_fits(press, ask, tmp_path, size, bounds, named):
    path = tmp_path / "hall.png"
    path.write_bytes(png(*size))
    kept = await press.parts.media.keep(Attachment(path=path, title="Hall"))
    await press.publish("A", "1", attachments=[kept])
    _, said = await ask("/en/releases/1", **bounds)
    thumbnail = {name: value for name, value in said.items() if name.startswith("thumbnail")}
    whole = {"thumbnail_url": press.site.base_url + kept.url, "thumbnail_width": size[0], "thumbnail_height": size[1]}
    assert thumbnail == (whole if named else {})


async def test_a_picture_that_cannot_be_read_is_left_out(press, ask):
    lost = Attachment(f"/media/{'a' * 32}.png", "image/png", 9)
    other = Attachment("https://elsewhere.example/a.png", "image/png", 9)
    await press.publish("A", "1", attachments=[lost])
    await press.publish("B", "2", attachments=[other])
    for number in (1, 2):
        status, said = await ask(f"/en/releases/{number}")
        assert status == 200
        assert "thumbnail_url" not in said


async def test_a_release_page_tells_where_to_ask(press):
    await press.publish("A", "1")
    page = html.fromstring(await press.text("/en/releases/1-office-hours"))
    for kind in ("application/json+oembed", "text/xml+oembed"):
        (link,) = page.xpath(f'//link[@type="{kind}"]')
        status, headers, text = await press.answer(link.get("href"))
        assert status == 200
        assert headers["Content-Type"].split(";")[0] == kind.replace("+oembed", "")
        assert "A" in text
