"""The page that writes a partner's lines."""

from __future__ import annotations

import pytest
from lxml import html

from feeds.embed.scripts import Scripts

SCRIPT = Scripts().newest


async def lines(press, query="", lang="en"):
    page = html.fromstring(await press.text(f"/{lang}/embed?{query}"))
    return {box.get("id"): box.text_content().strip() for box in page.xpath("//textarea")}


@pytest.mark.parametrize(
    ("query", "attributes"),
    [
        ("", {"lang": "en", "limit": "5"}),
        (
            "language=ru&limit=7&theme=dark&layout=cards",
            {"lang": "ru", "limit": "7", "theme": "dark", "layout": "cards"},
        ),
        ("topic=visas", {"topic": "visas"}),
        ("lang=ru,az&topic=visas", {"lang": "ru", "filter": "lang=ru,az&topic=visas"}),
        ("lang=ru,az&language=az", {"lang": "az", "filter": "lang=az,ru"}),
        ("topic=visas,office", {"filter": "lang=en&topic=office,visas"}),
        ("topic=visas&q=Asan+Viza", {"filter": "lang=en&topic=visas&q=asan+viza"}),
        ("heading=%22%3E%3Cb%3E&images=1", {"heading": '"><b>', "images": ""}),
        ("limit=99", {"limit": "20"}),
        ("limit=x&layout=x&theme=x&language=xx", {"limit": "5", "lang": "en"}),
    ],
)
async def test_the_element_says_what_was_chosen(press, query, attributes):
    element = html.fragment_fromstring((await lines(press, query))["component"], create_parent=True).find("press-feed")
    always = {"lang": "en", "limit": "5", "time-zone": "Asia/Baku"}
    assert dict(element.attrib) == always | attributes


async def test_the_script_is_named_by_version_and_digest(press):
    component = (await lines(press))["component"]
    script = html.fragment_fromstring(component, create_parent=True).find("script")
    assert dict(script.attrib) == {
        "src": f"{press.site.base_url}/embed-{SCRIPT.version}.js",
        "integrity": SCRIPT.integrity,
        "crossorigin": "anonymous",
        "defer": "defer",
    }


async def test_the_element_holds_the_newest_releases_as_real_links(press):
    await press.publish('<i>"A" & B</i>', "1")
    element = html.fragment_fromstring((await lines(press))["component"], create_parent=True).find("press-feed")
    (link,) = element.xpath(".//li/a")
    assert link.text_content() == '<i>"A" & B</i>'
    assert link.get("href") == f"{press.site.base_url}/en/releases/1-office-hours"
    assert element.xpath(".//li/time")[0].text == "21 November 2026"


async def test_an_element_without_releases_still_leads_to_us(press):
    component = (await lines(press, "topic=visas"))["component"]
    assert f'<li><a href="{press.site.base_url}/en/topics/visas">All releases</a></li>' in component


async def test_every_address_in_the_lines_answers(press):
    await press.publish("A", "1")
    written = await lines(press, "topic=visas&q=a&heading=A+%26+B--%3E&layout=full&theme=dark")
    frame = html.fromstring(written["frame"])
    assert set(frame.get("sandbox").split()) == {"allow-popups", "allow-popups-to-escape-sandbox"}
    virtual = written["ssi"].removeprefix('<!--#include virtual="/press').removesuffix('" -->')
    assert not set('"<>') & set(virtual)
    included = html.fromstring(written["esi"]).get("src")
    for address in (frame.get("src"), virtual, included):
        text = await press.text(address)
        assert "A &amp; B--&gt;" in text
        assert "/en/releases/1-office-hours" in text
    assert written["policy"] == f"Content-Security-Policy: default-src 'self' {press.site.base_url}"


async def test_the_preview_is_the_frame_and_may_be_framed_here(press):
    _, headers, text = await press.answer("/en/embed?topic=visas")
    (frame,) = html.fromstring(text).xpath("//iframe")
    assert frame.get("src") == "/embed/frame?lang=en&topic=visas&theme=light"
    assert "frame-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    status, again, _ = await press.answer("/en/embed?topic=visas", If_None_Match=headers["ETag"])
    assert (status, again["Content-Security-Policy"]) == (304, headers["Content-Security-Policy"])


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_a_choice_that_cannot_be_used_is_explained_and_kept(press, lang):
    status, _, text = await press.answer(f"/{lang}/embed?topic=visas&q=---&heading=News")
    assert status == 400
    page = html.fromstring(text)
    assert page.xpath('//*[@role="alert"]')
    assert page.get_element_by_id("q").get("value") == "---"
    assert page.get_element_by_id("heading").get("value") == "News"
    assert page.xpath('//input[@value="visas"]/@checked')
    assert not page.xpath("//textarea | //iframe")


async def test_kinds_and_topics_left_out_stand_in_the_form_and_stay_there_on_an_error(press):
    await press.publish("A", "1")
    query = "kind=news,tender&not=office&topic=visas"
    for more, status in (("", 200), ("&q=---", 400)):
        got, _, text = await press.answer(f"/en/embed?{query}{more}")
        page = html.fromstring(text)
        assert got == status
        for name, value in (("kind", "news"), ("kind", "tender"), ("not", "office"), ("topic", "visas")):
            assert page.xpath(f'//form//input[@type="checkbox"][@name="{name}"][@value="{value}"]/@checked'), name
        assert not page.xpath('//form//input[@type="hidden"]')


async def test_an_error_names_its_field(press):
    for query, field in (("q=---", "q"), ("topic=visas&not=visas", "topic"), ("not=nothing-of-ours", "not")):
        _, _, text = await press.answer(f"/en/embed?{query}")
        page = html.fromstring(text)
        assert page.xpath('//*[@role="alert"]//a/@href') == [f"#{field}"], query
        said = page.get_element_by_id(field).get("aria-describedby").split()
        assert f"{field}-error" in said
        assert page.get_element_by_id(f"{field}-error").text_content().strip()
    assert html.fromstring((await press.answer("/en/embed?q=---"))[2]).get_element_by_id("q").get("aria-invalid")


@pytest.mark.parametrize(
    ("query", "element", "frame"),
    [
        ("", None, "light"),
        ("theme=page", None, "light"),
        ("theme=auto", "auto", "auto"),
        ("theme=dark", "dark", "dark"),
    ],
)
async def test_element_frame_and_preview_agree_on_the_colours(press, query, element, frame):
    page = html.fromstring(await press.text(f"/en/embed?{query}"))
    component = html.fragment_fromstring(page.get_element_by_id("component").text_content(), create_parent=True)
    assert component.find("press-feed").get("theme") == element
    copied = html.fromstring(page.get_element_by_id("frame").text_content()).get("src")
    for address in (copied, page.xpath("//iframe/@src")[0]):
        assert f'data-theme="{frame}"' in await press.text(address)


async def test_the_address_with_a_slash_leads_to_the_page(press):
    status, headers, _ = await press.answer("/ru/embed/?topic=visas")
    assert (status, headers["Location"]) == (301, "/ru/embed?topic=visas")


async def test_the_form_needs_no_script_and_leads_back_here(press):
    page = html.fromstring(await press.text("/ru/embed"))
    (form,) = page.xpath('//form[@action="/ru/embed"]')
    assert form.get("method") == "get"
    labelled = {label.get("for") for label in form.xpath(".//label")}
    assert {field.get("id") for field in form.xpath(".//input[not(@type='hidden')] | .//select")} <= labelled


async def test_the_page_of_feeds_leads_to_the_configurator(press):
    assert "/az/embed" in await press.text("/az/feeds")
