"""The filter: one normal form, one text, one answer."""

from __future__ import annotations

import random
import sqlite3
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syndicator.domain.filters import BadFilter, Facts, Filter, canonical, choose_language, hits, parse, wants
from syndicator.domain.folding import fold, tokens, unescape
from syndicator.domain.model import OtherLanguage, Reader, Release, Revision, State, Urgency, Variant
from syndicator.domain.topics import Taxonomy, Topic

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ORDER = ("az", "en", "ru")
TAXONOMY = Taxonomy(
    [
        Topic("protection", {"en": "Protection"}),
        Topic("refugees", {"en": "Refugees"}, parent="protection"),
        Topic("visas", {"en": "Visas"}),
    ]
)
SETTINGS = settings(max_examples=80, deadline=None)

SLUGS = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True).filter(
    lambda slug: slug not in {"all", "custom"}
)


def release(topics=(), kind="news", urgency=Urgency.NORMAL, **titles):
    variants = tuple(
        Variant(i, lang, f"tag:{lang}", "", NOW, Revision(1, 0, title, "", "", ""))
        for i, (lang, title) in enumerate(titles.items(), 1)
    )
    return Release(1, "tag:1", "s", "k", kind, urgency, State.PUBLIC, NOW, NOW, tuple(topics), variants)


@st.composite
def filters(draw):
    topics = draw(st.lists(SLUGS, max_size=4))
    return Filter(
        langs=tuple(draw(st.lists(st.sampled_from(["az", "en", "ru", "de-at"]), max_size=4))),
        topics=tuple(topics),
        without=tuple(slug for slug in draw(st.lists(SLUGS, max_size=4)) if slug not in topics),
        kinds=tuple(draw(st.lists(SLUGS, max_size=3))),
        words=tuple(draw(st.lists(st.text("abzızəЁйعგ0 -&+%,=", min_size=1, max_size=9).filter(tokens), max_size=4))),
    )


@SETTINGS
@given(filters())
def test_a_filter_reads_back_from_its_text_as_it_was(wanted):
    assert parse(canonical(wanted)) == wanted
    assert canonical(parse(canonical(wanted))) == canonical(wanted)


@SETTINGS
@given(filters(), st.randoms(use_true_random=False))
def test_equal_meaning_gives_equal_text(wanted, rng: random.Random):
    parts = [
        *(f"topic={slug.upper()}" for slug in wanted.topics * 2),
        *(f"not={slug}" for slug in wanted.without * 2),
        *(f"kind= {slug} " for slug in wanted.kinds),
        *(f"q={unescape(word)[:cut]}" for word in wanted.words for cut in (1, None)),
        "topic=",
        "q=",
    ]
    rng.shuffle(parts)
    langs = f"lang={','.join(wanted.langs)},{wanted.langs[0]}" if wanted.langs else "lang="
    assert canonical(parse("&".join([*parts, langs]))) == canonical(wanted)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("lang=", ""),
        ("topic=all", ""),
        ("topic=all,visas&not=refugees", "not=refugees"),
        ("lang=EN,az,en", "lang=en,az"),
        ("q=ASAN+Viza+viz&topic=b&topic=a,a", "topic=a,b&q=asan+viza"),
        ("topic=a,b&not=b", "topic=a&not=b"),
        ("q=%C4%B0caz%C9%99", "q=icaze"),
        ("q=ICAZƏ", "q=icaze"),
        ("q=ёлка", "q=%D0%B5%D0%BB%D0%BA%D0%B0"),
        ("q=e-viza", "q=e+viza"),
        ("kind=notice&q=x&not=b&topic=a&lang=ru", "lang=ru&topic=a&not=b&kind=notice&q=x"),
    ],
)
def test_a_text_has_one_canonical_form(text, expected):
    assert canonical(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("topics=a", "unknown key 'topics'; allowed are lang, topic, not, kind, q"),
        ("topic=visa", "topic: 'visa' is unknown; did you mean visas? allowed are"),
        ("not=visa", "not: 'visa' is unknown"),
        ("lang=de", "lang: 'de' is unknown"),
        ("lang=deutsch!", "lang: 'deutsch!' is no language code"),
        ("topic=a b", "topic: 'a b' is illegal"),
        ("topic=a\nb", "topic: 'a\\nb' is illegal"),
        ("topic=custom", 'topic: "custom" is reserved'),
        ("not=all", "nothing could ever match"),
        ("topic=visas&not=visas", "topic: it can never match"),
        ("q=%21%21", "q: '!!' holds no letter or digit"),
        ("q=%ff", "not percent-encoded UTF-8"),
        ("topic=" + ",".join(f"t{i}" for i in range(21)), "topic: 21 values; at most 20"),
        ("q=" + "+".join(f"{c}x" for c in "abcdefghijk"), "q: 11 words; at most 10"),
        ("q=" + "a" * 2000, "the text is 2002 characters long; allowed are 2000"),
        ("q=" + "+".join(c * 64 for c in "абвгдежзик"), "characters long when written out; allowed are 2000"),
    ],
)
def test_a_bad_filter_is_refused_in_one_clear_line(text, says):
    with pytest.raises(BadFilter) as refused:
        parse(text, languages=ORDER, topics=TAXONOMY.slugs)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_filter_that_exists_is_normal():
    assert Filter(topics=("b", "a", "B"), words=("VİZA asan", "viz")) == parse("topic=a,b&q=asan+viza")
    assert Filter(topics=("all",)) == Filter()


