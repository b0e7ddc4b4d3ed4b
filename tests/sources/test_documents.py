"""What a document in a folder says, and what is said of a bad one."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syndicator.domain.model import BodyFormat, Change, Problem, State, Urgency

PLAIN = """\
Mobile teams reach the mountain villages of the north

The Service's buses start on Monday. They carry everything that a regional office has.

Registration at the place of stay takes ten minutes, and it costs nothing.
Bring a passport.


© 2026 The Migration Office of Somewhere
Terms for users | Privacy Policy | All rights reserved"""

FULL = """\
---
id: 2026-7
title: "Quota: 14,500 permits"
summary: More places for
  builders
lang: EN
kind: notice
urgency: urgent
topics: [work, quotas, work]
published: 2026-03-05T10:00:00+04:00
embargo: 2026-03-06
link: https://press.example.org/7
image:
  src: pictures/hall.jpg
  alt: A hall
  credit: The Service
attachments:
  - src: form.pdf
    title: The form
  - https://files.example.org/table.xlsx
rights: Free to use
note: The number was wrong
---
# Quota: 14,500 permits

The **body**.
"""


async def test_a_text_as_the_website_gives_it_comes_in_clean(office):
    change = await office.change("001.txt", PLAIN)
    assert change.title == "Mobile teams reach the mountain villages of the north"
    assert change.body.startswith("The Service's buses start on Monday.")
    assert change.body.endswith("costs nothing.\nBring a passport.")
    assert change.rights == "© 2026 The Migration Office of Somewhere"
    assert (change.key, change.lang, change.body_format) == ("001", "en", BodyFormat.TEXT)
    assert change.remarks[0].startswith("language en by its words")
    assert change.published is None
    assert change.seen_at == datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC)


async def test_front_matter_says_everything_a_release_has(office):
    office.write("pictures/hall.jpg", b"\xff\xd8\xff")
    office.write("form.pdf", b"%PDF-")
    change = await office.change("quota.en.md", FULL)
    assert (change.key, change.title, change.lang) == ("2026-7", "Quota: 14,500 permits", "en")
    assert change.summary == "More places for builders"
    assert (change.kind, change.urgency, change.topics) == ("notice", Urgency.URGENT, ("work", "quotas"))
    assert change.published == datetime(2026, 3, 5, 6, tzinfo=UTC)
    assert change.embargo == datetime(2026, 3, 5, 20, tzinfo=UTC)  # a day begins at midnight in Baku
    assert (change.link, change.rights, change.note) == (
        "https://press.example.org/7",
        "Free to use",
        "The number was wrong",
    )
    assert change.body == "The **body**."  # its heading only repeated the title
    picture, form, table = change.attachments
    assert picture.is_image
    assert (picture.path.name, picture.alt, picture.credit) == ("hall.jpg", "A hall", "The Service")
    assert (form.path.name, form.title, form.media_type) == ("form.pdf", "The form", "application/pdf")
    assert (table.path, table.url, table.title) == (None, "https://files.example.org/table.xlsx", "table.xlsx")


@pytest.mark.parametrize(
    ("name", "text", "title", "body"),
    [
        ("a.md", "# The *big* news #\n\nText.\n", "The big news", "Text."),
        ("a.md", "The big news\n============\n\nText.\n", "The big news", "Text."),
        ("a.md", "The `big` news\n\n## Part\n\nText.\n", "The big news", "## Part\n\nText."),
        ("a.md", "---\ntitle: Other\n---\n# The big news\n\nText.\n", "Other", "# The big news\n\nText."),
        ("a.html", "<h1>The <em>big</em>\n news</h1><p>Text.</p>", "The big news", "<p>Text.</p>"),
        (
            "a.html",
            (
                "<!doctype html><html><head><title>The big &amp; news</title><style>p{}</style></head>"
                "<body class='x'><h1>The big &amp; news</h1><p>Text.</p></body></html>"
            ),
            "The big & news",
            "<p>Text.</p>",
        ),
        (
            "a.html",
            "<p>The text is here.</p><footer><p>© 2026 Us</p><p>Terms | Privacy</p></footer>",
            None,
            "<p>The text is here.</p>",
        ),
        ("a.txt", "\r\n\r\nThe big news\r\n\r\nText\rmore.\r\n", "The big news", "Text\nmore."),
        ("a.txt", "\ufeffThe big news\n\nText.", "The big news", "Text."),
        ("a.txt", "\ufeff\n---\ntitle: The big news\n---\n\nText.", "The big news", "Text."),
        ("a.txt", "---\ntitle: no\nid: 0123\n---\nText.", "no", "Text."),
        ("a.txt", "-----\nText of the news.", "-----", "Text of the news."),
    ],
)
async def test_title_and_body_are_found(office, name, text, title, body):
    if title is None:
        text, title = f"---\ntitle: Given\n---\n{text}", "Given"
    change = await office.change(name, text)
    assert (change.title, change.body) == (title, body)


@pytest.mark.parametrize(
    ("tail", "body", "rights"),
    [
        ("\n\n(c) 2026 Us", "Text.", "(c) 2026 Us"),
        ("\n\n---\n\n*Copyright 2026 Us*\n", "Text.", "Copyright 2026 Us"),
        ("\n\n© 2026 Us | Terms | Privacy", "Text.", "© 2026 Us"),
        ("\n\n&copy; 2026 Us\nИспользование | Условия\nВсе права защищены.", "Text.", "© 2026 Us"),
        ("\n\nİstifadə şərtləri | Məxfilik siyasəti | Bütün hüquqlar qorunur", "Text.", ""),
        ("\n\nSent from the newsroom\n© Us", "Text.", "© Us"),
        # what only looks like a foot
        ("\n\nPrivacy | 012 345 67 89", "Text.\n\nPrivacy | 012 345 67 89", ""),
        ("\n\n| Terms | Days |", "Text.\n\n| Terms | Days |", ""),
        ("\n\n© 2026 Us\n\nMore text.", "Text.\n\n© 2026 Us\n\nMore text.", ""),
        ("\n\nMonday | Tuesday", "Text.\n\nMonday | Tuesday", ""),
        ("\n\n---", "Text.\n\n---", ""),
    ],
)
async def test_the_foot_of_a_page_goes_and_the_text_stays(open_office, tail, body, rights):
    office = open_office(boilerplate=["^sent from"])
    change = await office.change("a.en.txt", f"Title\n\nText.{tail}")
    assert (change.body, change.rights) == (body, rights)


@pytest.mark.parametrize(
    ("heading", "reason"),
    [
        ("titel: x", "line 2: titel: unknown key; allowed are id, title, summary, lang, kind,"),
        ("title: A\nstate: live", "line 3: state: public, draft or withdrawn is allowed, not live"),
        ("title: A\nstate: scheduled", "line 3: state: public, draft or withdrawn is allowed, not scheduled"),
        ("urgency: very", "line 2: urgency: normal or urgent is allowed, not very"),
        ("kind: Big News", "line 2: kind: one lower-case word such as news, notice or event is allowed, not big news"),
        ("topics: {a: b}", "line 2: topics: a list is allowed, not a mapping"),
        ("topics: [Work permits]", "line 2: topics: slugs such as work-permits are allowed, not work permits"),
        (
            "published: yesterday",
            "line 2: published: a time such as 2026-11-21T16:20:00+04:00 is allowed, not yesterday",
        ),
        (
            "published: 2026-13-01",
            "line 2: published: a time such as 2026-11-21T16:20:00+04:00 is allowed, not 2026-13-01",
        ),
        ("embargo: 0026-11-21", "line 2: embargo: a year from 1970 to 2199 is allowed, not 26"),
        (
            "link: javascript:alert(1)",
            "line 2: link: an address that begins with https:// is allowed, not javascript:alert(1)",
        ),
        ("link: 'http://[::1'", "line 2: link: an address that begins with https:// is allowed, not http://[::1"),
        ("link: https://a.example:99999/", "line 2: link: an address that begins with https:// is allowed"),
        ("lang: de", "line 2: lang: az, en, ru is allowed, not de"),
        ("title: [A]", "line 2: title: a text is allowed, not a list"),
        ("image: ../../etc/passwd.png", "../../etc/passwd.png: the file lies outside the folder"),
        (
            "image: /etc/passwd.png",
            "line 2: image: a file in the folder or an https:// address is allowed, not /etc/passwd.png",
        ),
        ("image: file:///etc/x.png", "line 2: image: a file in the folder or an https:// address is allowed"),
        ("image: none.png", "none.png: there is no such file in the folder"),
        ("image: notes.doc", "line 2: image: a jpg, png, gif, webp or avif file is allowed, not notes.doc"),
        ("image: {src: a.png, size: 3}", "line 2: image: size: unknown key; allowed are src, url, alt, credit, title"),
        ("image: {alt: x}", "line 2: image: one src (a file in the folder) or one url is needed"),
        ("attachments: 7", "7: there is no such file in the folder"),
        ("title: a\ntitle: b", "line 3: front matter: title: given twice"),
        ("title: 'a", "line 3: front matter is not YAML: found unexpected end of stream"),
        ("title: a: b", "line 2: front matter is not YAML: mapping values are not allowed here"),
        ("title: \x07", "line 2: front matter is not YAML: a character that is not allowed"),
        ("just words", "line 2: front matter: lines such as `title: ...` are expected"),
        ("a: &x [1]\nb: *x", "line 3: front matter: an alias (*name) is not allowed"),
        ("title: !!python/object:os.system x", "line 2: front matter: a tag (!name) is not allowed"),
        ("title: " + "[" * 100, "line 2: front matter: at most 8 levels of nesting are allowed"),
        ("title: " + "x" * 501, "line 2: title: at most 500 characters are allowed, not 501"),
        ("note: " + "x" * 70_000, "line 1: the front matter has 70,008 characters; at most 64,000 are taken"),
        ("title: ''\nsummary: x", "there is no title"),
    ],
)
async def test_bad_front_matter_is_named_by_line_and_key(office, heading, reason):
    body = "" if "''" in heading else "The first line\n\nText."
    assert (await office.problem("a.en.txt", f"---\n{heading}\n---\n{body}")).startswith(reason)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "the file is empty"),
        ("a.txt", b" \n\t\n", "the file is empty"),
        ("a.txt", b"Only a title\n", "there is no text under the title"),
        (
            "a.txt",
            "Title\n\nЖ".encode("cp1251"),
            "line 3: not UTF-8; save the file as UTF-8 (encodings are not guessed)",
        ),
        ("a.txt", "Title\n\nText".encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
        ("a.txt", b"Title\n\nTe\0xt", "the file holds NUL bytes; it is not a text"),
        ("a.txt", b"---\ntitle: A\nText.", "line 1: the front matter opens with --- and never closes"),
        ("a.txt", b"x" * 10_000_000, "the file has 10,000,000 bytes; at most 2,100,000 are taken"),
        ("a.txt", b"T\n" + b"x" * 1_000_001, "the body has 1,000,001 characters; at most 1,000,000 are taken"),
        ("a.txt", b"x" * 501 + b"\nText.", "the first line is the title; it has 501 characters, at most 500"),
        ("a.de.txt", b"Titel\n\nText", "the file name says language de; allowed are az, en, ru"),
        ("a.az.txt", b"---\nlang: en\n---\nT\n\nText", "line 2: lang: en contradicts the file name, which says az"),
        (
            "a.txt",
            b"---\ntitle: T\nid: " + b"i" * 201 + b"\n---\nText",
            "line 3: id: at most 200 characters are allowed",
        ),
    ],
)
async def test_a_bad_document_is_left_out_with_a_reason(office, name, data, reason):
    assert (await office.problem(name, data)).startswith(reason)


async def test_a_language_that_is_not_offered_is_not_passed_off_as_another(open_office):
    office = open_office(languages=("az", "en"))
    assert "language ru by its script" in await office.problem("a.txt", "Новость\n\nТекст новости.")


async def test_where_no_letter_tells_the_default_language_is_taken_and_said(office):
    change = await office.change("a.txt", "112\n\n24/7")
    assert change.lang == "az"
    assert change.remarks == ("language az by default: no Latin or Cyrillic letter in it",)


async def test_a_withdrawal_may_give_its_reason_as_a_note(office):
    change = await office.change("a.en.md", "---\ntitle: A\nstate: withdrawn\nnote: Not agreed\n---\n")
    assert (change.state, change.reason) == (State.WITHDRAWN, "Not agreed")


@pytest.mark.parametrize("written", ["2026-11-21 16:20", "2026-11-21T16:20:00 +04:00", "2026-11-21T12:20:00Z"])
async def test_times_are_in_the_offices_zone_unless_they_say_otherwise(office, written):
    change = await office.change("a.en.txt", f"---\ntitle: A\npublished: {written}\n---\nText.")
    assert change.published == datetime(2026, 11, 21, 12, 20, tzinfo=UTC)


@pytest.mark.parametrize("option", [{"boilerplate": ["("]}, {"rights": "["}])
def test_a_pattern_that_cannot_be_read_is_named(open_office, option):
    with pytest.raises(ValueError, match="is not a regular expression"):
        open_office(**option)


_PIECES = st.sampled_from(
    [
        "---\n",
        "title: A\n",
        "id: 1\n",
        "\n",
        "x",
        "# H\n",
        "<p>",
        "</body>",
        "<title>",
        "</h1>",
        "© Us\n",
        "&#0;",
        "*a ",
        "\u2028",
        "image: a.png\n",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
    | st.lists(_PIECES, max_size=12).map(lambda parts: "".join(parts).encode()),
    name=st.sampled_from(["a.txt", "a.md", "a.html", "a.en.md"]),
)
async def test_any_bytes_make_a_change_or_a_problem(open_office, tmp_path, data, name):
    office = open_office()
    for old in office.folder.iterdir():
        old.unlink()
    office.write(name, data)
    (found,) = await office.look()
    assert isinstance(found, Change | Problem)
    assert found.fingerprint
    if isinstance(found, Change):
        assert found.title
        assert "\n" not in found.title
        (found.title + found.body + found.rights).encode()
    else:
        assert found.reason.isprintable()
