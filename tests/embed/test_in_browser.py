"""The embeds in a real browser, on a page of another origin under a strict policy; nobody is to see an error."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lxml import html

from feeds.embed.scripts import Scripts
from syndicator.domain.model import Urgency
from tests.needing import missing

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[1] / "judges" / "node_modules" / "axe-core" / "axe.min.js"
SLOW = 60_000  # milliseconds that a busy machine may take
SCRIPT = Scripts().newest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists() and "CI" not in os.environ, reason="/usr/bin/chromium is not installed"),
]

LONG = {
    "az": "Sənədləşdirilməmişlərdənsinizmi? Vətəndaşlığıolmayanşəxslərinqeydiyyatıhaqqındabildirişlər",
    "en": "Counterrevolutionaries' antidisestablishmentarianism-incomprehensibilities1234567890123456789012",
    "ru": "Частнопредпринимательскаядеятельностьвысокопревосходительствующихпереосвидетельствований",
}
LIGHT = '<ul><li><a href="/light">A real link</a></li></ul>'
TITLES = "one => [...one.shadowRoot.querySelectorAll('[part=title]')].map(link => link.textContent)"


@dataclass
class Tab:
    """A page and everything it complained of."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    async def shown(self, words: str = "") -> None:
        """Wait for the element's own list; under a strict policy the page itself cannot be asked to wait."""
        await self.page.locator("press-feed [part=list]", has_text=words).wait_for()

    async def titles(self) -> list[str]:
        found: list[str] = await self.page.locator("press-feed").first.evaluate(TITLES)
        return found


@pytest.fixture
def _function_scoped_runner(_module_scoped_runner: Any) -> Any:
    """All tests here share one loop, and so one browser: its start costs as much as many a test."""
    return _module_scoped_runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright  # noqa: PLC0415  # only where there is a browser

    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield opened
        await opened.close()


@pytest.fixture
async def tab(browser):
    async def opened(**options: Any) -> Tab:
        context = await browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(SLOW)
        made = Tab(await context.new_page())
        made.page.on("console", lambda said: made.complaints.append(said.text) if said.type != "log" else None)
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        return made

    contexts: list[Any] = []
    yield opened
    for context in contexts:
        await context.close()


def element(press, attributes="", light=LIGHT):
    source = f'src="{press.site.base_url}/embed-{SCRIPT.version}.js" integrity="{SCRIPT.integrity}"'
    return f'<press-feed {attributes}>{light}</press-feed><script {source} crossorigin="anonymous" defer></script>'


def strict(press):
    return f"default-src 'self' {press.site.base_url}"


async def test_the_element_follows_a_correction_and_a_withdrawal_under_a_strict_policy(press, partner, tab):
    await press.publish({"en": "An office"}, "1", topics=["office"])
    await press.publish({"en": "The fee is 25"}, "2", urgency=Urgency.URGENT)
    release = await press.publish({"en": "Wrong"}, "3")
    await press.spread()
    seen = await tab()
    await seen.page.clock.install()
    await seen.page.goto(
        partner.page("a", element(press, 'lang="en" topic="visas" time-zone="Asia/Baku"'), strict(press))
    )
    await seen.shown()
    assert await seen.titles() == ["Wrong", "The fee is 25"]
    feed = seen.page.locator("press-feed")
    assert await feed.locator("[part~=urgent]").inner_text() == "Urgent"
    assert await feed.locator("[part=time]").first.inner_text() == "21 November 2026"
    assert (
        await feed.locator("[part=title]").first.get_attribute("href")
        == f"{press.site.base_url}/en/releases/3-office-hours"
    )
    assert await feed.evaluate("one => getComputedStyle(one.shadowRoot.querySelector('ul')).display") == "grid"

    await feed.locator("[part=title]").nth(1).focus()
    await press.publish({"en": "The fee is 20"}, "2", note="The fee is 20, not 25.", urgency=Urgency.URGENT)
    await press.withdraw(release, "A mistake.")
    await press.spread()
    await seen.page.clock.fast_forward("06:00")
    await seen.shown("Withdrawn")
    assert await seen.titles() == ["Withdrawn: Wrong", "The fee is 20"]
    assert (
        "This release was withdrawn on 21 November 2026. A mistake."
        in await feed.locator("[part~=withdrawn]").inner_text()
    )
    assert await feed.locator("[part~=corrected]").inner_text() == "Corrected"
    assert "The fee is 20, not 25." in await feed.locator("[part=note]").inner_text()
    await feed.locator("[role=status]", has_text="The list has changed").wait_for(state="attached")
    assert await feed.evaluate("one => one.shadowRoot.activeElement.textContent") == "The fee is 20"  # focus stays
    assert seen.complaints == []


HEARD = """one => {
    window.heard = [];
    const status = one.shadowRoot.querySelector("section [role=status]");
    new MutationObserver(() => status.textContent && window.heard.push(status.textContent))
        .observe(status, { childList: true });
}"""


