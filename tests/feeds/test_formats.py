"""The three formats say the same, and say it as the specifications and the feed checklist ask."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import feedparser
import pytest
from lxml import etree

from feeds import build
from feeds.entry import entry_of
from feeds.streams import ALL, Stream, describe
from syndicator.domain.model import Attachment, State

NS = {
    "atom": "http://www.w3.org/2005/Atom",
    "at": "http://purl.org/atompub/tombstones/1.0",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "media": "http://search.yahoo.com/mrss/",
}


@pytest.fixture
def feed(site, taxonomy, texts):
    """Render releases as one feed in every format."""

    def rendered(*releases, lang="en", topic=ALL, max_age=60):
        channel = describe(Stream(lang, topic), site, taxonomy, texts)
        entries = [entry_of(r, r.variant(lang), site, taxonomy, texts) for r in releases]
        fragments = [build.fragment_of(entry) for entry in entries]
        return {fmt: build.render(fmt, channel, fragments, max_age) for fmt in ("rss", "atom", "json")}

    return rendered


def rich(make, number=7):
    files = (
        make.picture(),
        Attachment("https://cdn.example.org/form a.pdf", "application/pdf", 4096, "Form A"),
        make.picture(url="/media/second.png", media_type="image/png", title="", alt="Second", credit="", length=0),
    )
    return make.release(
        number,
        topics=("visas", "law", "retired"),
        attachments=files,
        rights="© The Service",
        link="https://old.example.org/n?id=7",
    )


def facts_of_xml(body):
    """What a reader sees of each entry: id, title, link, dates, rights to compare."""
    parsed = feedparser.parse(body)
    assert not parsed.bozo, parsed.get("bozo_exception")
    return [(e.id, e.title, e.link, tuple(e.published_parsed)[:6], tuple(e.updated_parsed)[:6]) for e in parsed.entries]


def facts_of_json(body):
    def when(text):
        return tuple(datetime.fromisoformat(text).astimezone(UTC).timetuple())[:6]

    return [
        (i["id"], i["title"], i["url"], when(i["date_published"]), when(i["date_modified"]))
        for i in json.loads(body)["items"]
    ]


def test_every_format_holds_the_same_entries(feed, make):
    corrected = make.revise(make.release(2), at=make.now, note="The date was wrong.")
    withdrawn = replace(make.release(3), state=State.WITHDRAWN, withdrawn_at=make.now, reason="Issued in error")
    rendered = feed(rich(make), corrected, withdrawn, make.release(1))
    expected = facts_of_json(rendered["json"])
    assert len(expected) == 4
    assert facts_of_xml(rendered["rss"]) == expected
    assert facts_of_xml(rendered["atom"]) == expected


def test_categories_have_the_same_codes_and_labels_in_every_format(feed, make):
    rendered = feed(rich(make), lang="az")
    rss, atom = etree.fromstring(rendered["rss"]), etree.fromstring(rendered["atom"])
    scheme = "https://press.example.org/feeds/topics.json"
    from_atom = [
        (c.get("term"), c.get("scheme"), c.get("label")) for c in atom.findall(".//atom:entry/atom:category", NS)
    ]
    codes = rss.findall(".//item/category[@domain]")
    labels = [c.text for c in rss.findall(".//item/category") if c.get("domain") is None]
    item = json.loads(rendered["json"])["items"][0]
    assert from_atom == [("visas", scheme, "Visas az"), ("law", scheme, "Law az"), ("retired", scheme, "retired")]
    assert [(c.text, c.get("domain"), label) for c, label in zip(codes, labels, strict=True)] == from_atom
    assert item["tags"] == labels
    assert [(t["code"], t["scheme"], t["label"]) for t in item["_syndicator"]["topics"]] == from_atom


def test_a_spliced_feed_equals_what_feedgen_makes_of_the_whole(feed, make, site, taxonomy, texts):
    releases = [rich(make), make.release(2, title="Fees & <dues>"), make.release(1)]
    spliced = feed(*releases)
    channel = describe(Stream("en", ALL), site, taxonomy, texts)
    entries = [entry_of(r, r.variant("en"), site, taxonomy, texts) for r in releases]
    fragments = [build.fragment_of(entry) for entry in entries]
    for fmt in ("rss", "atom"):
        whole = build._feed_generator(fmt, channel, fragments, 60, ())
        for entry in entries:
            build._add_entry(whole, entry)
        made = whole.atom_str() if fmt == "atom" else build._hex_titles(whole.rss_str())
        assert made == spliced[fmt]


def test_two_renders_are_byte_for_byte_the_same(feed, make):
    assert feed(rich(make), make.release(1)) == feed(rich(make), make.release(1))


def test_a_feed_is_dated_by_its_newest_entry_and_an_empty_one_by_a_fixed_date(feed, make):
    late = make.now - timedelta(days=3)
    older, newer = make.release(1), make.revise(make.release(2), at=late, note="Corrected")
    for releases, expected in (((older, newer), late), ((), build.UNDATED)):
        rendered = feed(*releases)
        assert etree.fromstring(rendered["atom"]).findtext("atom:updated", namespaces=NS) == expected.isoformat()
        assert feedparser.parse(rendered["rss"]).feed.updated_parsed[:6] == expected.timetuple()[:6]


def test_the_document_says_who_where_and_in_what_language(feed, make):
    rendered = feed(rich(make), topic="entry", max_age=600)
    channel = etree.fromstring(rendered["rss"])[0]
    atom = etree.fromstring(rendered["atom"])
    document = json.loads(rendered["json"])
    base = "https://press.example.org"
    assert channel.findtext("link") == f"{base}/en/topics/entry"
    assert channel.findtext("language") == "en"
    assert channel.findtext("ttl") == "10"
    assert channel.findtext("copyright") == "© The Service"
    assert [
        (x.get("rel"), x.get("type"), x.get("hreflang"), x.get("href")) for x in channel.findall("atom:link", NS)
    ] == [
        ("self", "application/rss+xml", None, f"{base}/feeds/en/entry.rss"),
        ("alternate", "application/rss+xml", "az", f"{base}/feeds/az/entry.rss"),
        ("alternate", "application/rss+xml", "ru", f"{base}/feeds/ru/entry.rss"),
    ]
    # one alternate in Atom: newsboat takes the last one of a feed for its page
    assert [(x.get("rel"), x.get("hreflang"), x.get("href")) for x in atom.findall("atom:link", NS)] == [
        ("self", None, f"{base}/feeds/en/entry.atom"),
        ("alternate", "en", f"{base}/en/topics/entry"),
        ("related", "az", f"{base}/feeds/az/entry.atom"),
        ("related", "ru", f"{base}/feeds/ru/entry.atom"),
    ]
    assert [one["url"] for one in document["_syndicator"]["translations"]] == [
        f"{base}/feeds/{lang}/entry.json" for lang in ("az", "ru")
    ]
    assert atom.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"
    assert atom.findtext("atom:id", namespaces=NS) == "tag:press.example.org,2026:feed:en:entry"
    assert atom.findtext("atom:author/atom:name", namespaces=NS) == "Migration Service & Co"
    assert atom.findtext("atom:rights", namespaces=NS) == "© The Service"
    assert document["version"] == "https://jsonfeed.org/version/1.1"
    assert document["feed_url"] == f"{base}/feeds/en/entry.json"
    assert document["home_page_url"] == f"{base}/en/topics/entry"
    assert document["authors"] == [{"name": "Migration Service & Co", "url": f"{base}/en/"}]
    assert document["language"] == "en"


@pytest.mark.parametrize(("max_age", "minutes"), [(0, "1"), (60, "1"), (90, "1"), (3600, "60")])
def test_ttl_agrees_with_max_age_and_is_never_zero(feed, max_age, minutes):
    assert etree.fromstring(feed(max_age=max_age)["rss"]).findtext("channel/ttl") == minutes


def test_an_atom_document_obeys_the_cardinalities_of_the_specification(feed, make):
    root = etree.fromstring(feed(rich(make), make.release(2))["atom"])
    for node in (root, *root.findall("atom:entry", NS)):
        for name in ("id", "title", "updated"):
            assert len(node.findall(f"atom:{name}", NS)) == 1
        alternates = [
            (x.get("type"), x.get("hreflang")) for x in node.findall("atom:link", NS) if x.get("rel") == "alternate"
        ]
        assert len(set(alternates)) == len(alternates)
        links = [tuple(sorted(x.attrib.items())) for x in node.findall("atom:link", NS)]
        assert len(set(links)) == len(links)
    for entry in root.findall("atom:entry", NS):
        for name in ("content", "summary", "published"):
            assert len(entry.findall(f"atom:{name}", NS)) == 1
        assert len([x for x in entry.findall("atom:link", NS) if x.get("rel") == "alternate"]) == 1


def test_translations_are_related_links_and_the_one_alternate_is_the_page_in_the_feeds_language(feed, make):
    rendered = feed(make.release(7), lang="ru")
    entry = etree.fromstring(rendered["atom"]).find("atom:entry", NS)
    links = {(x.get("rel"), x.get("hreflang")): x.get("href") for x in entry.findall("atom:link", NS)}
    base = "https://press.example.org"
    assert links == {
        ("alternate", "ru"): f"{base}/ru/releases/7-slug-7",
        ("related", "az"): f"{base}/az/releases/7-slug-7",
        ("related", "en"): f"{base}/en/releases/7-slug-7",
    }
    item = etree.fromstring(rendered["rss"]).find(".//item")
    assert [(x.get("rel"), x.get("hreflang")) for x in item.findall("atom:link", NS)] == [
        ("related", "az"),
        ("related", "en"),
    ]
    assert feedparser.parse(rendered["rss"]).entries[0].link == f"{base}/ru/releases/7-slug-7"
    assert feedparser.parse(rendered["atom"]).entries[0].link == f"{base}/ru/releases/7-slug-7"
    assert [t["language"] for t in json.loads(rendered["json"])["items"][0]["_syndicator"]["translations"]] == [
        "az",
        "en",
    ]


def test_the_lead_picture_stands_inline_as_media_and_as_the_one_enclosure(feed, make):
    rendered = feed(rich(make))
    url = "https://press.example.org/media/ab/hall.jpg"
    item = etree.fromstring(rendered["rss"]).find(".//item")
    entry = etree.fromstring(rendered["atom"]).find("atom:entry", NS)
    assert [dict(x.attrib) for x in item.findall("enclosure")] == [
        {"url": url, "length": "12345", "type": "image/jpeg"}
    ]
    for node in (item, entry):
        media = node.find("media:content", NS)
        assert dict(media.attrib) == {"url": url, "type": "image/jpeg", "medium": "image", "fileSize": "12345"}
        assert media.findtext("media:title", namespaces=NS) == "The new hall"
        assert media.findtext("media:description", namespaces=NS) == "People at desks"
        assert media.findtext("media:credit", namespaces=NS) == "Photo: Press office"
    html = item.findtext("content:encoded", namespaces=NS)
    assert html.startswith(f'<figure><img src="{url}" alt="People at desks" />')
    assert html == entry.findtext("atom:content", namespaces=NS)
    assert [
        (x.get("href"), x.get("type"), x.get("length"))
        for x in entry.findall("atom:link", NS)
        if x.get("rel") == "enclosure"
    ] == [
        (url, "image/jpeg", "12345"),
        ("https://cdn.example.org/form%20a.pdf", "application/pdf", "4096"),
        ("https://press.example.org/media/second.png", "image/png", None),
    ]
    parsed = json.loads(rendered["json"])["items"][0]
    assert parsed["image"] == url
    assert parsed["content_html"] == html
    assert [(a["url"], a["mime_type"], a.get("size_in_bytes")) for a in parsed["attachments"]] == [
        (url, "image/jpeg", 12345),
        ("https://cdn.example.org/form%20a.pdf", "application/pdf", 4096),
        ("https://press.example.org/media/second.png", "image/png", None),
    ]


@pytest.mark.parametrize(
    ("lengths", "enclosed"),
    [((0, 0), None), ((0, 5), "file.pdf"), ((5, 5), "hall.jpg"), ((5, 0), "hall.jpg")],
)
def test_an_rss_enclosure_never_guesses_a_length(feed, make, lengths, enclosed):
    files = (
        Attachment("/media/file.pdf", "application/pdf", lengths[1], "File"),
        Attachment("/media/hall.jpg", "image/jpeg", lengths[0]),
    )
    found = etree.fromstring(feed(make.release(1, attachments=files))["rss"]).findall(".//enclosure")
    assert [x.get("url").rpartition("/")[2] for x in found] == ([enclosed] if enclosed else [])


def test_a_picture_that_the_body_shows_is_not_shown_twice(feed, make):
    body = '<p>Text <img src="https://press.example.org/media/ab/hall.jpg" alt="Hall"></p>'
    item = json.loads(feed(make.release(1, body=body, attachments=(make.picture(),)))["json"])["items"][0]
    assert item["content_html"].count("<img") == 1


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example/x", "file:///etc/passwd", ""]
)
def test_an_address_that_is_no_web_address_is_left_out_everywhere(feed, make, url):
    release = make.release(1, link=url, attachments=(Attachment(url, "image/png", 3, alt="x"),))
    for body in feed(release).values():
        assert b"javascript" not in body
        assert b"evil" not in body
        assert b"passwd" not in body
    item = json.loads(feed(release)["json"])["items"][0]
    assert "attachments" not in item
    assert "external_url" not in item


def test_summary_and_full_text_are_both_there_and_author_once(feed, make):
    rendered = feed(make.release(1, summary="Fees < 5 & > 2", body="<p>Whole</p>"))
    item = etree.fromstring(rendered["rss"]).find(".//item")
    entry = etree.fromstring(rendered["atom"]).find("atom:entry", NS)
    assert item.findtext("description") == "Fees &lt; 5 &amp; &gt; 2"  # readers take it for HTML
    assert entry.find("atom:summary", NS).get("type") == "text"
    assert entry.findtext("atom:summary", namespaces=NS) == "Fees < 5 & > 2"
    assert entry.find("atom:content", NS).get("type") == "html"
    names = [child.tag for child in item]
    assert names.index("description") < names.index(f"{{{NS['content']}}}encoded")
    assert "author" not in names
    assert [x.text for x in item.findall("dc:creator", NS)] == ["Migration Service & Co"]
    assert entry.findtext("atom:author/atom:name", namespaces=NS) == "Migration Service & Co"
    assert json.loads(rendered["json"])["items"][0]["authors"][0]["name"] == "Migration Service & Co"


def test_rss_titles_write_ampersand_and_less_than_in_hex(feed, make):
    body = feed(make.release(1, title="Q&A: fees <50 ]]> done"))["rss"]
    assert b"<title>Q&#x26;A: fees &#x3C;50 ]]&gt; done</title>" in body
    assert b"<title>Migration Service &#x26; Co</title>" in body
    assert etree.fromstring(body).findtext(".//item/title") == "Q&A: fees <50 ]]> done"


def test_the_id_is_opaque_and_outlives_title_slug_and_date(feed, make):
    before = make.release(4)
    after = make.revise(before, at=make.now, note="New title", title="Quite another")
    after = replace(
        after,
        public_at=after.public_at + timedelta(days=1),
        variants=tuple(replace(v, slug="another") for v in after.variants),
    )
    for release in (before, after):
        rendered = feed(release)
        guid = etree.fromstring(rendered["rss"]).find(".//guid")
        assert (guid.text, guid.get("isPermaLink")) == ("tag:press.example.org,2026:release:en:4", "false")
        assert {facts_of_xml(rendered["atom"])[0][0], facts_of_json(rendered["json"])[0][0]} == {guid.text}


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", "Corrected on 21 November 2026:"),
        ("az", "Düzəliş edilib (21 noyabr 2026):"),
        ("ru", "Исправлено (21 ноября 2026\u202fг.):"),
    ],
)
def test_a_correction_is_said_at_the_top_with_its_date_and_moves_updated_only(feed, make, lang, words):
    release = make.revise(make.release(1), at=make.now, note="The fee is <b>40</b>, not 30.")
    rendered = feed(release, lang=lang)
    item = json.loads(rendered["json"])["items"][0]
    assert item["content_html"].startswith(f"<p><strong>{words}")
    assert "The fee is &lt;b&gt;40&lt;/b&gt;, not 30.</p>" in item["content_html"]
    assert item["date_modified"] == make.now.isoformat()
    assert item["date_published"] == release.public_at.isoformat()
    atom_updated = etree.fromstring(rendered["rss"]).findtext(".//item/atom:updated", namespaces=NS)
    assert atom_updated == make.now.isoformat()


def test_a_note_is_told_at_first_sight_too(feed, make):
    """A document may come with a note, or be imported after its correction; nothing major has happened here yet."""
    release = make.release(1, note="The fee is 40, not 30.")
    noted = tuple(replace(v, updated_at=make.now) for v in release.variants)
    item = json.loads(feed(replace(release, variants=noted))["json"])["items"][0]
    assert item["content_html"].startswith(
        "<p><strong>Corrected on 21 November 2026:</strong> The fee is 40, not 30.</p>"
    )
    assert item["_syndicator"]["correction"] == "The fee is 40, not 30."


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
def test_no_sentence_ends_twice_whatever_a_date_ends_with(feed, make, lang):
    corrected = make.revise(make.release(1), at=make.now, note="Note")
    withdrawn = replace(make.release(2), state=State.WITHDRAWN, withdrawn_at=make.now, reason="Why")
    for item in json.loads(feed(corrected, withdrawn, lang=lang)["json"])["items"]:
        for text in (item["content_html"], item["summary"]):
            assert ".." not in text
            assert ".:" not in text


def test_a_silent_revision_moves_no_date_and_says_nothing(feed, make):
    release = make.release(1)
    silent = make.revise(release, at=make.now, body="<p>Typo mended</p>")
    item = json.loads(feed(silent)["json"])["items"][0]
    assert item["date_modified"] == item["date_published"]
    assert item["content_html"] == "<p>Typo mended</p>"


@pytest.mark.parametrize(("lang", "title"), [("en", "Withdrawn: "), ("az", "Geri götürülüb: "), ("ru", "Отозвано: ")])
def test_a_withdrawn_release_is_marked_explained_and_emptied(feed, make, lang, title):
    secret = "the old wrong text"
    release = make.release(
        1,
        title="Fees {up}",
        summary=secret,
        body=f"<p>{secret}</p>",
        attachments=(make.picture(),),
        link="https://x.example/",
    )
    release = replace(release, state=State.WITHDRAWN, withdrawn_at=make.now, reason="Issued <in> error")
    rendered = feed(release, lang=lang)
    for body in rendered.values():
        assert secret.encode() not in body
        assert b"hall.jpg" not in body
        assert b"x.example" not in body
    item = json.loads(rendered["json"])["items"][0]
    assert item["id"] == f"tag:press.example.org,2026:release:{lang}:1"
    assert item["title"] == f"{title}Fees {{up}}"
    assert "Issued &lt;in&gt; error" in item["content_html"]
    assert item["_syndicator"]["state"] == "withdrawn"
    assert item["date_modified"] == make.now.isoformat()
    deleted = etree.fromstring(rendered["atom"]).findall("at:deleted-entry", NS)
    assert [(d.get("ref"), d.get("when"), d.findtext("at:comment", namespaces=NS)) for d in deleted] == [
        (item["id"], make.now.isoformat(), "Issued <in> error")
    ]
    assert facts_of_xml(rendered["atom"]) == facts_of_json(rendered["json"]) == facts_of_xml(rendered["rss"])


def test_updated_is_never_before_published(feed, make):
    """A text written before its embargo ended was not updated before it was published."""
    release = make.release(1)
    early = tuple(replace(v, updated_at=release.public_at - timedelta(days=2)) for v in release.variants)
    item = json.loads(feed(replace(release, variants=early))["json"])["items"][0]
    assert item["date_modified"] == item["date_published"]


def test_dates_carry_an_offset_and_no_fractions(feed, make):
    release = make.release(1, public_at=make.now.replace(microsecond=123456))
    rendered = feed(release)
    assert b"<pubDate>Sat, 21 Nov 2026 12:00:00 +0000</pubDate>" in rendered["rss"]
    assert b"<published>2026-11-21T12:00:00+00:00</published>" in rendered["atom"]
    assert b'"date_published":"2026-11-21T12:00:00+00:00"' in rendered["json"]


def test_a_release_without_a_title_still_has_one(feed, make):
    assert facts_of_json(feed(make.release(9, title="\x00 "))["json"])[0][1] == "№ 9"
