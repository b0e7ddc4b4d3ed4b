"""What readers see of an office that runs on several machines: the same as on one, whichever machine they ask."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest

from tests.cluster.running import Cluster, Machine
from tests.cluster.server import Server
from tests.program import MailSink, wait_for

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)

SOON = 2.0  # seconds, where one is promised: other tests run beside this one
BELT = 6.0  # seconds, where nobody is told: two between two looks, and what building takes beside other tests


def document(title: str, body: str = "All that is to be said of it.", **front: str) -> str:
    lines = "".join(f"{name}: {value}\n" for name, value in front.items())
    return f"---\n{lines}title: {title}\n---\n{body}\n"


@pytest.fixture
def nothing() -> Iterator[str]:
    """A database in which there is nothing at all."""
    server = Server().start()
    yield server.fresh()
    server.close()


@pytest.fixture
def office(tmp_path: Path, nothing: str, sink: MailSink) -> Iterator[Cluster]:
    found = Cluster(tmp_path, nothing).mail_through(sink.port)
    yield found
    found.close()


def feed(machine: Machine, name: str) -> tuple[bytes, str]:
    """What a reader gets, with its validator. There is no date, on which machines could differ."""
    status, body, headers = machine.get(f"/feeds/{name}")
    assert status == 200
    assert "last-modified" not in headers
    return body, headers["etag"]


def lateness(office: Cluster, machines: Sequence[Machine], titles: list[str], change: Callable[[], object]) -> float:
    """Make a change; at most how many seconds after its commit the last machine's feed had these titles."""
    last = "SELECT max(change) FROM release"
    before = office.sql(last)
    with ThreadPoolExecutor(1) as desk:
        making = desk.submit(change)
        begun = committed = time.monotonic()
        while (asked := time.monotonic()) < begun + 30 and office.sql(last) == before:
            committed = asked  # what is not seen by then is committed after it
            time.sleep(0.01)
        for machine in machines:
            wait_for(lambda machine=machine: sorted(machine.titles()) == sorted(titles), "the feed")
        late = time.monotonic() - committed
        making.result()
    return late


def link(sink: MailSink, kind: str) -> str:
    found = re.search(rf"/{kind}/\S+", sink.mails[-1].get_body(("plain",)).get_content())
    assert found
    return found[0]


def post(machine: Machine, path: str, **fields: str) -> int:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    return machine.ask("POST", path, headers=headers, body=urlencode(fields).encode())[0]


def test_five_machines_begin_at_once_on_nothing_and_carry_releases_to_all_their_readers(
    office: Cluster, sink: MailSink
):
    one, two, *_ = [office.spawn(roles) for roles in ("web", "web", "scheduler", "worker", "bot")]
    for machine in office.machines:
        machine.wait()
    assert office.sql("SELECT count(*) FROM subscription") == [(1,)], "the one channel, though five configured it"
    office.subscribe("anna@example.org,email,en,,immediate")

    # a release, with a picture that only the machine with the folder has
    saturday, visas = "Offices open on Saturday", "Visas are free"
    (office.releases / "map.png").write_bytes(PNG)
    late_by = {}
    late_by["release"] = lateness(
        office, (one, two), [saturday], lambda: office.write("saturday.en.md", document(saturday, image="map.png"))
    )
    wait_for(lambda: sink.to("anna@example.org"), "the mail")
    wait_for(office.posts, "the post")
    picture = re.search(r"/media/[0-9a-f]+\.png", one.text("/feeds/en/all.json"))
    assert picture
    assert [machine.get(picture[0])[:2] for machine in (one, two)] == [(200, PNG)] * 2

    # an embargo, to the second, and once
    due = datetime.now(UTC) + timedelta(seconds=4)
    office.write("visa.en.md", document(visas, embargo=due.isoformat()))
    wait_for(lambda: office.sql("SELECT 1 FROM release WHERE state = 'scheduled'"), "the embargo to be known")
    late_by["embargo"] = lateness(office, (one, two), [saturday, visas], lambda: None)
    wait_for(lambda: len(sink.to("anna@example.org")) == 2, "the second mail")
    assert datetime.now(UTC) >= due

    # a correction follows its release everywhere
    cheap = document("Visas are cheap", embargo=due.isoformat(), note="The price was wrong.")
    late_by["correction"] = lateness(
        office, (one, two), [saturday, "Visas are cheap"], lambda: office.write("visa.en.md", cheap)
    )
    wait_for(lambda: len(sink.to("anna@example.org")) == 3, "the correction by mail")
    wait_for(lambda: office.posts("editMessageText"), "the corrected post")

    # a machine that comes later serves the very same feeds, under the same tags
    late = office.start("web")
    for name in ("en/all.rss", "en/all.atom", "en/all.json", "en.opml", f"en/all/{due:%Y-%m}.rss"):
        wait_for(lambda name=name: late.get(f"/feeds/{name}")[0] == 200, name)
        assert feed(one, name) == feed(two, name) == feed(late, name), name
    assert feed(one, "custom.json?lang=en&q=visas") == feed(late, "custom.json?lang=en&q=visas")
    assert late.get("/feeds/en/all.rss", {"If-None-Match": feed(one, "en/all.rss")[1]})[0] == 304

    # what is withdrawn at a desk, where no service runs, is gone on every machine
    withdrawn = [f"Withdrawn: {saturday}", "Visas are cheap"]
    late_by["withdrawal"] = lateness(
        office, (one, two, late), withdrawn, lambda: office.command("withdraw", "1", "--reason", "Nobody said so.")
    )
    for name in ("en/all.rss", f"en/all/{due:%Y-%m}.json"):
        wait_for(lambda name=name: feed(one, name) == feed(two, name) == feed(late, name), name)
    wait_for(lambda: len(sink.to("anna@example.org")) == 4, "the withdrawal by mail")
    wait_for(lambda: not office.sql("SELECT 1 FROM delivery WHERE state <> 'sent'"), "everybody to be told")
    assert max(late_by.values()) < SOON, late_by

    said = [made["text"] for made in office.posts() if "reply_parameters" not in made]
    assert [sum(words in text for text in said) for words in (saturday, visas, "has been withdrawn")] == [1, 1, 1]
    assert len(said) == 3
    assert len(office.posts("deleteMessage")) == 1
    assert office.sql("SELECT count(*) FROM delivery WHERE state <> 'sent'") == [(0,)]
    assert office.stop() == [0] * 6
    assert office.sql("SELECT count(*) FROM procrastinate_workers") == [(0,)]
    assert "Traceback" not in office.log()