async def test_each_change_is_heard_once_and_what_the_page_itself_changes_is_not(press, partner, tab):
    await press.publish({"ru": "A"}, "1")
    await press.spread()
    seen = await tab()
    await seen.page.clock.install()
    await seen.page.goto(partner.page("a", element(press, 'lang="ru" target="_blank"'), strict(press)))
    await seen.shown("A")
    feed = seen.page.locator("press-feed")
    await feed.evaluate(HEARD)
    await feed.evaluate("one => { one.setAttribute('heading', 'News'); }")
    await feed.locator("[part=heading]").wait_for()
    for title in ("B", "C"):
        await press.publish({"ru": title}, title)
        await press.spread()
        await seen.page.clock.fast_forward("06:00")
        await seen.shown(title)
        await seen.page.clock.fast_forward(1000)
        await feed.locator("[role=status]", has_text="Список обновлён").wait_for(state="attached")
        await seen.page.clock.fast_forward("00:06")
        assert await feed.locator("[role=status]").inner_text() == ""
    assert await seen.page.evaluate("window.heard") == ["Список обновлён"] * 2
    assert await feed.locator("[role=status]").evaluate("one => one.closest('[lang]').lang") == "ru"
    says = "one => one.getRootNode().getElementById(one.getAttribute('aria-describedby')).textContent"
    for link in await feed.locator("[part=title], [part=more]").all():
        assert await link.evaluate(says) == "Откроется в новой вкладке"
    assert seen.complaints == []


OWN_STYLE = """<style>
press-feed { --press-feed-link: rgb(1, 2, 3); --press-feed-gap: 7px; }
press-feed::part(time) { color: rgb(4, 5, 6); }
</style>"""
STYLE_OF = """(one, [part, name]) => getComputedStyle(one.shadowRoot.querySelector(`[part~=${part}]`))[name]"""


async def test_a_partner_gives_it_colours_and_sizes_by_properties_and_parts(press, partner, tab):
    await press.publish({"en": "An office"}, "1")
    await press.spread()
    seen = await tab()
    await seen.page.goto(partner.page("a", element(press, 'lang="en"'), head=OWN_STYLE))
    await seen.shown()
    feed = seen.page.locator("press-feed")
    assert await feed.evaluate(STYLE_OF, ["title", "color"]) == "rgb(1, 2, 3)"
    assert await feed.evaluate(STYLE_OF, ["list", "rowGap"]) == "7px"
    assert await feed.evaluate(STYLE_OF, ["time", "color"]) == "rgb(4, 5, 6)"


async def test_without_us_the_real_links_stay(press, partner, tab):
    await press.close()
    seen = await tab()
    await seen.page.goto(partner.page("a", element(press, 'lang="en"'), strict(press)))
    assert await seen.page.get_by_role("link", name="A real link").is_visible()


async def test_when_only_the_feed_fails_the_real_links_stay(press, partner, tab):
    seen = await tab()
    async with seen.page.expect_response("**/feeds/xx/all.json") as answer:
        await seen.page.goto(partner.page("a", element(press, 'lang="xx"'), strict(press)))
    assert (await answer.value).status == 404
    assert await seen.page.get_by_role("link", name="A real link").is_visible()


async def test_what_is_shown_stays_when_we_go_down_later(press, partner, tab):
    await press.publish({"en": "A"}, "1")
    await press.spread()
    seen = await tab()
    await seen.page.clock.install()
    await seen.page.goto(partner.page("a", element(press, 'lang="en"'), strict(press)))
    await seen.shown()
    await press.close()
    failed = (
        "new Promise(done => document.querySelector('press-feed').addEventListener('press-feed-error', () => done(1)))"
    )
    waiting = seen.page.evaluate_handle(f"window.failed = {failed}; 0")
    await waiting
    await seen.page.clock.fast_forward("06:00")
    assert await seen.page.evaluate("window.failed") == 1
    assert await seen.titles() == ["A"]


async def test_without_scripts_the_real_links_stand(press, partner, tab):
    seen = await tab(java_script_enabled=False)
    await seen.page.goto(partner.page("a", element(press, 'lang="en"'), strict(press)))
    assert await seen.page.get_by_role("link", name="A real link").is_visible()


async def test_nobody_can_change_the_script_under_a_partner(press, partner, tab):
    seen = await tab()
    wrong = element(press, 'lang="en"').replace("sha384-", "sha384-AAAA")
    await seen.page.goto(partner.page("a", wrong, strict(press)))
    assert await seen.page.evaluate("customElements.get('press-feed') === undefined")


async def test_a_hidden_page_asks_nothing_and_catches_up_when_looked_at(press, partner, tab):
    await press.publish({"en": "A"}, "1")
    await press.spread()
    seen, asked = await tab(), []
    seen.page.on("request", lambda request: asked.append(request.url) if request.url.endswith(".json") else None)
    await seen.page.clock.install()
    await seen.page.goto(partner.page("a", element(press, 'lang="en" refresh="1"'), strict(press)))
    await seen.shown()
    look = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    await seen.page.clock.fast_forward(50_000)
    assert len(asked) == 1  # once a minute at most, whatever the page wants
    await seen.page.evaluate(look, True)
    await seen.page.clock.fast_forward("10:00")
    assert len(asked) == 1
    await press.publish({"en": "B"}, "2")
    await press.spread()
    await seen.page.evaluate(look, False)
    await seen.page.clock.fast_forward(10)
    await seen.shown("B")
    assert len(asked) == 2


