"""Two schedulers side by side, as real processes: whatever is to be done once is, whichever of them is there."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.faulty.dying import CLOCK_AHEAD, QUICK, RHYTHM
from tests.program import wait_for

INTERVAL = 1  # seconds between polls
UPDATED = "2026-11-01 12:10:00"  # of all rows: each poll reads them once more, and then what is behind them
QUERY = """
    SELECT id, lang, title, body, published, updated, embargo FROM cms
    WHERE CAST(:updated AS text) IS NULL OR updated > :updated OR (updated = :updated AND id > :id)
    ORDER BY updated, id
"""
AN_HOUR_EARLIER = """
    WITH releases AS (
        UPDATE release SET opened_at = opened_at - interval '1 hour', public_at = public_at - interval '1 hour'
    ),
    versions AS (UPDATE variant SET opened_at = opened_at - interval '1 hour'),
    languages AS (UPDATE message SET again_at = again_at - interval '1 hour'),
    readers AS (
        UPDATE held SET id = nextval(pg_get_serial_sequence('subscription', 'id')),
            created_at = created_at - interval '2 hours', confirmed_at = confirmed_at - interval '2 hours'
        RETURNING *
    ),
    back AS (INSERT INTO subscription SELECT * FROM readers)
    SELECT pg_notify('syndicator', '')
"""


class Cms:
    """The office's own table, on a database that counts who comes."""

    def __init__(self, cluster, url):
        self.cluster, self.line, self.rows = cluster, psycopg.connect(url, autocommit=True), 0
        self.line.execute(
            "CREATE TABLE cms (id text PRIMARY KEY, lang text, title text, body text, published timestamptz,"
            " updated text, embargo timestamptz)"
        )
        source = {"kind": "sql", "name": "cms", "url": url, "query": QUERY, "interval": INTERVAL}
        cluster.environ["SYNDICATOR_SOURCES"] = json.dumps([source])

    def put(self, title, *, embargo=None):
        """A release; `embargo` is in seconds from now."""
        self.rows += 1
        now = datetime.now(UTC)
        due = None if embargo is None else now + timedelta(seconds=embargo)
        row = (title.lower(), title, now, UPDATED, due)
        self.line.execute("INSERT INTO cms VALUES (%s, 'en', %s, 'All that is to be said.', %s, %s, %s)", row)

    def reads(self):
        """How often somebody came, up to now."""
        query = "SELECT sessions FROM pg_stat_database WHERE datname = %s"
        [(sessions,)] = self.cluster.sql(query, self.line.info.dbname)
        return sessions

    def keep_coming(self, polls):
        """Wait for so many more polls; asserts that there are no more than the timetable has."""
        each, begun, before = self.rows + 1, time.monotonic(), self.reads()  # a read for each row, and one behind them
        wait_for(lambda: self.reads() - before >= each * polls, f"{polls} polls")
        found, turns = (self.reads() - before) / each, (time.monotonic() - begun) / INTERVAL
        assert found <= turns + 1.5, "each turn of the timetable once"


@pytest.fixture
def cms(cluster, postgresql):
    url = postgresql.fresh()
    made = Cms(cluster, url)
    yield made
    cluster.close()
    made.line.execute("DROP TABLE cms")  # the database is used again
    made.line.close()
    postgresql.drop(url)


def test_two_schedulers_poll_and_open_and_close_once_while_one_is_frozen_and_one_is_killed(cluster, sink, cms):
    office = cluster.mail_through(sink.port)
    closed = datetime.now(UTC) - timedelta(seconds=90)
    office.environ |= {
        RHYTHM: QUICK,
        "SYNDICATOR_SITE__TIMEZONE": "UTC",
        "SYNDICATOR_DIGESTS__AT": f"{closed:%H:%M:%S}",
    }
    office.subscribe("anna@example.org,email,en,,immediate", "daria@example.org,email,en,,daily")
    office.sql("CREATE TABLE held AS SELECT * FROM subscription WHERE cadence = 'daily'")
    office.sql("DELETE FROM subscription WHERE cadence = 'daily'")
    cms.put("One")
    office.start("scheduler", "scheduler", "web,worker")
    one, other, _ = office.machines
    wait_for(lambda: sink.to("anna@example.org"), "the first mail")
    wait_for(lambda: office.sql("SELECT 1 FROM message WHERE again_at IS NOT NULL"), "a wait for other languages")

    # side by side: a day that is over by now, with a release, and a reader who has waited for its digest
    office.sql(AN_HOUR_EARLIER)
    cms.put("Two", embargo=2)
    wait_for(lambda: len(sink.to("anna@example.org")) == 2, "the second mail")
    wait_for(lambda: sink.to("daria@example.org"), "the digest")
    cms.keep_coming(4)

    one.freeze()
    cms.put("Three", embargo=1)
    wait_for(lambda: len(sink.to("anna@example.org")) == 3, "the third mail")
    one.thaw()
    cms.keep_coming(2)

    other.kill()
    cms.put("Four", embargo=1)
    wait_for(lambda: len(sink.to("anna@example.org")) == 4, "the fourth mail")
    cms.keep_coming(2)

    assert office.stop() == [0, 0]
    assert Counter(mail["Subject"] for mail in sink.to("anna@example.org")) == Counter(["One", "Two", "Three", "Four"])
    assert len(sink.to("daria@example.org")) == 1
    assert office.sql("SELECT count(*) FROM message WHERE kind = 'release'") == [(4,)]
    assert office.sql("SELECT count(*) FROM digest_run") == [(1,)]


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_an_embargo_ends_at_its_time_though_the_only_schedulers_clock_is_an_hour_wrong(cluster, sink, cms, ahead):
    office = cluster.mail_through(sink.port)
    office.environ |= {RHYTHM: QUICK}
    office.subscribe("anna@example.org,email,en,,immediate")
    wrong = office.spawn("scheduler", **{CLOCK_AHEAD: str(ahead)})
    office.start("web,worker")
    wrong.wait()
    cms.put("Secret", embargo=1800)
    cms.put("Soon", embargo=2)
    due = time.monotonic() + 2
    wait_for(lambda: sink.to("anna@example.org"), "the mail of what was due")
    assert time.monotonic() >= due - 0.5
    assert [mail["Subject"] for mail in sink.to("anna@example.org")] == ["Soon"]
    assert office.sql("SELECT count(*) FROM release WHERE opened_at IS NULL") == [(1,)]
    assert "clock is not the database's" in wrong.log()
