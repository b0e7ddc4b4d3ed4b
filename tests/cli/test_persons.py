"""Taking subscribers along, handing out what is held of one, erasing one: what an operator types and sees."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from syndicator.cli.app import make_cli
from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriberRole, SubscriptionState
from syndicator.store import subscriptions
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import SUBSCRIBER

AT = datetime(2026, 11, 1, 6, 0, 0, 123456, tzinfo=UTC)
TEXT = 'Ayla said: "yes",\nand twice; =SUM(A1) — ə'


@pytest.fixture
def people(database, now):
    """Ayla by mail in two filters, a chat that takes digests, one who left, one who never confirmed, a channel."""

    async def fill(session):
        async def add(channel, address, filter_, *, zone="Asia/Baku", lang="az", state="active", cadence="immediate"):
            role = SubscriberRole.CHANNEL if address.startswith("@") else SubscriberRole.PERSON
            who = await subscriptions.ensure(
                session, channel, address, language=lang, timezone=zone, now=now, role=role
            )
            return who, await subscriptions.subscribe(
                session,
                who.id,
                parse(filter_),
                cadence=Cadence(cadence),
                state=SubscriptionState(state),
                consent=Consent(AT, "paper form 17", TEXT),
                now=now,
            )

        await add(ChannelKind.EMAIL, "ayla@example.org", "topic=visas", zone="Europe/Berlin")
        await add(ChannelKind.EMAIL, "ayla@example.org", "q=asan+visa&lang=en,az", zone="Europe/Berlin")
        chat, _ = await add(ChannelKind.TELEGRAM, "7", "", lang="ru", cadence="weekly")
        await subscriptions.pause(session, chat.id, "blocked")
        _, left = await add(ChannelKind.EMAIL, "left@example.org", "")
        await subscriptions.end(session, left.id, "unsubscribed", now)
        await add(ChannelKind.EMAIL, "waits@example.org", "", state="pending")
        await add(ChannelKind.TELEGRAM, "@press", "")

    database(fill)


def rows_of(done):
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_an_export_is_every_live_subscription_in_the_columns_that_import_takes(operator, people):
    done = operator("subscribers", "export")
    found = rows_of(done)
    assert list(found[0]) == [
        *("address", "channel", "language", "timezone", "filter", "cadence"),
        *("consent_at", "consent_source", "consent_text", "text_only"),
    ]
    assert [(row["address"], row["filter"], row["cadence"]) for row in found] == [
        ("ayla@example.org", "topic=visas", "immediate"),
        ("ayla@example.org", "lang=en,az&q=asan+visa", "immediate"),
        ("7", "", "weekly"),
    ]
    assert found[0]["timezone"] == "Europe/Berlin"
    assert found[0]["consent_text"] == TEXT
    assert done.stderr == "3 subscriptions, 1 of them of people who are paused\n"


def test_what_was_exported_comes_back_without_loss(operator, people, database, tmp_path):
    first = operator("subscribers", "export").stdout
    path = tmp_path / "people.csv"
    path.write_text(first, encoding="utf-8")

    async def empty(session):
        for name in ("delivery", "message", "subscription", "subscriber"):
            await session.execute(subscriptions.SUBSCRIBER.metadata.tables[name].delete())

    database(empty)
    assert "3 subscriptions taken, 0 rows left out" in operator("subscribers", "import", path).stderr
    assert operator("subscribers", "export").stdout == first


def test_an_export_of_a_channel_or_without_the_paused_is_that_alone(operator, people):
    assert len(rows_of(operator("subscribers", "export", "--channel", "email"))) == 2
    assert len(rows_of(operator("subscribers", "export", "--without-paused"))) == 2
    found = operator.json("subscribers", "export", "--channel", "telegram")
    assert [(row["address"], row["language"], row["consent_at"]) for row in found] == [("7", "ru", AT.isoformat())]


def test_an_empty_office_exports_its_header(operator):
    assert rows_of(operator("subscribers", "export")) == []
    assert operator.json("subscribers", "export") == []


def test_one_persons_data_are_all_that_is_held(operator, people):
    asked = ("subscribers", "export", "--address", "AYLA@example.org", "--channel", "email")
    data = json.loads(operator(*asked).stdout)
    assert data["subscriber"]["address"] == "ayla@example.org"
    assert data["subscriptions"]["count"] == 2
    assert data["subscriptions"]["newest"][1]["consent"]["text"] == TEXT
    assert data["deliveries"] == {"count": 0, "newest": []}
    assert operator.json(*asked) == data


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "--address", "nobody@example.org", "--channel", "email"), "email nobody@example.org: there is no"),
        (("export", "--address", "7"), "--channel: missing; allowed are telegram, email"),
        (("erase", "nobody@example.org", "--channel", "email", "--yes"), "there is no such subscriber"),
        (("erase", "8", "--channel", "websub", "--yes"), "--channel: websub; allowed are telegram, email"),
        (("erase", "@press", "--channel", "telegram", "--yes"), "this is a channel of the configuration"),
        (("erase", "7", "--channel", "telegram"), "nobody is there to be asked"),
    ],
)
def test_what_cannot_be_is_one_line(operator, people, words, said):
    assert said in operator.refused("subscribers", *words)


def test_erasing_leaves_nothing_that_names_the_person_and_says_what_it_did(operator, people, database):
    erase = ("subscribers", "erase", "Ayla@example.org", "--channel", "email", "--yes")
    assert operator.json(*erase)["ended"] == 2
    assert "ayla" not in operator("subscribers", "list", "--ended", "--json").stdout
    assert "there is no such subscriber" in operator.refused(*erase)
    done = operator("subscribers", "erase", "7", "--channel", "telegram", "--yes")
    assert done.stderr == "erased; subscriptions ended: 1, messages that will not be sent: 0\n"

    async def left(session):
        return list(await session.scalars(select(SUBSCRIBER.c.address).order_by(SUBSCRIBER.c.id)))

    assert database(left) == ["erased-1", "erased-2", "left@example.org", "waits@example.org", "@press"]


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("", False)])
def test_erasing_asks_a_person_first(operator, people, database, monkeypatch, answer, gone):
    monkeypatch.setattr("syndicator.cli.persons.somebody_is_there", lambda: True)
    words = ["subscribers", "erase", "7", "--channel", "telegram"]
    done = operator.runner.invoke(make_cli(operator.root), words, answer)
    assert "Erase telegram subscriber 7?" in done.stderr
    assert done.exit_code == (0 if gone else 1)

    async def still(session):
        return await subscriptions.find(session, ChannelKind.TELEGRAM, "7") is not None

    assert database(still) is not gone


def test_a_paused_person_stays_paused_where_they_are_known(operator, people, database, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(operator("subscribers", "export").stdout, encoding="utf-8")
    operator("subscribers", "import", path)

    async def state(session):
        return (await subscriptions.find(session, ChannelKind.TELEGRAM, "7")).is_paused

    assert database(state)