ALWAYS, URGENT, NEVER = OtherLanguage.ALWAYS, OtherLanguage.URGENT, OtherLanguage.NEVER


@pytest.mark.parametrize(
    ("text", "lang", "other", "available", "urgency", "expected"),
    [
        ("lang=ru,az", "en", ALWAYS, ("az", "en"), "normal", "az"),  # the list decides, not the reader
        ("lang=ru", "en", ALWAYS, ("az", "en"), "urgent", None),  # and nothing beyond it
        ("", "en", NEVER, ("az", "en"), "normal", "en"),
        ("", "ru", NEVER, ("az", "en"), "urgent", None),
        ("", "ru", URGENT, ("az", "en"), "normal", None),
        ("", "ru", URGENT, ("en", "az"), "urgent", "az"),  # the site's order, not the release's
        ("", "ru", ALWAYS, ("en",), "normal", "en"),
        ("", "ru", ALWAYS, (), "urgent", None),
    ],
)
def test_a_reader_gets_one_language_version(text, lang, other, available, urgency, expected):
    assert choose_language(parse(text), Reader(lang, other), available, Urgency(urgency), ORDER) == expected


@pytest.mark.parametrize(
    ("text", "topics", "kind", "expected"),
    [
        ("", (), "news", "az"),
        ("topic=refugees", ("refugees",), "news", "az"),
        ("topic=protection", ("refugees",), "news", "az"),  # a parent includes its children
        ("topic=refugees", ("protection",), "news", None),  # and not the other way
        ("topic=visas,refugees", ("visas",), "news", "az"),
        ("topic=visas", (), "news", None),
        ("not=visas", ("visas", "refugees"), "news", None),
        ("not=protection", ("refugees",), "news", None),
        ("topic=protection&not=refugees", ("refugees",), "news", None),
        ("topic=gone", ("gone",), "news", "az"),  # a topic that left the file still matches itself
        ("kind=notice,tender", (), "tender", "az"),
        ("kind=notice", (), "news", None),
    ],
)
def test_topics_and_kinds_decide(text, topics, kind, expected):
    facts = Facts.of(release(topics, kind, az="Xəbər"))
    assert wants(parse(text), facts, Reader("az"), TAXONOMY, ORDER) == expected


@pytest.mark.parametrize(
    ("query", "title", "matches"),
    [
        ("viza", "Elektron vizası olanlar", True),
        ("viza", "VİZA RÜSUMLARI", True),
        ("VİZA", "viza", True),
        ("rusum", "VİZA RÜSUMLARI", True),
        ("isiq", "IŞIQ", True),
        ("ışıq", "İŞIQ", True),
        ("ICAZƏ", "icazə", True),
        ("İcazə", "ICAZƏLƏR", True),
        ("icaze", "İcazə", True),
        ("елка", "Ёлка", True),
        ("ЁЛКА", "елки и елка", True),
        ("мой", "мои", False),
        ("мой", "мо\u0438\u0306", True),
        ("asan viza", "Viza üçün ASAN xidmət", True),
        ("asan viza", "Viza", False),
        ("iza", "viza", False),  # a beginning, not any part
        ("გამ", "გამარჯობა", True),
        ("გამა", "გამი", False),
        ("cooperation", "co\u00adoperation", True),
    ],
)
def test_words_match_as_beginnings_whatever_the_spelling(query, title, matches):
    facts = Facts.of(release(az=title))
    assert (wants(Filter(words=(query,)), facts, Reader("az"), TAXONOMY, ORDER) == "az") is matches


def test_words_look_only_into_the_version_the_reader_gets():
    facts = Facts.of(release(az="Viza", en="Passport"))
    assert wants(parse("q=passport"), facts, Reader("az"), TAXONOMY, ORDER) is None
    assert wants(parse("q=passport&lang=en"), facts, Reader("az"), TAXONOMY, ORDER) == "en"
    assert list(facts.tokens) == ["az", "en"]


@SETTINGS
@given(st.sets(st.text("abc", min_size=1, max_size=4)), st.sets(st.text("abc", min_size=1, max_size=4)))
def test_hits_are_exactly_the_beginnings(words, text):
    expected = {word for word in words if any(token.startswith(word) for token in text)}
    assert hits(words, frozenset(text)) == expected
    assert hits(words, list(text)) == expected


@SETTINGS
@given(st.text())
def test_folding_twice_changes_nothing_and_tokens_are_plain(text):
    assert fold(fold(text)) == fold(text)
    for token in tokens(text):
        assert set(token) <= set("abcdefghijklmnopqrstuvwxyz0123456789абвгдежзийклмнопрстуфхцчшщъыьэюяієґ")
        assert tokens(unescape(token)) == [token]


def test_a_long_word_is_cut_and_many_marks_cost_little():
    assert tokens("a" * 100) == ["a" * 64]
    assert tokens("a" + "\u0301\u0316" * 200_000) == ["a"]


@SETTINGS
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30))
def test_sqlite_sees_exactly_our_tokens(text):
    base = sqlite3.connect(":memory:")
    base.execute('create virtual table t using fts5(x, tokenize="unicode61 remove_diacritics 0")')
    base.execute("create virtual table v using fts5vocab(t, row)")
    base.execute("insert into t values (?)", (" ".join(tokens(text)),))
    seen = {term for (term,) in base.execute("select term from v")}
    base.close()
    assert seen == set(tokens(text))
