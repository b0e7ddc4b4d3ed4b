"""Others look at every kind of mail in every language, with words too long for a phone in them.

html-validate finds nothing unsound, axe-core nothing that shuts anybody out, in both lights and on a phone, where all
of it fits; doiuse-email finds nothing that Gmail, Outlook, Yahoo or Apple Mail lack, but for what is named here with
what its readers see instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.email.gallery import LANGS, NOW, a_compiler, gallery, parts
from tests.judges import readers
from tests.needing import missing
from tests.walking import AXE, CHROMIUM, FLAGS

LONG = "Ş" * 90  # a word
LESS_THERE = {
    "`@media`": "Outlook for Windows shows the wide, light mail; Gmail's web page on a phone lets it shrink",
    "`<body> element`": "programs take its place; the table inside has its colours",
    "`border-radius`": "corners are square",
    "`display:none`": "Gmail's web page on a phone may show the preview, one pixel high and in the ground's colour",
    "`role attribute`": "Windows Mail, which is gone, reads a table as one",
    "`table-layout`": "Outlook for Windows lets a long word widen the mail",
    "`white-space`": "Outlook for Windows does not wrap what is preformatted",
    "`word-break`": "Yahoo lets a long word widen the mail",
}
# A mail stands inside a program's page, which has the landmarks.
AXE_RULES = {"rules": {"region": {"enabled": False}, "landmark-one-main": {"enabled": False}}}
RUN = """async (asked) => (await axe.run(document, asked)).violations.map(
    (one) => one.id + ": " + one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", "))"""
LOOKS = [("light", 800, "en"), ("light", 320, "az"), ("dark", 320, "ru")]
ALL = [(scheme, width, lang) for scheme in ("light", "dark") for width in (320, 800) for lang in LANGS]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The HTML parts, as files."""
    folder = tmp_path_factory.mktemp("mails")
    found = []
    for lang in LANGS:
        for shown in gallery(lang, word=LONG):
            path = folder / f"{shown.name}-{lang}.html"
            path.write_text(parts(a_compiler().mail(shown.letter, NOW).data)[1], encoding="utf-8")
            found.append(path)
    return found


def judged(name: str, pages: list[Path], scope: str = "") -> dict[str, Any]:
    return {path.name: told for path, told in readers.node(name, pages, scope).items()}


def test_html_validate_finds_nothing(pages: list[Path]) -> None:
    assert {page: told for page, told in judged("html-validate", pages).items() if told} == {}


def test_doiuse_email_finds_nothing_that_is_not_accounted_for(pages: list[Path]) -> None:
    told = judged("doiuse-email", pages, "@jsx-email")
    found = {line.partition(" is ")[0] for one in told.values() for line in one["errors"]}
    assert found == set(LESS_THERE)


async def test_axe_finds_nothing_and_every_mail_fits(pages: list[Path]) -> None:
    if not CHROMIUM.exists():
        missing("chromium", "Debian: apt install chromium")
    if not AXE.exists():
        missing("axe-core", "make judges")
    from playwright.async_api import async_playwright  # noqa: PLC0415  # it is slow to load

    faults = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for scheme, width, lang in ALL if os.environ.get("WALK") == "all" else LOOKS:
            page = await browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            for path in (one for one in pages if one.stem.endswith(lang)):
                await page.goto(path.as_uri())
                if await page.evaluate("document.documentElement.scrollWidth") > width:
                    faults.append(f"{path.name} is wider than {width}")
                await page.evaluate(AXE.read_text("utf-8"))
                faults += [f"{path.name} {scheme}: {line}" for line in await page.evaluate(RUN, AXE_RULES)]
        await browser.close()
    assert faults == []
