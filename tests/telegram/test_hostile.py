"""Whatever was written, Telegram takes what is made of it: its own parser judges, and no limit is broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from html import escape
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.telegram.hashtags import hashtag
from bots.telegram.render import Renderings, Style, render
from syndicator.domain.letters import Item
from syndicator.domain.model import Attachment, Release, State
from syndicator.domain.topics import Taxonomy
from tests.telegram.nasty import ANY, LINE, LONG_BODIES, examples

STYLES = [Style(text, media) for text, media in product(("full", "lead"), ("preview", "photo", "none"))]
FILES = st.lists(
    st.builds(
        Attachment,
        url=st.one_of(ANY, st.just("/media/a.jpg"), st.just("https://a.az/f.pdf")),
        media_type=st.sampled_from(["image/jpeg", "application/pdf"]),
        title=LINE,
        alt=LINE,
        credit=LINE,
    ),
    max_size=3,
)


@pytest.fixture
def judged(rules):
    """Judges parts as Telegram would: with a button, with the page in words instead, and as plain text."""

    def judge(parts, most=3):
        assert 1 <= len(parts) <= most
        for part in parts:
            limit = 1024 if part.photo else 4096
            text, marks = rules.parsed(part.html, "HTML")
            assert text == part.plain == part.plain.strip()
            link = f"\n\n{part.link}" if part.link else ""
            with_link, _ = rules.parsed(part.html + escape(link, quote=False), "HTML")
            assert with_link == rules.parsed(part.plain + link)[0]
            assert rules.units(with_link) <= limit
            assert len(part.html.encode()) <= 16_000
            found = rules.execute({"@type": "getTextEntities", "text": with_link})["entities"]
            assert len(marks) + len(found) <= 100
            assert bool(part.button.strip()) is part.url.startswith("https://press.example.org/")
            assert rules.units(part.button) <= 64
            assert len(part.url) <= 2048
        assert [bool(part.button) for part in parts] == [False] * (len(parts) - 1) + [True]
        return parts

    return judge


def named(topic):
    names = {"en": topic if topic.strip() else "x"}
    rows = [{"slug": "entry", "name": names}, {"slug": "visas", "name": names, "parent": "entry"}]
    return Taxonomy.from_mapping({"topic": rows})


@examples(40)
@given(
    title=LINE,
    body=LONG_BODIES,
    summary=LINE,
    note=LINE,
    topic=ANY,
    files=FILES,
    urgent=st.booleans(),
    style=st.sampled_from(STYLES),
)
def test_a_release_with_anything_in_it_is_taken(
    site, texts, release, judged, title, body, summary, note, topic, files, urgent, style
):
    about = release(title=title, body=body, summary=summary, note=note, urgent=urgent, attachments=tuple(files))
    parts = judged(render(about, "en", texts("en"), site, named(topic), style))
    assert [part.photo is not None for part in parts[1:]] == [False] * (len(parts) - 1)


@examples(25)
@given(
    rows=st.lists(
        st.tuples(LINE, LINE, LINE, st.booleans(), st.sampled_from([State.PUBLIC, State.WITHDRAWN])), max_size=8
    ),
    times=st.sampled_from([1, 1, 6]),
    lang=st.sampled_from(["az", "en", "ru"]),
    followed=st.booleans(),
)
def test_a_digest_of_anything_is_taken(site, texts, taxonomy, release, judged, now, rows, times, lang, followed):
    items = []
    for number, (title, summary, note, urgent, state) in enumerate(rows * times, 1):
        about = release(title=title, summary=summary, text=summary, note=note, urgent=urgent, number=number)
        items.append(Item(replace(about, state=state), "en"))
    shown = [one for one in items if followed or one.release.state is State.PUBLIC]
    parts = Renderings(site, taxonomy).digest(items, texts(lang), now, followed=followed)
    if shown:
        judged(parts, most=5)
    else:
        assert parts == ()


@examples(40)
@given(title=LINE, notes=st.lists(LINE, max_size=9), note=LINE, lang=st.sampled_from(["az", "en", "ru"]))
def test_a_correction_with_any_notes_is_taken(site, texts, taxonomy, release, judged, title, notes, note, lang):
    about = release(title=title, note=note)
    judged(Renderings(site, taxonomy).correction(about, "en", texts(lang), notes), most=1)


@examples(40)
@given(title=LINE, reason=LINE, lang=st.sampled_from(["az", "en", "ru"]))
def test_a_withdrawal_for_any_reason_is_taken_and_fits_below_a_photo(
    site, texts, taxonomy, release, rules, judged, title, reason, lang
):
    about = replace(release(title=title), state=State.WITHDRAWN, reason=reason)
    (part,) = judged(Renderings(site, taxonomy).withdrawal(about, "en", texts(lang)), most=1)
    assert rules.units(f"{part.plain}\n\n{part.link}") <= 1024


@examples(100)
@given(name=ANY)
def test_any_name_of_a_topic_gives_one_hashtag_or_none(rules, name):
    tag = hashtag(name)
    assert rules.hashtags(tag) == ([tag] if tag else [])
    assert rules.hashtags(f"{tag} {tag} x") == ([tag, tag] if tag else [])


LONG = [
    pytest.param("<p>" + "x" * 20_000 + "</p>", id="one word of 20,000 letters"),
    pytest.param("<p>" + "😀" * 10_000 + "</p>", id="emoji"),
    pytest.param("<p>" + "e\u0301\u0323" * 7_000 + "</p>", id="combining marks"),
    pytest.param("<p>" + "\u0301" * 20_000 + "</p>", id="nothing but combining marks"),
    pytest.param("<p>" + "👩‍👩‍👧‍👦" * 2_000 + "</p>", id="families"),
    pytest.param("<p>" + "a.az " * 3_000 + "</p>", id="hosts"),
    pytest.param("<p>" + "#a @abcde /b $USD 10:00 " * 900 + "</p>", id="all that is found by itself"),
    pytest.param("<p>" + '<a href="https://a.az/">x</a> ' * 900 + "</p>", id="links"),
    pytest.param("<p>" + "<strong>a</strong> " * 3_000 + "</p>", id="marks"),
    pytest.param("<p>" + "&amp;&lt;&gt;" * 3_000 + "</p>", id="what is escaped"),
    pytest.param("<blockquote>" * 50 + "x " * 5_000 + "</blockquote>" * 50, id="quotes in quotes"),
    pytest.param("<ul><li>" * 200 + "x " * 5_000 + "</li></ul>" * 200, id="lists in lists"),
    pytest.param("<table>" + "<tr><td>1</td><td><pre>2</pre></td></tr>" * 2_000 + "</table>", id="a long table"),
    pytest.param("<pre>" + "code\n" * 4_000 + "</pre>", id="code"),
    pytest.param("<p>" + "שלום עולם " * 2_000 + "</p>", id="right to left"),
]


@pytest.mark.parametrize("body", LONG)
def test_a_long_text_of_any_kind_is_taken(site, texts, taxonomy, release, judged, body):
    for urgent, style in [(False, Style()), (True, Style()), (False, Style("lead", "photo"))]:
        about = release(body=body, urgent=urgent, image=True)
        judged(render(about, "en", texts("en"), site, taxonomy, style))


def test_the_most_that_a_digest_can_hold_is_a_few_messages(site, texts, taxonomy, release, judged, now):
    wide = "Ə" * 5000
    items = [
        Item(_old(release(title=wide, summary=wide, note=wide, urgent=True, number=n), n), "en") for n in range(1, 61)
    ]
    parts = judged(Renderings(site, taxonomy).digest(items, texts("en"), now), most=5)
    assert sum(part.plain.count("Corrected: ") for part in parts) == 25
    assert "And 35 more on the site." in parts[-1].plain


def _old(about: Release, days: int) -> Release:
    return replace(about, public_at=about.public_at - timedelta(days=days))
