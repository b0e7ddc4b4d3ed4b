"""Characters, excerpts, slugs, letters and languages."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from syndicator.domain.text import (
    detect_language,
    excerpt,
    lower,
    one_line,
    repeats_opening,
    slugify,
    strip_illegal,
    upper,
    upper_first,
)

SETTINGS = settings(max_examples=100, deadline=None)
EVERYTHING = st.text(st.characters(codec=None))


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@SETTINGS
@given(EVERYTHING)
@example("\x00\x0b\x1f\x7f\x9f\ud800\udfff\ufffe\uffff\ufdd0\U0001ffff\r\n\u2028")
def test_xml_can_carry_what_is_left(text):
    legal = strip_illegal(text)
    root = etree.fromstring(f"<x>{escaped(legal)}</x>")
    assert (root.text or "") == legal
    assert strip_illegal(legal) == legal


def test_nothing_legal_is_lost():
    text = "Azərbaycan\tРоссия 👩‍👩‍👧 \u200f\u200e\ue000\ufffd\U00010000 a\u0301\n"
    assert strip_illegal(text) == text
    assert strip_illegal("a\u202eb\u2066c\u2069d\ufeff\x00\r\ne\u2028f\x85g") == "abcd\ne\nf\ng"


@SETTINGS
@given(EVERYTHING)
def test_one_line_is_one_trimmed_line(text):
    line = one_line(text)
    assert line.splitlines() in ([], [line])
    assert line == line.strip()
    assert "  " not in line
    assert one_line(line) == line


@SETTINGS
@given(EVERYTHING, st.integers(0, 60))
def test_an_excerpt_keeps_its_limit_and_begins_as_the_text_does(text, limit):
    short = excerpt(text, limit)
    assert len(short) <= max(limit, 0)
    assert one_line(text).startswith(short.removesuffix("…"))


FAMILY = "👩‍👩‍👧"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("Short.", 280, "Short."),
        ("Two\n lines", 280, "Two lines"),
        ("First sentence here. Second one is longer.", 25, "First sentence here."),
        ("First. Second sentence is much longer than that.", 25, "First. Second sentence…"),
        ("Mr. Vusal met the Minister in Geneva today.", 25, "Mr. Vusal met the…"),
        ("Birinci cümlə burada. İkinci cümlə daha uzundur.", 30, "Birinci cümlə burada."),
        ("Word, another word", 7, "Word…"),
        ("абвгдежзик", 5, "абвг…"),
        ("ab" + FAMILY + "cd", 5, "ab…"),  # never inside a family
        ("abe\u0301fgh", 4, "ab…"),  # nor between a letter and its mark
        ("x🇦🇿🇹🇷yz", 5, "x🇦🇿…"),  # nor inside a flag
        ("x🇦🇿🇹🇷yz", 3, "x…"),
        ("a" + "\u0301" * 50, 5, "a\u0301\u0301\u0301…"),  # nothing but marks: the limit wins
        ("word", 1, "…"),
        ("word", 0, ""),
    ],
)
def test_an_excerpt_ends_where_a_reader_would_pause(text, limit, expected):
    assert excerpt(text, limit) == expected


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Viza rüsumları dəyişir", "viza-rusumlari-deyisir"),
        ("İŞÇİ Iğdır", "isci-igdir"),
        ("Защита беженцев: ещё объект", "zashchita-bezhentsev-eshche-obekt"),
        ("Хороший жук, цапля, юла, ящик", "khoroshiy-zhuk-tsaplya-yula-yashchik"),
        ("Migrants' rights & €5", "migrants-rights-5"),
        ("日本 გამარჯობა !!", ""),
        ("a" * 100, "a" * 80),
        ("word " * 30, "-".join(["word"] * 16)),
    ],
)
def test_a_title_becomes_part_of_an_address(title, slug):
    assert slugify(title) == slug


@SETTINGS
@given(EVERYTHING)
def test_a_slug_is_always_safe(text):
    slug = slugify(text)
    assert len(slug) <= 80
    assert all(word.isascii() and word.isalnum() and word == word.lower() for word in slug.split("-") if slug)


@pytest.mark.parametrize(
    ("lang", "small", "capital"),
    [("az", "istiqlal ışıq", "İSTİQLAL IŞIQ"), ("en", "it is", "IT IS"), ("ru", "ёлка", "ЁЛКА")],
)
def test_letters_change_case_as_their_language_does(lang, small, capital):
    assert upper(small, lang) == capital
    assert lower(capital, lang) == small
    assert upper_first(small, lang) == capital[0] + small[1:]


def test_a_capital_i_with_a_dot_leaves_no_loose_dot():
    assert lower("İstanbul", "en") == "istanbul"
    assert upper_first("", "az") == ""


@pytest.mark.parametrize(
    ("text", "lang", "reason"),
    [
        ("Viza rüsumları dəyişir", "az", "az by its letters: "),
        ("VİZA RÜSUMLARI DƏYİŞİR", "az", "az by its letters: "),
        ("Bu bir elandir", "az", "az by its words: "),
        ("Визовые сборы меняются", "ru", "ru by its script: "),
        ("Сервис ASAN Viza снова работает", "ru", "ru by its script: "),
        ("The fees for a visa are changing", "en", "en by its words: the, for, are"),
        ("Vusal Hüseynov met the Minister of Türkiye in Şuşa", "en", "en by its words: "),
        ("Meeting with Şahin Əliyev", "en", "en by its words: with"),  # names travel
        ("Visa fees", "en", "no other language"),
        ("12345 !!", None, "no Latin or Cyrillic letter"),
        ("გამარჯობა", None, "no Latin or Cyrillic letter"),
        ("", None, "no Latin or Cyrillic letter"),
    ],
)
def test_a_text_shows_its_language_and_why(text, lang, reason):
    found, why = detect_language(text)
    assert found == lang
    assert reason in why


@pytest.mark.parametrize(
    ("summary", "text", "repeats"),
    [
        ("The hall opens.", "The hall opens.\nBring a passport.", True),
        ("The hall opens on Monday, bring a…", "The hall  opens on Monday,\nbring a passport and a photo.", True),
        ("", "The hall opens.", True),
        ("A new hall for Port Ilvan.", "The hall opens.", False),
        ("The hall opens.", "", False),
    ],
)
def test_a_summary_that_only_repeats_the_opening_is_known(summary, text, repeats):
    assert repeats_opening(summary, text) is repeats
