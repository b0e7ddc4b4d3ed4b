"""Markup: hostile or merely untidy, what comes out is the small subset, in good order."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from syndicator.domain.model import BodyFormat
from syndicator.domain.text import BODY_LIMIT, SUBSET, TooLong, clean, plain

HTML, TEXT, MARKDOWN = BodyFormat.HTML, BodyFormat.TEXT, BodyFormat.MARKDOWN
ROW = "<tbody><tr>"
ALLOWED = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
SETTINGS = settings(max_examples=200, deadline=None)

NAMES = [*sorted(SUBSET), "b", "i", "h1", "h5", "div", "span", "script", "style", "svg", "math", "template", "select"]
NAMES += ["option", "title", "textarea", "plaintext", "xmp", "noscript", "object", "button", "caption", "col", "font"]
ATTRIBUTES = [
    "",
    ' href="/x"',
    " href='http://e/?a=1&b=2'",
    ' href="javascript:x"',
    " onclick=x",
    ' style="x"',
    " rowspan=3",
]
PIECES = st.one_of(
    st.builds("<{}{}>".format, st.sampled_from(NAMES), st.sampled_from(ATTRIBUTES)),
    st.builds("</{}>".format, st.sampled_from(NAMES)),
    st.sampled_from(
        ["text", " ", "\n\n", "&lt;b&gt;", "&#8238;", "&nbsp;", "&", "<", ">", '"', "<!--", "-->", "<![CDATA[", "\0"]
    ),
    st.text(max_size=5),
)
SOUP = st.lists(PIECES, max_size=25).map("".join)


class Judge(HTMLParser):
    """Reads the result as a browser's tokenizer does and notes whatever is outside the subset."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in SUBSET:
            self.faults.append(tag)
        for name, value in attrs:
            if name not in ALLOWED.get(tag, ()):
                self.faults.append(f"{tag} {name}")
            if name == "href" and not (value or "").startswith(("http://", "https://", "mailto:", "tel:")):
                self.faults.append(f"href {value}")
        if tag == "a" and not attrs:
            self.faults.append("a without href")

    def handle_comment(self, data):
        self.faults.append(f"comment {data}")


def judged(html: str) -> str:
    """The result, after every judge has seen it."""
    judge = Judge()
    judge.feed(html)
    judge.close()
    assert judge.faults == []
    root = etree.fromstring(f"<body>{html}</body>")
    for element in root.iter():
        if element.tag in {"p", "h2", "h3", "h4", "pre"}:
            assert {child.tag for child in element.iter()} <= {
                element.tag,
                "a",
                "strong",
                "em",
                "code",
                "sub",
                "sup",
                "br",
            }
        if element.tag not in {"br", "hr", "td", "th", "body"}:
            assert (
                "".join(element.itertext())
                or element.find(".//hr") is not None
                or element.find(".//td") is not None
                or (element.find(".//th") is not None)
            ), f"empty {element.tag}"
    assert all(child.tag == "li" for each in root.iter("ul", "ol") for child in each)
    assert not (root.text or "").strip()
    assert not any((child.tail or "").strip() for child in root)
    return html


@SETTINGS
@given(SOUP, st.sampled_from(["", "https://agency.az/news/"]))
def test_whatever_comes_in_the_subset_comes_out_and_cleaning_again_changes_nothing(soup, base):
    once = judged(clean(soup, HTML, base))
    assert clean(once, HTML, base) == once
    plain(once)


@SETTINGS
@given(st.text() | SOUP, st.sampled_from([TEXT, MARKDOWN]))
def test_text_and_markdown_end_in_the_same_subset(body, body_format):
    once = judged(clean(body, body_format))
    assert clean(once, HTML) == once


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40))
def test_plain_text_says_what_the_text_said(body):
    assert plain(clean(body, TEXT)) == " ".join(body.split())


