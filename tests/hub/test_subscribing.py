"""A callback is subscribed when it has said so itself, for as long as its lease, and not otherwise."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from feeds import hub_verifying
from syndicator.store import hub
from syndicator.store.tables import DELIVERY, HUB_LEASE, SUBSCRIBER


async def test_a_callback_that_agrees_has_a_lease_of_ten_days(house, subscribe, reader):
    status, _ = await subscribe(reader.url("/cb", "?token=a%2Fb&x="))
    assert status == 202
    asked = reader.asked[0]
    assert asked["hub.mode"] == "subscribe"
    assert asked["hub.topic"] == house.topic()
    assert asked["hub.lease_seconds"] == "864000"
    assert (asked["token"], asked["x"]) == ("a/b", "")
    lease = (await house.leases())[0]
    assert lease["until"] == house.now + timedelta(days=10)
    assert await house.requests() == []


async def test_nothing_holds_before_the_callback_has_agreed(house, subscribe, reader):
    await subscribe(reader.url(), verify=False)
    assert await house.leases() == []
    house.streams.put("en/all.atom", "second")
    await house.run("hub-news")
    await house.send()
    assert reader.got == []


NOES = {
    "another body": lambda request: web.Response(text="yes"),
    "an empty body": lambda request: web.Response(),
    "not found": lambda request: web.Response(status=404, text=request.query["hub.challenge"]),
    "a redirect": lambda request: web.Response(
        status=302, headers={"Location": "/other"}, text=request.query["hub.challenge"]
    ),
    "the challenge and more": lambda request: web.Response(text=request.query["hub.challenge"] + "x"),
    "an endless body": lambda request: web.Response(text=request.query["hub.challenge"] + "x" * 1_000_000),
}


@pytest.mark.parametrize("no", NOES.values(), ids=NOES.keys())
async def test_any_other_answer_is_a_no(house, subscribe, reader, no):
    async def answer(request):
        return no(request)

    reader.verify = answer
    await subscribe(reader.url())
    assert (await house.leases(), await house.requests()) == ([], [])
    assert len(reader.asked) == 1


async def test_a_callback_in_trouble_is_asked_three_times_and_then_no_more(house, subscribe, reader):
    async def trouble(request):
        return web.Response(status=503)

    reader.verify = trouble
    await subscribe(reader.url())
    for _ in range(6):
        house.later(minutes=6)
        await house.run("hub-verify")
    assert len(reader.asked) == 3
    assert len({asked["hub.challenge"] for asked in reader.asked}) == 1
    assert await house.requests() == []


async def test_a_callback_that_comes_back_in_between_is_subscribed(house, subscribe, reader):
    async def trouble(request):
        return web.Response(status=500)

    reader.verify = trouble
    await subscribe(reader.url())
    reader.verify = None
    house.later(minutes=2)
    await house.run("hub-verify")
    assert len(await house.leases()) == 1


async def test_a_new_secret_and_a_new_term_count_once_the_callback_has_agreed(house, subscribe, reader):
    await subscribe(reader.url(), secret="one")
    before = (await house.leases())[0]
    house.later(days=5)
    await subscribe(reader.url(), secret="two", verify=False)
    assert (await house.leases())[0] == before
    await house.run("hub-verify")
    after = (await house.leases())[0]
    assert (after["secret"], after["until"]) == ("two", house.now + timedelta(days=10))
    assert after["subscriber_id"] == before["subscriber_id"]


async def test_a_stranger_can_neither_end_nor_change_a_subscription(house, subscribe, reader):
    await subscribe(reader.url(), secret="mine")

    async def never(request):
        return web.Response(status=404)

    reader.verify = never
    await subscribe(reader.url(), secret="yours")
    await subscribe(reader.url(), mode="unsubscribe")
    assert [lease["secret"] for lease in await house.leases()] == ["mine"]


async def test_leaving_is_asked_about_and_then_nothing_is_sent(house, subscribe, reader):
    await subscribe(reader.url(), secret="mine")
    await subscribe(reader.url(), mode="unsubscribe", secret="other", lease_seconds="77")
    assert reader.asked[1]["hub.mode"] == "unsubscribe"
    assert await house.leases() == []
    house.streams.put("en/all.atom", "second")
    await house.go()
    assert reader.got == []


async def test_leaving_what_nobody_holds_asks_nobody(house, subscribe, reader):
    status, _ = await subscribe(reader.url(), mode="unsubscribe")
    assert status == 202
    assert reader.asked == []


@pytest.mark.parametrize(
    ("asked", "given"), [("1", 300), ("86400", 86_400), ("99999999999", 30 * 86_400), ("", 864_000)]
)
async def test_a_lease_has_bounds_and_the_callback_is_told_its_length(house, subscribe, reader, asked, given):
    await subscribe(reader.url(), lease_seconds=asked)
    assert reader.asked[0]["hub.lease_seconds"] == str(given)
    assert (await house.leases())[0]["until"] == house.now + timedelta(seconds=given)


async def test_a_lease_that_is_not_renewed_ends_and_forgets_its_secret(house, subscribe, reader):
    await subscribe(reader.url(), secret="mine", lease_seconds="3600")
    house.streams.put("en/all.atom", "second")
    await house.go()
    house.later(hours=1)
    house.streams.put("en/all.atom", "third")
    await house.go()
    assert reader.bodies() == ["second"]
    assert await house.leases() == []
    ended = (await house.rows(HUB_LEASE))[0]
    assert (ended["secret"], ended["ended_reason"]) == ("", "not renewed")


async def test_a_renewed_lease_goes_on_without_a_gap(house, subscribe, reader):
    await subscribe(reader.url(), lease_seconds="3600")
    house.later(minutes=50)
    await subscribe(reader.url(), lease_seconds="3600")
    house.later(minutes=50)
    house.streams.put("en/all.atom", "second")
    await house.go()
    assert reader.bodies() == ["second"]


async def test_what_ended_a_month_ago_is_forgotten_whole(house, subscribe, reader):
    await subscribe(reader.url(), lease_seconds="3600")
    house.streams.put("en/all.atom", "second")
    await house.go()
    house.later(hours=2)
    await house.go()
    house.later(days=31)
    await house.go()
    for table in (HUB_LEASE, SUBSCRIBER, DELIVERY):
        assert await house.rows(table) == []
    assert await house.messages() == []


async def test_a_lease_that_never_had_anything_is_forgotten_at_once(house, subscribe, reader):
    await subscribe(reader.url())
    await subscribe(reader.url(), mode="unsubscribe")
    house.later(hours=2)
    await house.go()
    assert (await house.rows(HUB_LEASE), await house.rows(SUBSCRIBER)) == ([], [])


@pytest.mark.parametrize("mode", ["subscribe", "unsubscribe"])
async def test_an_older_wish_that_was_put_off_never_undoes_a_newer_one(house, subscribe, reader, mode):
    await subscribe(reader.url(), secret="first")

    async def trouble(request):
        return web.Response(status=503)

    reader.verify = trouble
    await subscribe(reader.url(), mode=mode, secret="older")
    reader.verify = None
    await subscribe(reader.url(), secret="newer")
    house.later(minutes=10)
    await house.go()
    assert [lease["secret"] for lease in await house.leases()] == ["newer"]
    assert await house.requests() == []


async def test_a_bug_while_a_callback_is_asked_is_an_attempt_and_holds_up_no_other(
    house, subscribe, reader, monkeypatch
):
    real = house.outgoing.ask

    async def ask(method, address, **values):
        if "/bad" in address:
            raise ZeroDivisionError
        return await real(method, address, **values)

    monkeypatch.setattr(house.outgoing, "ask", ask)
    await subscribe(reader.url("/bad"), verify=False)
    await subscribe(reader.url("/good"))
    assert [lease["callback"] for lease in await house.leases()] == [reader.url("/good")]
    for _ in range(3):
        house.later(minutes=6)
        await house.run("hub-verify")
    assert await house.requests() == []


@pytest.mark.parametrize(("known", "asked"), [(False, 1), (True, 3)])
async def test_who_does_not_answer_is_asked_again_only_if_something_lives_there(
    house, subscribe, reader, monkeypatch, known, asked
):
    async def hang(request):
        await asyncio.sleep(0.3)
        return web.Response()

    monkeypatch.setattr(hub_verifying, "SECONDS", 0.1)
    monkeypatch.setattr(hub_verifying, "HANGING", 0.05)
    if known:
        await subscribe(reader.url("/known"))
        reader.asked.clear()
    reader.verify = hang
    await subscribe(reader.url())
    for _ in range(3):
        house.later(minutes=6)
        await house.run("hub-verify")
    assert len(reader.asked) == asked
    assert await house.requests() == []


async def test_what_is_long_over_is_forgotten_in_steps_of_bounded_length(house, subscribe, reader, monkeypatch):
    monkeypatch.setattr(hub, "STEP", 2)
    for number in range(6):
        await subscribe(reader.url(f"/{number}"), lease_seconds="3600")
    house.streams.put("en/all.atom", "second")
    await house.go()
    house.later(hours=2)
    await house.go()
    house.later(days=31)
    steps = []
    for _ in range(9):
        async with house.database.writing() as session:
            steps.append(await hub.forget(session, house.now))
    assert steps[:2] == [4, 2]
    assert steps[-1] == 0
    for table in (HUB_LEASE, SUBSCRIBER, DELIVERY):
        assert await house.rows(table) == []
    assert await house.messages() == []


async def test_a_feed_that_is_no_more_ends_its_leases_and_says_so(house, subscribe, reader):
    await subscribe(reader.url())
    del house.streams.held["en/all.atom"]
    await house.go()
    assert await house.leases() == []
    assert reader.asked[-1]["hub.mode"] == "denied"
    assert reader.asked[-1]["hub.topic"] == house.topic()
    assert reader.asked[-1]["hub.reason"] == "the feed is no more"
    assert await house.requests() == []


async def test_a_feed_that_went_before_the_callback_was_asked_is_denied(house, subscribe, reader):
    await subscribe(reader.url(), verify=False)
    del house.streams.held["en/all.atom"]
    await house.go()
    assert [asked["hub.mode"] for asked in reader.asked] == ["denied"]
    assert (await house.leases(), await house.requests()) == ([], [])
