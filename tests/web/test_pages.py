"""The public pages, as a reader's browser gets them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from syndicator.domain.bounces import FORGOTTEN
from syndicator.domain.model import Attachment, State, Urgency
from syndicator.store import releases

LANGUAGES = ("az", "en", "ru")
PAGES = ("", "search", "feeds", "privacy", "subscribe", "topics/", "topics/visas")


class Outline(HTMLParser):
    """What a screen reader and a search engine look for on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and all(a.get(k) == v for k, v in wanted.items())]


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_every_page_opens_in_every_language_and_is_well_marked_up(visitor, newsroom, lang):
    await newsroom.publish(topics=["visas"])
    for page in PAGES:
        answer = await visitor.get(f"/{lang}/{page}")
        assert (answer.status, answer.content_type) == (200, "text/html"), page
        check_markup(Outline(await answer.text()), lang)


def check_markup(outline: Outline, lang: str) -> None:
    assert outline.all("html", lang=lang)
    assert [len(outline.all(tag)) for tag in ("h1", "main")] == [1, 1]
    assert outline.all("a", href="#main")
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for label in outline.all("label"):
        assert label["for"] in ids
    for _, attrs in outline.tags:
        assert not [name for name in attrs if name == "style" or name.startswith("on")]
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((attrs.get(name) or "").split()) <= set(ids)


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_every_page_names_its_siblings_and_its_feeds(visitor, lang):
    for page in PAGES:
        check_links(Outline(await visitor.text(f"/{lang}/{page}")), page, lang)


def check_links(outline: Outline, page: str, lang: str) -> None:
    base = "https://press.example.org"
    assert outline.all("link", rel="canonical", href=f"{base}/{lang}/{page}")
    for other in LANGUAGES:
        assert outline.all("link", rel="alternate", hreflang=other, href=f"{base}/{other}/{page}")
    feeds = [link for link in outline.all("link", rel="alternate") if "type" in link]
    assert {link["type"] for link in feeds} == {"application/rss+xml", "application/atom+xml", "application/feed+json"}
    titles = [link["title"] for link in feeds]
    assert len(titles) == len(set(titles))
    assert f"{base}/feeds/{lang}/all.rss" in [link["href"] for link in feeds]


@pytest.mark.parametrize(
    ("asked", "accepts", "lands"),
    [
        ("/", "", "/az/"),
        ("/", "ru-RU,ru;q=0.9,en;q=0.8", "/ru/"),
        ("/", "de, en;q=0.3, ru;q=0.2", "/en/"),
        ("/", "en;q=0, ru;q=0.1", "/ru/"),
        ("/", "nonsense;;;q=x,,", "/az/"),
        ("/?lang=en", "ru", "/en/"),
        ("/?lang=xx", "ru", "/ru/"),
    ],
)
async def test_the_front_door_leads_to_the_readers_language(visitor, asked, accepts, lands):
    answer = await visitor.get(asked, headers={"Accept-Language": accepts})
    assert (answer.status, answer.headers["Location"]) == (302, lands)
    assert "Accept-Language" in answer.headers["Vary"]


async def test_a_language_without_its_slash_leads_home(visitor):
    answer = await visitor.get("/ru")
    assert (answer.status, answer.headers["Location"]) == (301, "/ru/")


async def test_urgent_notices_stand_above_everything_while_they_are_fresh(visitor, newsroom, clock):
    await newsroom.publish("Systems are down", urgency=Urgency.URGENT)
    await newsroom.publish("An open day")
    text = await visitor.text("/en/")
    assert text.index("Urgent notice") < text.index("Systems are down") < text.index("An open day")
    assert 'class="alert"' in text
    for number in range(14):
        await newsroom.publish({"en": f"Busy day {number}"})
    text = await visitor.text("/en/")
    assert text.index("Systems are down") < text.index("Busy day")
    clock.move(days=4)
    text = await visitor.text("/en/")
    assert 'class="alert"' not in text
    assert "Systems are down" in await visitor.text("/en/search")


async def test_a_topic_page_shows_its_children_too_and_how_to_follow(visitor, newsroom):
    await newsroom.publish("On refugees", topics=["refugees"])
    await newsroom.publish("On offices", topics=["office"])
    text = await visitor.text("/en/topics/migration")
    assert "On refugees" in text
    assert "On offices" not in text
    for way in (
        "/en/subscribe?topic=migration",
        "https://t.me/aldera_bot?start=migration",
        "https://press.example.org/feeds/en/migration.rss",
    ):
        assert way in text


