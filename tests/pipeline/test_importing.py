"""People from a CSV file: the good rows are taken with their consent, the bad ones named by line and reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import cycle, islice

import pytest
from sqlalchemy import delete

from syndicator.domain.bounces import Suppressed
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.pipeline import importing
from syndicator.pipeline.exporting import exported_rows
from syndicator.pipeline.importing import COLUMNS, BadRow, Row, import_rows, read_rows
from syndicator.pipeline.keeping_out import ENDED
from syndicator.store import subscriptions, suppressions
from syndicator.store.bounces import BOUNCED
from syndicator.store.moving import MERGED
from syndicator.store.subscriptions import everyone
from syndicator.store.tables import SUBSCRIBER, SUBSCRIPTION

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
        assert await import_rows(press.database, rows, press.now, tokens=press.tokens) == []
    async with press.database.reading() as session:
        found = await subscriptions.find(session, ChannelKind.EMAIL, "a@example.org")
        (subscription,) = await subscriptions.of(session, found.id)
    assert (found.language, found.timezone) == ("az", "Europe/London")
    assert (subscription.filter, subscription.cadence) == ("topic=visas", Cadence.IMMEDIATE)
    assert subscription.consent_text == "Send me releases."
    assert subscription.consent_at.isoformat() == "2026-11-01T06:00:00+00:00"


async def test_a_file_says_how_often_and_whether_without_html(press):
    wishes = [
        GOOD | {"address": "d@example.org", "cadence": "daily", "text_only": "yes"},
        GOOD | {"address": "w@example.org", "cadence": "weekly", "timezone": "Europe/Berlin", "text_only": "no"},
        GOOD | {"address": "again@example.org", "text_only": ""},
    ]
    await import_rows(
        press.database, list(read_rows(table(*wishes), press.site, press.taxonomy)), press.now, tokens=press.tokens
    )
    again = table(GOOD | {"address": "again@example.org", "text_only": "yes"})  # who is known keeps what they have
    await import_rows(
        press.database, list(read_rows(again, press.site, press.taxonomy)), press.now, tokens=press.tokens
    )
    async with press.database.reading() as session:
        found = [(who.address, who.timezone, one.cadence, who.text_only) async for who, one in everyone(session)]
    assert found == [
        ("d@example.org", "Europe/London", "daily", True),
        ("w@example.org", "Europe/Berlin", "weekly", False),
        ("again@example.org", "Europe/London", "immediate", False),
    ]
    exported = [row async for row, _ in exported_rows(press.database)]
    assert [(row["cadence"], row["timezone"], row["text_only"]) for row in exported] == [
        ("daily", "Europe/London", "yes"),
        ("weekly", "Europe/Berlin", "no"),
        ("immediate", "Europe/London", "no"),
    ]
    text = [",".join(COLUMNS), *(",".join(f'"{row[name]}"' for name in COLUMNS) for row in exported)]
    assert [row.text_only for row in read_rows(text, press.site, press.taxonomy)] == [True, False, False]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"text_only": "true"}, "text_only: 'true' is not yes or no"),
        (
            {"text_only": "yes", "channel": "telegram", "address": "7"},
            "text_only: it is for email; telegram has no HTML to do without",
        ),
        ({"cadence": "hourly"}, "cadence: 'hourly' is not one of immediate, daily, weekly"),
    ],
)
async def test_a_row_that_nobody_can_keep_to_is_left_out(press, wrong, says):
    assert list(read_rows(table(GOOD | wrong), press.site, press.taxonomy)) == [BadRow(2, says)]


async def test_a_file_without_the_columns_that_may_be_left_out_is_taken(press):
    columns = [name for name in COLUMNS if name not in ("timezone", "text_only")]
    (row,) = read_rows(table(GOOD, columns=columns), press.site, press.taxonomy)
    assert (row.timezone, row.text_only) == ("Asia/Baku", False)


async def test_an_address_in_capitals_is_the_same_person(press):
    rows = list(read_rows(table(GOOD, GOOD | {"address": "A@Example.ORG"}), press.site, press.taxonomy))
    assert {row.address for row in rows} == {"a@example.org"}
    await import_rows(press.database, rows, press.now, tokens=press.tokens)
    async with press.database.reading() as session:
        assert [who.address async for who, _ in subscriptions.everyone(session)] == ["a@example.org"]


async def standing(press) -> list[tuple[str, str, str, str, str]]:
    """Address, filter, cadence, state and source of consent of every subscription, in the order they were made."""
    async with press.database.reading() as session:
        return [
            (who.address, one.filter, one.cadence.value, one.state.value, one.consent_source)
            async for who, one in subscriptions.everyone(session)
        ]


async def one_by_one(press, rows) -> None:
    """What an import must come to: each row alone, as everybody else subscribes."""
    async with press.database.writing() as session:
        for row in rows:
            who = await subscriptions.ensure(
                session, row.channel, row.address, language=row.language, timezone=row.timezone, now=press.now
            )
            wish = {"cadence": row.cadence, "consent": row.consent, "now": press.now}
            await subscriptions.subscribe(session, who.id, row.filter, state=SubscriptionState.ACTIVE, **wish)


async def clear(press) -> None:
    async with press.database.writing() as session:
        for table in (SUBSCRIPTION, SUBSCRIBER):
            await session.execute(delete(table))


@pytest.mark.parametrize("cadences", [("immediate",), ("immediate", "daily"), ("daily", "daily", "weekly")])
async def test_a_group_comes_to_the_same_as_its_rows_one_by_one(press, cadences):
    filters = [parse(text) for text in ("", "topic=visas", "lang=az")]
    (row,) = read_rows(table(GOOD), press.site, press.taxonomy)
    rows = [
        replace(
            row,
            address=f"r{number % 7}@example.org",
            filter=filters[number % 3],
            cadence=Cadence(cadence),
            consent=replace(row.consent, source=f"line {number}"),
        )
        for number, cadence in enumerate(islice(cycle(cadences), 40))
    ]
    pending = {"cadence": Cadence.IMMEDIATE, "state": SubscriptionState.PENDING, "consent": None, "now": press.now}

    async def some_wait():
        async with press.database.writing() as session:
            for row in rows[:5]:
                who = await subscriptions.ensure(
                    session, row.channel, row.address, language="ru", timezone="UTC", now=press.now
                )
                await subscriptions.subscribe(session, who.id, row.filter, **pending)

    await some_wait()
    await one_by_one(press, rows)
    expected = await standing(press)
    await clear(press)
    await some_wait()
    assert await import_rows(press.database, rows, press.now, tokens=press.tokens) == []
    assert sorted(await standing(press)) == sorted(expected)


@pytest.mark.parametrize(
    ("reason", "hours", "left_out"),
    [
        ("unsubscribed", 1, True),
        ("unsubscribed", 0, True),
        ("unsubscribed", -1, False),
        ("stopped", 1, True),
        ("changed", 1, False),
        ("the configured filter changed", 1, False),
        ("never confirmed", 1, False),
        (MERGED, 1, False),
        (BOUNCED, 1, False),
        (ENDED, 1, False),
    ],
)
async def test_who_unsubscribed_after_that_consent_stays_out_until_they_agree_anew(press, reason, hours, left_out):
    other = GOOD | {"filter": "lang=az"}
    rows = list(read_rows(table(GOOD, other), press.site, press.taxonomy))
    await import_rows(press.database, rows[:1], press.now, tokens=press.tokens)
    async with press.database.writing() as session:
        found = await subscriptions.find(session, ChannelKind.EMAIL, "a@example.org")
        await subscriptions.end_all(session, found.id, reason, rows[0].consent.at + timedelta(hours=hours))
    bad = await import_rows(press.database, rows, press.now, tokens=press.tokens)
    live = [one for one in await standing(press) if one[3] == "active"]
    if left_out:
        said = "unsubscribed on 2026-11-01, after this consent"
        assert bad == [BadRow(2, said), BadRow(3, said)]
        assert live == []
    else:
        assert bad == []
        assert [one[1] for one in live] == ["topic=visas", "lang=az"]


async def test_a_long_file_leaves_room_for_others_between_its_groups(press, monkeypatch):
    gaps = []

    async def gap(seconds):
        async with press.database.writing():  # the writer is free
            gaps.append(seconds)

    monkeypatch.setattr(importing, "GROUP", 10)
    monkeypatch.setattr(importing.asyncio, "sleep", gap)
    people = [GOOD | {"address": f"r{number}@example.org"} for number in range(35)]
    assert (
        await import_rows(
            press.database, list(read_rows(table(*people), press.site, press.taxonomy)), press.now, tokens=press.tokens
        )
        == []
    )
    assert len(await standing(press)) == 35
    assert len(gaps) == 4
    assert min(gaps) > 0


def test_the_time_zone_may_be_left_out(site, taxonomy):
    columns = tuple(name for name in COLUMNS if name != "timezone")
    (row,) = read_rows(table(GOOD, columns=columns), site, taxonomy)
    assert isinstance(row, Row)
    assert row.timezone == "Asia/Baku"


CHAT = {"address": "4711", "channel": "telegram"}


@pytest.mark.parametrize("cadence", ["immediate", "daily", "weekly"])
def test_a_chat_may_be_told_at_once_daily_or_weekly(site, taxonomy, cadence):
    (row,) = read_rows(table(GOOD | CHAT | {"cadence": cadence}), site, taxonomy)
    assert isinstance(row, Row)
    assert row.cadence == cadence


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
        ({"cadence": "hourly"}, "cadence: 'hourly' is not one of immediate"),
        ({"cadence": "hourly", **CHAT}, "cadence: 'hourly' is not one of immediate, daily, weekly"),
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


async def test_a_file_brings_nobody_back_who_is_kept_out_and_says_how_many(press):
    people = [GOOD | {"address": f"{name}@example.org"} for name in ("Erased", "bounced", "fine")]
    async with press.database.writing() as session:
        for address, reason in (("erased@example.org", Suppressed.ERASED), ("bounced@example.org", Suppressed.BOUNCED)):
            await suppressions.add(session, press.tokens.fingerprint("address", address), reason, press.now)
    rows = list(read_rows(table(*people), press.site, press.taxonomy))
    bad = await import_rows(press.database, rows, press.now, tokens=press.tokens)
    assert [(one.line, one.kept_out) for one in bad] == [(2, True), (3, True)]
    assert "erased" in bad[0].reason
    assert "@" not in bad[0].reason
    async with press.database.reading() as session:
        assert [who.address async for who, _ in everyone(session)] == ["fine@example.org"]
