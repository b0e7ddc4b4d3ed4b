"""Addresses that are to get nothing, by an operator's word."""

from __future__ import annotations

import pytest

from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind, SubscriptionState
from syndicator.store import subscriptions

READER = "reader@example.org"


async def wishes(session):
    """All subscriptions."""
    return [one async for _, one in subscriptions.everyone(session)]


@pytest.fixture
def reader(database, now):
    """Somebody with an active subscription."""

    async def sign_up(session):
        who = await subscriptions.ensure(session, ChannelKind.EMAIL, READER, language="en", timezone="UTC", now=now)
        await subscriptions.subscribe(
            session,
            who.id,
            parse(""),
            cadence=Cadence.IMMEDIATE,
            state=SubscriptionState.ACTIVE,
            consent=None,
            now=now,
        )

    database(sign_up)


def test_who_is_suppressed_has_left_and_is_kept_out_however_the_address_is_spelled(operator, reader, database):
    assert operator.json("subscribers", "suppress", "Reader@Example.ORG") == {"reason": "blocked", "ended": 1}
    assert operator.json("subscribers", "suppressed", "--check", READER) == {"reason": "blocked"}
    assert operator.json("subscribers", "suppress", READER) == {"reason": "blocked", "ended": 0}
    (one,) = database(wishes)
    assert (one.state, one.ended_reason) == (SubscriptionState.ENDED, "kept out by the office")


def test_the_office_takes_its_word_back_and_nothing_comes_back_with_it(operator, reader, database):
    operator("subscribers", "suppress", READER, "--reason", "complained")
    assert "was kept out (complained)" in operator("subscribers", "allow", READER).stderr
    assert operator.json("subscribers", "allow", READER) == {"was": None}
    assert "not kept out" in operator("subscribers", "suppressed", "--check", READER).stdout
    (one,) = database(wishes)
    assert one.state is SubscriptionState.ENDED


def test_the_list_is_counted_by_reason_and_names_nobody(operator):
    for name, reason in (("a", "bounced"), ("b", "blocked"), ("c", "bounced")):
        operator("subscribers", "suppress", f"{name}@example.org", "--reason", reason)
    assert operator.json("subscribers", "suppressed") == [
        {"reason": "blocked", "addresses": 1},
        {"reason": "bounced", "addresses": 2},
    ]
    assert "@" not in operator("subscribers", "suppressed").stdout


@pytest.mark.parametrize("command", [("suppress",), ("allow",), ("suppressed", "--check")])
def test_what_is_no_address_is_one_line(operator, command):
    assert operator.refused("subscribers", *command, "nobody").startswith("address: ")


def test_who_was_erased_does_not_come_back_by_a_file(operator, reader, document):
    operator("subscribers", "erase", READER, "--channel", "email", "--yes")
    assert operator.json("subscribers", "suppressed", "--check", READER) == {"reason": "erased"}
    header = "address,channel,language,timezone,filter,cadence,consent_at,consent_source,consent_text"
    file = document(f"{header}\n{READER},email,en,UTC,,immediate,2026-11-01T10:00:00Z,desk,yes\n", "people.csv")
    said = operator.json("subscribers", "import", file, code=1)
    assert (said["taken"], said["kept_out"], [one["line"] for one in said["left_out"]]) == (0, 1, [2])
