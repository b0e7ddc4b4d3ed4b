"""The doctor looks at sources, folders and the database, and leaves everything as it was."""

from __future__ import annotations

import sqlite3
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from config.settings import Settings
from syndicator.domain.model import BodyFormat
from syndicator.pipeline.doctor import questions
from syndicator.sources.sql import SqlSource

QUERY = (
    "SELECT id, lang, title, body, published, updated FROM news WHERE :updated IS NULL OR updated > :updated"
    " OR (updated = :updated AND id > :id) ORDER BY updated, id"
)


@pytest.fixture
def cms(tmp_path):
    """A CMS table of two good rows and a bad one."""
    path = tmp_path / "cms.db"
    with sqlite3.connect(path) as table:
        table.execute("CREATE TABLE news (id, lang, title, body, published, updated)")
        moment = "2026-11-21T09:00:00"
        rows = [(1, "en", "A", "Text"), (2, "en", "", "No title"), (3, "az", "B", "Mətn")]
        table.executemany("INSERT INTO news VALUES (?,?,?,?,?,?)", [(*row, moment, moment) for row in rows])
    table.close()
    return path


@pytest.fixture
def ask(tmp_path, site):
    async def asked(name, database_url="sqlite:////nowhere/x.db", **more):
        settings = Settings.model_validate(
            {
                "site": {
                    "base_url": site.base_url,
                    "names": site.names,
                    "languages": site.languages,
                    "default_language": "az",
                    "timezone": site.timezone,
                },
                "database": {"url": database_url},
                "web": {"host": "127.0.0.1", "port": 0},
                "feeds": {"directory": str(tmp_path / "feeds"), "entries": 50, "max_age": 60},
                **more,
            }
        )
        return await dict(questions(settings, lambda source: open_sql(source, site)))[name]()

    return asked


def open_sql(source, site):
    return SqlSource(
        source.name,
        source.url.get_secret_value(),
        source.query,
        body_format=BodyFormat.HTML,
        zone=ZoneInfo(site.timezone),
        languages=site.languages,
    )


def sources(url, query=QUERY):
    return [{"kind": "sql", "name": "cms", "url": url, "query": query}]


async def test_a_query_is_run_from_the_beginning_and_its_bad_rows_are_told(ask, cms):
    said = await ask("source cms", sources=sources(f"sqlite:///{cms}"))
    assert said == "the query runs, 3 rows on its first page, 1 of them bad; 2.en: title: a title is needed"


async def test_an_empty_table_is_told(ask, cms):
    with sqlite3.connect(cms) as table:
        table.execute("DELETE FROM news")
    table.close()
    assert await ask("source cms", sources=sources(f"sqlite:///{cms}")) == "the query runs and yields no rows"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (QUERY.replace("title, ", ""), "the query yields no column title"),
        (QUERY.replace("lang, ", "lang, 1 AS odd, "), "column odd is unknown"),
        (QUERY.replace("news", "newz"), "no such table: newz"),
        (QUERY.replace(":id", "1"), "needs the parameters :updated and :id"),
        ("DELETE FROM news WHERE id > :id OR updated > :updated RETURNING *", "readonly|attempt to write"),
    ],
)
async def test_a_query_that_does_not_fit_is_one_line_and_writes_nothing(ask, cms, query, says):
    with pytest.raises((OSError, ValueError), match=says) as found:
        await ask("source cms", sources=sources(f"sqlite:///{cms}", query))
    assert "\n" not in str(found.value)
    with sqlite3.connect(cms) as table:
        assert table.execute("SELECT count(*) FROM news").fetchone() == (3,)
    table.close()


@pytest.mark.parametrize("url", ["sqlite:////nowhere/cms.db", "postgresql://u:hush@127.0.0.1:1/x", "nonsense://hush"])
async def test_a_store_that_cannot_be_reached_is_named_without_its_password(ask, url):
    with pytest.raises((OSError, ValueError), match="source cms") as found:
        await ask("source cms", sources=sources(url))
    assert "hush" not in str(found.value)


async def test_the_outboxes_are_looked_at_while_there_is_no_relay_and_no_token(ask, tmp_path):
    assert await ask("email folder", email={"outbox": str(tmp_path / "out")}) == f"{tmp_path}/out can be written"
    assert await ask("telegram folder", telegram={"outbox": str(tmp_path / "out")})
    assert not (tmp_path / "out").exists()
    with pytest.raises(KeyError):
        await ask("telegram folder", telegram={"token": "1:x"})


async def test_a_database_is_looked_at_and_a_newer_one_is_named(ask, database, database_url):
    assert (await ask("database", database_url)).endswith(" is current")
    async with database.writing() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await session.execute(text("UPDATE meta SET value = '9998' WHERE name = 'beside'"))
    with pytest.raises(ValueError, match="9999"):
        await ask("database", database_url)


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        ([{"chat": "@press"}, {"chat": "t.me/PRESS/"}], "is the same place as @press"),
        ([{"chat": "@press", "filter": "topic:unheard"}], "@press: filter: "),
        ([{"chat": "@press"}, {"chat": "@press", "thread": 5}], None),
    ],
)
async def test_configured_channels_are_looked_at_as_a_start_would(ask, channels, says):
    if says is None:
        assert await ask("channels", telegram={"channels": channels}) == "2 places"
    else:
        with pytest.raises(ValueError, match=says):
            await ask("channels", telegram={"channels": channels})
