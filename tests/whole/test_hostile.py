"""Whatever a document holds, it breaks no feed, no post, no mail and no page, and never stands in another's way."""

from __future__ import annotations

import email
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.policy import SMTP
from typing import Any

import feedparser
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lxml import etree, html

from syndicator.domain.model import Attachment, BodyFormat, Change, Urgency
from tests.telegram import rules
from tests.whole.faces import mail_text
from tests.whole.house import House, examples

PHASES = [Phase.explicit, Phase.generate]
ATOM = "{http://www.w3.org/2005/Atom}"
NASTY = [
    "]]>",
    "<![CDATA[",
    "</title></item></channel></rss>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<a href='javascript:alert(1)'>here</a>",
    "[here](javascript:alert(1))",
    "<p style='x' " + "data-a='b' " * 2000 + ">",
    "<b><i></b></i><table><p><li>",
    "<div>" * 300,
    "> " * 200 + "\n1. a\n\t- b\n```",
    "\r\nBcc: everyone@example.org\r\n\r\n",
    "\u2028\u2029\x85\x0b\x0c",
    "\x00\x01\x1f\x7f\x9f",
    "\ud800",
    "\udfff\ud83d",
    "\ufffe\uffff\U0001fffe",
    "שלום \u202e\u2066 مرحبا",
    "👩‍👩‍👧‍👦 🇦🇿🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "z\u0301\u0302\u0303" * 40,
    "\u200d\u200b\u2060\u00ad",
    "ƏəIıİiÖöЁё",
    "word" * 1500,
    "🙂" * 3000,
    "=?utf-8?q?hi?= {{ 7*7 }} {% raw %} %s {0}",
    "&amp;lt; &nbsp; &#0; &#xD800; &bogus;",
    "https://[::1 http://a.b/\x00 //x",
    "x@y.z, <x@y>; \\ \" '",
]
hostile = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=20)), max_size=4).map("".join)
titles = st.one_of(hostile, hostile.map(lambda text: text[:200]), hostile.map(lambda text: f"Visa {text[:200]}"))
links = st.one_of(st.just(""), hostile, hostile.map(lambda text: f"https://agency.example/{text}"))
documents = st.builds(
    Change,
    source=st.just("desk"),
    key=st.just("nasty"),
    origin=st.just("nasty"),
    lang=st.sampled_from(("az", "en", "ru")),
    title=titles,
    body=hostile,
    fingerprint=st.just("1"),
    seen_at=st.just(datetime(2026, 11, 21, 9, 0, tzinfo=UTC)),
    body_format=st.sampled_from(BodyFormat),
    summary=hostile,
    kind=st.one_of(st.just("news"), hostile),
    urgency=st.sampled_from(Urgency),
    topics=st.sampled_from([None, ("visas",)]),
    link=links,
    attachments=st.builds(
        lambda url, alt, credit, title, kind: (
            Attachment(url, "image/png", 5, title, alt, credit),
            Attachment(url, kind, 7, title, alt, credit),
        ),
        links,
        hostile,
        hostile,
        hostile,
        hostile,
    ),
    rights=hostile,
    note=hostile,
    reason=hostile,
)


async def published(house: House, *changes: Change) -> None:
    """All of them at once, with one good document among them."""
    for lang in house.site.languages:
        await house.subscribe(f"{lang}@example.org", lang, "lang=az,en,ru")
    await house.carry(("@press", "en"))
    good = Change("desk", "good", "good", "en", "A good notice", "It is read.", "1", house.now, topics=("visas",))
    for number, change in enumerate(changes):
        house.source.items[f"n{number}"] = replace(change, key=f"n{number}", origin=f"n{number}", seen_at=house.now)
    house.source.items["good"] = good
    await house.work()


async def judge_feeds(house: House) -> None:
    for lang in house.site.languages:
        raw = {fmt: (await house.ask(f"/feeds/{lang}/all.{fmt}")).body for fmt in ("rss", "atom", "json")}
        rss, atom = (feedparser.parse(raw[fmt]) for fmt in ("rss", "atom"))
        assert not rss.bozo, rss.get("bozo_exception")
        assert not atom.bozo, atom.get("bozo_exception")
        items: list[dict[str, Any]] = json.loads(raw["json"])["items"]
        trees = etree.fromstring(raw["rss"]), etree.fromstring(raw["atom"])
        assert [entry.id for entry in rss.entries] == [entry.id for entry in atom.entries] == [i["id"] for i in items]
        names = [item["title"] for item in items]
        assert [item.findtext("title") for item in trees[0].iter("item")] == names
        assert [entry.findtext(f"{ATOM}title") for entry in trees[1].iter(f"{ATOM}entry")] == names
        for one, other, item in zip(rss.entries, atom.entries, items, strict=True):
            when = datetime.fromisoformat(item["date_published"]).astimezone(UTC).timetuple()[:6]
            assert one.published_parsed[:6] == other.published_parsed[:6] == when
            assert {tag.label or tag.term for tag in other.get("tags", [])} == set(item.get("tags", []))
            assert set(item.get("tags", [])) <= {tag.term for tag in one.get("tags", [])}