NOWHERE = (
    "/en/topics/nothing",
    "/en/topics/all",
    "/en/releases/0",
    "/en/releases/999999999",
    "/en/releases/99999999999999999999999999",
    "/en/releases/٣",
    "/en/releases/-1",
    "/en/releases/x",
    "/en/search?page=2",
    "/en/search?page=0",
    "/en/search?page=x",
    "/en/search?page=99999999999",
    "/en/nothing",
    "/de/",
    "/nothing",
    "/static/site.css",
    "/static/..%2Fapp.py",
    "/media/nothing.jpg",
    "/media/..%2f..%2fetc%2fpasswd",
)


async def test_the_list_of_topics_says_how_much_there_is_on_each(visitor, newsroom, clock):
    await newsroom.publish({"en": "One", "az": "Bir"}, topics=["visas"])
    await newsroom.publish({"en": "Two"}, topics=["e-visa"])
    await newsroom.publish(
        {"en": "Later"}, topics=["visas"], public_at=clock() + timedelta(days=1), state=State.SCHEDULED
    )
    text = " ".join((await visitor.text("/en/topics/")).split())
    for slug, name, said in (
        ("visas", "Visas", "2 releases"),
        ("e-visa", "E-visa", "1 release"),
        ("refugees", "Refugees", "0 releases"),
    ):
        assert f'<a href="/en/topics/{slug}">{name}</a> <span class="quiet">{said}</span>' in text
    assert "1 məlumat" in await visitor.text("/az/topics/")
    assert '/en/topics/"' in await visitor.text("/en/")
    answer = await visitor.get("/en/topics")
    assert (answer.status, answer.headers["Location"]) == (301, "/en/topics/")


async def test_what_is_not_there_is_a_404_with_a_page(visitor):
    for path in NOWHERE:
        answer = await visitor.get(path)
        assert answer.status == 404, path
        assert "<h1>" in await answer.text()


async def test_search_finds_words_however_they_are_typed(visitor, newsroom):
    await newsroom.publish({"az": "Elektron vizası gecikir"}, text="Şəhərdə iş saatları")
    for words in ("viza", "VİZA", "seher", "şəhər", "is saat", "elektron VIZASI"):
        assert "Elektron vizası" in await (await visitor.get("/az/search", params={"q": words})).text()
    for words in ("izasi", "pasport", "viza pasport"):
        assert "Elektron vizası" not in await (await visitor.get("/az/search", params={"q": words})).text()


async def test_search_by_topic_takes_the_children_in(visitor, newsroom):
    await newsroom.publish("On refugees", topics=["refugees"])
    await newsroom.publish("On offices", topics=["office"])
    text = await visitor.text("/en/search?topic=migration&topic=office")
    assert "2 releases" in text
    text = await visitor.text("/en/search?topic=migration")
    assert "On refugees" in text
    assert "On offices" not in text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("q=%21%21", "hold no letter or digit"),
        ("topic=vizas", "choose the topics once more"),
        ("q=" + "+".join(f"w{chr(97 + n)}x" for n in range(12)), "10 are the most"),
        ("topic=" + "a" * 3000, "selection is too long"),
        ("kind=../x", "choose the kinds once more"),
    ],
)
@pytest.mark.parametrize("page", ["search", "subscribe"])
async def test_a_bad_filter_is_refused_with_one_clear_line(visitor, page, query, says):
    answer = await visitor.get(f"/en/{page}?{query}")
    assert answer.status == 400
    assert says in await answer.text()


async def test_what_other_sites_add_to_an_address_is_passed_over(visitor, newsroom):
    await newsroom.publish("An open day")
    assert "An open day" in await visitor.text("/en/search?q=open&utm_source=x&fbclid=y")


async def test_long_lists_are_cut_into_pages_that_lead_to_each_other(visitor, newsroom, clock):
    for number in range(45):
        clock.move(minutes=1)
        await newsroom.publish({"en": f"Release {number:02}"}, topics=["visas"])
    for path in ("/en/search?topic=visas", "/en/topics/visas"):
        mark = "&amp;" if "?" in path else "?"
        seen = []
        for page in (1, 2, 3):
            text = await visitor.text(path + ("&" if "?" in path else "?") + f"page={page}")
            seen += [f"Release {n:02}" for n in range(45) if f">Release {n:02}<" in text]
            assert (f'rel="next" href="{path}{mark}page={page + 1}"' in text) == (page < 3)
            assert ('rel="prev"' in text) == (page > 1)
        assert sorted(seen) == [f"Release {n:02}" for n in range(45)]


