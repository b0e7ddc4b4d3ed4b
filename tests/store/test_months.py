"""What pages may offer: the kinds there are, and the months in which a feed has something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from syndicator.domain.filters import parse
from syndicator.store import releases

BAKU, NEW_YORK = ZoneInfo("Asia/Baku"), ZoneInfo("America/New_York")
TIMES = {
    "old": (datetime(2024, 2, 29, 12, tzinfo=UTC), "az", ("visas",), "news"),
    "eve": (datetime(2025, 12, 31, 20, 30, tzinfo=UTC), "az", ("office",), "notice"),  # in Baku it is 2026
    "may": (datetime(2026, 5, 1, 3, 59, 59, tzinfo=UTC), "az", ("visas",), "news"),  # in New York it is April
    "also may": (datetime(2026, 5, 31, 12, tzinfo=UTC), "az", ("e-visa",), "news"),
    "english": (datetime(2026, 7, 1, tzinfo=UTC), "en", ("visas",), "report"),
}


@pytest.mark.parametrize(
    ("wanted", "zone", "months"),
    [
        ("lang=az", BAKU, ["2026-05", "2026-01", "2024-02"]),
        ("lang=az", NEW_YORK, ["2026-05", "2026-04", "2025-12", "2024-02"]),
        ("lang=az&topic=visas", BAKU, ["2026-05", "2024-02"]),
        ("lang=az&topic=refugees", BAKU, []),
        ("lang=en", BAKU, ["2026-07"]),
    ],
)
async def test_a_feeds_months_are_those_of_the_offices_calendar(database, press, taxonomy, now, wanted, zone, months):
    async with database.writing() as session:
        for key, (when, lang, topics, kind) in TIMES.items():
            await press.record(session, key, lang, public_at=when, topics=topics, kind=kind)
        await press.record(session, "secret", public_at=now + timedelta(days=40), state="scheduled", kind="event")
        gone = await press.record(session, "gone", public_at=datetime(2023, 3, 3, tzinfo=UTC), kind="statement")
        await releases.withdraw(session, gone.release.number, "An error", now)
    async with database.reading() as session:
        found = await releases.months(session, parse(wanted), taxonomy, lang="az", zone=zone, now=now)
        kinds = await releases.kinds(session, now)
    assert found == months
    assert kinds == ["news", "notice", "report"]