def judge_posts(house: House) -> None:
    posts = list(house.posts().values())
    assert any("A good notice" in post["text"] for post in posts)
    for post in posts:
        rules.parsed(post["text"], post["parse_mode"])
        rules.check_keyboard(post.get("reply_markup"))


def judge_mails(house: House) -> None:
    files = sorted(house.outbox.glob("*.eml"))
    found = [email.message_from_bytes(path.read_bytes(), policy=SMTP) for path in files]
    assert any(mail["Subject"] == "A good notice" for mail in found)
    for path, mail in zip(files, found, strict=True):
        names = [name.lower() for name in mail]
        assert len(names) == len(set(names)), "a header stands twice"
        assert not {"bcc", "cc"} & set(names)
        assert not [part.defects for part in mail.walk() if part.defects]
        assert not [
            name for name, value in mail.items() if getattr(value, "defects", ()) or len(value.splitlines()) > 1
        ]
        assert all(len(line) <= 998 for line in path.read_bytes().splitlines())
        assert mail["To"].addresses[0].domain == "example.org"
        assert mail_text(mail)


async def judge_pages(house: House) -> None:
    paths = ["/sitemap.xml"]
    for lang in house.site.languages:
        paths += [f"/{lang}/", f"/{lang}/search", f"/{lang}/topics/visas"]
        items = json.loads((await house.ask(f"/feeds/{lang}/all.json")).body)["items"]
        paths += [item["url"].removeprefix(house.site.base_url) for item in items]
    for path in paths:
        answer = await house.ask(path)
        assert answer.status == 200, path
        if path.endswith(".xml"):
            etree.fromstring(answer.body)
            continue
        judge_page(html.fromstring(answer.body), path)
    assert "A good notice" in (await house.ask("/en/")).text


def judge_page(page: Any, path: str) -> None:
    assert not page.xpath("//script | //iframe | //object | //embed | //svg[@onload] | //base"), path
    for element in page.iter(etree.Element):
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), f"{path}: {name}"
            if name in ("href", "src", "action"):
                assert not re.match(r"\s*(javascript|data|vbscript):", value, re.IGNORECASE), f"{path}: {value}"
    assert all(src.startswith("/") for src in page.xpath("//img/@src")), path


@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(changes=st.lists(documents, min_size=1, max_size=4))
def test_nothing_that_a_document_holds_breaks_anything(build, run, changes):
    async def through() -> None:
        async with build() as house:
            await published(house, *changes)
            await judge_feeds(house)
            await judge_pages(house)
            judge_posts(house)
            judge_mails(house)
            for number, change in enumerate(changes):
                house.source.items[f"n{number}"] = replace(
                    house.source.items[f"n{number}"], fingerprint="2", body=change.title + "z", note=change.body
                )
            await house.work()
            await judge_feeds(house)
            await judge_pages(house)

    run(through())


def test_the_largest_body_comes_through_and_a_larger_one_is_refused_with_a_reason(build, run):
    paragraphs = "<p>" + "</p><p>".join("Şəhər вода word " * 12 for _ in range(6000)) + "</p>"

    def document(key: str, body: str) -> Change:
        return Change("desk", key, key, "en", f"The {key} one", body, "1", START, body_format=BodyFormat.HTML)

    async def through() -> list[str]:
        async with build() as house:
            await published(house, document("huge", "x" * 10_000_000), document("large", paragraphs[:990_000]))
            await judge_feeds(house)
            await judge_pages(house)
            judge_posts(house)
            judge_mails(house)
            assert "The large one" in (await house.ask("/feeds/en/all.rss")).text
            assert "The huge one" not in (await house.ask("/feeds/en/all.rss")).text
            return await house.problems()

    (reason,) = run(through())
    assert re.search(r"[0-9]", reason), reason


START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("<p><script>1</script></p>", "script"),
        ("<p onclick='1'>x</p>", "onclick"),
        ("<a href=' JavaScript:1'>x</a>", "JavaScript"),
        ("<img src='https://elsewhere.example/x.png'>", "here"),
    ],
)
def test_a_page_that_runs_or_loads_something_is_caught(page, why):
    with pytest.raises(AssertionError):
        judge_page(html.fromstring(f"<html><body>{page}</body></html>"), "here")
