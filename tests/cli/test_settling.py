"""What an operator decides about deliveries that nobody can tell of."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from syndicator.domain.model import DeliveryState
from syndicator.store import pauses
from syndicator.store.database import Database
from syndicator.store.tables import DELIVERY, MESSAGE, RELEASE, SUBSCRIBER

SEALED = {"chat": -1001, "parts": 3, "messages": [11, 13], "seals": ["a", "c"], "doubt": [[1, "b"]]}


@pytest.fixture
def ledger(database, now):
    """Rows about release 1 in every state: 1 to 7 by mail, 11 to 17 to channels, 21 a correction of unknown outcome."""

    async def fill(session):
        usual = {"uid": "u", "source": "s", "key": "k", "kind": "news", "urgency": "normal", "state": "public"}
        times = dict.fromkeys(("public_at", "created_at", "updated_at"), now)
        await session.execute(insert(RELEASE).values(id=1, major=0, change=1, **usual, **times))
        for number, kind in ((1, "release"), (2, "correction")):
            said = {"key": f"{kind}:1:0", "kind": kind, "major": 0, "priority": 20, "cursor": 0}
            await session.execute(
                insert(MESSAGE).values(id=number, release_id=1, created_at=now, fanned_out_at=now, **said)
            )
        for number, state in enumerate(DeliveryState, 1):
            due = now + timedelta(days=state is DeliveryState.DEFERRED)
            for who, channel, address in (
                (number, "email", f"r{number}@x.org"),
                (10 + number, "telegram", f"@c{number}"),
            ):
                person = {"id": who, "channel": channel, "address": address, "role": "person", "resolved": ""}
                person |= {"language": "en", "timezone": "UTC", "other_language": "urgent", "state": "active"}
                await session.execute(insert(SUBSCRIBER).values(created_at=now, **person))
                row = {"id": who, "message_id": 1, "subscriber_id": who, "lang": "en", "attempts": 1, "state": state}
                answer = SEALED if channel == "telegram" else {}
                await session.execute(insert(DELIVERY).values(due_at=due, answer=answer, reason="?", **row))
        told = {"id": 21, "message_id": 2, "subscriber_id": 11, "lang": "en", "attempts": 1, "state": "unknown"}
        await session.execute(insert(DELIVERY).values(due_at=now, answer={}, reason="?", **told))

    return database(fill)


def of(state):
    return list(DeliveryState).index(DeliveryState(state)) + 1


@pytest.fixture
def row(sqlite_url):
    """Reads a row of the ledger."""

    def read(number):
        async def ask():
            database = Database(sqlite_url)
            try:
                async with database.reading() as session:
                    return dict(
                        (await session.execute(select(DELIVERY).where(DELIVERY.c.id == number))).mappings().one()
                    )
            finally:
                await database.close()

        return asyncio.run(ask())

    return read


@pytest.mark.parametrize("state", ["unknown", "deferred"])
@pytest.mark.parametrize("found", ["sent", "failed"])
def test_what_nobody_can_tell_of_is_what_the_operator_found(operator, ledger, row, state, found):
    number = of(state)
    said = operator.json("deliveries", "settle", "--id", number, "--as", found)
    assert said == {"id": number, "state": found, "follows": ""}
    after = row(number)
    assert (after["state"], after["reason"], after["batch_id"]) == (found, "settled by hand", None)
    assert operator("deliveries", "retry", "--state", "unknown").stderr == (
        f"{2 if state == 'unknown' else 3} deliveries are due again\n"
    ), "what was settled is not sent again"


@pytest.mark.parametrize("state", ["due", "sending", "sent", "failed", "suppressed"])
def test_what_is_certain_or_under_way_is_left_alone(operator, ledger, row, state):
    line = operator.refused("deliveries", "settle", "--id", of(state), "--as", "sent")
    assert line == f"delivery {of(state)} is {state}: only unknown and deferred ones are settled by hand"
    assert row(of(state))["state"] == state


@pytest.mark.parametrize(
    ("number", "given", "kept"),
    [
        (10 + of("unknown"), [12], {"messages": [11, 12, 13], "seals": ["a", "b", "c"], "parts": 3, "chat": -1001}),
        (10 + of("unknown"), [12, 14], {"messages": [11, 12, 13, 14], "seals": ["a", "b", "c", ""], "parts": 3}),
        (10 + of("unknown"), [], SEALED),
        (21, [99], {"reply": 99, "chat": "@c1"}),
    ],
)
def test_a_posts_number_is_kept_where_it_was_missing(operator, ledger, row, number, given, kept):
    operator("deliveries", "settle", "--id", number, "--as", "sent", *(x for one in given for x in ("--message", one)))
    assert row(number)["answer"] == {**kept, "chat": kept.get("chat", -1001)}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--id", 999, "--as", "sent"), "delivery 999: there is none"),
        (
            ("--id", of("unknown"), "--as", "sent", "--message", 5),
            f"delivery {of('unknown')} goes by email: only messages in chats have numbers",
        ),
        (
            ("--id", 10 + of("unknown"), "--as", "failed", "--message", 5),
            "a message that does not stand anywhere has no number",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(operator, ledger, words, line):
    assert operator.refused("deliveries", "settle", *words) == line


@pytest.mark.parametrize(
    ("state", "given", "said", "after"),
    [
        ("sent", (77,), "the post follows now, by correction:1:0", "due"),
        ("failed", (77,), "the post follows now, by correction:1:0", "due"),
        ("deferred", (77,), "the post follows now, by correction:1:0", "deferred"),
        ("sending", (77,), "correction:1:0 is being sent just now: look whether the post follows", "sending"),
        ("sent", (), "correction:1:0 has followed since: without its number the post stays as it is", "sent"),
    ],
)
def test_what_followed_meanwhile_reaches_the_post_that_was_found(
    operator, ledger, row, sqlite_url, state, given, said, after
):
    number = 10 + of("unknown")

    async def follow():
        database = Database(sqlite_url)
        async with database.writing() as session:
            values = {"subscriber_id": number, "state": state, "answer": {"reply": 9, "gone": True, "messages": []}}
            await session.execute(update(DELIVERY).where(DELIVERY.c.id == 21).values(values))
        await database.close()

    asyncio.run(follow())
    options = (x for one in given for x in ("--message", one))
    assert said in operator("deliveries", "settle", "--id", number, "--as", "sent", *options).stderr
    follower = row(21)
    assert follower["state"] == after
    if after != "sending" and given:
        kept = {"chat": f"@c{of('unknown')}", "reply": 9, "messages": [77], "seals": [""], "adrift": []}
        assert follower["answer"] == kept


def test_a_list_of_the_unknown_says_what_can_be_done(operator, ledger):
    said = operator("deliveries", "list", "--state", "unknown").stderr
    assert "deliveries settle --id N --as sent" in said
    assert "deliveries retry" in said
    assert operator("deliveries", "list", "--state", "unknown", "--json").stderr == ""
    assert operator("deliveries", "list").stderr == ""


def test_pauses_of_mail_are_shown_and_lifted_one_or_all(operator, database, now):
    until = now + timedelta(days=36_500)

    async def fill(session):
        for scope in ("mail:busy.example", "mail:other.example", "relay", "chat:4"):
            await pauses.pause(session, scope, until, "asked")
        await pauses.pause(session, "mail:past.example", now - timedelta(days=36_500), "asked")

    database(fill)

    def scopes(*arguments):
        return [one["scope"] for one in operator.json("deliveries", "resume", *arguments)]

    assert scopes("--look") == ["mail:busy.example", "mail:other.example", "relay"]
    assert scopes("--domain", "Busy.example") == ["mail:busy.example"]
    assert scopes("--look") == ["mail:other.example", "relay"]
    assert operator("deliveries", "resume").stderr.endswith("2 pauses of mail ended\n")
    assert scopes() == []
