"""The site in a real browser: nothing is asked of anybody else, and everything fits on a small phone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from syndicator.domain.filters import Filter
from syndicator.domain.model import Attachment, Cadence, ChannelKind, SubscriptionState, Urgency
from syndicator.store import subscriptions
from syndicator.store.subscriptions import Consent

CHROMIUM = Path("/usr/bin/chromium")
PICTURE = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 400"><rect width="900" height="400"/></svg>"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists() and "CI" not in os.environ, reason="/usr/bin/chromium is not installed"),
]

LONG = {
    "az": "Sənədləşdirilməmişlərdənsinizmi? Vətəndaşlığıolmayanşəxslərinqeydiyyatıhaqqındabildirişlər",
    "en": "Counterrevolutionaries' antidisestablishmentarianism-incomprehensibilities1234567890123456789012",
    "ru": "Частнопредпринимательскаядеятельностьвысокопревосходительствующихпереосвидетельствований",
}
TRACKER = "https://elsewhere.example/tracker.gif"
BODY = (
    "<p>https://migration.example.org/a/very/long/address/that/never/ends/and/has/no/place/to/break/at/all</p>"
    "<table><tr><th>Aaaaaaaaaaaaaaaaaaaaaaaaaaaa</th><td>Bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb</td></tr></table>"
    "<pre>0123456789012345678901234567890123456789012345678901234567890123456789</pre>"
    f'<p><a href="https://elsewhere.example/">x</a><img src="{TRACKER}" alt="x"></p>'
)


@pytest.fixture
def _function_scoped_runner(_module_scoped_runner: Any) -> Any:
    """All tests here share one loop, and so one browser: its start costs as much as many a test."""
    return _module_scoped_runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright  # noqa: PLC0415  # only where there is a browser

    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield opened
        await opened.close()


@pytest.fixture
async def addresses(newsroom, media_folder, clock, tokens) -> list[str]:
    """One of each page, with the worst that can stand on it."""
    (media_folder / "a.svg").write_bytes(PICTURE)
    worst = {
        "title": LONG,
        "summary": LONG["az"],
        "key": "k",
        "topics": ["visas", "refugees"],
        "urgency": Urgency.URGENT,
        "attachments": [
            Attachment("/media/a.svg", "image/svg+xml", 9, LONG["ru"], "A picture", LONG["en"]),
            Attachment("https://elsewhere.example/b.jpg", "image/jpeg", 9, LONG["az"]),
        ],
        "rights": LONG["ru"],
        "link": "https://elsewhere.example/",
    }
    await newsroom.publish(**worst, body="<p>x</p>")
    clock.move(hours=1)
    await newsroom.publish(**worst, body=BODY, note=LONG["en"])
    gone = await newsroom.publish("Gone")
    await newsroom.withdraw(gone, LONG["az"])
    pages = ["", "search?q=a&topic=visas", "feeds", "subscribe", "privacy", "topics/", "topics/visas", "nothing"]
    return [*pages, "releases/1-office-hours", f"releases/{gone.number}"]


@pytest.fixture
def personal(sqlite_database, clock, tokens):
    """The pages behind the links of our mails, for somebody with much on them, in one language."""

    async def made(lang: str) -> list[str]:
        now = clock()
        address = f"{'a' * 60}.{lang}@{'sub-domain-without-end.' * 3}example.org"
        wish = {"cadence": Cadence.IMMEDIATE, "consent": Consent(now, "test", "yes"), "now": now}
        async with sqlite_database.writing() as session:
            someone = await subscriptions.ensure(
                session, ChannelKind.EMAIL, address, language=lang, timezone="Asia/Baku", now=now
            )
            long = Filter(topics=("visas", "refugees"), words=("a" * 60,))
            active = await subscriptions.subscribe(session, someone.id, long, state=SubscriptionState.ACTIVE, **wish)
            pending = await subscriptions.subscribe(
                session, someone.id, Filter(topics=("office",)), state=SubscriptionState.PENDING, **wish
            )
            await subscriptions.pause(session, someone.id, "550")
            gone = await subscriptions.ensure(
                session, ChannelKind.EMAIL, f"gone.{address}", language=lang, timezone="Asia/Baku", now=now
            )
        confirm = [f"confirm/{tokens.sign('confirm', one.id, now + timedelta(days=7))}" for one in (active, pending)]
        return [
            *confirm,
            f"manage/{tokens.sign('manage', someone.id)}",
            f"manage/{tokens.sign('manage', someone.id)}?done=changed",
            f"unsubscribe/{tokens.sign('unsubscribe', someone.id)}",
            f"unsubscribe/{tokens.sign('unsubscribe', gone.id)}",
            f"manage/forged?lang={lang}",
        ]

    return made


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_every_page_behind_our_mails_fits_a_small_phone(visitor, browser, personal, clock, lang):
    origin = str(visitor.client.make_url("/")).rstrip("/")
    context = await browser.new_context(viewport={"width": 320, "height": 640})
    page = await context.new_page()
    for address in await personal(lang):
        await page.goto(f"{origin}/{address}")
        for details in await page.locator("details").all():
            await details.evaluate("one => one.open = true")
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, (address, wide)
        assert await page.locator("html").get_attribute("lang") == lang
    await page.goto(f"{origin}/{lang}/subscribe")
    clock.move(seconds=10)
    await page.locator("#email").fill("ayla@example.org")
    await page.locator("#email").press("Enter")
    await page.locator("article.notice").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await context.close()


@pytest.mark.parametrize("lang", ["az", "en", "ru"])
async def test_every_page_fits_a_small_phone_and_asks_nobody_else(visitor, browser, addresses, lang):
    origin = str(visitor.client.make_url("/")).rstrip("/")
    context = await browser.new_context(viewport={"width": 320, "height": 640}, color_scheme="dark")
    page = await context.new_page()
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108  # it wants to mark the handler
    for address in addresses:
        await page.goto(f"{origin}/{lang}/{address}")
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, (address, wide)
    # Intake leaves no picture in a body; should one get through all the same, the page's policy stops it.
    assert [(r.url, r.failure) for r in asked if not r.url.startswith(origin)] == [(TRACKER, "csp")]
    for end in (".css", "/media/a.svg"):
        assert any(request.url.endswith(end) for request in asked)
    await context.close()


async def test_a_reader_signs_up_with_the_keyboard_alone(visitor, browser, clock):
    origin = str(visitor.client.make_url("/")).rstrip("/")
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{origin}/en/subscribe?topic=visas")
    clock.move(seconds=10)
    await page.get_by_label("Email address").focus()
    await page.keyboard.type("ayla@example.org")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Check your mail").wait_for()
    await context.close()
