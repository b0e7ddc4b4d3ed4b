"""The whole program with Flask-WebSub on the other side: as our hub's subscriber, and as a hub that we tell."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.hub.foreign import FlaskHub, FlaskSubscriber, discover
from tests.program import make_program, wait_for

TEXT = "Visa fees change on {day} December\n\nThe fee for a visa becomes 20 lir.\n"


@pytest.fixture
def program(tmp_path: Path):
    made = make_program(tmp_path, warm=True)
    made.environ["SYNDICATOR_OUTGOING__ALLOW"] = json.dumps(["127.0.0.0/8"])
    yield made
    if made.process is not None and not made.dead():
        made.process.kill()
        made.process.wait(10)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Flask-WebSub leaves its answers open
def test_a_foreign_subscriber_and_a_foreign_hub_get_each_change(program, tmp_path):
    with FlaskHub(tmp_path) as hub, FlaskSubscriber(tmp_path) as ours, FlaskSubscriber(tmp_path) as theirs:
        program.environ["SYNDICATOR_FEEDS__HUBS"] = json.dumps([f"{hub.base}/hub"])
        program.write("first.en.txt", TEXT.format(day=1))
        program.start()
        wait_for(program.titles, "the first release")
        for fmt in ("atom", "rss", "json"):
            topic = f"{program.base}/feeds/en/all.{fmt}"
            found = discover(topic, timeout=10)
            assert found["topic_url"] == topic
            assert found["hub_url"] in (f"{program.base}/hub", f"{hub.base}/hub")
        feed = f"{program.base}/feeds/en/all.atom"
        callback = ours.subscribe(feed, f"{program.base}/hub")
        theirs.subscribe(feed, f"{hub.base}/hub")
        wait_for(lambda: ours.confirmed and theirs.confirmed, "both hubs to ask their subscriber")

        program.write("second.en.txt", TEXT.format(day=2))
        wait_for(lambda: told(ours, b"2 December") and told(theirs, b"2 December"), "both subscribers to hear of it")
        body = program.get("/feeds/en/all.atom")[1]
        assert ours.heard[-1] == theirs.heard[-1] == (feed, body)
        # the news of the first release may still have been on its way when they subscribed; nothing comes twice
        assert len({body for _, body in ours.heard}) == len(ours.heard) <= 2
        assert feed in hub.pinged
        assert f"{program.base}/feeds/az/all.atom" not in hub.pinged  # nothing changed there

        ours.unsubscribe(callback)
        wait_for(lambda: "unsubscribe" in ours.confirmed, "the hub to ask whether it leaves")
        wait_for(lambda: leases(program) == 0, "the lease to end")
        program.write("third.en.txt", TEXT.format(day=3))
        wait_for(lambda: told(theirs, b"3 December"), "the other subscriber to hear of it")
        assert not told(ours, b"3 December")
        channels = {row["channel"] for row in program.deliveries(state="sent")}
        assert "websub" in channels
        assert json.loads(program.command("subscribers", "list", "--json").stdout or "[]") == [
            row
            for row in json.loads(program.command("subscribers", "list", "--json").stdout)
            if row["channel"] != "websub"
        ]
        assert program.stop() == 0


def told(subscriber: FlaskSubscriber, words: bytes) -> bool:
    return any(words in body for _, body in list(subscriber.heard))


def leases(program) -> int:
    import sqlite3  # noqa: PLC0415  # only here

    with sqlite3.connect(f"file:{program.folder}/var/syndicator.db?mode=ro", uri=True) as database:
        return int(database.execute("SELECT count(*) FROM hub_lease WHERE ended_at IS NULL").fetchone()[0])


def test_a_program_that_is_killed_tells_after_its_start_what_changed(program, tmp_path):
    with FlaskSubscriber(tmp_path) as reader:
        program.write("first.en.txt", TEXT.format(day=1))
        program.start()
        wait_for(program.titles, "the first release")
        reader.subscribe(f"{program.base}/feeds/en/all.rss", f"{program.base}/hub")
        wait_for(lambda: leases(program), "the lease")
        program.kill()
        program.write("second.en.txt", TEXT.format(day=2))
        program.start()
        wait_for(lambda: reader.heard, "the subscriber to hear of it")
        assert b"2 December" in reader.heard[0][1]


def test_without_a_guard_exempt_a_local_callback_is_refused(program):
    del program.environ["SYNDICATOR_OUTGOING__ALLOW"]
    program.write("first.en.txt", TEXT.format(day=1))
    program.start()
    wait_for(program.titles, "the first release")
    fields = {
        "hub.mode": "subscribe",
        "hub.topic": f"{program.base}/feeds/en/all.rss",
        "hub.callback": "http://127.0.0.1:9999/cb",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, said, _ = program.ask("POST", "/hub", body=urlencode(fields).encode(), headers=headers)
    assert (status, said) == (400, b"hub.callback: 127.0.0.1 is not a public address\n")
    assert program.get("/hub")[0] == 405
