"""Commands about people and the ledger: what an operator types, sees and can trust in a script."""

from __future__ import annotations

import json
import tracemalloc
from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from syndicator.domain.model import DeliveryState
from syndicator.store.tables import DELIVERY, FILTER, MESSAGE, RELEASE, SUBSCRIBER, SUBSCRIPTION

HEADER = "address,channel,language,filter,cadence,consent_at,consent_source,consent_text\n"
COPIES = 4  # of what is printed, that the runner makes
CONSENT = "2026-11-01T10:00:00+04:00,desk,yes"


@pytest.fixture
def table(tmp_path):
    """Writes a CSV file of subscribers."""

    def write(*rows, header=HEADER):
        path = tmp_path / "people.csv"
        path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
        return path

    return write


def people(numbers, now):
    usual = {"channel": "email", "language": "en", "timezone": "UTC", "created_at": now}
    usual |= {"role": "person", "resolved": "", "other_language": "urgent", "state": "active"}
    return [{**usual, "id": number, "address": f"r{number}@example.org"} for number in numbers]


def rows(numbers, now, **values):
    usual = {"message_id": 1, "lang": "en", "attempts": 1, "due_at": now, "answer": {}, "reason": "a reason"}
    return [{**usual, "subscriber_id": number, **values} for number in numbers]


async def one_message(session, now):
    usual = {"uid": "u", "source": "s", "key": "k", "kind": "news", "urgency": "normal", "state": "public"}
    times = dict.fromkeys(("public_at", "created_at", "updated_at"), now)
    await session.execute(insert(RELEASE).values(id=1, major=0, change=1, **usual, **times))
    said = {"key": "release:1:0", "kind": "release", "major": 0, "priority": 20, "cursor": 0}
    await session.execute(insert(MESSAGE).values(id=1, release_id=1, created_at=now, fanned_out_at=now, **said))


@pytest.fixture
def ledger(database, now):
    """Rows of the ledger about release 1, one in each state; the deferred one waits for tomorrow."""

    async def fill(session):
        await one_message(session, now)
        await session.execute(insert(SUBSCRIBER), people(range(1, len(DeliveryState) + 1), now))
        for number, state in enumerate(DeliveryState, 1):
            due = now + timedelta(days=state is DeliveryState.DEFERRED)
            await session.execute(insert(DELIVERY), rows([number], due, state=state))

    database(fill)


def states(operator):
    return {row["address"]: row["state"] for row in operator.json("deliveries", "list")}


def test_people_are_imported_and_listed_for_people_and_for_scripts(operator, table):
    done = operator("subscribers", "import", table(f"a@example.org,email,az,topic=visas,immediate,{CONSENT}"))
    assert (done.stdout, done.stderr) == ("", "1 subscriptions taken, 0 rows left out\n")
    (row,) = operator.json("subscribers", "list")
    assert (row["address"], row["filter"], row["state"]) == ("a@example.org", "topic=visas", "active")
    assert row["consent_at"] == "2026-11-01T06:00:00+00:00"
    head, line = operator("subscribers", "list").stdout.splitlines()
    assert head.split() == list(row)
    assert "a@example.org" in line


def test_bad_rows_are_named_the_good_ones_taken_and_the_exit_code_says_so(operator, table):
    file = table(f"bad,email,az,,immediate,{CONSENT}", f"b@example.org,email,az,,immediate,{CONSENT}")
    done = operator("subscribers", "import", file, code=1)
    assert "people.csv: line 2: address" in done.stderr
    assert "1 subscriptions taken, 1 rows left out" in done.stderr
    again = operator.json("subscribers", "import", file, code=1)
    assert again["taken"] == 1
    assert [row["line"] for row in again["left_out"]] == [2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"address,channel\n", "line 1: column 'language' is missing"),
        (HEADER.encode() + b"\xff\xfe", "is not UTF-8; save it as UTF-8"),
        (HEADER.encode() + b'"' + b"x" * 200_000, "field larger than field limit"),
        (b"", "line 1: column 'address' is missing"),
    ],
)
def test_a_file_that_is_no_table_of_people_is_refused_by_name(operator, tmp_path, content, says):
    (tmp_path / "people.csv").write_bytes(content)
    line = operator.refused("subscribers", "import", tmp_path / "people.csv")
    assert "people.csv: " in line
    assert says in line
    assert "people.csv" in operator.refused("subscribers", "import", tmp_path / "none" / "people.csv")


