"""Every public page in real Chromium, over the sample releases: axe-core finds nothing, and everything fits.

The service's own parts serve it: intake of the sample folder, the real catalogue of feeds, a real port. It costs about
a minute with WALK=all (as CI runs it), where each page is seen in every language and look; without, each page is seen
closely in one language and in both lights, and in the others it must only fit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

import config
from config.settings import FeedSettings, OutgoingSettings
from config.topics import load_topics
from feeds.room import FeedRoom
from syndicator.domain.filters import Filter
from syndicator.domain.model import Cadence, ChannelKind, Revision, State, SubscriptionState, Urgency
from syndicator.domain.ports import Clock
from syndicator.domain.topics import Taxonomy
from syndicator.pipeline.intake import Intake
from syndicator.pipeline.media import MediaFolder
from syndicator.sources.directory import DirectorySource
from syndicator.store import ledger, releases, subscriptions
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent
from syndicator.web.app import make_app
from syndicator.web.parts import Parts
from tests.program import free_port
from tests.walking import NEEDS_AXE, browsing, looks, turns, walker_of

pytestmark = NEEDS_AXE

SAMPLES = Path(config.__file__).parent
LANGUAGES = ("az", "en", "ru")
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
LONG = "Vətəndaşlığıolmayanşəxslərinqeydiyyatıvəsənədləşdirilməsinədairbildirişlərhaqqında"
ARABIC = "إعلان: «Aldera» تفتح باب التسجيل"


@dataclass
class Office:
    """The site, open at `origin`, with everything a page can show."""

    origin: str
    parts: Parts
    numbers: dict[str, int]

    def private(self, lang: str) -> list[str]:
        """The pages behind the links of our mails, for somebody who reads that language."""
        who, now, sign = self.numbers, self.parts.clock(), self.parts.tokens.sign
        week = now + timedelta(days=7)
        return [
            f"/confirm/{sign('confirm', who[f'active {lang}'], week)}",
            f"/confirm/{sign('confirm', who[f'pending {lang}'], week)}",
            f"/manage/{sign('manage', who[f'reader {lang}'])}?done=changed",
            f"/manage/{sign('manage', who[f'nobody {lang}'])}",
            f"/manage/{sign('manage', who[f'resting {lang}'])}",
            f"/manage/{sign('manage', who[f'reader {lang}'])}/sent",
            f"/manage/{sign('manage', who[f'nobody {lang}'])}/sent",
            f"/manage/{sign('manage', who[f'reader {lang}'])}/erase",
            f"/address/{sign('address', who[f'asked {lang}'], week)}",
            f"/unsubscribe/{sign('unsubscribe', who[f'reader {lang}'])}",
            f"/unsubscribe/{sign('unsubscribe', who[f'nobody {lang}'])}",
            f"/manage/forged?lang={lang}",
        ]

    def public(self, lang: str) -> list[str]:
        """Every kind of page that anybody can open, in that language."""
        slugs = self.numbers
        pages = [
            "",
            *(f"releases/{slugs[name]}" for name in ("pictured", "tabled", "corrected", "withdrawn", "untranslated")),
            "topics/",
            "topics/protection",
            "search",
            "search?q=viza",
            "search?q=zzz",
            "search?q=a+b+c+d+e+f+g+h+i+j+k",
            "feeds",
            "feeds?topic=protection&not=refugees&kind=news&lang=ru&lang=az",
            "feeds?q=a+b+c+d+e+f+g+h+i+j+k&not=visas&topic=nonsense",
            f"feeds?q={LONG}",
            "feeds/all",
            "feeds/protection",
            "embed?topic=protection",
            "subscribe?topic=visas",
            "privacy",
            "nothing/at/all",
        ]
        return [f"/{lang}/{page}" for page in pages] + [
            f"/embed/frame?lang={lang}&layout=cards&images=1",
            f"/api/?lang={lang}",
        ]


async def take_in(database: Database, parts: Parts, media: MediaFolder, clock: Clock) -> dict[str, int]:
    """The sample releases, and beside them what they lack; returns the numbers of those to look at."""
    source = DirectorySource("demo", SAMPLES / "demo", languages=LANGUAGES, default_language="az", zone=parts.site.zone)
    intake = Intake(
        database,
        site=parts.site,
        taxonomy=parts.taxonomy,
        media=media,
        announce_for=timedelta(hours=72),
        clock=clock,
        metrics=parts.metrics,
        wake=lambda: None,
    )
    await intake.harvest(source)
    async with database.writing() as session:
        found = await releases.listing(
            session, Filter(langs=LANGUAGES), parts.taxonomy, lang="az", now=clock(), limit=99
        )
        named = {
            "pictured": next(r for r in found for v in r.variants if v.revision.image),
            "tabled": next(r for r in found for v in r.variants if "<table" in v.revision.body),
            "untranslated": next(r for r in found if r.langs == ("az",)),
            "withdrawn": found[-1],
            "corrected": await awkward(session, parts.site, clock()),
        }
        await releases.withdraw(session, named["withdrawn"].number, f"{LONG} {ARABIC}", clock())
    return {name: release.number for name, release in named.items()}


async def awkward(session, site, now):
    """A release in every language that has been corrected, with words without end and a text of another script."""
    for note in ("", f"{LONG}, {ARABIC}"):
        for lang in LANGUAGES:
            draft = releases.Draft(
                source="desk",
                key="awkward",
                lang=lang,
                slug="awkward",
                kind="news",
                urgency=Urgency.URGENT,
                state=State.PUBLIC,
                public_at=now,
                revision=Revision(
                    0,
                    0,
                    f"{ARABIC} {LONG}",
                    f"{LONG} {ARABIC}",
                    f"<p>{ARABIC}</p><h2>{LONG}</h2><p>{LONG} <strong>{ARABIC}</strong>{note}</p>",
                    f"{ARABIC} {LONG}{note}",
                    note=note,
                ),
                topics=(("protection", "source", ""), ("left-the-file-long-ago-" + "x" * 40, "source", "")),
            )
            recorded = await releases.record(session, draft, site_uids=site, now=now)
    return recorded.release


async def sign_up(database: Database, now: datetime) -> dict[str, int]:
    """Readers of each language, one with much on their page and one with nothing."""
    found, wish = {}, {"cadence": Cadence.IMMEDIATE, "consent": Consent(now, "test", "yes"), "now": now}
    async with database.writing() as session:
        for lang in LANGUAGES:
            who = {"language": lang, "timezone": "Asia/Baku", "now": now}
            reader = await subscriptions.ensure(session, ChannelKind.EMAIL, f"{'a' * 60}.{lang}@example.org", **who)
            nobody = await subscriptions.ensure(session, ChannelKind.EMAIL, f"nobody.{lang}@example.org", **who)
            for name, wanted in (("active", Filter(topics=("visas",), words=(LONG[:60],))), ("pending", Filter())):
                state = SubscriptionState(name)
                made = await subscriptions.subscribe(session, reader.id, wanted, state=state, **wish)
                found[f"{name} {lang}"] = made.id
            await ledger.welcome(session, made.id, reader.id, now=now)
            asked = await ledger.ask_address(session, reader.id, f"{'b' * 60}.{lang}@example.org", now=now)
            resting = await subscriptions.ensure(session, ChannelKind.EMAIL, f"resting.{lang}@example.org", **who)
            await subscriptions.subscribe(session, resting.id, Filter(), state=SubscriptionState.ACTIVE, **wish)
            await subscriptions.rest(session, resting.id, now + timedelta(days=9))
            found |= {f"reader {lang}": reader.id, f"nobody {lang}": nobody.id, f"resting {lang}": resting.id}
            found[f"asked {lang}"] = asked.id
    return found


@pytest.fixture
def _function_scoped_runner(_module_scoped_runner: Any) -> Any:
    """All tests here share one loop, and so one browser: its start costs as much as many a test."""
    return _module_scoped_runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    async with browsing() as opened:
        yield opened


@pytest.fixture
async def office(parts: Parts, sqlite_database: Database, tmp_path: Path, clock) -> AsyncIterator[Office]:
    clock.now = NOW
    port = free_port()
    site = replace(parts.site, base_url=f"http://127.0.0.1:{port}")
    taxonomy, media = load_topics(SAMPLES / "topics.toml"), MediaFolder(tmp_path / "kept", 20_000_000)
    room = FeedRoom(
        FeedSettings(directory=str(tmp_path / "feeds"), entries=50, max_age=60),
        sqlite_database,
        site=site,
        taxonomy=taxonomy,
        texts=parts.texts,
        metrics=parts.metrics,
        folder=tmp_path / "feeds",
        clock=clock,
        wake=lambda: None,
        outgoing=OutgoingSettings(),
    )
    parts = replace(parts, site=site, taxonomy=taxonomy, media=media, catalogue=room, publisher=room.publisher)
    numbers = await take_in(sqlite_database, parts, media, clock) | await sign_up(sqlite_database, NOW)
    runner = web.AppRunner(make_app(parts, room.routes(), room.templates()), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield Office(site.base_url, parts, numbers)
    await runner.cleanup()


async def walked(office: Office, browser: Any, lang: str) -> list[str]:
    """Every page of a language, and a form that was filled in wrongly, which has no address of its own."""
    walker = await walker_of(browser)
    closely, others = turns([*office.public(lang), *office.private(lang)], lang)
    found = await walker.faults(office.origin, closely, looks())
    found += await walker.misfits(office.origin, others)
    await walker.page.goto(f"{office.origin}/{lang}/subscribe")
    await walker.page.locator("#email").fill("nonsense")
    await walker.page.locator("#email").press("Enter")
    await walker.page.locator(".error-box").wait_for()
    found += [f"wrong form {fault}" for fault in await walker.seen(looks())]
    await walker.page.goto(f"{office.origin}/{lang}/subscribe")
    await walker.page.locator("#email").fill(f"somebody.{lang}@example.org")
    await walker.page.evaluate("document.querySelector('[name=website]').value = 'a robot'")  # told as all are
    await walker.page.locator("#email").press("Enter")
    await walker.page.locator("article.notice").wait_for()
    found += [f"check your mail {fault}" for fault in await walker.seen(looks())]
    await walker.page.context.close()
    return found


async def test_axe_finds_nothing_on_any_page_and_all_of_them_fit(office, browser):
    found = await asyncio.gather(*(walked(office, browser, lang) for lang in LANGUAGES))
    faults = [fault for of_language in found for fault in of_language]
    assert not faults, "\n".join(faults)


async def focused(page) -> str:
    return str(await page.evaluate("document.activeElement.id"))


async def tab_to(page, name: str) -> None:
    """Press Tab until that field has the focus, as somebody without a mouse would."""
    for _ in range(120):
        await page.keyboard.press("Tab")
        if await focused(page) == name:
            return
    pytest.fail(f"{name} cannot be reached with Tab")


async def test_from_a_choice_to_an_address_by_keyboard_alone_and_without_scripts(office, browser):
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 640})
    page = await context.new_page()
    await page.goto(f"{office.origin}/en/feeds")
    await tab_to(page, "t-visas")
    await page.keyboard.press("Space")
    await tab_to(page, "q")
    await page.keyboard.type("portal")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/en/feeds?*")
    assert page.url.endswith("#feed")
    await tab_to(page, "rss")
    address = await page.locator("#rss").input_value()
    assert address == f"{office.origin}/feeds/custom.rss?lang=en&topic=visas&q=portal"
    assert not await page.locator("button[data-copy]").first.is_visible()
    titles = await page.locator("#feed .card-title").all_inner_texts()
    assert "E-visa portal now checks the photo while you apply" in [" ".join(one.split()) for one in titles]
    answer = await context.request.get(address)
    assert answer.status == 200
    assert {title for title in titles if title in await answer.text()} == set(titles)
    await context.close()


async def test_with_scripts_one_press_copies_and_nothing_breaks_the_sites_policy(office, browser):
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page, said = await context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in ("feeds", "feeds/protection"):
        await page.goto(f"{office.origin}/az/{path}")
        await page.locator("button[data-copy=atom]").click()
        await page.locator("#copied", has_text="Köçürüldü").wait_for(state="attached")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == f"{office.origin}/feeds/az/{'all' if path == 'feeds' else 'protection'}.atom"
        await page.locator("#json").focus()
        assert (await page.evaluate("getSelection().toString()")).endswith(".json")
    assert said == []
    await context.close()


async def test_results_follow_the_choice_by_themselves_and_the_focus_stays(office, browser):
    context = await browser.new_context(viewport={"width": 320, "height": 640})
    page, said = await context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if "400" not in message.text else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    await page.goto(f"{office.origin}/en/feeds")
    await page.evaluate("window.same = true")
    told, titles = page.locator("#picked"), page.locator("#feed .card-title")
    before = await page.locator("#matching").inner_text()
    await tab_to(page, "t-visas")
    await page.keyboard.press("Space")
    await page.wait_for_url("**/en/feeds?topic=visas&lang=en")
    await told.filter(has_text="match").wait_for(state="attached")
    assert await told.text_content() == (await page.locator("#matching").inner_text()).strip() != before
    assert await focused(page) == "t-visas"
    assert await page.locator("#rss").input_value() == f"{office.origin}/feeds/en/visas.rss"
    assert (await page.locator(".languages a").first.get_attribute("href")).endswith("?topic=visas&lang=en")
    assert await page.locator("button[data-copy=rss]").is_visible()
    await tab_to(page, "q")
    await page.keyboard.type("portal")
    await page.wait_for_url("**&q=portal&lang=en")
    await titles.filter(has_text="E-visa portal").wait_for()
    await page.keyboard.type(" a b c d e f g h i j k")
    await page.locator(".picked .error-box").wait_for()
    await told.filter(has_text="too many words").wait_for(state="attached")
    assert await focused(page) == "q"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await page.locator("#q").fill("")
    await told.filter(has_text="match").wait_for(state="attached")
    assert await page.locator(".error-box").count() == 0
    assert await page.evaluate("window.same")  # it is still the page that was opened
    assert said == []
    await context.close()


async def test_a_second_copy_is_said_again_and_its_word_stays_its_whole_time(office, browser):
    from playwright.async_api import expect  # noqa: PLC0415  # only where there is a browser

    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await page.clock.install(time=0)
    await page.goto(f"{office.origin}/en/feeds")
    await page.clock.pause_at(60_000)  # from here on only the test lets time pass
    button, told = page.locator("button[data-copy=rss]"), page.locator("#copied")
    for _ in range(2):
        await button.click()
        await button.filter(has_text="Copied").wait_for()
        await expect(told).to_have_text("")  # emptied, so that the same word is heard once more
        await page.clock.run_for(2000)
        assert await told.text_content() == "Copied"
    assert await button.inner_text() == "Copied"
    await page.clock.run_for(600)
    assert (await button.inner_text(), await told.text_content()) == ("Copy", "")
    assert await button.get_attribute("aria-labelledby") == "rss-copy rss-name"
    await context.close()


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_topics_with_names_without_end_fit_a_small_phone(parts, open_site, newsroom, lang, browser):
    name = {"az": LONG, "en": LONG * 2, "ru": f"{ARABIC} {LONG}"}
    topics = [{"slug": "a" * 64, "name": name}, {"slug": "below", "parent": "a" * 64, "name": name}]
    visitor = await open_site(replace(parts, taxonomy=Taxonomy.from_mapping({"topic": topics})))
    release = await newsroom.publish(topics=["below"])
    origin = str(visitor.client.make_url("")).rstrip("/")
    pages = ["", "topics/", "topics/below", "feeds?topic=below&not=" + "a" * 64, "feeds/below", "search?topic=below"]
    wide = {}
    page = await browser.new_page(viewport={"width": 320, "height": 640})
    for path in (*pages, "subscribe", f"releases/{release.number}-office-hours"):
        await page.goto(f"{origin}/{lang}/{path}")
        await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        wide[path] = await page.evaluate("document.documentElement.scrollWidth")
    await page.close()
    assert {path: width for path, width in wide.items() if width > 320} == {}
