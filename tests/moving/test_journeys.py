"""An office moves to PostgreSQL, or comes back after a lost disk: nothing is told twice, and nobody is missed."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest

from tests.moving.conftest import SITE
from tests.program import MailSink, Program, wait_for

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
FEES = "---\nimages:\n  - src: map.png\n    alt: The map\n---\nVisa fees change\n\nThe fee becomes 20 lir.\n"
EVERYONE = ("anna@example.org,email,en,,immediate", "dora@example.org,email,en,,daily")


def link(mail: EmailMessage, page: str) -> str:
    """The path of a link in a mail."""
    text = mail.get_body(("plain",)).get_content()
    found = re.search(rf"{SITE}(/{page}/\S+)", text)
    assert found, text
    return found[1]


def address(mail: EmailMessage) -> str:
    """The path of the release's page."""
    return link(mail, "en/releases")


def sign_up(program: Program, address: str) -> None:
    """By the form, as a person fills it."""
    made = re.search(r'name="made" value="([^"]*)"', program.text("/en/subscribe"))
    assert made
    time.sleep(2.1)  # a form that comes back within two seconds is taken for a robot's
    wish = {"made": made[1], "email": address, "language": "en", "cadence": "immediate", "website": "", "q": ""}
    post(program, "/en/subscribe", **wish)


def post(program: Program, path: str, **fields: str) -> str:
    body = urllib.parse.urlencode(fields).encode()
    status, answer, _ = program.ask("POST", path, body=body, headers={"Origin": SITE})
    assert status == 200, (path, status, answer[:500])
    return answer.decode()


