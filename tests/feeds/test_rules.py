"""Every feed of the demo obeys the judge, in every language and format; and the judge refuses what is broken."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from feeds import build
from feeds.entry import entry_of
from feeds.months import archive_channel
from feeds.streams import ALL, Logo, Stream, describe
from syndicator.domain.model import Attachment, State
from tests.feeds.rules import judge
from tests.program import ROOT, make_program

BASE = "https://press.example.org"
LANGS, FORMATS = ("az", "en", "ru"), ("rss", "atom", "json")
DEMO = ROOT / "config" / "demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's feeds as the command writes them."""
    program = make_program(tmp_path_factory.mktemp("demo"), warm=True)
    program.environ["SYNDICATOR_SITE__BASE_URL"] = BASE
    program.environ["SYNDICATOR_SOURCES"] = json.dumps([{"kind": "directory", "path": str(DEMO)}])
    program.command("migrate")
    program.command("harvest")
    program.command("feeds", "build", "--out", "out")
    return program.folder / "out"


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("lang", LANGS)
def test_every_feed_of_the_demo_obeys_every_rule(demo, lang, fmt):
    found = sorted((demo / lang).glob(f"*.{fmt}"))
    assert len(found) > 10
    assert b"visa" in (demo / "en" / "all.rss").read_bytes()
    for path in found:
        assert judge(fmt, path.read_bytes(), f"{BASE}/feeds/{lang}/{path.name}", datetime.now(UTC)) == []


@pytest.mark.parametrize(
    ("lang", "reason", "note"),
    [
        ("az", "Tarixlər əməkdaşlar", "İlk mətndə"),
        ("en", "The dates had", "The first version"),
        ("ru", "Даты не были", "В первой версии"),
    ],
)
def test_the_demo_says_in_each_language_why_and_leaves_the_date_to_the_feed(demo, lang, reason, note):
    items = [one["_syndicator"] for one in json.loads((demo / lang / "all.json").read_bytes())["items"]]
    [why], [what] = ([one[name] for one in items if name in one] for name in ("reason", "correction"))
    assert why.startswith(reason)
    assert what.startswith(note)
    assert "2026" not in why + what


@pytest.fixture
def good(site, taxonomy, texts, make):
    """A feed in each format with everything in it that can go wrong."""
    files = (make.picture(), Attachment("/media/form.pdf", "application/pdf", 4096, "Form"))
    body = '<p>See <a href="https://press.example.org/en/">the page</a></p>'
    plain = make.release(
        1, attachments=files, body=body, title="Q & A", rights="© The Service", link="https://x.example/"
    )
    corrected = make.revise(make.release(2), at=make.now, note="The fee was wrong.")
    withdrawn = replace(make.release(3), state=State.WITHDRAWN, withdrawn_at=make.now, reason="Error")
    entries = [entry_of(r, r.variant("en"), site, taxonomy, texts) for r in (withdrawn, corrected, plain)]
    fragments = [build.fragment_of(entry) for entry in entries]
    live = describe(Stream("en", ALL), site, taxonomy, texts, Logo(f"{BASE}/l.png", f"{BASE}/i.png", (144, 72)))
    say = texts("en")
    archive = archive_channel(live, "2025-10", older="2025-09", newer="2025-11", translated=LANGS, site=site, say=say)
    return {
        **{fmt: build.render(fmt, live, fragments, 60, ["https://hub.example.org/"]) for fmt in FORMATS},
        **{f"{fmt} archive": build.render(fmt, archive, fragments, 60) for fmt in FORMATS},
    }


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_feed_with_everything_in_it_obeys_every_rule(good, make, fmt):
    assert judge(fmt, good[fmt], f"{BASE}/feeds/en/all.{fmt}", make.now) == []
    assert judge(fmt, good[f"{fmt} archive"], f"{BASE}/feeds/en/all/2025-10.{fmt}", make.now) == []


