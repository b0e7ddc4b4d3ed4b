"""Topics: the file is checked, the tree is closed, and the classifier can say why."""

from __future__ import annotations

import time
import tomllib

import pytest

from syndicator.domain.topics import BadTopics, Taxonomy, classify

NAMED = {"name": {"en": "T"}}
FILE = """
threshold = 4
limit = 2

[[topic]]
slug = "protection"
name = { az = "Müdafiə", en = "Protection" }
[topic.words.en]
"internally displaced" = 4
"asylum" = 4

[[topic]]
slug = "refugees"
parent = "protection"
name = { en = "Refugees" }
[topic.words.en]
"refugee" = 2
[topic.words.az]
"qaçqın" = 2

[[topic]]
slug = "visas"
name = { az = "Vizalar", en = "Visas" }
[topic.words.en]
"visa" = 2
"electronic visa" = 4
[topic.words.az]
"viza" = 4
[topic.words.ru]
"виз" = 4
"визит" = -4

[[topic]]
slug = "fees"
name = { en = "Fees" }
[topic.words.en]
"fee" = 2
"coffee break" = -9
"""
TAXONOMY = Taxonomy.from_mapping(tomllib.loads(FILE))


def test_the_tree_is_closed_upwards_and_downwards():
    assert TAXONOMY.slugs == ("protection", "refugees", "visas", "fees")
    assert TAXONOMY.ancestors("refugees") == ("protection",)
    assert TAXONOMY.closure(["refugees", "gone"]) == {"refugees", "protection", "gone"}
    assert TAXONOMY.descendants("protection") == {"protection", "refugees"}
    assert TAXONOMY.descendants("gone") == {"gone"}
    assert TAXONOMY.get("gone") is None
    assert Taxonomy.empty().topics == ()


def test_a_topic_is_named_in_the_language_or_another():
    visas = TAXONOMY.get("visas")
    assert visas is not None
    assert [visas.name(lang) for lang in ("az", "en", "ru")] == ["Vizalar", "Visas", "Vizalar"]


def test_a_taxonomy_never_changes():
    with pytest.raises(AttributeError):
        TAXONOMY.limit = 9
    with pytest.raises(TypeError):
        TAXONOMY.topics[0].words["en"]["x"] = 1


@pytest.mark.parametrize(
    ("topics", "says"),
    [
        ([{"slug": "all", **NAMED}], '"all" is reserved'),
        ([{"slug": "custom", **NAMED}], '"custom" is reserved'),
        ([{"slug": "No good", **NAMED}], "slug is 'No good'"),
        ([{"slug": "a-", **NAMED}], "slug is 'a-'"),
        ([{"slug": "a" * 65, **NAMED}], "at most 64"),
        ([NAMED], "slug is None"),
        ([{"slug": "a", **NAMED}, {"slug": "a", **NAMED}], 'topic "a": the slug is used 2 times'),
        ([{"slug": "a", "parent": "b", **NAMED}], 'its parent "b" is not in the file'),
        ([{"slug": "a", "parent": "a", **NAMED}], "form a circle: a > a"),
        ([{"slug": "a", "parent": "b", **NAMED}, {"slug": "b", "parent": "a", **NAMED}], "circle: a > b > a"),
        ([{"slug": "a"}], 'topic "a": it has no names'),
        ([{"slug": "a", "name": {"en": " "}}], "name.en is ' '"),
        ([{"slug": "a", "name": {"EN": "x"}}], "'EN' is no language code"),
        ([{"slug": "a", **NAMED, "words": {"en": {"x": "4"}}}], "\"x\" is '4'; it must be a number"),
        ([{"slug": "a", **NAMED, "words": {"en": {"x": True}}}], "is True"),
        ([{"slug": "a", **NAMED, "words": {"en": {"x": 0}}}], "weight 0"),
        ([{"slug": "a", **NAMED, "words": {"en": {"x": float("nan")}}}], "is nan"),
        ([{"slug": "a", **NAMED, "words": {"en": {"!": 1}}}], "no letter or digit"),
        ([{"slug": "a", **NAMED, "words": {"az": {"İcazə": 1, "icaze": 2}}}], "the same after folding"),
        ([{"slug": "a", **NAMED, "wrods": {}}], 'unknown key "wrods"'),
        (["a"], "topic 1: write it as a [[topic]] table"),
    ],
)
def test_a_bad_topic_file_is_refused_in_one_clear_line(topics, says):
    with pytest.raises(BadTopics) as refused:
        Taxonomy.from_mapping({"topic": topics})
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("key", "value"), [("threshold", 0), ("threshold", "4"), ("limit", 0), ("limit", 1.5)])
def test_a_bad_rule_is_refused(key, value):
    with pytest.raises(BadTopics, match=key):
        Taxonomy.from_mapping({key: value})


