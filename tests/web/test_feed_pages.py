"""The feeds pages: what is chosen is what is shown, and what is shown is what the address holds."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
import segno

from syndicator.domain.deeplink import bot_link
from syndicator.domain.filters import Filter
from syndicator.domain.topics import Taxonomy
from tests.web.test_pages import Outline

BASE = "https://press.example.org"


@pytest.fixture
async def published(newsroom, clock):
    await newsroom.publish("Visa fees", topics=["visas"], kind="notice", text="New fees.")
    clock.move(hours=1)
    await newsroom.publish("E-visa portal", topics=["e-visa"], text="Photo check.")
    clock.move(hours=1)
    await newsroom.publish({"az": "Sığınacaq"}, topics=["refugees"])
    clock.move(hours=1)
    await newsroom.publish({"ru": "Часы приёма"}, topics=["office"])


def titles(text: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'<h3 class="card-title"><a [^>]*>([^<]+)</a>', text)]


def address(text: str, name: str = "rss") -> str:
    return unescape(re.search(rf'readonly id="{name}" value="([^"]+)"', text)[1])


@pytest.mark.parametrize(
    ("lang", "query", "feed", "found"),
    [
        ("en", "", "lang=en", ["E-visa portal", "Visa fees"]),
        ("en", "lang=en&lang=&lang=", "lang=en", ["E-visa portal", "Visa fees"]),
        ("en", "topic=visas&kind=news", "lang=en&topic=visas&kind=news", ["E-visa portal"]),
        ("en", "topic=migration&not=e-visa", "lang=en&topic=migration&not=e-visa", ["Visa fees"]),
        ("en", "q=Portal+PHOTO", "lang=en&q=photo+portal", ["E-visa portal"]),
        ("en", "q=nothing+has+this", "lang=en&q=has+nothing+this", []),
        ("en", "lang=ru&lang=az", "lang=ru,az", ["Часы приёма", "Sığınacaq", "E-visa portal", "Visa fees"]),
        ("az", "lang=ru,az&topic=office,refugees", "lang=ru,az&topic=office,refugees", ["Часы приёма", "Sığınacaq"]),
        ("az", "topic=visas&utm_source=x&page=7", "lang=az&topic=visas", ["E-visa portal", "Visa fees"]),
    ],
)
async def test_the_address_and_the_releases_beside_it_are_of_one_choice(visitor, published, lang, query, feed, found):
    text = await visitor.text(f"/{lang}/feeds?{query}")
    assert titles(text) == found
    for fmt in ("rss", "atom", "json", "opml"):
        assert address(text, fmt) == f"{BASE}/feeds/custom.{fmt}?{feed}"
    links = [one["href"] for one in Outline(text).all("link", rel="alternate", type="application/rss+xml")]
    assert links == [f"{BASE}/feeds/custom.rss?{feed}", f"{BASE}/feeds/{lang}/all.rss"]


async def test_a_release_in_another_language_says_so_to_screen_readers(visitor, published):
    text = await visitor.text("/en/feeds?lang=ru&lang=az")
    assert re.findall(r'<h3 class="card-title"><a [^>]*hreflang="(\w+)"', text) == ["ru", "az", "ru", "ru"]


async def test_the_same_choice_goes_to_mail_to_other_sites_and_to_the_search(visitor, newsroom):
    for number in range(11):
        await newsroom.publish(f"Visa {number}", topics=["visas"])
    text = unescape(await visitor.text("/en/feeds?topic=visas&not=e-visa&q=from&lang=ru"))
    assert "11 releases match now" in text
    assert len(titles(text)) == 10
    for link in (
        "/en/subscribe?topic=visas&not=e-visa&q=from&language=ru",
        "/en/embed?topic=visas&not=e-visa&q=from&language=ru",
        "/ru/search?topic=visas&not=e-visa&q=from",
        bot_link("aldera_bot", Filter(("ru",), ("visas",), ("e-visa",), words=("from",))).address,
    ):
        assert f'href="{link}"' in text
    form = await visitor.text("/en/subscribe?topic=visas&not=e-visa&q=from&language=ru")
    assert '<option value="ru" lang="ru" selected>' in form
    assert '<input type="hidden" name="not" value="e-visa">' in form


@pytest.mark.parametrize("page", ["search", "subscribe", "feeds"])
async def test_every_page_with_a_choice_leads_to_the_bot_with_it(visitor, page):
    wanted = Filter(topics=("e-visa", "office"), without=("visas",), words=("asan",))
    text = unescape(await visitor.text(f"/en/{page}?topic=office,e-visa&not=visas&q=asan"))
    assert f'href="{bot_link("aldera_bot", wanted).address}"' in text
    assert "carries only" not in text


async def test_a_choice_that_the_link_cannot_carry_whole_is_said_in_words(visitor):
    text = unescape(await visitor.text("/en/search?topic=visas&q=international+protection+responsibilities"))
    assert "the link carries only this much: Visas; with the words “international”, “responsibilities”." in text


async def test_several_languages_are_carried_on_and_none_of_their_releases_is_out_of_reach(visitor, newsroom):
    for number in range(11):
        await newsroom.publish({"ru": f"Виза {number}"} if number % 2 else {"az": f"Viza {number}"}, topics=["visas"])
    text = unescape(await visitor.text("/en/feeds?topic=visas&lang=ru&lang=az"))
    for way in ("subscribe", "embed", "search"):
        assert f'href="/en/{way}?lang=ru,az&topic=visas"' in text
    assert "carries only" not in text
    assert bot_link("aldera_bot", Filter(("ru", "az"), ("visas",))).address in text
    search = await visitor.text("/en/search?lang=ru,az&topic=visas")
    assert sorted(titles(search)) == sorted(f"{'Виза' if number % 2 else 'Viza'} {number}" for number in range(11))
    assert '<input type="hidden" name="lang" value="ru,az">' in search
    form = await visitor.text("/en/subscribe?lang=ru,az&topic=visas")
    assert "Russian → Azerbaijani" in form
    sent = {one["name"]: one.get("value") for one in Outline(form).all("input", type="hidden")}
    assert (sent["lang"], sent["language"]) == ("ru,az", "ru")


async def test_without_a_language_that_is_known_the_form_shows_the_pages_own(visitor):
    answer = await visitor.get("/en/feeds?lang=de&topic=visas")
    chosen = re.findall(r'<option value="(\w*)"[^>]* selected>', await answer.text())
    assert (answer.status, chosen) == (400, ["en"])


async def test_each_button_that_copies_is_named_with_what_it_copies(visitor):
    outline = Outline(await visitor.text("/en/feeds"))
    ids = {one["id"] for one in (*outline.all("span"), *outline.all("button")) if "id" in one}
    named = [one["aria-labelledby"].split() for one in outline.all("button", type="button")]
    assert named == [[f"{name}-copy", f"{name}-name"] for name in ("rss", "atom", "json", "opml")]
    assert ids >= {part for both in named for part in both}


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("q=a+b+c+d+e+f+g+h+i+j+k", "q", "Слишком много слов"),
        ("q=%21%3F", "q", "нет ни букв, ни цифр"),
        ("topic=nonsense", "topic", "больше нет"),
        ("topic=visas&not=visas,office", "topic", "ни одно сообщение"),
        ("not=nonsense", "not", "больше нет"),
        ("lang=de", "lang", "из выбранных языков здесь нет"),
        ("kind=%3Cscript%3E", "kind", "Такого вида сообщений нет"),
        ("topic=" + "&topic=".join(f"t{n}" for n in range(21)), "topic", "Слишком много тем"),
        ("kind=" + ",".join(f"k{n}" for n in range(21)), "kind", "Слишком много видов"),
        ("lang=" + ",".join(f"a{chr(97 + n)}" for n in range(21)), "lang", "Слишком много языков"),
        ("q=" + "x" * 3000, "form", "слишком длинный"),
    ],
)
async def test_a_choice_that_cannot_be_used_is_said_beside_its_field(visitor, newsroom, query, field, says):
    for kind in ("news", "notice"):
        await newsroom.publish(kind=kind)
    answer = await visitor.get(f"/ru/feeds?{query}&kind=notice&topic=office")
    text = await answer.text()
    assert answer.status == 400
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "<script>" not in text
    beside = re.search(rf'<p class="error" id="{field}-error">([^<]+)</p>', text)
    said = beside[1] if field != "form" else re.search(r'class="error-box".*?<li>([^<]+)</li>', text, re.DOTALL)[1]
    assert says in said, said
    if field != "form":
        assert f'<a href="#{field}">' in text
    for box in ("t-office", "k-notice"):
        assert re.search(rf'id="{box}"[^>]* checked', text), box
    assert "readonly" not in text


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_each_feed_has_a_page_that_says_all_of_it(visitor, published, parts, lang):
    for stream in parts.catalogue.links(lang):
        text = await visitor.text(f"/{lang}/feeds/{stream.topic}")
        links = [one.get("href") for one in Outline(text).all("a")]
        for other in {"az", "en", "ru"} - {lang}:
            assert f"/{other}/feeds/{stream.topic}" in links
        query = f"lang={lang}" + (f"&topic={stream.topic}" if stream.topic != "all" else "")
        assert address(text) == f"{BASE}/feeds/custom.rss?{query}"  # the fake catalogue's; the real one knows better
        if stream.topic != "all":
            assert f"/{lang}/topics/{stream.topic}" in links
            assert f'href="/{lang}/feeds/{stream.topic}"' in await visitor.text(f"/{lang}/topics/{stream.topic}")


async def test_a_feeds_page_leads_to_its_months_and_to_the_feeds_around_it(visitor, published, clock):
    text = await visitor.text("/en/feeds/visas")
    assert f'<a href="/feeds/en/visas/{clock():%Y-%m}.atom" aria-label="November 2026">November</a>' in text
    assert 'href="/en/feeds/migration"' in text
    assert 'href="/en/feeds/e-visa"' in text


@pytest.mark.parametrize("path", ["feeds/nonsense", "feeds/custom", "feeds/visas.x", "feeds/%3Cb%3E", "feeds/visas/x"])
async def test_there_is_no_page_for_what_is_no_feed(visitor, path):
    assert (await visitor.get(f"/en/{path}")).status == 404


async def test_scripts_of_ours_may_run_on_these_pages_and_on_no_other(visitor, newsroom):
    release = await newsroom.publish()
    for path in ("feeds", "feeds/visas"):
        answer = await visitor.get(f"/en/{path}")
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert ("connect-src 'self'" in answer.headers["Content-Security-Policy"]) == (path == "feeds")
        scripts = Outline(await answer.text()).all("script")
        assert len(scripts) == (2 if path == "feeds" else 1)
        for script in scripts:
            assert (await visitor.get(script["src"])).content_type == "text/javascript"
    for path in ("", "search", "subscribe", f"releases/{release.number}-office-hours", "feeds?q=%21"):
        answer = await visitor.get(f"/en/{path}")
        assert ("script-src" in answer.headers["Content-Security-Policy"]) == path.startswith("feeds")


async def test_the_square_code_is_that_of_the_address(visitor):
    text = await visitor.text("/en/feeds?topic=visas")
    modules = segno.make_qr(address(text), error="l").symbol_size(border=4)[0]
    assert f'<svg viewBox="0 0 {modules} {modules}" class="code">' in text
    assert 'role="img" aria-label="QR code with the RSS address"' in text
    long = await visitor.text("/en/feeds?q=" + "+".join(letter * 60 for letter in "abcdefghij"))
    assert "<svg" not in long


async def test_a_topics_former_slug_still_works_in_an_address(parts, open_site, newsroom):
    topics = {"topic": [{"slug": "visas", "was": ["entry-permits"], "name": {"en": "Visas", "az": "V", "ru": "В"}}]}
    taxonomy = Taxonomy.from_mapping(topics)
    visitor = await open_site(replace(parts, taxonomy=taxonomy))
    await newsroom.publish("Fees", topics=["entry-permits"])
    text = await visitor.text("/en/feeds?topic=entry-permits")
    assert titles(text) == ["Fees"]
    assert re.search(r'id="t-visas"[^>]* checked', text)
    assert address(text).endswith("?lang=en&topic=visas")
    assert "Fees" in await visitor.text("/en/search?topic=entry-permits")


async def test_search_results_announce_their_own_feed(visitor, published):
    outline = Outline(await visitor.text("/en/search?q=portal&topic=visas"))
    feeds = [one for one in outline.all("link", rel="alternate") if "type" in one]
    assert feeds[0]["href"] == f"{BASE}/feeds/custom.rss?lang=en&topic=visas&q=portal"
    assert len({one["title"] for one in feeds}) == len(feeds) == 6
    assert outline.all("a", href="/en/feeds?q=portal&topic=visas")