# (format, what to replace, once, by what, what the judge must say)
BROKEN = [
    ("rss", "<?xml version='1.0' encoding='UTF-8'?>", "", "does not declare XML"),
    ("rss", "</channel>", "", "not well-formed"),
    ("rss", "<rss", "<!DOCTYPE rss>\n<rss", "has a DTD"),
    ("rss", 'version="2.0"', 'version="0.92"', "not RSS 2.0"),
    ("rss", "<title>Migration Service &#x26; Co</title>", "", "channel: no title"),
    ("rss", f"<link>{BASE}/en/</link>", "", "channel: no link"),
    ("rss", "<description>Releases of Migration Service &amp; Co</description>", "<description/>", "no description"),
    ("rss", "Q &#x26; A", "Q &amp; A", "not written in hex"),
    ("rss", "<ttl>1</ttl>", "<ttl>1.5</ttl>", "ttl"),
    ("rss", "<ttl>1</ttl>", "<ttl>1</ttl><ttl>2</ttl>", "2 times ttl"),
    ("rss", "<ttl>1</ttl>", "<timeToLive>1</timeToLive>", "no such element: timeToLive"),
    ("rss", "<ttl>1</ttl>", "<x:a xmlns:x='urn:x'/>", "unknown namespace"),
    (
        "rss",
        "<ttl>1</ttl>",
        f"<image><url>{BASE}/a.png</url><title>X</title><link>{BASE}/en/</link></image>",
        "image: its title",
    ),
    ("rss", "<ttl>1</ttl>", "<image><url>a.png</url></image>", "channel: image: not an absolute"),
    ("rss", "<language>en</language>", "<language>english</language>", "not a language"),
    ("rss", "<language>en</language>", "<language>xx</language>", "not a language"),
    ("rss", "/feeds/en/all.rss", "/feeds/en/other.rss", "self link"),
    ("rss", 'rel="self"', 'rel="via"', "self link"),
    ("rss", 'rel="related"', 'rel="translation"', "no such relation"),
    ("rss", 'hreflang="az"', 'hreflang="Azeri"', "not a language"),
    ("rss", "<lastBuildDate>Sat,", "<lastBuildDate>Sun,", "another weekday"),
    ("rss", "<lastBuildDate>Sat, 21", "<lastBuildDate>Sun, 22", "lies in the future"),
    ("rss", "<pubDate>", "<pubDate>2025-10-17T12:00:00Z", "not an RFC 822 time"),
    ("rss", "<pubDate>", "<pubDate>Fri, 31 Feb 2025 00:00:00 GMT</pubDate><pubDate>", "not an RFC 822 time"),
    ("rss", "release:en:2</guid>", "release:en:3</guid>", "guid: more than once"),
    ("rss", 'isPermaLink="false"', 'isPermaLink="true"', "guid: not an absolute web address"),
    ("rss", 'isPermaLink="false"', 'isPermaLink="no"', "neither true nor false"),
    ("rss", "tag:press.example.org,2026:release:en:2", "tag:release:2", "not a tag URI"),
    ("rss", "<item>", "<item><guid/>", "2 times guid"),
    ("rss", "<item>", "<item><author>Office</author>", "no mail address"),
    ("rss", "<item>", "<item><author>a@b.example (A)</author>", "say the same"),
    ("rss", "<item>", "<item><category/>", "empty category"),
    ("rss", "<description>Summary 2", "<content:encoded>x</content:encoded><description>", "2 times encoded"),
    ("rss", "<enclosure ", "<enclosure url='/a' length='1' type='image/png'/><enclosure ", "2 times enclosure"),
    ("rss", 'length="12345"', 'length=""', "enclosure: length"),
    ("rss", '<enclosure url="https://press.example.org', '<enclosure url="', "enclosure: not an absolute"),
    ("rss", 'type="image/jpeg"/>', 'type="jpeg"/>', "not a media type"),
    ("rss", f'domain="{BASE}/feeds/topics.json"', 'domain="topics"', "domain: not an absolute IRI"),
    ("rss", "the page&lt;/a&gt;", "the page&lt;/a&gt;&lt;script&gt;x()&lt;/script&gt;", "has <script>"),
    ("rss", "&lt;p&gt;See", "&lt;p onclick='x()'&gt;See", "has the attribute onclick"),
    ("rss", '&lt;a href="https://press.example.org/en/"', '&lt;a href="/en/"', "relative or runs"),
    ("rss", '&lt;a href="https://press.example.org/en/"', '&lt;a href="javascript:x()"', "relative or runs"),
    ("rss", '<media:content url="https:', '<media:content url="', "media: not an absolute"),
    ("rss", 'medium="image"', 'medium="picture"', "no such medium"),
    ("rss", 'fileSize="12345"', 'filesize="12345"', "media: has ['filesize']"),
    ("rss", "<media:credit>Photo: Press office", "<media:credit>", "empty credit"),
    ("atom", "<?xml version='1.0' encoding='UTF-8'?>", "<?xml version='1.0' encoding='latin-1'?>", "does not declare"),
    ("atom", ' xml:lang="en"', "", "feed: xml:lang"),
    ("atom", "<title>Migration Service &amp; Co</title>", "", "feed: not one title"),
    ("atom", "<id>tag:press.example.org,2026:feed:en:all</id>", "<id>feed</id>", "not an absolute IRI"),
    ("atom", "<id>tag:press.example.org,2026:feed:en:all</id>", "", "feed: not one id"),
    ("atom", "release:en:2</id>", "release:en:3</id>", "id: more than once"),
    ("atom", "<updated>2026-11-21T12:00:00+00:00", "<updated>2026-11-21T12:00:01+00:00", "lies in the future"),
    ("atom", "<updated>2026-11-21T12:00:00+00:00", "<updated>2026-11-21 12:00", "not an RFC 3339 time"),
    ("atom", "<updated>2026-11-21T12:00:00+00:00", "<updated>2026-13-21T12:00:00Z", "not an RFC 3339 time"),
    ("atom", "<entry", "<entry><title>Another</title></entry><entry", "not one updated"),
    ("atom", 'rel="self"', 'rel="via"', "self link"),
    ("atom", 'type="application/atom+xml"', 'type="text/xml"', "self link"),
    ("atom", 'rel="related"', 'rel="translation"', "no such relation"),
    (
        "atom",
        'rel="related" type="text/html" hreflang="az"',
        'rel="alternate" type="text/html" hreflang="en"',
        "alternates",
    ),
    ("atom", 'rel="enclosure" type="image/jpeg"', 'rel="enclosure" type="jpeg"', "not a media type"),
    ("atom", 'length="4096"', 'length="4 kB"', "length: not a number"),
    ("atom", "<author><name>", "<author><title>", "not well-formed"),
    ("atom", "<name>Migration Service &amp; Co</name>", "<name/>", "author: no name"),
    ("atom", '<content type="html">', '<content type="CDATA">', "neither text nor HTML"),
    ("atom", '<content type="html">', '<content type="html"><p xmlns="http://www.w3.org/2005/Atom"/>', "has elements"),
    ("atom", "&lt;p&gt;See", "&lt;p style='x'&gt;See", "has the attribute style"),
    ("atom", '<category term="visas"', '<category term=""', "category: no term"),
    ("atom", f'scheme="{BASE}/feeds/topics.json"', 'scheme="topics"', "scheme: not an absolute IRI"),
    ("atom", "<at:deleted-entry ref=", "<at:deleted-entry rel=", "ref: not an absolute IRI"),
    ("atom", "<published>", "<published>2026-11-21T12:00:00+00:00</published><published>", "2 times published"),
    ("atom", "<generator>", "<sender>x</sender><generator>", "no such element: sender"),
    ("json", '"version":', '"versions":', "no version"),
    ("json", "version/1.1", "version/1", "not version 1.1"),
    ("json", '"title":"Migration Service & Co"', '"title":null', "null"),
    ("json", '"title":"Migration Service & Co"', '"title":7', "title is not a str"),
    ("json", '"items":[', '"items":[{},', "no id"),
    ("json", "/feeds/en/all.json", "/feeds/en/other.json", "feed_url is not the address"),
    ("json", '"language":"en"', '"language":"English"', "not a language"),
    ("json", '"home_page_url":"https://press.example.org', '"home_page_url":"', "not an absolute web"),
    ("json", "release:en:2", "release:en:3", "id: more than once"),
    ("json", '"id":"tag:press.example.org,2026:release:en:2"', '"id":2', "id is not a str"),
    ("json", '"date_published":"', '"date_published":"on ', "not an RFC 3339 time"),
    ("json", '"date_modified":"2026', '"date_modified":"2027', "lies in the future"),
    ("json", '"mime_type":"image/jpeg",', "", "no mime_type"),
    ("json", '"size_in_bytes":12345', '"size_in_bytes":"12345"', "size_in_bytes is not a int"),
    ("json", '"tags":["', '"tags":["",  "', "a tag that says nothing"),
    ("json", '"authors":[{', '"authors":[{},{', "author: says nothing"),
    ("json", '"content_html":', '"content":', "no content"),
    ("json", "<p>See", "<p onload='x()'>See", "has the attribute onload"),
    ("json", '"summary":', '"url":"https://x.example/","summary":', "named twice"),
    ("json", '"items":[', '"items":[,', "not JSON"),
]


