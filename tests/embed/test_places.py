"""The frame and the fragment: what they show, what they never show, and how they are kept."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html

from feeds.embed.wanted import LAYOUTS, THEMES, Wanted, read
from syndicator.domain.filters import BadFilter, Filter
from syndicator.domain.model import Attachment, State, Urgency
from syndicator.domain.topics import Taxonomy
from tests.conftest import TOPICS

BOTH = ("/embed/frame", "/embed/fragment")
HOSTILE = '<img src=x onerror="alert(1)">"\'&amp;]]>'


@pytest.mark.parametrize("path", BOTH)
async def test_newest_releases_are_real_links_with_their_day(press, path):
    await press.publish("Older", "1", public_at=press.now - timedelta(days=2))
    await press.publish("Newer", "2")
    page = html.fromstring(await press.text(f"{path}?lang=en"))
    links = page.xpath("//li//a")
    assert [link.text_content() for link in links] == ["Newer", "Older"]
    assert links[0].get("href") == f"{press.site.base_url}/en/releases/2-office-hours"
    assert [time.get("datetime")[:10] for time in page.xpath("//time")] == ["2026-11-21", "2026-11-19"]
    assert not page.xpath("//script")


CHOSEN = [
    ("lang=en", ["A visa", "An office"]),
    ("lang=en&topic=office", ["An office"]),
    ("lang=en&topic=migration", ["A visa"]),  # with all below it
    ("lang=en&not=visas", ["An office"]),
    ("lang=en&q=off", ["An office"]),
    ("lang=en&limit=1", ["A visa"]),
    ("lang=ru,en", ["Виза", "An office"]),  # each in the first language there is
    ("", ["Viza"]),  # the site's own language
]


async def test_a_filter_chooses(press):
    await press.publish({"en": "An office"}, "1", topics=["office"], public_at=press.now - timedelta(days=1))
    await press.publish({"az": "Viza", "en": "A visa", "ru": "Виза"}, "2", topics=["visas"], text="-")
    for path, (query, titles) in product(BOTH, CHOSEN):
        page = html.fromstring(await press.text(f"{path}?{query}"))
        assert [link.text_content() for link in page.xpath("//li//a")] == titles, (path, query)


@pytest.mark.parametrize("path", BOTH)
async def test_what_is_not_out_is_not_there(press, path):
    await press.publish("Secret draft", "1", state=State.DRAFT)
    await press.publish("Secret embargo", "2", state=State.SCHEDULED, public_at=press.now + timedelta(hours=1))
    early = await press.publish(
        "Secret that never came", "3", state=State.SCHEDULED, public_at=press.now + timedelta(hours=2)
    )
    await press.withdraw(early, "Secret reason")
    assert "Secret" not in await press.text(f"{path}?lang=en")


@pytest.mark.parametrize("path", BOTH)
async def test_a_withdrawn_release_says_so_for_as_long_as_in_feeds(press, path):
    release = await press.publish("Wrong", "1", summary="Wrong numbers.", text="wrong wrong")
    await press.publish("Right", "2", public_at=press.now - timedelta(days=3))
    await press.withdraw(release, "A mistake.")
    text = await press.text(f"{path}?lang=en")
    assert "Withdrawn: Wrong" in text
    assert "This release was withdrawn on 21 November 2026. A mistake." in text
    assert "Wrong numbers." not in text
    press.now += timedelta(days=91)
    text = await press.text(f"{path}?lang=en&limit=1")  # an old withdrawal takes up nobody's room
    assert ("Wrong" in text, "Right" in text) == (False, True)


@pytest.mark.parametrize("path", BOTH)
async def test_a_correction_shows_at_once_with_what_was_corrected(press, path):
    await press.publish("The fee is 25", "1")
    _, headers, _ = await press.answer(f"{path}?lang=en")
    await press.publish("The fee is 20", "1", note="The fee is 20, not 25.")
    status, again, text = await press.answer(f"{path}?lang=en", If_None_Match=headers["ETag"])
    assert status == 200
    assert again["ETag"] != headers["ETag"]
    for said in ("The fee is 20<", "Corrected", "The fee is 20, not 25."):
        assert said in text


async def test_urgent_ones_are_marked(press):
    await press.publish("Closed today", "1", urgency=Urgency.URGENT)
    assert "press-feed-urgent" in await press.text("/embed/fragment?lang=en")


@pytest.mark.parametrize("path", BOTH)
async def test_who_has_it_is_told_so_and_may_still_frame_it(press, path):
    _, headers, _ = await press.answer(path)
    assert headers["Cache-Control"].startswith("public, max-age=60")
    status, again, text = await press.answer(path, If_None_Match=headers["ETag"])
    assert (status, text) == (304, "")
    # A browser takes these over the ones it kept.
    for name in ("Content-Security-Policy", "Access-Control-Allow-Origin", "Cross-Origin-Resource-Policy", "ETag"):
        assert again[name] == headers[name]
    assert again.get("Vary") == headers.get("Vary")
    assert "Accept-Encoding" in again.get("Vary", "") or path == BOTH[1], "an empty fragment is too small to compress"


async def test_any_page_may_frame_the_frame_and_nothing_runs_in_it(press):
    _, headers, text = await press.answer("/embed/frame")
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == "*"
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["img-src"] == "'self'"
    assert policy["style-src"].startswith("'sha256-")
    assert "X-Frame-Options" not in headers
    assert "script" not in text


async def test_links_of_a_frame_open_beside_the_partners_page(press):
    await press.publish("A", "1")
    page = html.fromstring(await press.text("/embed/frame?lang=en"))
    for link in page.xpath("//a"):
        assert (link.get("target"), link.get("rel")) == ("_blank", "noopener")
        assert page.get_element_by_id(link.get("aria-describedby")).text_content() == "Opens in a new tab"


async def test_a_fragment_has_plain_classes_and_no_style(press):
    await press.publish("A", "1")
    text = await press.text("/embed/fragment?lang=en&heading=News")
    assert text.startswith('<section class="press-feed" lang="en"')
    assert '<h2 class="press-feed-heading"><bdi>News</bdi></h2>' in text
    assert not any(word in text for word in ("<style", "style=", "<html", "<body", "target="))


@pytest.mark.parametrize("path", BOTH)
async def test_hostile_words_stay_words(press, path):
    await press.publish(HOSTILE, "1", summary=HOSTILE, note=HOSTILE, slug="")
    page = html.fromstring(await press.text(f"{path}?lang=en&layout=full&heading={HOSTILE.replace('&', '%26')}"))
    assert page.xpath("//li//a")[0].text_content() == HOSTILE
    assert not page.xpath("//*[@onerror] | //li//img")


@pytest.mark.parametrize("path", BOTH)
async def test_a_title_without_end_is_cut_and_stands_by_itself(press, path):
    await press.publish("word " * 2000 + "\u202eevil", "1")
    page = html.fromstring(await press.text(f"{path}?lang=en"))
    title = page.xpath("//li//a/bdi")[0].text_content()
    assert len(title) <= 300
    assert "\u202e" not in title


@pytest.mark.parametrize("path", BOTH)
async def test_pictures_of_others_are_not_shown(press, path):
    own = Attachment(f"/media/{'a' * 32}.jpg", "image/jpeg", 9, alt="People at desks")
    other = Attachment("https://elsewhere.example/a.jpg", "image/jpeg", 9)
    await press.publish("Own", "1", attachments=[own])
    await press.publish("Other", "2", attachments=[other])
    page = html.fromstring(await press.text(f"{path}?lang=en&images=1"))
    shown = [(img.get("src"), img.get("alt")) for img in page.xpath("//img")]
    assert shown == [(f"{press.site.base_url}{own.url}", "People at desks")]
    assert "<img" not in await press.text(f"{path}?lang=en")


REFUSED = [
    ("topics=visas", "unknown parameter 'topics'"),
    ("topic=visa", "did you mean visas?"),
    ("lang=de", "lang: 'de' is unknown"),
    ("limit=0", "limit: '0' is no number from 1 to 20"),
    ("limit=21", "from 1 to 20"),
    ("limit=٣", "from 1 to 20"),
    ("layout=grid", "layout: 'grid' is unknown; allowed are compact, full, cards"),
    ("theme=pink", "allowed are auto, light, dark"),
    ("images=yes", "allowed are 0, 1"),
    ("q=---", "q: '---' holds no letter"),
    ("q=" + "a" * 5000, "allowed are 2000"),
    ("topic=visas&not=visas", "it can never match"),
]


async def test_a_bad_wish_is_refused_in_one_line(press):
    for path, (query, said) in product(BOTH, REFUSED):
        status, headers, text = await press.answer(f"{path}?{query}")
        assert status == 400, query
        assert headers["Content-Type"].startswith("text/plain")
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert said in text
        assert text.count("\n") == 1


@pytest.mark.parametrize("path", BOTH)
async def test_equal_wishes_get_equal_bytes_and_one_address(press, path):
    await press.publish("A", "1")
    spellings = ("topic=visas,office&lang=en&limit=05", "limit=5&TOPIC=office&topic=visas&lang=EN&images=0&layout=")
    answers = [await press.answer(f"{path}?{query}") for query in spellings]
    assert answers[0][2] == answers[1][2]
    expected = f'<{press.site.base_url}{path}?lang=en&topic=office,visas>; rel="canonical"'
    assert [headers["Link"] for _, headers, _ in answers] == [expected] * 2


async def test_a_page_that_does_not_change_is_read_once(press, monkeypatch):
    await press.publish("A", "1")
    await press.text("/embed/frame?lang=en")
    monkeypatch.setattr("syndicator.store.releases.listing", None)
    await press.text("/embed/frame?lang=en&theme=dark&layout=cards")  # the same releases, shown otherwise


@pytest.mark.parametrize("path", BOTH)
async def test_an_empty_embed_says_so(press, path):
    assert "Bu barədə hələ heç nə yoxdur." in await press.text(path)


async def test_head_is_answered_as_get_is(press):
    _, get, _ = await press.answer("/embed/frame")
    status, head, text = await press.answer("/embed/frame", "HEAD")
    assert (status, text, head["ETag"]) == (200, "", get["ETag"])


def test_a_renamed_topic_is_known_by_its_old_slug(site):
    topics = [{**one, "was": ["entry-permits"]} if one["slug"] == "visas" else one for one in TOPICS["topic"]]
    taxonomy = Taxonomy.from_mapping({"topic": topics})
    assert read([("topic", "entry-permits")], site.languages, taxonomy).filter.topics == ("visas",)


slugs = st.lists(st.sampled_from(["visas", "refugees", "office"]), max_size=2, unique=True)


@given(
    st.builds(
        Wanted,
        st.builds(Filter, st.just(("en", "az")), slugs.map(tuple), st.just(("e-visa",))),
        st.integers(1, 20),
        st.sampled_from(LAYOUTS),
        st.sampled_from(THEMES),
        st.sampled_from(["", "News", "a&b=c +%", "Xəbərlər"]),
        st.booleans(),
    )
)
@settings(max_examples=40, deadline=None)
def test_an_address_says_all_of_a_wish(wanted):
    taxonomy = Taxonomy.from_mapping(TOPICS)
    assert read(parse_qsl(wanted.query), ("az", "en", "ru"), taxonomy) == wanted


@given(
    st.lists(
        st.tuples(st.sampled_from(["lang", "topic", "limit", "theme", "x", "q", "heading"]), st.text(max_size=12)),
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None)
def test_no_wish_breaks_it(query):
    taxonomy = Taxonomy.from_mapping(TOPICS)
    try:
        wanted = read(query, ("az", "en", "ru"), taxonomy)
    except BadFilter as refused:
        assert "\n" not in str(refused)  # noqa: PT017  # either outcome is right
    else:
        assert 1 <= wanted.limit <= 20