async def test_the_feeds_page_lists_every_stream_in_three_forms(visitor, parts):
    text = await visitor.text("/ru/feeds")
    for stream in parts.catalogue.links("ru"):
        for address in (stream.rss, stream.atom, stream.json):
            assert f'href="{address}"' in text


async def test_the_sitemap_names_releases_in_each_language(visitor, newsroom):
    release = await newsroom.publish({"az": "Viza", "en": "Visa"})
    text = await visitor.text("/sitemap.xml")
    assert f"<loc>https://press.example.org/az/releases/{release.number}-office-hours</loc>" in text
    assert "/ru/releases/" not in text


async def test_a_release_shows_its_picture_its_files_and_where_else_it_can_be_read(visitor, newsroom):
    release = await newsroom.publish(
        {"en": "Open day", "ru": "День открытых дверей"},
        attachments=[
            Attachment("/media/a.jpg", "image/jpeg", 2000, "The hall", "People in a hall", "R. Mammadova"),
            Attachment("https://elsewhere.example/b.jpg", "image/jpeg", 0, "", "A far picture"),
            Attachment("/media/plan.pdf", "application/pdf", 1_250_000, "The plan"),
        ],
        rights="© The Service",
        link="https://migration.example.org/x",
        topics=["office"],
    )
    text = await visitor.text(f"/en/releases/{release.number}-office-hours")
    outline = Outline(text)
    assert outline.all("img") == [{"src": "/media/a.jpg", "alt": "People in a hall"}]
    assert "R. Mammadova" in text
    assert outline.all("a", href="https://elsewhere.example/b.jpg")
    assert "The plan</a>" in text
    assert "1.2 MB" in text
    assert "© The Service" in text
    assert outline.all("a", hreflang="ru", href=f"/ru/releases/{release.number}-office-hours")
    assert not outline.all("link", hreflang="az")
    for name, value in (
        ("og:title", "Open day"),
        ("og:url", f"https://press.example.org/en/releases/{release.number}-office-hours"),
        ("og:image", "https://press.example.org/media/a.jpg"),
        ("og:image:alt", "People in a hall"),
    ):
        assert outline.all("meta", property=name, content=value)


async def test_a_release_in_no_such_language_says_which_there_are(visitor, newsroom):
    release = await newsroom.publish({"az": "Açıq qapı günü"})
    answer = await visitor.get(f"/en/releases/{release.number}-x")
    assert answer.status == 404
    assert f'href="/az/releases/{release.number}-office-hours"' in await answer.text()


@pytest.mark.parametrize("tail", ["", "-wrong", "-office-hours-", "-Office-Hours"])
async def test_a_misspelt_address_of_a_release_leads_to_the_one_address(visitor, newsroom, tail):
    release = await newsroom.publish()
    answer = await visitor.get(f"/en/releases/{release.number}{tail}")
    assert (answer.status, answer.headers["Location"]) == (301, f"/en/releases/{release.number}-office-hours")


async def test_an_old_address_leads_to_the_release_that_a_restore_gave_another_number(visitor, newsroom, now):
    for _ in range(2):
        await newsroom.publish("Gone", state=State.DRAFT, slug="hidden")
    await newsroom.publish({"en": "Weekly"}, slug="weekly")
    found = await newsroom.publish({"en": "Hours", "az": "Saatlar"}, slug="office-hours")
    await newsroom.publish({"en": "Weekly"}, slug="weekly")
    await newsroom.publish({"en": "Later"}, slug="later", public_at=now + timedelta(hours=1))
    answers = {}
    for name in (
        "en/releases/1-office-hours",
        "ru/releases/1-office-hours",
        "en/releases/1-weekly",
        "en/releases/1",
        "en/releases/2-later",
        "en/releases/2-hidden",
        "en/releases/900-office-hours",
        "en/releases/1-",
    ):
        answer = await visitor.get(f"/{name}")
        answers[name] = (answer.status, answer.headers.get("Location"))
    assert answers.pop("en/releases/1-office-hours") == (302, f"/en/releases/{found.number}-office-hours")
    assert set(answers.values()) == {(404, None)}


