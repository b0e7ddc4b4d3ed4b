"""What is asked for on a page is never lost: it waits for its turn, whatever limits say now."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from syndicator.domain.filters import parse
from syndicator.domain.model import Cadence, ChannelKind
from syndicator.domain.ports import Again, Done
from syndicator.domain.returns import Leave
from syndicator.pipeline import crowds
from syndicator.pipeline.applying import Applications
from syndicator.pipeline.crowds import Crowds
from syndicator.pipeline.personal import Personal
from syndicator.pipeline.returning import Returning
from syndicator.store import applications
from syndicator.store.applications import Application
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import APPLICATION
from tests.pipeline.conftest import Never
from tests.pipeline.test_relocating import NEW, Movers

MINUTE = timedelta(minutes=1)


class Pages:
    """Pages where people ask, and the engine that looks at what they asked."""

    def __init__(self, press) -> None:
        self.press = press

    async def wants(self, address, topic, network="", **more):
        press = self.press
        await press.subscribing.apply(
            address,
            filter_=parse(f"topic={topic}"),
            language="az",
            cadence=more.get("cadence", Cadence.IMMEDIATE),
            text_only=False,
            consent=Consent(press.now, "web", "yes"),
            network=network,
        )

    async def passes(self, span=timedelta(0)):
        """Time goes by, and whatever is due is looked at when it is."""
        press, end = self.press, self.press.now + span
        while True:
            while await press.subscribing.hear(press.now):
                pass
            due = await press.subscribing.next_application()
            if due is None or due > end:
                break
            press.now = max(due, press.now)
        press.now = end
        await press.send()

    async def waiting(self):
        async with self.press.database.reading() as session:
            return list(await session.scalars(select(APPLICATION.c.address)))

    def sent(self):
        return [(letter.address, letter.filter_text) for letter in self.press.mail.sent]


@pytest.fixture
def pages(press):
    return Pages(press)


async def test_who_wants_two_things_within_an_hour_gets_two_letters_an_hour_apart(pages):
    await pages.wants("a@example.org", "visas")
    await pages.passes(5 * MINUTE)
    await pages.wants("a@example.org", "office")
    await pages.passes(54 * MINUTE)
    assert pages.sent() == [("a@example.org", "topic=visas")]
    await pages.passes(MINUTE)
    assert pages.sent()[1:] == [("a@example.org", "topic=office")]
    assert await pages.waiting() == []


async def test_a_stranger_who_was_quicker_costs_nobody_their_sign_up(pages):
    await pages.wants("a@example.org", "refugees")
    await pages.wants("a@example.org", "visas")
    await pages.passes(timedelta(hours=1))
    assert [wanted for _, wanted in pages.sent()] == ["topic=refugees", "topic=visas"]


async def test_who_presses_twice_gets_one_letter(pages):
    for _ in range(3):
        await pages.wants("a@example.org", "visas")
    await pages.passes(timedelta(days=2))
    assert pages.sent() == [("a@example.org", "topic=visas")]


async def test_a_mailbox_that_is_flooded_gets_three_letters_a_day_and_none_once_a_day_is_over(pages):
    for number in range(20):
        await pages.wants(f"a+{number}@example.org", "visas")
    await pages.passes(timedelta(hours=23))
    assert len(pages.sent()) == 3
    await pages.passes(timedelta(days=5))
    assert len(pages.sent()) <= 4
    assert await pages.waiting() == []


async def test_a_wish_to_move_waits_for_its_turn_too_and_the_newest_alone(press, pages):
    movers = Movers(press)
    who = await movers.join()
    account = await movers.account(who)
    await pages.wants(NEW, "visas")
    await pages.wants("other@example.org", "visas")
    await pages.passes()
    for address in (NEW, "other@example.org"):
        await press.subscribing.apply_to_move(account, address, now=press.now)
        await pages.passes(MINUTE)
    await pages.passes(timedelta(hours=2))
    assert movers.sent("address") == [("address", "other@example.org")]


async def test_a_crash_between_the_letter_and_the_end_of_the_wish_sends_no_second_one(press, pages, monkeypatch):
    await pages.wants("a@example.org", "visas")

    async def crash(*_):
        raise OSError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(applications, "done", crash)
        with pytest.raises(OSError, match="power"):
            await press.subscribing.hear(press.now)
    await pages.passes(timedelta(hours=3))
    assert pages.sent() == [("a@example.org", "topic=visas")]


# -- crowds
async def test_a_domain_that_thousands_of_invented_addresses_stand_before_still_has_a_turn_for_everybody(press):
    line = Crowds()
    for _ in range(3000):
        await line.turn("gov.example", press.now)
    turn = await line.turn("gov.example", press.now)
    assert turn > press.now + timedelta(hours=6)
    assert await line.turn("gov.example", press.now) >= turn
    assert await line.turn("gmail.com", press.now) == await line.turn("elsewhere.example", press.now) == press.now


async def test_one_network_leaves_most_turns_of_a_domain_to_others(press, pages):
    many = 10 * crowds.TURNS
    async with press.database.writing() as session:  # as `wants` writes them, without as many transactions
        for number in range(many):
            due = await press.subscribing._crowds.share("gov.example", "192.0.2.0/24", press.now)
            wish = Application(f"p{number}@gov.example", press.now, filter="topic=visas", language="az", due_at=due)
            await applications.write(session, wish)
    await pages.wants("honest@gov.example", "visas", network="198.51.100.0/24")
    await pages.passes()
    asked = [address for address, _ in pages.sent()]
    assert "honest@gov.example" in asked
    assert len(asked) == crowds.SHARE + 1
    assert len(await pages.waiting()) == many - crowds.SHARE


async def test_a_place_in_a_domains_line_is_nobodys_where_the_network_is_not_known_or_the_provider_large(press):
    line = Crowds()
    for _ in range(crowds.SHARE + 1):
        assert await line.share("gov.example", "", press.now) == press.now
        assert await line.share("gmail.com", "192.0.2.0/24", press.now) == press.now


async def test_a_line_is_a_day_long_at_most_and_what_finds_it_longer_is_given_up_and_said(press, pages):
    line = press.subscribing._crowds
    for _ in range(10_000):
        await line.turn("gov.example", press.now)
        await line.share("gov.example", "192.0.2.0/24", press.now)
    assert await line.share("gov.example", "192.0.2.0/24", press.now) == press.now + timedelta(days=1)
    await pages.wants("late@gov.example", "visas")
    with capture_logs() as said:
        await pages.passes()
    assert await pages.waiting() == []
    assert [one["event"] for one in said if one["log_level"] == "warning"] == [
        "a question is given up: its mail domain is crowded for a whole day"
    ]
    assert (
        await line.turn("gov.example", press.now + timedelta(minutes=10))
    ) is not None  # given up, it took nobody's turn


# -- who leaves
async def test_who_is_erased_while_their_wish_is_looked_at_stays_erased(press, pages, site, monkeypatch):
    movers = Movers(press)
    who = await movers.join("a@example.org")
    await pages.wants("a@example.org", "visas")
    personal = Personal(press.database, site=site, taxonomy=press.taxonomy, tokens=press.tokens)
    found = (await movers.account(who)).subscriber
    async with press.database.writing() as session:
        one = await applications.claim(session, press.now)

    async def claimed(*_):
        return one

    await personal.erase(found, press.now)
    monkeypatch.setattr(applications, "claim", claimed)
    assert await press.subscribing.hear(press.now)
    assert await personal.find(ChannelKind.EMAIL, "a@example.org") is None


async def _by_page(press, movers, who):
    await press.subscribing.end_all(await movers.account(who), reason="unsubscribed", now=press.now)


async def _by_mail(press, movers, who):
    returning = Returning(press.database, press.tokens, metrics=press.metrics, wake=press.wake)
    assert await returning.take(Leave(who), press.now) == "leave"


@pytest.mark.parametrize("leaves", [_by_page, _by_mail])
async def test_who_has_left_gets_no_letter_that_asks_for_what_was_wished_before_but_for_what_is_wished_after(
    press, pages, leaves
):
    movers = Movers(press)
    who = await movers.join("a@example.org")
    for topic in ("visas", "refugees"):
        await pages.wants("a@example.org", topic)
    await pages.passes()
    await press.subscribing.apply_to_move(await movers.account(who), NEW, now=press.now)
    await leaves(press, movers, who)
    assert await pages.waiting() == []
    await pages.passes(timedelta(hours=2))
    assert pages.sent() == [("a@example.org", "topic=visas")]
    await pages.wants("a@example.org", "office")
    await pages.passes()
    assert pages.sent()[1:] == [("a@example.org", "topic=office")]


async def test_nobody_need_plan_what_a_page_was_asked_for(pages, press):
    posted = []

    async def post(_session, jobs):
        posted.extend((job.key, job.due) for job in jobs)

    press.database.attach(post)
    [(_, handler)] = Applications(press.subscribing, clock=lambda: press.now).handlers().items()
    await pages.wants("a@example.org", "visas")
    assert posted == [("applications", press.now)], "its job is in the queue with the row"
    posted.clear()
    assert isinstance(await handler(None, Never()), Done)
    assert [key for key, _ in posted] == ["deliver:1"], "and so is the letter's"
    await pages.wants("a@example.org", "office")
    press.now += 5 * MINUTE
    later = await handler(None, Never())
    assert isinstance(later, Again), "what must wait comes back by itself"
    assert later.due == press.now + 55 * MINUTE
    press.database.attach(None)
