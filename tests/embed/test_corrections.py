"""A page, a list, an embed, a feed and the API never contradict each other about what was corrected, and when."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

STEPS = {
    "came with a note": [("Hours", "It replaces the notice of Monday.")],
    "and was mended silently": [("Hours", "It replaces the notice of Monday."), ("Opening hours", "")],
    "corrected": [("Hours", ""), ("Hours of Monday", "The day was wrong.")],
    "never": [("Hours", ""), ("Opening hours", "")],
}


@pytest.mark.parametrize("past", STEPS)
async def test_every_surface_says_the_same_of_corrections(press, past):
    for hour, (title, note) in enumerate(STEPS[past]):
        press.now += timedelta(hours=bool(hour))
        await press.publish({"en": title}, "1", note=note, public_at=press.now - timedelta(days=3))
    await press.spread()
    [item] = json.loads(await press.text("/feeds/en/all.json"))["items"]
    told = item["_syndicator"].get("correction")
    assert bool(told) == (past != "never")
    whole = json.loads(await press.text("/api/v1/releases/1"))["versions"][0]
    assert whole["corrected"] == bool(told)
    assert [one["note"] for one in whole["corrections"]] == ([told] if told else [])
    pages = {path: await press.text(path) for path in ("/en/", "/en/releases/1-office-hours", "/embed/frame?lang=en")}
    assert {path: "Corrected" in text for path, text in pages.items()} == dict.fromkeys(pages, bool(told))
    if told:
        assert {one["at"] for one in whole["corrections"]} == {item["date_modified"].replace("+00:00", "Z")}
        for path in ("/en/releases/1-office-hours", "/embed/frame?lang=en"):
            assert f'datetime="{item["date_modified"]}"' in pages[path], path
