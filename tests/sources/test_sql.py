"""A table as a publication store: nothing skipped, nothing twice, nothing written."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syndicator.domain.model import BodyFormat, Change, Problem, State, Urgency
from syndicator.domain.ports import SourceItem
from syndicator.sources.rows import Key
from syndicator.sources.sql import OVERLAP, SqlSource

COLUMNS = (
    "id, lang, title, body, published, updated, summary, kind, urgency, topics, embargo, link, note, state, reason, "
    "rights, image_url, image_alt, image_credit"
)
AFTER = "updated > :updated OR (updated = :updated AND id > :id)"
QUERY = f"SELECT {COLUMNS} FROM news WHERE {AFTER} ORDER BY updated, id"


@dataclass
class Table:
    path: Path
    make: Callable[..., SqlSource]

    def put(
        self, number: object, updated: object = "2026-11-21 10:00:00", lang: object = "en", **values: object
    ) -> None:
        row = {"title": f"Title {number}", "body": "<p>Text</p>", "published": None} | values
        row |= {"id": number, "lang": lang, "updated": updated}
        marks = ", ".join("?" * len(row))
        with sqlite3.connect(self.path) as connection:
            connection.execute(f"INSERT INTO news ({', '.join(row)}) VALUES ({marks})", list(row.values()))
        connection.close()


@pytest.fixture
def table(tmp_path) -> Table:
    path = tmp_path / "news.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE news ({COLUMNS})")
    connection.close()

    def make(query: str = QUERY, **options: object) -> SqlSource:
        given = {"body_format": BodyFormat.HTML, "zone": ZoneInfo("Asia/Baku"), "languages": ("az", "en", "ru")}
        return SqlSource("cms", f"sqlite:///{path}", query, **(given | options))

    return Table(path, make)


async def pass_over(source: SqlSource, cursor: str = "", known: Sequence[SourceItem] = ()) -> list[SourceItem]:
    taken = {item.found.origin: item.found.fingerprint for item in known}
    async with asyncio.timeout(20):
        return [item async for item in source.changes(cursor, taken)]


async def test_a_row_becomes_a_change_with_all_that_its_columns_say(table):
    table.put(
        7,
        lang="AZ",
        published="2026-11-20 12:00",
        summary="Short",
        kind="notice",
        urgency="urgent",
        topics="visas, work-permits",
        embargo="2026-11-22T09:00:00Z",
        link="https://press.example.org/7",
        note="Corrected",
        rights="© Us",
        image_url="https://press.example.org/7.png",
        image_alt="A hall",
        image_credit="The Service",
    )
    ((item),) = await pass_over(table.make())
    change = item.found
    assert isinstance(change, Change)
    assert (change.source, change.key, change.origin, change.lang) == ("cms", "7", "7.AZ", "az")
    assert (change.title, change.body, change.body_format) == ("Title 7", "<p>Text</p>", BodyFormat.HTML)
    assert (change.summary, change.kind, change.urgency) == ("Short", "notice", Urgency.URGENT)
    assert change.topics == ("visas", "work-permits")
    assert change.published == datetime(2026, 11, 20, 8, tzinfo=UTC)  # Baku's noon
    assert change.embargo == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert change.seen_at == datetime(2026, 11, 21, 6, tzinfo=UTC)
    assert (change.note, change.rights, change.state) == ("Corrected", "© Us", State.PUBLIC)
    (picture,) = change.attachments
    assert (picture.url, picture.media_type) == ("https://press.example.org/7.png", "image/png")
    assert (picture.alt, picture.credit) == ("A hall", "The Service")


async def test_a_second_pass_gives_only_what_came_since(table):
    table.put(1, "2026-11-21 10:00:00")
    table.put(2, "2026-11-21 11:00:00")
    first = await pass_over(table.make())
    assert await pass_over(table.make(), first[-1].cursor, first) == []
    table.put(3, "2026-11-21 11:00:00")
    assert [item.found.key for item in await pass_over(table.make(), first[-1].cursor, first)] == ["3"]


async def test_a_row_that_comes_in_late_behind_the_cursor_is_still_seen_and_the_cursor_never_goes_back(table):
    table.put(5, "2026-11-21 11:00:00")
    first = await pass_over(table.make())
    table.put(3, "2026-11-21 11:00:00")  # the same second, a smaller id
    table.put(9, "2026-11-21 10:55:00")  # a transaction that committed late
    late = await pass_over(table.make(), first[-1].cursor, first)
    assert sorted(item.found.key for item in late) == ["3", "9"]
    assert {item.cursor for item in late if item.found.key == "9"} == {first[-1].cursor}
    assert await pass_over(table.make(), late[-1].cursor, [*first, *late]) == []


@pytest.mark.parametrize(
    ("updated", "earlier"),
    [
        (datetime(2026, 11, 21, 10, tzinfo=UTC), datetime(2026, 11, 21, 9, 50, tzinfo=UTC)),
        (datetime(2026, 11, 21, 0, 5), datetime(2026, 11, 20, 23, 55)),  # noqa: DTZ001  # as a database gives it
        (date(2026, 11, 21), date(2026, 11, 20)),
        ("2026-11-21 10:00:00", "2026-11-21 09:50:00"),
        ("2026-11-21T10:00:00", "2026-11-21T09:50:00"),
        ("2026-11-21", "2026-11-20"),
        (1_763_720_000, 1_763_719_400),
        (1_763_720_000_000, 1_763_719_400_000),
        ("rev-17", "rev-17"),
    ],
)
def test_a_pass_begins_ten_minutes_before_its_cursor_whatever_the_column_holds(updated, earlier):
    assert Key(updated, 7).back(OVERLAP).updated == earlier


@pytest.mark.parametrize("limit", ["", " LIMIT 3"])
@pytest.mark.parametrize("page", [1, 2, 3, 500])
async def test_rows_with_one_time_and_languages_of_one_id_are_never_cut_apart(table, page, limit):
    for number in range(1, 6):
        for lang in ("az", "en", "ru"):
            table.put(number, "2026-11-21 10:00:00", lang)
    table.put(6, "2026-11-21 10:00:01")
    items = await pass_over(table.make(QUERY + limit, page=page))
    origins = [item.found.origin for item in items]
    assert sorted(origins) == sorted({*origins})
    assert len(origins) == 16


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), max_size=14, unique=True),
    page=st.integers(1, 4),
    stop=st.integers(0, 14),
)
async def test_a_pass_broken_off_anywhere_goes_on_without_a_gap(table, rows, page, stop):
    with sqlite3.connect(table.path) as connection:
        connection.execute("DELETE FROM news")
    connection.close()
    for number, minute in rows:
        table.put(number, f"2026-11-21 10:0{minute}:00")
    seen: set[tuple[str, datetime]] = set()
    cursor = ""
    for item in (await pass_over(table.make(page=page)))[:stop]:
        seen.add((item.found.key, item.found.seen_at.minute))
        cursor = item.cursor
    for item in await pass_over(table.make(page=page), cursor):
        seen.add((item.found.key, item.found.seen_at.minute))
    assert seen == {(str(number), minute) for number, minute in rows}


@pytest.mark.parametrize(
    "where",
    [
        f"WHERE {AFTER}",
        "WHERE (updated, id) > (:updated, :id)",
        f"WHERE :updated IS NULL OR {AFTER}",
        "WHERE updated >= :updated AND :id = :id OR :id IS NULL",
    ],
)
async def test_the_first_pass_begins_at_the_beginning(table, where):
    table.put(1)
    table.put(2)
    source = table.make(f"SELECT {COLUMNS} FROM news {where} ORDER BY updated, id")
    assert [item.found.key for item in await pass_over(source)] == ["1", "2"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"title": None}, "title: a title is needed"),
        ({"body": None}, "body: there is no text"),
        ({"body": b"\x00"}, "body: a text is allowed, not a bytes"),
        ({"body": "x" * 1_000_001}, "body: it has 1,000,001 characters; at most 1,000,000 are taken"),
        ({"lang": "de"}, "lang: az, en, ru is allowed, not de"),
        ({"lang": None}, "lang: az, en, ru is allowed, not nothing"),
        ({"state": "live"}, "state: public, draft or withdrawn is allowed, not live"),
        ({"published": "soon"}, "published: a time such as 2026-11-21T16:20:00+04:00 is allowed, not soon"),
        (
            {"updated": "2026-11-21 late"},
            "updated: a time such as 2026-11-21T16:20:00+04:00 is allowed, not 2026-11-21 late",
        ),
        ({"image_url": "../x.png"}, "image: an address that begins with https:// is allowed, not ../x.png"),
        ({"topics": "Work permits"}, "topics: slugs such as work-permits are allowed, not work permits"),
    ],
)
async def test_a_bad_row_is_named_by_its_id_and_passed(table, values, reason):
    table.put(1, **values)
    table.put(2, "2026-11-22 10:00:00")
    bad, good = await pass_over(table.make())
    assert isinstance(bad.found, Problem)
    assert bad.found.origin.startswith("1.")
    assert bad.found.reason == reason
    assert isinstance(good.found, Change)
    assert await pass_over(table.make(), good.cursor, [bad, good]) == []


async def test_rows_without_a_place_in_the_order_are_told_and_hold_up_nobody(table):
    for number in range(5):
        table.put(number, None)
    table.put(None, "2026-11-21 10:00:00")
    table.put(9, "2026-11-21 10:00:00")
    source = table.make(f"SELECT {COLUMNS} FROM news WHERE :updated IS NULL OR {AFTER} ORDER BY updated, id", page=6)
    items = await pass_over(source)
    problems = [item.found for item in items if isinstance(item.found, Problem)]
    assert [problem.origin for problem in problems] == ["0.en", "1.en", "2.en", "3.en", "4.en", "?.en"]
    assert {problem.reason for problem in problems} == {"updated: a value is needed", "id: a value is needed"}
    assert [item.found.key for item in items if isinstance(item.found, Change)] == ["9"]


@pytest.mark.parametrize(
    ("query", "line"),
    [
        (
            QUERY.replace("id, lang, title,", "id, lang,", 1),
            "the query yields no column title; needed: id, lang, title",
        ),
        (QUERY.replace("summary", "summary AS summry", 1), "column summry is unknown; allowed also: summary, kind"),
        (QUERY.replace("summary", "title", 1), "the query yields a column twice"),
        (QUERY.replace("news", "gone"), "the database refuses: no such table: gone"),
        (QUERY.replace("ORDER BY updated", "ORDER BY updated DESC"), "with ORDER BY updated, id"),
        (f"SELECT {COLUMNS} FROM news WHERE :updated IS :id OR 1 ORDER BY updated, id", "must yield rows after"),
    ],
)
async def test_a_wrong_query_ends_the_pass_with_one_line(table, query, line):
    for number in range(3):
        table.put(number, f"2026-11-21 10:0{number}:00")
    with pytest.raises(OSError, match=r"^source cms: ") as caught:
        await pass_over(table.make(query, page=2))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_query_that_ignores_the_cursor_still_ends(table):
    for number in range(7):
        table.put(number)
    source = table.make(f"SELECT {COLUMNS} FROM news WHERE :updated IS :id OR 1 ORDER BY updated, id", page=2)
    assert len(await pass_over(source)) <= 7


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT :updated", f"{QUERY} LIMIT :most"])
def test_a_query_needs_both_parameters_and_no_other(table, query):
    with pytest.raises(ValueError, match="the query needs the parameters :updated and :id"):
        table.make(query)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("no address", "an SQLAlchemy URL such as"),
        ("foxpro://user:hush@host/x", "an SQLAlchemy URL such as"),
        ("mysql+mysqldb://user:hush@host/x", "the driver MySQLdb is not installed"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url, line):
    with pytest.raises(ValueError, match=line) as caught:
        SqlSource("cms", url, QUERY, body_format=BodyFormat.HTML, zone=ZoneInfo("UTC"), languages=("en",))
    assert "hush" not in str(caught.value)


async def test_a_database_that_is_not_there_is_not_made(table, tmp_path):
    table.path.unlink()
    with pytest.raises(OSError, match=r"news\.db does not exist"):
        await pass_over(table.make())
    assert not table.path.exists()


async def test_nothing_can_be_written(table):
    table.put(1)
    with pytest.raises(OSError, match=r"readonly|read-only|read only"):
        await pass_over(table.make("DELETE FROM news WHERE id <> :updated OR id <> :id RETURNING *"))
    assert len(await pass_over(table.make())) == 1


async def test_only_what_a_row_says_makes_its_fingerprint(table):
    table.put(1, "2026-11-21 10:00:00")
    table.put(1, "2026-11-21 11:00:00")
    table.put(1, "2026-11-21 12:00:00", body="<p>Other</p>")
    first, touched, changed = [item.found.fingerprint for item in await pass_over(table.make())]
    assert first == touched != changed


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC),
        datetime(2026, 11, 21, 10),  # noqa: DTZ001
        date(2026, 11, 21),
        Decimal("7.50"),
        UUID(int=7),
        "2026-11-21T10:00",
        1.1,
        10**20,
    ],
)
def test_a_cursor_keeps_its_values_types(value):
    found = Key.load(Key(value, value).dump())
    assert (found.updated, type(found.updated)) == (value, type(value))


@pytest.mark.parametrize("cursor", ["x", "{}", "[]", json.dumps({"updated": ["list", "x"], "id": ["text", "x"]}), "1"])
async def test_a_cursor_that_cannot_be_read_begins_again(table, cursor):
    table.put(1)
    assert len(await pass_over(table.make(), cursor)) == 1


async def test_a_table_does_not_tell_when_it_changes(table):
    async with asyncio.timeout(5):
        assert [event async for event in table.make().watch()] == []
