"""The whole service on other people's stores: a CMS table as the publication store, PostgreSQL as our own."""

from __future__ import annotations

import asyncio
import importlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.program import MailSink, Program, mail_through

SOON = 5.0  # seconds until a running service has noticed a command; half a second is how often it looks

COLUMNS = "id, lang, title, body, published, updated, note, state, reason"
QUERY = (
    f"SELECT {COLUMNS} FROM news WHERE state <> 'internal' AND"
    " (updated > :updated OR (updated = :updated AND id > :id)) ORDER BY updated, id"
)


class Cms:
    """The table of an office's own CMS, in a file that we may only read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.moment = datetime.now(UTC).replace(microsecond=0)
        self._do(f"CREATE TABLE news ({COLUMNS}, PRIMARY KEY (id, lang))")

    def put(self, number: int, title: str, body: str, *, lang: str = "en", **more: str) -> None:
        """A row of this moment, new or in place of the old one."""
        row = {"id": number, "lang": lang, "title": title, "body": body, "published": self._published(number)}
        row |= {"updated": self._text(self.moment), "note": None, "state": "public", "reason": None, **more}
        self._do(f"REPLACE INTO news VALUES ({','.join('?' * len(row))})", *row.values())

    def later(self) -> None:
        """The CMS's clock has only full seconds."""
        self.moment += timedelta(seconds=1)

    def _published(self, number: int) -> str:
        with closing(sqlite3.connect(self.path)) as table:
            found = table.execute("SELECT published FROM news WHERE id = ?", (number,)).fetchone()
        return str(found[0]) if found else self._text(self.moment)

    @staticmethod
    def _text(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%d %H:%M:%S")

    def _do(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as table, table:
            table.execute(statement, values)


@pytest.fixture
def cms(program: Program) -> Cms:
    made = Cms(program.folder / "cms.db")
    source = {"kind": "sql", "name": "cms", "url": f"sqlite:///{made.path}", "query": QUERY}
    source |= {"timezone": "UTC", "interval": 0.3}
    program.environ["SYNDICATOR_SOURCES"] = json.dumps([source])
    return made


def test_a_cms_table_is_a_publication_store_from_the_first_row_to_the_withdrawal(
    program: Program, cms: Cms, until: Any
) -> None:
    cms.put(1, "Visa fees change", "<p>The fee becomes 20 lir.</p>")
    program.start()
    until(lambda: program.titles() == ["Visa fees change"] and len(program.posts()) == 1, "the first row")

    # rows of one and the same second, one of them bad: the others come, the bad one is named
    cms.put(2, "Office hours change", "<p>From Monday.</p>")
    cms.put(3, "", "<p>Somebody forgot the title.</p>")
    cms.put(4, "Queues get shorter", "<p>By half.</p>", lang="xx")
    cms.put(5, "A new office opens", "<p>In the north.</p>")
    until(lambda: {"Office hours change", "A new office opens"} <= set(program.titles()), "the rows of one second")
    cms.put(6, "One more of that second", "<p>It came after the others had been read.</p>")
    until(lambda: "One more of that second" in program.titles(), "the late row of that second")
    assert len(program.titles()) == 4
    until(lambda: len(program.posts()) == 4, "a post for each good row")
    told = program.log()
    assert "3.en" in told
    assert "title: a title is needed" in told
    assert "4.xx" in told

    cms.later()
    cms.put(3, "The title is here", "<p>Somebody found it.</p>")
    cms.put(1, "Visa fees change", "<p>The fee becomes 25 lir.</p>", note="The fee is 25 lir, not 20.")
    until(lambda: "25 lir, not 20" in program.text("/feeds/en/all.rss"), "the correction")
    until(lambda: "The title is here" in program.titles(), "the mended row")
    page = next(item["url"] for item in program.feed()["items"] if item["title"] == "Visa fees change")
    assert "becomes 20 lir" not in program.text(page) + program.text("/feeds/en/all.atom")

    cms.later()
    cms.put(1, "Visa fees change", "<p>The fee becomes 25 lir.</p>", state="withdrawn", reason="Not decided yet.")
    until(lambda: program.get(page)[0] == 410, "the withdrawal")
    assert "Not decided yet." in program.text(page)
    for form in ("rss", "atom", "json"):
        until(lambda address=f"/feeds/en/all.{form}": "25 lir" not in program.text(address), f"{form} to follow")
    assert "Visa fees change" not in program.text("/en/")
    assert "Traceback" not in program.log()


class SlowSink(MailSink):
    """Takes its time over each mail, so that a kill finds some in flight."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        await asyncio.sleep(0.02)
        return await super().handle_DATA(server, session, envelope)


@pytest.fixture
def slow() -> Iterator[SlowSink]:
    found = SlowSink()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def on_postgresql(program: Program, postgresql_url: str) -> Program:
    program.environ["SYNDICATOR_DATABASE__URL"] = postgresql_url
    return program


def in_state(url: str, *states: str) -> int:
    """Mails of the ledger in these states, asked of the database itself."""
    psycopg = importlib.import_module("psycopg")
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM delivery d JOIN subscriber s ON s.id = d.subscriber_id"
            " WHERE s.channel = 'email' AND d.state = ANY(%s)",
            (list(states),),
        ).fetchone()
    return int(found[0])


def test_on_postgresql_a_release_reaches_everyone_and_commands_beside_the_service_are_noticed(
    on_postgresql: Program, sink: MailSink, until: Any
) -> None:
    program = mail_through(on_postgresql, sink.port)
    program.subscribe("reader@example.org,email,en,,immediate", "other@example.org,email,en,topic=visas,immediate")
    program.start()
    program.write("hours.en.txt", "Office hours change\n\nFrom Monday.\n")
    until(lambda: program.titles() == ["Office hours change"] and sink.taken and program.posts(), "feed, mail, post")
    assert [str(mail["To"]) for mail in sink.mails] == ["reader@example.org"]

    second = program.command("run", check=False)
    assert second.returncode == 1
    (line,) = [line for line in second.stderr.splitlines() if line.startswith("syndicator:")]
    assert "another syndicator runs on this database" in line
    assert program.get("/readyz")[0] == 200

    file = program.folder / "fees.en.txt"
    file.write_text("Visa fees change\n\nThe fee for a visa becomes 20 lir.\n", encoding="utf-8")
    number = program.command("publish", str(file)).stdout.split()[0]
    until(lambda: "Visa fees change" in program.titles(), "the published release", SOON)
    until(lambda: len(sink.taken) == 3, "its mails", SOON)

    file.write_text("Visa fees change\n\nThe fee for a visa becomes 25 lir.\n", encoding="utf-8")
    program.command("correct", number, str(file), "--note", "It is 25 lir.")
    until(lambda: "25 lir" in program.text("/feeds/en/all.rss"), "the correction", SOON)

    program.command("withdraw", number, "--reason", "Not decided yet.")
    until(lambda: "Visa fees change" not in program.titles(), "the withdrawal", SOON)
    assert program.get(f"/en/releases/{number}")[0] == 410
    assert program.stop() == 0
    assert "Traceback" not in program.log()


def test_on_postgresql_a_kill_while_sending_misses_nobody(
    on_postgresql: Program, postgresql_url: str, slow: SlowSink, until: Any
) -> None:
    people = 150
    program = mail_through(on_postgresql, slow.port)
    program.subscribe(*(f"r{n}@example.org,email,en,,immediate" for n in range(people)))
    program.write("hours.en.txt", "Office hours change\n\nFrom Monday.\n")
    program.spawn()
    until(lambda: len(slow.taken) > 20, "the first mails")
    program.kill()
    in_flight = in_state(postgresql_url, "sending")
    assert in_state(postgresql_url, "sent") < people, "the kill came too late to prove anything"
    program.start()
    until(lambda: in_state(postgresql_url, "sent") == people, "everyone to be served")
    got = Counter(address for address, _ in slow.taken)
    assert len(got) == people, "nobody is missed"
    assert sum(got.values()) - people <= in_flight, "only what was in flight may come twice"
    assert program.stop() == 0
