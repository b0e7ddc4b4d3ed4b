"""Texts that nobody would write and somebody will: strategies for hypothesis, and how many examples to take."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TAGS = [
    "p",
    "h2",
    "h3",
    "ul",
    "ol",
    "li",
    "blockquote",
    "strong",
    "em",
    "code",
    "pre",
    "table",
    "tr",
    "td",
    "th",
    "sub",
    "sup",
    "u",
    "s",
    "div",
    "span",
]
PIECES = [
    "<b>",
    "&",
    "&lt;",
    "&#x202e;",
    "&nbsp;",
    "a < b",
    "]]>",
    "<!--",
    "\u0301" * 30,
    "e\u0301\u0323",
    "\u200d",
    "\u200b\u3164\u2800",
    "\u202eover\u202c",
    "שלום עולם",
    "مرحبا",
    "\ud800",
    "\udc00",
    "\x00\x07\x1b",
    "\x85\u2028",
    "\ufeff",
    "\U000e0041" * 5,
    "😀" * 30,
    "👩‍👩‍👧‍👦" * 8,
    "🇦🇿🏳️‍🌈",
    "İıçşğöü",
    "#tag ",
    "@name_of_somebody ",
    "/command ",
    "a.az ",
    "https://x.az/?a=1&b=2 ",
    "a@b.az ",
    "10:00 ",
    "$USD ",
    "4111 1111 1111 1111 ",
    "1.2.3.4 ",
    " ",
    "\n\n",
]
HREFS = [
    "https://a.az/",
    'https://a.az/"x',
    "https://a.az/\u202e<>",
    "mailto:a@b.c",
    "http://[::1",
    "tel:1",
    "tg://user?id=1",
    "javascript:1",
    "//x.az",
    "/media/f.pdf",
    "https://" + "x" * 3000 + ".az",
]

ANY = st.text(st.characters(), max_size=40)
PIECE = st.one_of(ANY, st.sampled_from(PIECES))
REPEATED = st.tuples(PIECE, st.sampled_from([1, 3, 110, 500])).map(lambda one: one[0] * one[1])
LINE = st.one_of(PIECE, st.lists(PIECE, max_size=6).map("".join), REPEATED)


def examples(usual: int) -> settings:
    """Few examples in every run, `TEST_TIMES` as many in a long one."""
    times = int(os.environ.get("TEST_TIMES", "1"))
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=usual * times, deadline=None, suppress_health_check=quiet)


@st.composite
def bodies(draw, depth=3):
    """Markup as wild as it comes: nested, unclosed, with links to anywhere."""
    pieces = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.integers(0, 5))
        if depth and kind < 3:
            tag = draw(st.sampled_from(TAGS))
            pieces.append(f"<{tag}>{draw(bodies(depth - 1))}</{tag}>")
        elif kind == 3:
            href = draw(st.one_of(ANY, st.sampled_from(HREFS))).replace('"', "&quot;")
            pieces.append(f'<a href="{href}">{draw(PIECE)}</a>')
        else:
            pieces.append(draw(LINE))
    return "".join(pieces)


LONG_BODIES = st.tuples(bodies(), st.sampled_from([1, 1, 5, 40])).map(lambda one: one[0] * one[1])
