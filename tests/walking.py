"""Pages looked at in real Chromium: what axe-core finds, whether they fit, in every light and width.

A room that has pages of its own walks them so:

    pytestmark = NEEDS_BROWSER

    async def test_our_pages(...):
        async with walking() as walker:
            assert not await walker.faults(origin, ["/en/one", "/en/two"], looks())
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parent / "judges" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
HEIGHT, SMALL = 800, 320
# Beside axe's own choice: what WCAG 2.2 AA asks of targets.
EVERYTHING = {"rules": {"target-size": {"enabled": True}}, "resultTypes": ["violations"]}
# What else can come of another light or width; the page's text and structure stay the same.
OF_LOOKS = ("color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size")
PARTLY = {"runOnly": {"type": "rule", "values": OF_LOOKS}, "resultTypes": ["violations"]}
RUN = """async (asked) => (await axe.run(document, asked)).violations.map(
    (one) => one.id + ": " + one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", "))"""

NEEDS_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists() and "CI" not in os.environ, reason="/usr/bin/chromium is not installed"),
]
NEEDS_AXE = [
    *NEEDS_BROWSER,
    pytest.mark.skipif(not AXE.exists() and "CI" not in os.environ, reason="axe-core is missing: make judges"),
]


class Look(NamedTuple):
    """How somebody sees a page."""

    scheme: str
    width: int


LOOKS = tuple(Look(scheme, width) for scheme in ("light", "dark") for width in (1280, SMALL))
_ALL = os.environ.get("WALK") == "all"
_LANGUAGES = ("az", "en", "ru")


def looks() -> Sequence[Look]:
    """The looks to try: all of them with WALK=all, else one in each light, each in another width."""
    return LOOKS if _ALL else (LOOKS[0], LOOKS[3])


@dataclass
class Walker:
    """One page of one browser; its site's policy is not in force, or axe could not run."""

    page: Any

    async def faults(self, origin: str, addresses: Iterable[str], seen_as: Sequence[Look]) -> list[str]:
        """What is wrong with these pages, a line each."""
        found = []
        for address in addresses:
            answer = await self.page.goto(origin + address)
            if answer.status >= 500:
                found.append(f"{address}: {answer.status}")
            found += [f"{address} {fault}" for fault in await self.seen(seen_as)]
        return found

    async def misfits(self, origin: str, addresses: Iterable[str]) -> list[str]:
        """Which of these pages do not fit a small phone; nothing else is asked."""
        found = []
        await self.page.set_viewport_size({"width": SMALL, "height": HEIGHT})
        for address in addresses:
            await self.page.goto(origin + address, wait_until="domcontentloaded")
            found += [f"{address} {fault}" for fault in await self._wide(SMALL)]
        return found

    async def seen(self, seen_as: Sequence[Look]) -> list[str]:
        """What is wrong with the page as it stands, everything that folds unfolded; the first look asks every rule.

        Whether it fits a small phone is asked in any case.
        """
        found, asked = [], EVERYTHING
        await self.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        for look in seen_as:
            await self.page.set_viewport_size({"width": look.width, "height": HEIGHT})
            await self.page.emulate_media(color_scheme=look.scheme)
            found += await self._wide(look.width)
            found += [f"({look.scheme}, {look.width}): {fault}" for fault in await self.page.evaluate(RUN, asked)]
            asked = EVERYTHING if _ALL else PARTLY
        await self.page.set_viewport_size({"width": SMALL, "height": HEIGHT})
        return found + await self._wide(SMALL)

    async def _wide(self, width: int) -> list[str]:
        wide = await self.page.evaluate("document.documentElement.scrollWidth")
        return [f"({width}): {wide} px wide"] if wide > width else []


def turns(addresses: Sequence[str], lang: str) -> tuple[Sequence[str], Sequence[str]]:
    """The pages that are looked at closely in a language, and the rest: all of them with WALK=all, else every third.

    The three languages together look at each page; words are other in each, marks and colours are not.
    """
    mine = addresses if _ALL else addresses[_LANGUAGES.index(lang) :: 3]
    return mine, [address for address in addresses if address not in mine]


@asynccontextmanager
async def browsing() -> AsyncIterator[Any]:
    """A browser."""
    from playwright.async_api import async_playwright  # noqa: PLC0415  # only where there is a browser

    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield opened
        finally:
            await opened.close()


async def walker_of(browser: Any) -> Walker:
    """A page with axe in it; it is closed with the browser."""
    context = await browser.new_context(bypass_csp=True, reduced_motion="reduce")
    await context.add_init_script(path=AXE)
    return Walker(await context.new_page())


@asynccontextmanager
async def walking() -> AsyncIterator[Walker]:
    """A browser with such a page."""
    async with browsing() as browser:
        yield await walker_of(browser)
