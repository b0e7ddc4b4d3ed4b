"""Messages for one: each to the address it is for, before all others, and not when it no longer serves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from syndicator.domain.model import MessageKind
from syndicator.store import erasing, ledger, subscriptions
from tests.store.looked import drain

HOUR = timedelta(hours=1)


async def reasons(session):
    return list(await session.scalars(text("SELECT reason FROM delivery WHERE state = 'suppressed' ORDER BY id")))


async def test_each_letter_goes_to_the_address_that_it_is_for(database, press, people, tell, now):
    async with database.writing() as session:
        await press.record(session)
        who, made = await people.add(session, "old@example.org", "topic=visas", lang="ru")
        await people.add(session, "other@example.org")
        await tell(session)
        await ledger.welcome(session, made.id, who.id, now=now)
        question = await ledger.ask_address(session, who.id, "new@example.org", now=now)
        await ledger.tell_moved(session, who.id, "older@example.org", now=now)
        claimed = await drain(session, now)
        told = [(one.message.key, one.address, one.lang) for one in claimed]
        assert told == [
            (f"welcome:{made.id}", "old@example.org", "ru"),
            (f"address:{who.id}:1", "new@example.org", "ru"),
            (f"moved:{who.id}:1", "older@example.org", "ru"),
            ("release:1:0", "other@example.org", "az"),
        ]
        assert (claimed[0].subscription, claimed[0].filter) == (made.id, "topic=visas")
        assert (claimed[1].subscriber, question.kind) == (who.id, MessageKind.ADDRESS)


async def test_a_welcome_is_said_once_however_often_it_is_asked_for(database, people, now):
    async with database.writing() as session:
        who, made = await people.add(session, "a@example.org")
        first = await ledger.welcome(session, made.id, who.id, now=now)
        assert await ledger.welcome(session, made.id, who.id, now=now + HOUR) == first
        assert len(await drain(session, now)) == 1
        assert await ledger.welcome(session, made.id, who.id, now=now + HOUR) == first
        assert await drain(session, now) == []


async def _leave(session, who, made, now):
    await subscriptions.end(session, made.id, "left", now)


async def _answer(session, who, made, now):
    await session.execute(text("UPDATE readdressed SET done_at = '2026-11-21 10:00:00+00'"))


async def _ask_again(session, who, made, now):
    await ledger.ask_address(session, who.id, "newest@example.org", now=now)


async def _bounce(session, who, made, now):
    await subscriptions.pause(session, who.id, "bounced: 5.1.1")


async def _bounce_at_rest(session, who, made, now):
    await subscriptions.rest(session, who.id, None)
    await _bounce(session, who, made, now)


async def _rest(session, who, made, now):
    await subscriptions.rest(session, who.id, None)


async def _nothing(session, who, made, now):
    pass


CASES = {
    "a welcome whose subscription has ended": (MessageKind.WELCOME, _leave, ["the subscription has ended"]),
    "a welcome to a mailbox that is gone": (MessageKind.WELCOME, _bounce, ["the subscriber is paused"]),
    "a welcome to one gone while they rest": (MessageKind.WELCOME, _bounce_at_rest, ["the subscriber is paused"]),
    "a welcome of one who rests": (MessageKind.WELCOME, _rest, []),
    "an address that was confirmed": (MessageKind.ADDRESS, _answer, ["the address was confirmed already"]),
    "an address after another one": (MessageKind.ADDRESS, _ask_again, ["another address was asked for"]),
    "an address": (MessageKind.ADDRESS, _nothing, []),
    "an address of one who has left": (MessageKind.ADDRESS, _leave, []),
    "a word to the old address after they left": (MessageKind.MOVED, _leave, []),
    "a word to the old address after a new question": (MessageKind.MOVED, _ask_again, []),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_no_longer_serves_is_held_back_at_the_claim(database, people, now, case):
    kind, meanwhile, expected = CASES[case]
    async with database.writing() as session:
        who, made = await people.add(session, "a@example.org")
        if kind is MessageKind.WELCOME:
            await ledger.welcome(session, made.id, who.id, now=now)
        elif kind is MessageKind.ADDRESS:
            await ledger.ask_address(session, who.id, "b@example.org", now=now)
        else:
            await ledger.tell_moved(session, who.id, "b@example.org", now=now)
        await meanwhile(session, who, made, now)
        sent = [one.address for one in await drain(session, now)]
        assert (await reasons(session), bool({"a@example.org", "b@example.org"} & {*sent})) == (expected, not expected)


async def test_nothing_goes_to_an_address_that_an_erased_person_named(database, people, now):
    async with database.writing() as session:
        who, made = await people.add(session, "a@example.org")
        await ledger.welcome(session, made.id, who.id, now=now)
        await ledger.ask_address(session, who.id, "b@example.org", now=now)
        await ledger.tell_moved(session, who.id, "c@example.org", now=now)
        await erasing.erase(session, who.id, now, language="az", timezone="Asia/Baku")
        assert await drain(session, now) == []
        assert await session.scalar(text("SELECT count(*) FROM readdressed")) == 0
        keys = await session.scalars(text("SELECT key FROM message ORDER BY id"))
        assert [key.split(":")[1] for key in keys] == ["erased"] * 3


async def test_the_numbers_of_questions_go_on_where_older_ones_were_deleted(database, people, now):
    async with database.writing() as session:
        who, _ = await people.add(session, "a@example.org")
        asked = [await ledger.ask_address(session, who.id, f"{n}@example.org", now=now) for n in range(3)]
        await session.execute(text("DELETE FROM message WHERE id = :id"), {"id": asked[0].id})
        again = await ledger.ask_address(session, who.id, "again@example.org", now=now)
        assert [one.key for one in [*asked, again]] == [f"address:{who.id}:{n}" for n in (1, 2, 3, 4)]
