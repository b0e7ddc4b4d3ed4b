"""Two real releases as a site gives them, footer and all, lie beside the checkout: both must come in clean."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tdjson

from bots.telegram.render import render
from config.loading import load
from config.topics import load_topics
from syndicator.domain.model import Change, Release, State, Urgency, Variant
from syndicator.i18n import Texts
from syndicator.pipeline.preparing import Prepared, prepare, ruled_topics
from syndicator.sources.single import DocumentReader

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not SEEDS.is_dir() and not os.environ.get("CI"), reason="the two sample files are not part of the checkout"
)

EXPECTED = {
    "000_4c2987df62826f6a.txt": ("Vusal Huseynov delivered a video statement", 5, {"human-rights", "international"}),
    "002_7cc875a15194622e.txt": ("Azerbaijan is represented at the 2nd", 12, {"refugees", "international"}),
}


@pytest.fixture(params=sorted(EXPECTED))
async def seed(request: pytest.FixtureRequest) -> tuple[str, Prepared]:
    reader = DocumentReader(("az", "en", "ru"), "az", ZoneInfo("Asia/Baku"))
    change = await reader.read(SEEDS / request.param)
    assert isinstance(change, Change), change
    settings = load(None, {})
    return request.param, prepare(change, (), settings.as_site(), load_topics(settings.topics_path), NOW)


async def test_title_paragraphs_and_language_are_right_and_the_footer_is_gone_but_for_its_rights(
    seed: tuple[str, Prepared],
) -> None:
    name, prepared = seed
    title, paragraphs, _ = EXPECTED[name]
    assert prepared.change.lang == "en"
    assert prepared.revision.title.startswith(title)
    assert prepared.revision.body.count("<p>") == paragraphs
    assert prepared.revision.rights == "© 2024 The Republic of Azerbaijan State Migration Service"
    for footer in ("Privacy Policy", "All rights reserved", "©"):
        assert footer not in prepared.revision.text


async def test_topics_are_those_that_a_press_officer_would_tick(seed: tuple[str, Prepared]) -> None:
    name, prepared = seed
    taxonomy = load_topics(load(None, {}).topics_path)
    found = {slug for slug, _, _ in ruled_topics(prepared, None, taxonomy)}
    assert found >= EXPECTED[name][2]
    assert not found & {"visas", "students", "labour-migration", "offices", "readmission"}


async def test_telegram_takes_the_post(seed: tuple[str, Prepared]) -> None:
    _, prepared = seed
    settings = load(None, {})
    variant = Variant(1, "en", "tag:x", prepared.slug, NOW, prepared.revision)
    release = Release(1, "tag:x", "s", "k", "news", Urgency.NORMAL, State.PUBLIC, NOW, NOW, (), (variant,))
    texts = Texts.load(settings.site.languages)
    for part in render(release, "en", texts("en"), settings.as_site(), load_topics(settings.topics_path)):
        query = {"@type": "parseTextEntities", "text": part.html, "parse_mode": {"@type": "textParseModeHTML"}}
        parsed = json.loads(tdjson.td_execute(json.dumps(query).encode()))
        assert parsed["@type"] == "formattedText", parsed
        assert len(parsed["text"].encode("utf-16-le")) // 2 <= 4096