def settled(program: Program) -> None:
    """All that was to be sent has been."""
    time.sleep(1)  # what is found at the start is planned by then
    wait_for(lambda: program.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")


def elsewhere(office: Program, **environ: str) -> Program:
    """The same office on another machine: nothing of its disk is there but the folder of releases."""
    home = office.folder / "elsewhere"
    home.mkdir()
    return Program(home, office.environ | environ, office.port, warm=True)


@pytest.fixture
def moved(office: Program, postgresql_url: str) -> Iterator[Program]:
    kind = {"SYNDICATOR_DATABASE__URL": postgresql_url, "SYNDICATOR_ENGINE__KIND": "procrastinate"}
    found = elsewhere(office, **kind)
    yield found
    if found.process is not None and not found.dead():
        found.kill()


def test_a_living_office_moves_to_postgresql_and_nobody_notices(
    office: Program, moved: Program, sink: MailSink, postgresql_url: str
) -> None:
    (office.releases / "map.png").write_bytes(PNG)
    office.subscribe(*EVERYONE)
    office.start()
    office.write("fees.en.md", FEES)
    wait_for(lambda: sink.to("anna@example.org") and office.posts(), "the first release")
    sign_up(office, "carl@example.org")
    wait_for(lambda: sink.to("carl@example.org"), "the question whether it was they")
    before, picture = office.feed(), office.feed()["items"][0]["image"].removeprefix(SITE)
    running = office.command("migrate", "--to", postgresql_url, check=False)
    assert (running.returncode, "another syndicator runs on this database" in running.stderr) == (1, True)
    assert office.stop() == 0

    address = office.folder / "database.url"
    address.write_text(f"{postgresql_url}\n")
    told = json.loads(office.command("migrate", "--to-file", str(address), "--json").stdout)
    assert (told["rows"]["subscriber"], told["files"], told["secret"]) == (4, 1, True)
    again = office.command("migrate", "--to", postgresql_url, check=False)
    old = office.command("run", check=False)
    for refused in (again, old):
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "the office has moved from this database to postgresql://" in refused.stderr

    moved.start()
    settled(moved)
    assert len(sink.mails) == 2
    assert moved.posts() == []
    assert moved.feed() == before
    assert moved.get(picture)[:2] == (200, PNG)
    assert moved.get(link(sink.to("anna@example.org")[0], "manage"))[0] == 200
    assert "/manage/" in post(moved, link(sink.to("carl@example.org")[0], "confirm"))
    wait_for(lambda: len(sink.to("carl@example.org")) == 2, "the welcome")
    office.write("hours.en.txt", "Visa hall closes early\n\nThe visa hall closes at noon.\n")
    wait_for(lambda: len(sink.to("carl@example.org")) == 3 and len(sink.to("anna@example.org")) == 2, "the next one")
    wait_for(moved.posts, "the post")
    settled(moved)
    assert [len(sink.to(f"{who}@example.org")) for who in ("anna", "carl", "dora")] == [2, 3, 0]
    assert [one["title"] for one in moved.feed()["items"]][1:] == [before["items"][0]["title"]]
    assert moved.feed()["items"][1]["id"] == before["items"][0]["id"]
    assert moved.stop() == 0


def test_after_a_lost_disk_nothing_is_said_twice_and_all_that_comes_is_said(office: Program, sink: MailSink) -> None:
    (office.releases / "map.png").write_bytes(PNG)
    office.subscribe(*EVERYONE)
    office.start()
    office.write("fees.en.md", FEES)
    wait_for(lambda: sink.to("anna@example.org"), "the first release")
    settled(office)
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    office.write("soon.en.txt", f"---\nembargo: {soon}\n---\nIt ends before the restore\n\nText.\n")
    wait_for(lambda: '"state":"scheduled"' in office.log().replace(" ", ""), "the embargo to be known")
    made = json.loads(office.command("backup", "office.backup", "--json").stdout)
    assert (made["files"], made["secret"]) == (1, True)

    office.write("hours.en.txt", "Visa hall closes early\n\nThe visa hall closes at noon.\n")
    office.write("fees.en.md", FEES.replace("images", "note: The fee was wrong.\nimages").replace("20 lir", "25 lir"))
    sign_up(office, "late@example.org")
    wait_for(lambda: sink.to("late@example.org"), "the question whether it was they")
    wait_for(lambda: len(sink.to("anna@example.org")) == 4, "release, embargo and correction")
    wait_for(lambda: len(office.posts()) >= 3, "the posts")
    office.kill()
    shutil.rmtree(office.folder / "var")
    refused = office.command("restore", "people.csv", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    told = json.loads(office.command("restore", "office.backup", "--json").stdout)
    assert told["files"] == 1
    twice = office.command("restore", "office.backup", check=False)
    assert "is not empty" in twice.stderr

    later = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    office.write("later.en.txt", f"---\nembargo: {later}\n---\nIt ends after the restore\n\nText.\n")
    office.start()
    wait_for(lambda: len(office.titles()) == 4, "what the sources have, and the later embargo", 20)
    settled(office)
    got = sink.to("anna@example.org")
    assert [mail["Subject"] for mail in got[4:]] == ["It ends after the restore"]
    assert len(sink.to("late@example.org")) == 1
    assert "25 lir" in office.text("/feeds/en/all.json")
    assert [one["text"].count("ends after") for one in office.posts()] == [1]
    status, page, _ = office.ask("POST", link(sink.to("late@example.org")[0], "confirm"), headers={"Origin": SITE})
    assert status in (200, 404, 410), "a link of what was lost opens nothing"
    assert "/manage/" not in page.decode()

    unknown = office.deliveries(state="unknown")
    assert {one["message"].partition(":")[0] for one in unknown} == {"release", "correction"}
    assert all("restored from the backup of" in one["reason"] for one in unknown)
    office.command("deliveries", "retry", "--id", str(next(o["id"] for o in unknown if o["channel"] == "email")))
    wait_for(lambda: len(sink.to("anna@example.org")) == 6, "what the operator sends again")
    office.write("new.en.txt", "Something new\n\nText.\n")
    wait_for(lambda: len(sink.to("anna@example.org")) == 7, "the next release")
    for mail in sink.to("anna@example.org")[:3]:  # one of them came after the backup, and has another number now
        assert f"<h1>{mail['Subject'].removeprefix('Corrected: ')}</h1>" in office.text(address(mail))
    restored_again(office, sink)


def restored_again(office: Program, sink: MailSink) -> None:
    """From the same backup: again nothing is said twice, and what is new then is said."""
    office.kill()
    told = json.loads(office.command("restore", "office.backup", "--replace", "--json").stdout)
    office.start()
    wait_for(lambda: len(office.titles()) == 5, "what the sources have")
    settled(office)
    office.write("newest.en.txt", "Something newer\n\nText.\n")
    wait_for(lambda: len(sink.to("anna@example.org")) == 8, "the release after a second restore")
    settled(office)
    assert [mail["Subject"] for mail in sink.to("anna@example.org")[7:]] == ["Something newer"]
    number = re.search(r"/en/releases/([0-9]+)-", address(sink.to("anna@example.org")[7]))
    assert int(number[1]) >= told["releases_from"]
    assert office.stop() == 0
