"""What a release looks like on Telegram, judged by Telegram's own parser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import frontmatter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.telegram.render import Renderings, Style, hashtag, render
from bots.telegram.richtext import Limits, Run, plain, split, units, visible
from syndicator.domain.model import Attachment, BodyFormat
from syndicator.domain.text import clean
from syndicator.domain.topics import Taxonomy
from tests.telegram.nasty import LINE, examples

FULL = Style()


@pytest.fixture
def rendered(site, taxonomy, texts, release):
    def made(reader="en", topics=taxonomy, topics_of=("visas",), style=FULL, **values):
        about = release(topics=topics_of, **values)
        return render(about, about.langs[0], texts(reader), site, topics, style)

    return made


def test_a_short_release_is_one_message_with_title_text_hashtag_and_button(rendered, rules):
    (part,) = rendered()
    text, entities = rules.parsed(part.html, "HTML")
    assert text == "Visas get cheaper\n\nFrom Monday.\n\n#Visas #Entry_and_stay"
    assert entities[0]["type"]["@type"] == "textEntityTypeBold"
    assert (part.button, part.url) == ("Read on the site", "https://press.example.org/en/releases/12-visas")


@pytest.mark.parametrize(
    ("lang", "button", "urgent", "corrected", "tag"),
    [
        ("en", "Read on the site", "Urgent", "Corrected", "#Visas #Entry_and_stay"),
        ("az", "Saytda oxuyun", "Təcili", "Düzəliş edilib", "#Vizalar #Giriş_və_olma"),
        ("ru", "Читать на сайте", "Срочно", "Исправлено", "#Визы #Въезд_и_пребывание"),
    ],
)
def test_the_frame_speaks_the_readers_language(rendered, lang, button, urgent, corrected, tag):
    (part,) = rendered(reader=lang, lang=lang, urgent=True, note="the fee is 20")
    assert part.button == button
    assert part.plain.startswith(f"❗️ {urgent}\n\n")
    assert f"✏️ {corrected}: the fee is 20" in part.plain
    assert part.plain.endswith(tag)


@pytest.mark.parametrize(
    ("body", "html"),
    [
        ("<p>a &amp; b &lt;c&gt;</p>", "a &amp; b &lt;c&gt;"),
        ("<h2>Head</h2><p>x</p>", "<b>Head</b>\n\nx"),
        ("<h2><strong>Head</strong></h2>", "<b>Head</b>"),
        ("<ul><li>one</li><li>two<ul><li>deep</li></ul></li></ul>", "• one\n• two\n\u2003• deep"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ("<p>H<sub>2</sub>O, 5 m<sup>2</sup></p>", "H₂O, 5 m²"),
        ("<p>the 2<sup>nd</sup>, 10<sup>-3</sup>, x<sup>n+1</sup></p>", "the 2nd, 10⁻³, xⁿ⁺¹"),
        ("<p>1<sup>st</sup> a<sub>max</sub> a<sub>n1</sub> a<sub>( 1 )</sub></p>", "1st amax an1 a₍ ₁ ₎"),
        ("<blockquote><p>a</p><p>b</p></blockquote><p>c</p>", "<blockquote>a\n\nb</blockquote>\n\nc"),
        (
            "<blockquote>a</blockquote><blockquote>b</blockquote>",
            "<blockquote>a</blockquote>\n\n<blockquote>b</blockquote>",
        ),
        ("<pre><code>if a:\n  b</code></pre>", "<pre>if a:\n  b</pre>"),
        ("<p><strong>a <em>b</em></strong></p>", "<b>a <i>b</i></b>"),
        ('<p><a href="https://a.az/?x=1&amp;y=2">go</a></p>', '<a href="https://a.az/?x=1&amp;y=2">go</a>'),
        ('<p><a href="/media/f.pdf">file</a></p>', '<a href="https://press.example.org/media/f.pdf">file</a>'),
        ('<p><a href="javascript:alert(1)">no</a></p>', "no"),
        ('<p><a href="mailto:press@a.az">write</a></p>', "write (press@a.az)"),
        ('<p><a href="tel:+99412">+99412</a></p>', "+99412"),
        ('<p><a href="tel:+99412">+99 (4) 1-2</a></p>', "+99 (4) 1-2"),
        (
            "<table><tr><th>Visa</th><th>Fee</th></tr><tr><td>A</td><td>20</td></tr></table>",
            "<b>Visa</b> | <b>Fee</b>\nA | 20",
        ),
        ("<p>line<br>next</p>", "line\nnext"),
        ("<p>x</p><hr><p>y</p>", "x\n\n———\n\ny"),
    ],
)
def test_the_body_becomes_what_telegram_knows(rendered, rules, body, html):
    (part,) = rendered(body=body, topics=Taxonomy())
    assert part.html.removeprefix("<b>Visas get cheaper</b>").strip() == html
    rules.parsed(part.html, "HTML")


def test_a_long_release_is_one_message_with_its_first_paragraphs_and_the_button(rendered, rules):
    body = "".join(f"<p>Paragraph {n}. {'word ' * 60}</p>" for n in range(40))
    (part,) = rendered(body=body)
    text, _ = rules.parsed(part.html, "HTML")
    assert "Paragraph 0." in text
    assert rules.units(text) < 1500
    assert part.button


def test_a_long_release_with_a_summary_gives_the_summary(rendered):
    (part,) = rendered(body="<p>" + "word " * 2000 + "</p>", summary="In short: cheaper.")
    assert part.plain == "Visas get cheaper\n\nIn short: cheaper.\n\n#Visas #Entry_and_stay"


def test_an_urgent_long_release_comes_whole(rendered, rules):
    body = "".join(f"<p>Paragraph {n}. <strong>{'word ' * 60}</strong></p>" for n in range(25))
    parts = rendered(body=body, urgent=True, image=True)
    assert len(parts) == 3
    told = "".join(rules.parsed(part.html, "HTML")[0] for part in parts)
    assert all(f"Paragraph {n}." in told for n in range(25))
    assert [bool(part.button) for part in parts] == [False, False, True]
    assert [bool(part.preview) for part in parts] == [True, False, False]


@pytest.mark.parametrize("summary", ["From Monday.", "From…"])
def test_a_summary_that_only_begins_the_body_is_not_said_twice(rendered, summary):
    (part,) = rendered(summary=summary)
    assert part.plain.count("From Monday.") == 1


def test_files_are_linked_by_their_titles(rendered, rules):
    form = Attachment("/media/form.pdf", "application/pdf", title="The form")
    (part,) = rendered(attachments=(form,))
    assert '📎 <a href="https://press.example.org/media/form.pdf">The form</a>' in part.html


def test_a_title_of_which_nothing_can_be_seen_gives_way_to_the_office(rendered):
    (part,) = rendered(title="\u200b\u3164 ", body="", topics=Taxonomy())
    assert part.plain == "Migration Service"


def test_each_version_is_rendered_once(site, taxonomy, texts, release):
    renderings = Renderings(site, taxonomy, size=2)
    first = renderings.of(release(), "en", texts("en"))
    assert renderings.of(release(), "en", texts("en")) is first
    assert renderings.of(release(), "en", texts("az")) is not first
    assert renderings.of(release(change=2), "en", texts("en")) is not first


@pytest.mark.parametrize("changed", [{"topics": ("refugees",)}, {"urgent": True}, {"title": "Visas"}])
def test_what_changed_without_a_word_is_rendered_anew(site, taxonomy, texts, release, changed):
    renderings = Renderings(site, taxonomy)
    first = renderings.of(release(), "en", texts("en"))
    if "title" in changed:  # a silent revision has a number of its own
        about = release(**changed)
        said = replace(about.variants[0].revision, number=2)
        about = replace(about, variants=(replace(about.variants[0], revision=said),))
    else:
        about = release(**changed)
    assert renderings.of(about, "en", texts("en")) != first


def test_each_style_is_kept_apart(site, taxonomy, texts, release):
    renderings = Renderings(site, taxonomy)
    about = release(image=True, summary="In short.")
    styles = [Style(text, media) for text in ("full", "lead") for media in ("preview", "photo", "none")]
    assert len({renderings.of(about, "en", texts("en"), style) for style in styles}) == 6


def test_a_chat_that_wants_leads_gets_the_summary_or_the_first_paragraph(rendered):
    (part,) = rendered(summary="In short: cheaper.", style=Style("lead"))
    assert part.plain.split("\n\n")[:-1] == ["Visas get cheaper", "In short: cheaper."]
    body = "".join(f"<p>Paragraph {n}. {'word ' * 70}</p>" for n in range(3))
    (part,) = rendered(body=body, style=Style("lead"))
    assert "Paragraph 0." in part.plain
    assert "Paragraph 1." not in part.plain


def test_topics_above_a_releases_own_are_tags_too_and_come_last(rendered):
    (part,) = rendered(topics_of=("visas", "refugees"))
    assert part.plain.endswith("#Visas #Refugees #Entry_and_stay")


def test_a_language_that_is_not_there_is_an_error(site, taxonomy, texts, release):
    with pytest.raises(LookupError):
        render(release(), "ru", texts("ru"), site, taxonomy)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("Səhiyyə Nazirliyi", "#Səhiyyə_Nazirliyi"),
        ("Экономика", "#Экономика"),
        ("2026", ""),
        ("Year 2026", "#Year_2026"),
        ("a-b, c", "#a_b_c"),
        ("Migrants’ rights", "#Migrants_rights"),
        ("…", ""),
        ("İcazə", "#İcazə"),
    ],
)
def test_topics_become_hashtags(rules, name, tag):
    assert hashtag(name) == tag
    assert rules.hashtags(tag) == ([tag] if tag else [])


@examples(40)
@given(text=LINE.map(lambda one: one.encode("utf-8", "replace").decode()), size=st.integers(1, 50))
def test_splitting_loses_nothing_but_space_and_stays_in_bounds(text, size):
    parts = split((Run(text, (("b", ""),)),), Limits(units=max(size, 2)))
    assert all(units(plain(part)) <= max(size, 2) for part in parts)
    squeezed = re.sub(r"\s", "", "".join(plain(part) for part in parts))
    assert letters(squeezed) == letters(text)


def letters(text):
    return [char for char in text if char.isalnum() and visible(char)]


def test_a_cut_falls_between_paragraphs_sentences_or_words():
    cases = [
        ("aaa bbb\n\nccc ddd", 12, "aaa bbb"),
        ("One two. Three four", 14, "One two."),
        ("one two three", 9, "one two"),
        ("a😀😀", 4, "a😀"),
        ("aae\u0301", 3, "aa"),
    ]
    for text, size, first in cases:
        assert plain(split((Run(text),), Limits(units=size))[0]) == first


DEMO = sorted(Path("config/demo").glob("*.*.*"))
FORMATS = {".md": BodyFormat.MARKDOWN, ".html": BodyFormat.HTML, ".txt": BodyFormat.TEXT}


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.name)
def test_every_demo_release_is_one_message_that_telegram_takes(site, taxonomy, texts, release, rules, path):
    lang = path.name.split(".")[-2]
    document = frontmatter.loads(path.read_text(encoding="utf-8"))
    body = clean(document.content, FORMATS[path.suffix])
    about = release(lang, title=str(document.get("title", path.stem)), body=body)
    (part,) = render(about, lang, texts(lang), site, taxonomy)
    text, _ = rules.parsed(part.html, "HTML")
    assert text == part.plain
    assert "<" not in text
