"""People from a CSV file: the good rows are taken with their consent, the bad ones named by line and reason."""

from __future__ import annotations

import pytest

from syndicator.domain.model import Cadence, ChannelKind
from syndicator.pipeline.importing import COLUMNS, BadRow, Row, import_rows, read_rows
from syndicator.store import subscriptions

GOOD = {
    "address": "a@example.org",
    "channel": "email",
    "language": "az",
    "timezone": "Europe/London",
    "filter": "topic=visas",
    "cadence": "immediate",
    "consent_at": "2026-11-01T10:00:00+04:00",
    "consent_source": "desk",
    "consent_text": "Send me releases.",
}


def table(*rows: dict[str, str], columns=COLUMNS) -> list[str]:
    return [",".join(columns), *(",".join(f'"{row.get(name, "")}"' for name in columns) for row in rows)]


async def test_a_good_row_becomes_an_active_subscription_with_its_consent_and_again_changes_nothing(press):
    rows = list(read_rows(table(GOOD), press.site, press.taxonomy))
    for _ in range(2):
        assert await import_rows(press.database, rows, press.now) == 1
    async with press.database.reading() as session:
        found = await subscriptions.find(session, ChannelKind.EMAIL, "a@example.org")
        (subscription,) = await subscriptions.of(session, found.id)
    assert (found.language, found.timezone) == ("az", "Europe/London")
    assert (subscription.filter, subscription.cadence) == ("topic=visas", Cadence.IMMEDIATE)
    assert subscription.consent_text == "Send me releases."
    assert subscription.consent_at.isoformat() == "2026-11-01T06:00:00+00:00"


async def test_an_address_in_capitals_is_the_same_person(press):
    rows = list(read_rows(table(GOOD, GOOD | {"address": "A@Example.ORG"}), press.site, press.taxonomy))
    assert {row.address for row in rows} == {"a@example.org"}
    await import_rows(press.database, rows, press.now)
    async with press.database.reading() as session:
        assert [who.address async for who, _ in subscriptions.everyone(session)] == ["a@example.org"]


def test_the_time_zone_may_be_left_out(site, taxonomy):
    columns = tuple(name for name in COLUMNS if name != "timezone")
    (row,) = read_rows(table(GOOD, columns=columns), site, taxonomy)
    assert isinstance(row, Row)
    assert row.timezone == "Asia/Baku"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"address": "nobody"}, "address: "),
        ({"address": "@name", "channel": "telegram"}, "address: '@name' is no Telegram chat id"),
        ({"channel": "fax"}, "channel: 'fax' is not one of telegram, email"),
        ({"language": "fr"}, "language: 'fr' is not one of az, en, ru"),
        ({"timezone": "Mars"}, "timezone: 'Mars' is no IANA time zone"),
        ({"filter": "topic=nonsense"}, "filter: "),
        ({"filter": "nonsense=1"}, "filter: "),
        ({"cadence": "hourly"}, "cadence: 'hourly' is not one of immediate, daily, weekly"),
        ({"consent_at": "yesterday"}, "consent_at: 'yesterday' is no ISO 8601 time"),
        ({"consent_at": ""}, "consent_at: is empty"),
        ({"consent_source": ""}, "consent_source: is empty"),
        ({"consent_text": ""}, "consent_text: is empty"),
    ],
)
def test_a_bad_row_is_named_by_line_and_reason_and_the_others_are_taken(site, taxonomy, values, words):
    before, bad, after = read_rows(table(GOOD, GOOD | values, GOOD), site, taxonomy)
    assert isinstance(before, Row)
    assert isinstance(after, Row)
    assert isinstance(bad, BadRow)
    assert bad.line == 3
    assert bad.reason.startswith(words)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (COLUMNS[1:], "column 'address' is missing"),
        ((*COLUMNS, "shoe_size"), "column 'shoe_size' is unknown"),
        ((), "column 'address' is missing"),
    ],
)
def test_a_file_with_other_columns_is_refused_whole(site, taxonomy, columns, words):
    with pytest.raises(ValueError, match=words):
        list(read_rows(table(GOOD, columns=columns), site, taxonomy))