@pytest.mark.parametrize(
    ("hostile", "expected"),
    [
        ("<script>alert(1)</script>hi", "<p>hi</p>"),
        ("<style>p{}</style><!-- x --><p>hi</p><!-- <script> -->", "<p>hi</p>"),
        ('<img src=x onerror="alert(1)">hi', "<p>hi</p>"),
        ('<p onclick="x" style="color:red" class="y" id="z">hi</p>', "<p>hi</p>"),
        ('<a href="javascript:alert(1)">x</a>', "<p>x</p>"),
        ('<a href="JaVa&#9;Script:alert(1)">x</a>', "<p>x</p>"),
        ('<a href=" &#1;javascript:alert(1)">x</a>', "<p>x</p>"),
        ('<a href="data:text/html,<script>">x</a>', "<p>x</p>"),
        ('<a href="vbscript:x">x</a><a href="http:">y</a><a href="http://[::1">z</a>', "<p>xyz</p>"),
        ("<svg><style><!--</style><img src=x onerror=alert(1)>--></svg>z", "<p>z</p>"),
        ("<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", ""),
        ("<iframe src=x>a</iframe><object>b</object><textarea><b>c</b></textarea>d", "<p>d</p>"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("a&#8238;b&#0;c\x00d&#x202e;", "<p>ab\ufffdcd</p>"),
        ("<p>a<b>b<i>c</b>d</i>", "<p>a<strong>b<em>c</em></strong>d</p>"),
        ("<x-strong>a</x-strong><x-a href=javascript:x>b", "<p>ab</p>"),
        ('<td colspan="2">a', "<p>a</p>"),
        ("<base href='//evil'><a href=/x>a</a><meta http-equiv=refresh>", "<p>a</p>"),
    ],
)
def test_hostile_html_is_disarmed(hostile, expected):
    assert judged(clean(hostile, HTML)) == expected


@pytest.mark.parametrize(
    ("untidy", "expected"),
    [
        ("<div>one</div><div>two</div>", "<p>one</p><p>two</p>"),
        ("<h1>T</h1><h5>s</h5>", "<h2>T</h2><h4>s</h4>"),
        ("<p><br></p><p>&nbsp;</p><p></p><p>x<br></p><ul></ul><b></b>", "<p>x</p>"),
        ("a<br><br>b<br>c", "<p>a</p><p>b<br/>c</p>"),
        ("<b><p>a</p><p>b</p></b>", "<p><strong>a</strong></p><p><strong>b</strong></p>"),
        ('<a href="http://e/"><h3>T</h3></a>', '<h3><a href="http://e/">T</a></h3>'),
        ("<ul>t<li>a<ul><li>b</ul></ul>", "<ul><li>t</li><li>a<ul><li>b</li></ul></li></ul>"),
        ("<blockquote>loose<p>p</blockquote>", "<blockquote><p>loose</p><p>p</p></blockquote>"),
        ("<li>stray", "<p>stray</p>"),
        ("a <a>b</a> c <b><b>d</b> e</b> f", "<p>a b c <strong>d e</strong> f</p>"),
        ("<span>a</span> <u>b</u>\n<i>c</i> d", "<p>a b <em>c</em> d</p>"),
        ("<pre>\n\n a\n  b<br>c</pre>", "<pre> a\n  b\nc</pre>"),
        ("a<b> <p>c", "<p>a</p><p><strong>c</strong></p>"),
        ("a <a> </a> <i> b </i><a>  </a><p>c", "<p>a <em>b </em></p><p>c</p>"),
        ("a<hr>b", "<p>a</p><hr/><p>b</p>"),
        ("<table><tr><td>a<td></table>", "<table><tbody><tr><td>a</td><td></td></tr></tbody></table>"),
        (
            "<table><th colspan=2 rowspan=1000>x<table><td>i</table></table>",
            f'<table>{ROW}<th colspan="2">x<table>{ROW}<td>i</td></tr></tbody></table></th></tr></tbody></table>',
        ),
    ],
)
def test_untidy_html_is_put_in_order(untidy, expected):
    assert judged(clean(untidy, HTML)) == expected


@pytest.mark.parametrize(
    ("href", "base", "link"),
    [
        ("/x", "https://g.az/a/b", "https://g.az/x"),
        ("x y", "https://g.az/a/b", "https://g.az/a/x%20y"),
        ("//h/x", "https://g.az/", "https://h/x"),
        ("/x", "", None),
        ("/x", "not a base", None),
        ("mailto:a@b.az", "", "mailto:a@b.az"),
        ("tel:+994", "", "tel:+994"),
        ("HTTPS://e/", "", "HTTPS://e/"),
        ("ftp://e/", "", None),
        ("https://1\\", "", None),  # no address to a stricter reader
        ("https://e/\n  x", "", "https://e/%20%20x"),
        ("https://e/" + "x" * 3000, "", None),
    ],
)
def test_a_link_leads_somewhere_or_becomes_text(href, base, link):
    found = etree.fromstring(clean(f'<p><a href="{href}">t</a></p>', HTML, base)).find("a")
    assert (None if found is None else found.get("href")) == link


def test_text_has_paragraphs_lines_and_links():
    body = "Hello\nworld https://x.az/a?b=1&c, (see).\n \n\nSecond <b>"
    link = "https://x.az/a?b=1&amp;c"
    assert clean(body, TEXT) == f'<p>Hello<br/>world <a href="{link}">{link}</a>, (see).</p><p>Second &lt;b&gt;</p>'


def test_lines_that_somebody_wrapped_are_joined():
    full = "a" * 64
    assert clean(f"{full}\n{full}\nend", TEXT) == f"<p>{full} {full} end</p>"


def test_markdown_is_read_and_its_raw_html_shown():
    body = "# T\n\n1. a\n2. *b*\n\n|a|\n|-|\n|1|\n\n<b>x</b> [l](/x) [j](javascript:x)"
    assert clean(body, MARKDOWN, "https://g.az") == (
        "<h2>T</h2><ol><li>a</li><li><em>b</em></li></ol>"
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
        '<p>&lt;b&gt;x&lt;/b&gt; <a href="https://g.az/x">l</a> [j](javascript:x)</p>'
    )


@pytest.mark.parametrize(
    "piece",
    ["<div>", "<blockquote>", "<b>", "<ul><li>", "<table><tr><td>", "<svg>", "<font><p></font>", "<a '", "<!--", "&",
     "<p>x<b class={}>", "<em><ul></em>", "<h2><b></h2>", "<select><option>"],
)  # fmt: skip
def test_hostile_nesting_costs_no_more_than_its_length(piece):
    bomb = "".join(piece.format(i) for i in range(100)) + piece * (500_000 // len(piece)) + "end"
    start = time.perf_counter()
    result = clean(bomb[:BODY_LIMIT], HTML)
    assert time.perf_counter() - start < 5  # what grows with the square takes minutes
    assert len(result) < 20 * len(bomb)


def test_a_megabyte_of_entities_costs_moments():
    start = time.perf_counter()
    assert clean("&" * BODY_LIMIT, HTML) == f"<p>{'&amp;' * BODY_LIMIT}</p>"
    assert time.perf_counter() - start < 5


def test_a_long_link_is_not_repeated_for_ever():
    bomb = f'<a href="http://e/{"y" * 2000}">' + "<p>x" * 50_000
    assert len(clean(bomb, HTML)) < 1_000_000


def test_a_body_beyond_the_limit_is_refused():
    assert plain(clean("a" * BODY_LIMIT, TEXT)) == "a" * BODY_LIMIT
    with pytest.raises(TooLong, match="1,000,001 characters; at most 1,000,000"):
        clean("a" * (BODY_LIMIT + 1), TEXT)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a<br/>b</p><h2>c</h2>", "a\nb\n\nc"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul><p>d</p>", "• a\n  • b\n• c\n\nd"),
        ("<ol><li>a</li><li><p>b</p></li></ol>", "1. a\n2. b"),
        ('<p>see <a href="http://e/">this &amp; that</a></p>', "see this & that"),
        (
            "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td><p>1</p><p>2</p></td><td></td></tr></tbody></table><p>x</p>",
            "a | b\n1 2 |\n\nx",
        ),
        ("<pre> a\n   b</pre>", " a\n   b"),
        ("<blockquote><p>q</p></blockquote><hr/><p>r</p>", "q\n\nr"),
        ("<p>&amp;lt;</p>", "&lt;"),
        ("", ""),
    ],
)
def test_plain_text_reads_well(html, expected):
    assert clean(html, HTML) == html
    assert plain(html) == expected