def test_ended_subscriptions_are_listed_only_when_asked_for(operator, table, database):
    operator("subscribers", "import", table(*(f"r{n}@example.org,email,az,,immediate,{CONSENT}" for n in range(3))))
    database(lambda session: session.execute(text("UPDATE subscription SET state = 'ended' WHERE id = 2")))
    assert [row["id"] for row in operator.json("subscribers", "list")] == [1, 3]
    assert [row["id"] for row in operator.json("subscribers", "list", "--limit", 1)] == [1]
    assert [row["state"] for row in operator.json("subscribers", "list", "--ended")] == ["active", "ended", "active"]


def test_an_empty_list_is_a_list(operator):
    assert operator.json("subscribers", "list") == []
    assert operator("subscribers", "list").stdout.split()[0] == "id"
    assert operator.json("deliveries", "list") == []


def test_deliveries_are_listed_newest_first_by_state_and_by_release(operator, ledger):
    rows = operator.json("deliveries", "list")
    assert [row["id"] for row in rows] == list(range(len(DeliveryState), 0, -1))
    assert [row["state"] for row in operator.json("deliveries", "list", "--state", "unknown")] == ["unknown"]
    assert len(operator.json("deliveries", "list", "--release", 1, "--limit", 3)) == 3
    assert operator.json("deliveries", "list", "--release", 2) == []
    assert "a reason" in operator("deliveries", "list", "--state", "failed").stdout


@pytest.mark.parametrize(
    ("options", "again"),
    [
        ((), {"failed", "unknown"}),
        (("--state", "failed"), {"failed"}),
        (("--state", "unknown"), {"unknown"}),
        (("--state", "deferred"), {"deferred"}),
        (("--release", 1), {"failed", "unknown"}),
        (("--release", 2), set()),
        (("--id", list(DeliveryState).index("failed") + 1), {"failed"}),
        (("--id", list(DeliveryState).index("sent") + 1), set()),
    ],
)
def test_what_failed_and_what_waits_may_be_sent_again(operator, ledger, options, again):
    before = states(operator)
    assert operator.json("deliveries", "retry", *options) == {"due": len(again)}
    after = states(operator)
    assert {before[who] for who in before if before[who] != after[who]} == again
    assert all(after[who] == "due" for who in before if before[who] in again)
    assert operator("deliveries", "retry", *options).stderr == "0 deliveries are due again\n"


@pytest.mark.parametrize("state", ["sent", "suppressed", "due", "sending"])
def test_what_was_sent_or_is_on_its_way_is_not_sent_again(operator, state):
    line = operator.refused("deliveries", "retry", "--state", state)
    assert line == f"--state: '{state}' is not one of failed, unknown, deferred"


@pytest.mark.slow
def test_a_long_list_comes_in_pages_and_no_terminal_is_harmed(operator, database, now):
    everybody = range(1, 6001)

    async def fill(session):
        await one_message(session, now)
        flags = dict.fromkeys(("has_topics", "has_kinds", "has_words", "has_langs"), False)
        await session.execute(insert(FILTER).values(id=1, canonical="", **flags))
        await session.execute(insert(SUBSCRIBER), people(everybody, now))
        wish = {"filter_id": 1, "cadence": "immediate", "state": "active", "created_at": now}
        await session.execute(insert(SUBSCRIPTION), [{**wish, "subscriber_id": number} for number in everybody])
        await session.execute(insert(DELIVERY), rows(everybody, now, state="failed", reason="no \x1b[2J"))

    database(fill)
    for words in (("subscribers", "list"), ("deliveries", "list", "--limit", 6000)):
        assert len(json.loads(operator(*words, "--json").stdout)) == 6000
        tracemalloc.start()
        done = operator(*words)
        held = tracemalloc.get_traced_memory()[1] - len(done.stdout) * COPIES
        tracemalloc.stop()
        assert len(done.stdout.splitlines()) == 6001
        assert "\x1b" not in done.stdout
        assert held < 4_000_000, held  # all rows at once would be more than twice that