HOSTILE = {
    "title": "<b>Feed</b>",
    "language": "en",
    "home_page_url": "javascript:alert(1)",
    "items": [
        {"url": "https://example.org/1", "title": "<img src=x onerror=alert(1)><script>alert(1)</script>"},
        {"url": "javascript:alert(2)", "title": "A script"},
        {"url": "data:text/html,x", "title": "Data"},
        {"url": "https://example.org/2", "title": "x" * 10_000, "date_published": "yesterday"},
        {"url": "https://example.org/3", "title": "a \u202egnol b", "image": "https://elsewhere.example/tracker.gif"},
        {
            "url": "https://example.org/4",
            "title": {"not": "text"},
            "_syndicator": {"correction": "<i>x</i>", "state": 7},
        },
        None,
        "text",
    ],
}


async def test_a_hostile_feed_is_only_text(press, partner, tab):
    partner.feed = HOSTILE
    seen, asked = await tab(viewport={"width": 320, "height": 600}), []
    seen.page.on("request", lambda request: asked.append(request.url))
    attributes = f'lang="en" src="{partner.origin}/" images layout="cards" time-zone="Nowhere/None"'
    await seen.page.goto(partner.page("a", element(press, attributes), strict(press)))
    await seen.shown()
    titles = await seen.titles()
    assert titles[0] == HOSTILE["items"][0]["title"]
    assert [len(titles), len(titles[1]), titles[3]] == [4, 300, "https://example.org/4"]
    feed = seen.page.locator("press-feed")
    assert await feed.locator("img, script, b, i").count() == 0
    links = await feed.evaluate("one => [...one.shadowRoot.querySelectorAll('a')].map(link => link.protocol)")
    assert set(links) == {"https:"}
    assert not [url for url in asked if "elsewhere" in url]
    assert await seen.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert seen.complaints == []


async def test_the_lines_of_the_configurator_work_as_they_are(press, partner, tab):
    await press.publish({"en": "Visas"}, "1")
    await press.publish({"en": "Office & Co"}, "2", topics=["office"])
    await press.spread()
    page = html.fromstring(
        await press.text("/en/embed?topic=visas&topic=office&q=o&heading=News&layout=full&theme=dark")
    )
    lines = {box.get("id"): box.text_content().strip() for box in page.xpath("//textarea")}
    policy = lines["policy"].partition(": ")[2]
    seen = await tab()
    await seen.page.goto(partner.page("a", lines["component"] + lines["frame"], policy))
    await seen.shown()
    assert await seen.titles() == ["Office & Co"]
    assert await seen.page.locator("press-feed [part=heading]").inner_text() == "News"
    frame = seen.page.frame_locator("iframe")
    assert await frame.locator("li a").inner_text() == "Office & Co"
    assert (
        await frame.locator("h1").evaluate("one => getComputedStyle(one.parentNode.parentNode).backgroundColor")
        == "rgb(18, 24, 29)"
    )
    assert seen.complaints == []


async def accessible(page: Any, where: str) -> None:
    if not AXE.exists():
        missing("axe-core", "make judges")
    await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate("axe.run().then(found => found.violations.map(one => [one.id, one.nodes[0].html]))")
    assert found == [], where


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_everything_is_accessible_and_fits_a_small_phone(press, partner, tab, lang):
    await press.publish(LONG, "1", urgency=Urgency.URGENT, summary=LONG["az"])
    await press.publish(LONG, "2")
    await press.publish(LONG, "2", note=LONG["ru"])
    await press.withdraw(await press.publish(LONG, "3"), LONG["en"])
    await press.spread()
    base = press.site.base_url
    shown = element(press, f'lang="{lang}" heading="{LONG[lang]}" layout="cards" theme="auto"')
    addresses = {
        f"{base}/embed/frame?lang={lang}&layout=full&heading={LONG[lang]}": "li a",
        f"{base}/{lang}/embed?topic=visas&layout=cards&heading={LONG[lang]}": "textarea",
        f"{base}/{lang}/embed?q=---": "[role=alert]",
        partner.page(
            "a", f"<main><h1>Partner</h1>{shown}</main>", strict(press), f' lang="{lang}"'
        ): "press-feed [part=list]",
    }
    for scheme in ("light", "dark"):
        seen = await tab(viewport={"width": 320, "height": 640}, color_scheme=scheme)
        for address, there in addresses.items():
            await seen.page.goto(address)
            await seen.page.locator(there).first.wait_for()
            wide = await seen.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 320, (address, wide)
            await accessible(seen.page, f"{address} {scheme}")
        assert [said for said in seen.complaints if "400" not in said] == []