def test_machines_that_nobody_tells_show_a_changed_feed_after_their_next_look(cluster: Cluster):
    cluster.sql("CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'")
    database = cluster.sql("SELECT current_database()")[0][0]
    cluster.sql(f"ALTER DATABASE {database} SET search_path = public, pg_catalog")  # and so nothing is told any more
    machines = [cluster.spawn("web"), cluster.spawn("web")]
    for machine in machines:
        machine.wait()
    title = "Offices open on Saturday"
    written = cluster.folder / "saturday.en.md"
    written.write_text(document(title), encoding="utf-8")
    with psycopg.connect(cluster.url, autocommit=True) as line:
        line.execute("LISTEN syndicator")
        published = lateness(cluster, machines, [title], lambda: cluster.command("publish", str(written)))
        withdraw = ("withdraw", "1", "--reason", "Nobody said so.")
        withdrawn = lateness(cluster, machines, [f"Withdrawn: {title}"], lambda: cluster.command(*withdraw))
        assert not list(line.notifies(timeout=0))
    assert max(published, withdrawn) < BELT, (published, withdrawn)
    assert cluster.stop() == [0, 0]


def test_a_reader_signs_up_at_one_machine_says_yes_at_another_and_leaves_at_the_first(office: Cluster, sink: MailSink):
    one, two = office.spawn("web"), office.spawn("web,scheduler,worker,bot")
    one.wait()
    two.wait()
    made = re.search(r'name="made" value="([^"]+)"', one.text("/en/subscribe"))
    assert made
    filled = time.monotonic() + 2.1  # a form that comes back within two seconds is taken for a robot's
    wait_for(lambda: time.monotonic() > filled, "a person to fill the form")
    wish = {"made": made[1], "email": "anna@example.org", "language": "en", "cadence": "immediate"}
    assert post(two, "/en/subscribe", **wish, website="", q="", text_only="") == 200  # given by one, taken by the other
    wait_for(lambda: sink.to("anna@example.org"), "the question")
    assert post(one, link(sink, "confirm")) == 200
    assert office.sql(
        "SELECT s.state FROM subscription s JOIN subscriber r ON r.id = s.subscriber_id WHERE r.channel = 'email'"
    ) == [("active",)]
    office.write("saturday.en.md", document("Offices open on Saturday"))
    wait_for(lambda: [mail for mail in sink.mails if mail["Subject"] == "Offices open on Saturday"], "the release")
    assert post(two, link(sink, "unsubscribe"), **{"List-Unsubscribe": "One-Click"}) == 200
    assert office.sql("SELECT count(*) FROM subscription WHERE state = 'active'") == [(1,)], "the channel's is left"


def test_who_has_the_database_alone_and_who_share_it_refuse_each_other(cluster: Cluster):
    sharing = cluster.spawn("worker")
    sharing.wait()
    alone = cluster.machine()
    alone.environ["SYNDICATOR_ENGINE__KIND"] = "embedded"
    alone.spawn()
    wait_for(alone.dead, "the refusal")
    assert alone.process.wait(5) == 1
    assert "another syndicator runs on this database" in alone.log()
    assert len(alone.log().splitlines()) == 1
    assert sharing.state["roles"] == {"worker": True}
    assert sharing.stop() == 0
    alone.spawn()
    alone.wait()
    late = cluster.spawn("worker")
    wait_for(late.dead, "the refusal")
    assert "another syndicator runs on this database" in late.log()
