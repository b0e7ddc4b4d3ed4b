"""What the hub's address answers: at once, in one line, and with bounds that no stranger can move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog
from sqlalchemy import select

from feeds.hub_askers import OwnAskers, SharedAskers
from syndicator.domain.tokens import Tokens
from syndicator.store import hub_requests
from syndicator.store.database import Database
from syndicator.store.tables import RATE
from syndicator.web.limits import Window
from tests.hub.conftest import FEED, face_of

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
TOKENS = Tokens(b"one secret of sixteen")
CALLBACK = "http://reader.example.org/cb"


def form(house, **fields):
    values = {"hub.mode": "subscribe", "hub.topic": house.topic(), "hub.callback": CALLBACK}
    return {name: value for name, value in (values | fields).items() if value is not None}


FORM = (
    b"hub.mode=subscribe&hub.topic=https://press.example.org/feeds/en/all.atom&hub.callback=http://reader.example.org/cb"
    b"&hub.secret="
)
REFUSED = {
    "no mode": ({"hub.mode": None}, 400, "hub.mode"),
    "another mode": ({"hub.mode": "list"}, 400, "hub.mode"),
    "no callback": ({"hub.callback": None}, 400, "hub.callback"),
    "a callback that is no address": ({"hub.callback": "reader"}, 400, "hub.callback"),
    "a file": ({"hub.callback": "file:///etc/passwd"}, 400, "hub.callback"),
    "a fragment": ({"hub.callback": f"{CALLBACK}#x"}, 400, "fragment"),
    "a name and a password": ({"hub.callback": "http://a:b@reader.example.org/"}, 400, "password"),
    "a private address": ({"hub.callback": "http://10.0.0.1/"}, 400, "public"),
    "a mail server's port": ({"hub.callback": "http://reader.example.org:25/"}, 400, "port 25"),
    "letters outside ASCII": ({"hub.callback": "http://oxucu.example.org/ə"}, 400, "ASCII"),
    "a line break": ({"hub.callback": "http://reader.example.org/\r\nX: y"}, 400, "ASCII"),
    "a very long callback": ({"hub.callback": CALLBACK + "?" + "x" * 1000}, 400, "1000"),
    "the hub itself": ({"hub.callback": "https://press.example.org/hub"}, 400, "itself"),
    "the hub itself, in capitals": ({"hub.callback": "https://PRESS.example.org:443/x"}, 400, "itself"),
    "no topic": ({"hub.topic": None}, 404, "hub.topic"),
    "another site's topic": ({"hub.topic": "https://other.example.org/feeds/en/all.atom"}, 404, "hub.topic"),
    "a feed there is not": ({"hub.topic": "https://press.example.org/feeds/en/none.atom"}, 404, "no feed"),
    "an archive": ({"hub.topic": "https://press.example.org/feeds/en/all/2026-10.atom"}, 404, "no feed"),
    "a list of feeds": ({"hub.topic": "https://press.example.org/feeds/en.opml"}, 404, "no feed"),
    "a feed with a query": (
        {"hub.topic": "https://press.example.org/feeds/en/all.atom?x=1"},
        400,
        "https://press.example.org/feeds/en/all.atom\n",
    ),
    "a filter in another order": (
        {"hub.topic": "https://press.example.org/feeds/custom.atom?topic=visas&lang=en,az"},
        400,
        "https://press.example.org/feeds/custom.atom?lang=en,az&topic=visas\n",
    ),
    "a filter that is a stream": (
        {"hub.topic": "https://press.example.org/feeds/custom.atom?lang=en&topic=visas"},
        400,
        "https://press.example.org/feeds/en/visas.atom\n",
    ),
    "a filter without a language": (
        {"hub.topic": "https://press.example.org/feeds/custom.atom?kind=notice"},
        400,
        "language",
    ),
    "a bad filter": ({"hub.topic": "https://press.example.org/feeds/custom.atom?lang=xx"}, 400, "hub.topic"),
    "a filter that is long once it is spelled right": (
        {
            "hub.topic": "https://press.example.org/feeds/custom.atom?lang=en,az&q="
            + "+".join("ж" * 28 + x for x in "абвгдежзик")
        },
        400,
        "1000 bytes",
    ),
    "a custom list": ({"hub.topic": "https://press.example.org/feeds/custom.opml?lang=en,az"}, 404, "no feed"),
    "a term in words": ({"hub.lease_seconds": "ten days"}, 400, "hub.lease_seconds"),
    "a negative term": ({"hub.lease_seconds": "-1"}, 400, "hub.lease_seconds"),
    "a term in other digits": ({"hub.lease_seconds": "٣"}, 400, "hub.lease_seconds"),
    "a long secret": ({"hub.secret": "ə" * 100}, 400, "hub.secret"),
}


@pytest.mark.parametrize(("fields", "status", "said"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_breaks_a_rule_is_refused_in_one_line(house, face, fields, status, said):
    async with face() as client, client.post("/hub", data=form(house, **fields)) as answer:
        text = await answer.text()
    assert (answer.status, said in text) == (status, True), text
    assert text.count("\n") == 1
    assert "ə" * 100 not in text
    assert await house.requests() == []


async def test_parameters_that_are_not_known_are_ignored(house, face):
    more = {"hub.verify": "sync", "hub.verify_token": "x", "foo": "bar", "hub.secret": "x" * 199}
    async with face() as client, client.post("/hub", data=form(house, **more)) as answer:
        assert answer.status == 202
    assert len(await house.requests()) == 1


async def test_a_ping_from_outside_is_welcome_and_harmless(house, face):
    async with face() as client, client.post("/hub", data={"hub.mode": "publish", "hub.url": "x"}) as answer:
        assert answer.status == 202
    assert await house.requests() == []


async def test_a_visitor_by_browser_is_told_what_this_is(face):
    async with face() as client, client.get("/hub") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert "hub.topic" in await answer.text()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"hub.mode=subscribe&x=" + b"y" * 20_000, "application/x-www-form-urlencoded", 413),
        (b"hub.mode=%ff%fe&hub.secret=%80", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (FORM + b"%80", "application/x-www-form-urlencoded", 400),
        (FORM + b"%00x", "application/x-www-form-urlencoded", 400),
        (FORM + b"%0Ax", "application/x-www-form-urlencoded", 400),
        (FORM + b"x%C2%85", "application/x-www-form-urlencoded", 400),
        (FORM + b"x+2AA-", "application/x-www-form-urlencoded; charset=utf-7", 400),
        (FORM + b"\\ud800", "application/x-www-form-urlencoded; charset=unicode_escape", 400),
        (FORM + b"00", "application/x-www-form-urlencoded; charset=hex", 400),
        (FORM + b"x", "application/x-www-form-urlencoded; charset=UTF-8", 202),
        (b"hub.mode=subscribe", "application/x-www-form-urlencoded; charset=nonsense", 400),
    ],
)
async def test_what_is_no_form_is_refused(face, body, kind, status):
    async with face() as client, client.post("/hub", data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == status


async def test_feeds_that_are_still_being_built_can_be_asked_for_later(house, face):
    house.streams.built = -1
    async with face() as client, client.post("/hub", data=form(house)) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert await house.hub.pending(house.now) == []


BOUNDS = {
    "of one domain": ({"requests_domain": 2}, lambda n: {"hub.callback": f"http://r{n}.reader.example.org/cb"}, 429),
    "of one visitor": ({"requests_asker": 2}, lambda n: {"hub.callback": f"http://reader{n}.example.com/cb"}, 429),
    "of one host, spelled otherwise": (
        {"requests_host": 2},
        lambda n: {
            "hub.callback": f"http://{('reader', 'READER', 'reader')[n]}.example.org{('', '.', ':8080')[n]}/{n}"
        },
        429,
    ),
    "of custom feeds": (
        {"custom_topics": 2},
        lambda n: {"hub.topic": f"https://press.example.org/feeds/custom.atom?lang=en,az&kind=kind{n}"},
        503,
    ),
    "of one pair": ({"requests_pair": 2}, lambda n: {}, 429),
    "of one host": ({"requests_host": 2}, lambda n: {"hub.callback": f"{CALLBACK}/{n}"}, 429),
    "of all": ({"requests": 2}, lambda n: {"hub.callback": f"http://reader{n}.example.org/cb"}, 503),
}


@pytest.mark.parametrize(("bounds", "other", "status"), BOUNDS.values(), ids=BOUNDS.keys())
async def test_waiting_requests_are_bounded(house, face, bounds, other, status):
    statuses = []
    async with face(**bounds) as client:
        for number in range(3):
            async with client.post("/hub", data=form(house, **other(number))) as answer:
                statuses.append(answer.status)
    assert statuses == [202, 202, status]
    assert answer.headers["Retry-After"] == "600"
    assert len(await house.requests()) == 2


async def test_strangers_who_fill_the_hub_shut_nobody_out_who_is_in(house, face, subscribe, reader):
    await subscribe(reader.url())
    async with face(requests=2, requests_asker=2) as client:
        for number in range(3):
            fields = form(house, **{"hub.callback": f"http://reader{number}.example.org/cb"})
            async with client.post("/hub", data=fields) as answer:
                status = answer.status
        assert status != 202
        async with client.post("/hub", data=form(house, **{"hub.callback": reader.url()})) as answer:
            assert answer.status == 202
    async with house.database.reading() as session:
        first, *_ = await hub_requests.due_requests(session, house.now, 9)
    assert first.wish.callback == reader.url()


async def test_leases_and_custom_feeds_are_bounded_and_what_is_held_may_be_renewed(house, face, reader):
    house.custom.held |= {f"lang=en,az&kind=kind{number}": "x" for number in range(3)}

    async def ask(client, topic, callback):
        fields = {"hub.topic": house.topic(topic), "hub.callback": reader.url(callback)}
        async with client.post("/hub", data=form(house, **fields)) as answer:
            status = answer.status
        await house.run("hub-verify")
        return status

    async with face(custom_topics=1, leases=2, leases_host=9) as client:
        assert await ask(client, "custom.atom?lang=en,az&kind=kind0", "/a") == 202
        assert await ask(client, "custom.atom?lang=en,az&kind=kind1", "/a") == 503
        assert await ask(client, FEED, "/a") == 202
        assert await ask(client, FEED, "/b") == 503
        assert await ask(client, FEED, "/a") == 202
    async with face(leases_host=2) as client:
        assert await ask(client, FEED, "/c") == 429
    assert len(await house.leases()) == 2


async def test_a_visitor_and_a_callbacks_host_have_so_many_turns(house, face):
    async with face() as client:
        for number in range(121):
            async with client.post("/hub", data=form(house, **{"hub.mode": f"bad{number}"})) as answer:
                pass
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
        elsewhere = {"X-Forwarded-For": "192.0.2.77"}
        for number in range(120):
            fields = form(house, **{"hub.mode": "unsubscribe", "hub.callback": f"{CALLBACK}/{number}"})
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            async with client.post("/hub", data=fields, headers=headers) as answer:
                assert answer.status == 202
        async with client.post("/hub", data=form(house), headers=elsewhere) as answer:
            assert answer.status == 429
        house.later(minutes=11)
        async with client.post("/hub", data=form(house), headers=elsewhere) as answer:
            assert answer.status == 202


async def test_no_log_holds_a_secret_a_callbacks_path_or_a_challenge(house, subscribe, reader):
    with structlog.testing.capture_logs() as logs:
        await subscribe(reader.url("/private-path", "?token=hidden-token"), secret="hidden-secret")
        reader.answers["/private-path"] = 500
        house.streams.put(FEED, "second")
        await house.go()
        async with house.database.reading() as session:
            from syndicator.store import hub  # noqa: PLC0415  # only here

            numbers = [lease["subscriber_id"] for lease in await house.leases()]
            shown = repr(await hub.leases(session, numbers, house.now))
    told = repr(logs) + shown
    assert "callback" in told
    for hidden in ("private-path", "hidden-token", "hidden-secret", reader.asked[0]["hub.challenge"]):
        assert hidden not in told


async def test_a_visitor_and_a_host_have_one_share_whichever_machine_answers(postgresql_url):
    databases = [Database(postgresql_url) for _ in range(2)]
    two = Window(2, timedelta(minutes=10))
    machines = [SharedAskers(one, TOKENS, each=two, of_host=two) for one in databases]
    try:
        for take in ("visitor", "host"):
            waits = [await getattr(machine, take)("192.0.2.7", NOW) for machine in (*machines, *machines)]
            assert waits[:2] == [0, 0]
            assert all(200 < wait <= 300 for wait in waits[2:])
            assert await getattr(machines[0], take)("192.0.2.8", NOW) == 0
        async with databases[0].reading() as session:
            names = list(await session.scalars(select(RATE.c.name)))
    finally:
        for one in databases:
            await one.close()
    assert len(names) == 4
    assert not [name for name in names if "192.0.2" in name], "nobody's address is kept"


def test_a_visitor_is_the_same_for_each_machine_of_a_site_and_for_no_other_site(sqlite_database):
    here, there, elsewhere = (
        SharedAskers(sqlite_database, Tokens(secret.encode() * 4)) for secret in ("site", "site", "other")
    )
    assert here.digest("192.0.2.7") == there.digest("192.0.2.7") != elsewhere.digest("192.0.2.7")
    assert here.digest("192.0.2.7") != here.digest("192.0.2.8")
    assert len(here.digest("192.0.2.7")) == len(OwnAskers().digest("192.0.2.7")) == 32


async def test_machines_of_one_site_count_what_an_asker_holds_together(house):
    statuses = []
    for number in range(3):
        machine = OwnAskers()
        machine.digest = SharedAskers(house.database, TOKENS).digest
        fields = form(house, **{"hub.callback": f"http://reader{number}.example.com/cb"})
        async with (
            face_of(house, askers=machine, requests_asker=2) as client,
            client.post("/hub", data=fields) as answer,
        ):
            statuses.append(answer.status)
    assert statuses == [202, 202, 429]