@pytest.mark.parametrize(
    ("title", "summary", "body", "lang", "expected"),
    [
        ("Refugees return", "", "", "en", ("refugees",)),  # 2 x 3 in the title
        ("", "Refugees return", "", "en", ("refugees",)),  # 2 x 2 in the summary
        ("", "", "one refugee", "en", ()),  # 2 in the body
        ("", "", "a refugee and refugees", "en", ("refugees",)),
        ("", "", "internally displaced", "en", ("protection",)),
        ("", "", "internally and displaced", "en", ()),  # a phrase stands side by side
        ("", "", "displaced. internally", "en", ()),
        ("Asylum for refugees", "", "", "en", ("refugees",)),  # the parent steps back for its child
        ("Visa fees for refugees", "", "", "en", ("refugees", "visas")),  # a tie goes by the file; two at most
        ("Fees", "", "", "en", ("fees",)),
        ("Fees after the coffee break", "", "", "en", ()),
        ("VİZASIZ rejim", "", "", "az", ("visas",)),
        ("Qaçqınlar", "", "", "az", ("refugees",)),
        ("QACQIN", "", "", "az", ("refugees",)),
        ("Отмена виз", "", "", "ru", ("visas",)),
        ("Визит министра", "", "", "ru", ()),
        ("Visa", "", "", "de", ()),  # no words for this language
        ("", "", "", "en", ()),
    ],
)
def test_a_text_finds_its_topics(title, summary, body, lang, expected):
    assert classify(title, summary, body, lang, TAXONOMY).topics == expected


def test_length_alone_wins_nothing():
    found = classify("", "", "a fee " * 1000, "en", TAXONOMY)
    assert found.reasons[0].score == 6  # three times 2, never more


def test_the_classifier_says_why_and_why_not():
    text = "The delegation spoke about refugees. Every refugee, and all refugees who seek a visa, asylum or fees."
    found = classify("Forum on refugees", "", text, "en", TAXONOMY)
    assert found.explain() == [
        'refugees 12 (chosen): "refugee" in the title +6, "refugee" in the body +6',
        'protection 4 (implied by refugees): "asylum" in the body +4',
        'visas 2 (below 4): "visa" in the body +2',
        'fees 2 (below 4): "fee" in the body +2',
    ]
    crowded = classify("Refugees, visas, fees", "", "visa", "en", TAXONOMY)
    assert crowded.explain()[-1] == 'fees 6 (beyond the best 2): "fee" in the title +6'
    assert classify("", "", "nothing", "en", TAXONOMY).explain() == [
        "no topic: none of the phrases for this language occurs"
    ]


def test_a_megabyte_is_read_in_moments():
    text = "Refugees asked about an electronic visa and its fees. " * 18_000
    start = time.perf_counter()
    assert classify("", "", text, "en", TAXONOMY).topics == ("visas", "refugees")
    assert time.perf_counter() - start < 3


RENAMED = {
    "topic": [
        {"slug": "stay", "name": {"en": "Stay"}, "was": ["entry"]},
        {"slug": "visas", "name": {"en": "Visas"}, "parent": "stay", "was": ["visa", "visa-rules"]},
        {"slug": "law", "name": {"en": "Law"}},
    ]
}


@pytest.mark.parametrize(
    ("slug", "current"),
    [("visa", "visas"), ("visa-rules", "visas"), ("entry", "stay"), ("visas", "visas"), ("unheard", "unheard")],
)
def test_a_former_slug_finds_the_topic(slug, current):
    taxonomy = Taxonomy.from_mapping(RENAMED)
    assert taxonomy.current(slug) == current
    assert (taxonomy.get(slug).slug if taxonomy.get(slug) else slug) == current
    assert taxonomy.ancestors(slug) == taxonomy.ancestors(current)
    assert taxonomy.descendants(slug) == taxonomy.descendants(current) or slug == "unheard"


def test_old_and_new_slugs_match_alike_whoever_holds_which():
    taxonomy = Taxonomy.from_mapping(RENAMED)
    visas, stay = {"visas", "visa", "visa-rules"}, {"stay", "entry"}
    for held in visas:
        assert taxonomy.closure([held]) == visas | stay
    assert taxonomy.descendants("stay") == visas | stay
    assert taxonomy.descendants("visa") == visas
    assert taxonomy.closure(["law", "unheard"]) == {"law", "unheard"}
    assert taxonomy.slugs == ("stay", "visas", "law")


@pytest.mark.parametrize(
    ("was", "line"),
    [
        (["law"], 'topic "visas": was "law", but that is the slug of a topic; take it out'),
        (["visas"], 'topic "visas": was "visas", but that is the slug of a topic; take it out'),
        (["rights"], 'topic "visas": was "rights", but so was "law"; keep one of the two'),
        (["Visa"], "topic \"visas\": was holds 'Visa'; it must be a former slug: a-z, 0-9, and - or _ between"),
        (["all"], "topic \"visas\": was holds 'all'; it must be a former slug: a-z, 0-9, and - or _ between"),
        ([7], 'topic "visas": was holds 7; it must be a former slug: a-z, 0-9, and - or _ between'),
        ("visa", "topic \"visas\": was is 'visa'; it must be a list of former slugs, at most 20"),
    ],
)
def test_a_former_slug_leads_to_one_topic_only(was, line):
    rows = [
        {"slug": "law", "name": {"en": "Law"}, "was": ["rights"]},
        {"slug": "visas", "name": {"en": "Visas"}, "was": was},
    ]
    with pytest.raises(BadTopics) as refused:
        Taxonomy.from_mapping({"topic": rows})
    assert str(refused.value) == line