# the same for an archive
BROKEN_ARCHIVES = [
    *((fmt, "<fh:archive/>", "", "do not stand together") for fmt in ("rss", "atom")),
    *((fmt, "<fh:archive/>", "<fh:archive/><fh:archive/>", "more than one empty") for fmt in ("rss", "atom")),
    *((fmt, "<fh:archive/>", "<fh:archive/><fh:complete/>", "no such element") for fmt in ("rss", "atom")),
    *((fmt, "all/2025-09", "all/2025-10", "prev-archive is this very document") for fmt in ("rss", "atom")),
    *((fmt, 'rel="current"', 'rel="related"', "do not stand together") for fmt in ("rss", "atom")),
    *((fmt, 'rel="current"', 'rel="prev-archive"', "2 times prev-archive") for fmt in ("rss", "atom")),
    ("rss", 'rel="prev-archive" type="application/rss+xml"', 'rel="prev-archive" type="text/xml"', "of another kind"),
    ("rss", "/l.png</url>", "/l.svg</url>", "neither PNG, GIF nor JPEG"),
    ("rss", "<width>144</width>", "<width>145</width>", "its width is not"),
    ("rss", "<height>72</height>", "<height>401</height>", "its height is not"),
    ("rss", "<width>144</width>", "<breadth>144</breadth>", "no such element: breadth"),
    ("rss", "<dc:language>en</dc:language>", "<dc:language>English</dc:language>", "dc:language: not a language"),
    ("atom", f"<logo>{BASE}", "<logo>", "logo: not an absolute"),
    ("atom", f"<icon>{BASE}", "<icon>", "icon: not an absolute"),
    ("json", f'"icon":"{BASE}', '"icon":"', "icon: not an absolute"),
    ("json", "all/2025-09", "all/2025-10", "next_url is this very document"),
]


@pytest.mark.parametrize(("fmt", "right", "wrong", "words"), BROKEN_ARCHIVES)
def test_the_judge_refuses_a_broken_archive(good, make, fmt, right, wrong, words):
    text = good[f"{fmt} archive"].decode()
    assert right in text
    faults = judge(fmt, text.replace(right, wrong, 1).encode(), f"{BASE}/feeds/en/all/2025-10.{fmt}", make.now)
    assert [fault for fault in faults if words in fault], faults


@pytest.mark.parametrize(("fmt", "right", "wrong", "words"), BROKEN)
def test_the_judge_refuses_a_broken_feed(good, make, fmt, right, wrong, words):
    text = good[fmt].decode()
    assert right in text
    faults = judge(fmt, text.replace(right, wrong, 1).encode(), f"{BASE}/feeds/en/all.{fmt}", make.now)
    assert [fault for fault in faults if words in fault], faults


def test_the_judge_goes_by_the_address_that_served_the_feed(good, make):
    for fmt in FORMATS:
        assert judge(fmt, good[fmt], f"{BASE}/feeds/az/all.{fmt}", make.now)