async def test_corrections_stand_at_the_top_with_their_dates(visitor, newsroom, clock):
    await newsroom.publish({"en": "Hours"}, key="k")
    clock.move(hours=2)
    await newsroom.publish({"en": "Hours"}, key="k", body="<p>From Tuesday.</p>", note="The day was wrong.")
    clock.move(hours=2)
    await newsroom.publish({"en": "Hours"}, key="k", body="<p>From Friday.</p>", note="The day was wrong again.")
    release_text = await visitor.text("/en/releases/1-office-hours")
    first, second = release_text.index("The day was wrong again."), release_text.index("The day was wrong.")
    assert first < second < release_text.index("From Friday.")
    assert "21 November 2026, 17:00" in release_text
    assert "From Monday" not in release_text
    assert "article:modified_time" in release_text


async def test_a_note_is_told_also_when_the_text_came_with_it(visitor, newsroom):
    first = await newsroom.publish({"en": "Hours"}, key="k", note="Replaces the notice of Monday.")
    assert "Replaces the notice of Monday." in await visitor.text(f"/en/releases/{first.number}-office-hours")


async def test_a_withdrawn_release_is_gone_with_its_reason_and_without_its_text(visitor, newsroom, clock):
    release = await newsroom.publish(
        "A secret title", body="<p>A secret body</p>", summary="secret", slug="secret-slug"
    )
    clock.move(days=1)
    await newsroom.withdraw(release, "It named a minor.")
    for tail in ("", "-secret-slug", "-anything"):
        answer = await visitor.get(f"/en/releases/{release.number}{tail}")
        text = await answer.text()
        assert answer.status == 410
        assert "It named a minor." in text
        assert "22 November 2026" in text
        assert "A secret" not in text
        assert "secret-slug" not in text
    for path in ("/en/", "/en/search?q=secret", "/sitemap.xml"):
        assert "A secret" not in await visitor.text(path)


async def test_embargoes_and_drafts_look_like_what_never_was(visitor, newsroom, clock, now):
    hidden = await newsroom.publish("Embargoed", public_at=now + timedelta(hours=1), topics=["visas"], slug="embargoed")
    draft = await newsroom.publish("Embargoed draft", state=State.DRAFT, topics=["visas"], slug="embargoed")
    gone = await newsroom.publish("Embargoed gone", public_at=now + timedelta(hours=1), slug="embargoed")
    await newsroom.withdraw(gone, "Never mind.")
    for release in (hidden, draft, gone):
        for tail in ("", "-embargoed", "-x"):
            answer = await visitor.get(f"/en/releases/{release.number}{tail}")
            never = await visitor.get(f"/en/releases/{release.number + 1000}{tail}")
            assert (answer.status, await answer.read()) == (404, await never.read())
            drop = {"Date"}
            assert {k: v for k, v in answer.headers.items() if k not in drop} == {
                k: v for k, v in never.headers.items() if k not in drop
            }
    for path in ("/en/", "/en/search?q=embargoed", "/en/topics/visas", "/en/search?topic=visas", "/sitemap.xml"):
        assert "mbargoed<" not in await visitor.text(path)
    clock.move(hours=1)
    async with newsroom.database.writing() as session:
        await releases.open_due(session, clock())
    assert "Embargoed" in await visitor.text(f"/en/releases/{hidden.number}-embargoed")


@pytest.mark.parametrize(("summary", "times"), [("From Monday.", 1), ("The desks move.", 2)])
async def test_a_summary_that_is_the_opening_of_the_text_is_not_said_twice(visitor, newsroom, summary, times):
    await newsroom.publish(summary=summary, body="<p>From Monday.</p>", text="From Monday.")
    shown = (await visitor.text("/en/releases/1-office-hours")).partition("<main")[2]
    assert sum(shown.count(words) for words in {summary, "From Monday."}) == times


async def test_a_wide_table_can_be_scrolled_with_the_keyboard_and_stays_a_table(visitor, newsroom):
    await newsroom.publish(body="<table><tbody><tr><td>1</td></tr></tbody></table>")
    shown = await visitor.text("/az/releases/1-office-hours")
    assert '<div class="wide" role="region" aria-label="Cədvəl" tabindex="0"><table>' in shown
    assert "</table></div>" in shown


async def test_the_privacy_page_says_how_long_as_it_is_set(parts, open_site):
    retention = parts.retention.model_copy(update={"left_days": 300.0})
    said = await (await open_site(replace(parts, retention=retention, confirm_for=timedelta(days=400)))).text(
        "/en/privacy"
    )
    for sentence in (
        "we record that for 300 days at most",
        "the request ends. 300 days later your address is erased",
        "we keep the new one and the old one for 400 days besides",
    ):
        assert sentence in said
    said = await (await open_site(parts)).text("/en/privacy")
    assert f"we record that for {FORGOTTEN.days} days at most" in said
