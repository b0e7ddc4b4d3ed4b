"""What changed reaches every callback: whole, signed, once; the dead delay nobody."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket

import pytest
from aiohttp import web

from feeds import websub
from syndicator.store import hub, hub_requests
from syndicator.store.hub_requests import Bounds, Mode, Wish
from syndicator.store.tables import BATCH, DELIVERY, HUB_LEASE
from tests.hub.conftest import FEED


async def test_a_subscriber_gets_the_whole_feed_with_its_type_and_addresses(house, subscribe, reader):
    await subscribe(reader.url("/cb", "?id=7"))
    house.streams.put(FEED, "ikinci ə")
    await house.go()
    (got,) = reader.got
    assert got.body.decode() == "ikinci ə"
    assert got.query == {"id": "7"}
    assert got.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    assert got.headers["Link"] == f'<{house.site.hub}>; rel="hub", <{house.topic()}>; rel="self"'
    assert "X-Hub-Signature" not in got.headers
    assert "Cookie" not in got.headers


async def test_a_secret_signs_the_bytes_as_they_are_sent(house, subscribe, reader):
    await subscribe(reader.url(), secret="sörr hemlig")
    house.streams.put(FEED, "second")
    await house.go()
    right = hmac.new("sörr hemlig".encode(), b"second", hashlib.sha256).hexdigest()
    assert reader.got[0].headers["X-Hub-Signature"] == f"sha256={right}"


async def test_nothing_changed_sends_nothing_and_writes_nothing(house, subscribe, reader):
    await subscribe(reader.url())
    await house.go()
    house.streams.put(FEED, "first")  # the store moved on, the bytes did not
    await house.go()
    assert (reader.got, await house.messages()) == ([], [])


async def test_each_change_is_told_once_also_one_that_goes_back(house, subscribe, reader):
    await subscribe(reader.url())
    for text in ("second", "first", "second"):
        house.streams.put(FEED, text)
        await house.go()
        await house.go()
    assert reader.bodies() == ["second", "first", "second"]
    assert await house.messages() == [f"feed:{FEED}:{number}" for number in (1, 2, 3)]


async def test_a_subscriber_of_one_feed_hears_nothing_of_another(house, subscribe, reader):
    house.streams.put("en/all.rss", "other")
    await subscribe(reader.url())
    house.streams.put("en/all.rss", "other, changed")
    await house.go()
    assert reader.got == []


async def test_who_comes_after_a_quiet_time_gets_what_is_new_from_then_on(house, subscribe, reader):
    await subscribe(reader.url("/a"), lease_seconds="3600")
    house.later(days=2)
    house.streams.put(FEED, "second")
    await house.go()
    await subscribe(reader.url("/b"))
    await house.go()
    assert reader.got == []
    house.streams.put(FEED, "third")
    await house.go()
    assert [got.path for got in reader.got] == ["/b"]


async def test_410_ends_the_lease(house, subscribe, reader):
    await subscribe(reader.url())
    reader.answers["/cb"] = 410
    house.streams.put(FEED, "second")
    await house.go()
    house.streams.put(FEED, "third")
    house.later(hours=2)
    await house.go()
    assert reader.bodies() == ["second"]
    assert await house.leases() == []


async def test_who_was_gone_may_come_back(house, subscribe, reader):
    await subscribe(reader.url())
    reader.answers["/cb"] = 410
    house.streams.put(FEED, "second")
    await house.go()
    reader.answers["/cb"] = 200
    await subscribe(reader.url())
    house.streams.put(FEED, "third")
    await house.go()
    assert reader.bodies() == ["second", "third"]


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
async def test_any_other_answer_is_tried_again_later(house, subscribe, reader, status):
    await subscribe(reader.url())
    reader.answers["/cb"] = status
    house.streams.put(FEED, "second")
    await house.go()
    assert [state for _, state, _ in await house.states()] == ["deferred"]
    reader.answers["/cb"] = 200
    house.later(minutes=2)
    await house.go()
    assert reader.bodies() == ["second", "second"]
    assert [state for _, state, _ in await house.states()] == ["sent"]


async def test_retry_after_is_heeded(house, subscribe, reader):
    async def busy(request):
        return web.Response(status=503, headers={"Retry-After": "1800"})

    await subscribe(reader.url())
    reader.answers["/cb"] = busy
    house.streams.put(FEED, "second")
    await house.go()
    house.later(minutes=20)
    await house.go()
    assert len(reader.got) == 1
    house.later(minutes=15)
    await house.go()
    assert len(reader.got) == 2


async def test_tries_end_and_the_row_says_why(house, subscribe, reader):
    await subscribe(reader.url())
    reader.answers["/cb"] = 500
    house.streams.put(FEED, "second")
    for _ in range(8):
        await house.go()
        house.later(hours=5)
    assert len(reader.got) == 3  # the attempts that the policy grants
    assert (await house.states())[0][1:] == ("failed", "given up after 3 attempts: it answered 500")


async def test_a_callback_that_failed_for_three_days_loses_its_lease(house, subscribe, reader):
    await subscribe(reader.url())
    reader.answers["/cb"] = 500
    for day in range(5):
        house.streams.put(FEED, f"day {day}")
        await house.go()
        house.later(days=1)
    await house.go()
    assert await house.leases() == []
    assert (await house.rows(HUB_LEASE))[0]["ended_reason"] == "it failed for three days"


async def test_days_in_which_nobody_tried_are_no_failure(house, subscribe, reader):
    await subscribe(reader.url(), lease_seconds=str(30 * 86_400))
    reader.answers["/cb"] = 500
    house.streams.put(FEED, "second")
    await house.go()
    house.later(days=4)  # the machine was off, say
    reader.answers["/cb"] = 200
    await house.go()
    assert len(await house.leases()) == 1
    assert reader.bodies() == ["second", "second"]


async def test_callbacks_of_a_host_that_cannot_be_reached_fail_with_it_and_end_after_days(build_on_sqlite):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    house = build_on_sqlite()
    await fill(house, [f"{base}/{number}" for number in range(40)])
    for day in range(5):
        house.streams.put(FEED, f"day {day}")
        await house.go()
        house.later(days=1)
    assert await house.leases() == []


async def test_newer_news_takes_the_place_of_older_that_waits(house, subscribe, reader):
    await subscribe(reader.url())
    reader.answers["/cb"] = 500
    house.streams.put(FEED, "second")
    await house.go()
    reader.answers["/cb"] = 200
    house.streams.put(FEED, "third")
    await house.go()
    house.later(hours=1)
    await house.go()
    assert reader.bodies() == ["second", "third"]
    assert [(state, reason) for _, state, reason in await house.states()] == [
        ("suppressed", "a newer version of the feed is on its way"),
        ("sent", ""),
    ]


async def test_a_callback_in_trouble_is_left_alone_by_newer_news_too(house, subscribe, reader):
    await subscribe(reader.url())
    reader.answers["/cb"] = 500
    house.streams.put(FEED, "second")
    await house.go()
    house.streams.put(FEED, "third")
    await house.go()
    assert len(reader.got) == 1


async def test_what_is_sent_is_what_stands_and_nobody_gets_the_same_bytes_twice(house, subscribe, reader):
    await subscribe(reader.url())
    house.streams.put(FEED, "second")
    await house.run("hub-news")
    house.streams.put(FEED, "third")
    await house.send()  # the first news carries what stands now
    await house.go()  # the second finds that it is there already
    assert reader.bodies() == ["third"]
    assert [state for _, state, _ in await house.states()] == ["sent", "sent"]


async def test_a_line_that_breaks_is_a_failure_and_ends_the_lease_after_days(house, subscribe, reader):
    async def cut(request):
        request.transport.abort()
        await asyncio.sleep(0.05)
        return web.Response()

    await subscribe(reader.url())
    reader.answers["/cb"] = cut
    house.streams.put(FEED, "second")
    await house.go()
    assert (await house.states())[0][1] == "deferred"
    house.later(minutes=10)
    await house.go()
    assert len(reader.got) == 2
    for day in range(4):
        house.later(days=1)
        house.streams.put(FEED, f"day {day}")
        await house.go()
    assert "unknown" not in {state for _, state, _ in await house.states()}
    assert await house.leases() == []


async def test_a_dead_callback_delays_none_of_fifty_live_ones(build_on_sqlite, reader):
    house = build_on_sqlite(total=20.0)
    await fill(house, [reader.url("/dead")] + [reader.url(f"/live{number}") for number in range(50)])
    arrived: set[str] = set()
    everybody = asyncio.Event()

    async def live(request):
        arrived.add(request.path)
        if len(arrived) == 50:
            everybody.set()
        return web.Response(status=204)

    async def dead(request):
        await everybody.wait()  # it hangs for as long as any of the others has got nothing
        return web.Response(status=504)

    reader.answers |= {f"/live{number}": live for number in range(50)} | {"/dead": dead}
    house.streams.put(FEED, "second")
    await house.run("hub-news")
    await house.send()
    assert len(arrived) == 50
    states = [state for _, state, _ in await house.states()]
    assert (states.count("sent"), states.count("deferred")) == (50, 1)
    assert (await house.states())[0][2] == "it answered 504"  # not: it took too long


async def test_a_host_that_hangs_is_asked_once_and_then_left_alone(build_on_sqlite, reader):
    house = build_on_sqlite(total=0.2)
    await fill(house, [reader.url(f"/cb{number}") for number in range(40)])  # more than one chunk

    async def hang(request):
        await asyncio.sleep(0.5)
        return web.Response()

    reader.answers |= {f"/cb{number}": hang for number in range(40)}
    house.streams.put(FEED, "second")
    await house.go()
    again = len(reader.got)
    house.streams.put(FEED, "third")
    await house.go()
    assert len(reader.got) == again  # nobody of that host is asked
    reasons = [reason for _, state, reason in await house.states() if state == "deferred"]
    assert len(reasons) == 40


async def test_many_callbacks_of_one_slow_but_living_host_all_get_it_and_are_not_called_dead(build_on_sqlite, reader):
    house = build_on_sqlite(total=0.3)
    await fill(house, [reader.url(f"/cb{number}") for number in range(64)])

    async def slow(request):
        await asyncio.sleep(0.06)
        return web.Response(status=204)

    reader.answers |= {f"/cb{number}": slow for number in range(64)}
    house.streams.put(FEED, "second")
    await house.go()
    assert [state for _, state, _ in await house.states()] == ["sent"] * 64
    assert {lease["failures"] for lease in await house.leases()} == {0}


async def test_a_host_that_takes_long_is_waited_for_once_and_then_behind_the_others(
    build_on_sqlite, reader, monkeypatch
):
    monkeypatch.setattr(websub, "SLOW", 0.1)
    house = build_on_sqlite()
    await fill(house, [reader.url(f"/cb{number}") for number in range(20)])

    async def slow(request):
        await asyncio.sleep(0.2)
        return web.Response(status=204)

    reader.answers |= {f"/cb{number}": slow for number in range(20)}
    house.streams.put(FEED, "second")
    await house.run("hub-news")
    await house.send()
    assert len(reader.got) == websub.LINES_EACH
    assert {lease["slow"] for lease in await house.leases()} == {1}
    await house.go()
    assert [state for _, state, _ in await house.states()] == ["sent"] * 20
    assert {batch["priority"] for batch in await house.rows(BATCH) if batch["done_at"] is None} <= {30}


async def test_one_letters_bug_is_no_others(house, subscribe, reader, monkeypatch):
    await subscribe(reader.url("/a"))
    await subscribe(reader.url("/b"))
    real = house.outgoing.ask

    async def ask(method, address, **values):
        if address.endswith("/a"):
            raise ZeroDivisionError
        return await real(method, address, **values)

    monkeypatch.setattr(house.outgoing, "ask", ask)
    house.streams.put(FEED, "second")
    await house.go()
    assert reader.bodies("/b") == ["second"]
    assert {state for _, state, _ in await house.states()} == {"deferred", "sent"}


async def test_a_clock_that_ran_ahead_stops_nothing_once_it_is_mended(house, subscribe, reader):
    await subscribe(reader.url("/a"), lease_seconds=str(30 * 86_400))
    await subscribe(reader.url("/b"), lease_seconds=str(30 * 86_400), verify=False)
    house.later(days=20)
    reader.answers["/a"] = 503
    house.streams.put(FEED, "second")
    await house.run("hub-news")
    await house.send()
    async with house.database.writing() as session:
        (request,) = await hub_requests.due_requests(session, house.now, 9)
        await hub_requests.postpone(session, request, house.now)
    house.later(days=-20)
    reader.answers["/a"] = 204
    await house.go()  # is tidied
    await house.go()
    assert len(await house.leases()) == 2
    assert reader.bodies("/a") == ["second", "second"]


async def test_who_failed_lately_stands_in_a_batch_behind_the_others(house, subscribe, reader):
    await subscribe(reader.url("/bad"))
    await subscribe(reader.url("/good"))
    reader.answers["/bad"] = 500
    house.streams.put(FEED, "second")
    await house.go()
    house.later(hours=5)
    house.streams.put(FEED, "third")
    await house.run("hub-news")
    rows = [row for row in await house.rows(DELIVERY) if row["state"] == "due"]
    first, second = sorted(rows, key=lambda row: row["batch_id"])
    bad = next(lease for lease in await house.leases() if lease["callback"].endswith("/bad"))
    assert second["subscriber_id"] == bad["subscriber_id"]
    assert first["batch_id"] < second["batch_id"]
    assert len(await house.rows(BATCH)) == 3


async def fill(house, callbacks):
    """Leases as if each callback had agreed."""
    async with house.database.writing() as session:
        for number, callback in enumerate(callbacks):
            wish = Wish(Mode.SUBSCRIBE, FEED, callback, callback.split("/")[2], lease_seconds=864_000)
            await hub_requests.ask(
                session, wish, f"challenge {number}", bounds=Bounds(requests_host=999), now=house.now
            )
        while due := await hub_requests.due_requests(session, house.now, 100):
            for request in due:
                etag = house.streams.find(FEED).etag
                values = {"language": "az", "timezone": "Asia/Baku", "now": house.now, "tracked": False}
                await hub.activate(session, request, etag=etag, built=house.streams.built, **values)
