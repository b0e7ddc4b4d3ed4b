"""What holds for every answer: no stranger's scripts, no cookies, no leaks, caches that work."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from html.parser import HTMLParser
from itertools import product

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from syndicator.domain.model import Attachment
from syndicator.domain.topics import Taxonomy
from syndicator.store import migrate
from syndicator.store.database import DatabaseTrouble
from syndicator.web import health, middleware
from syndicator.web.health import make_monitor

PUBLIC = ("/az/", "/az/search", "/az/feeds", "/az/privacy", "/az/topics/visas")
MACHINES = ("/healthz", "/readyz", "/readyz/feeds", "/metrics")
ALL = (*PUBLIC, "/az/subscribe", *MACHINES, "/robots.txt", "/sitemap.xml", "/favicon.svg")

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "{{ 7*7 }}{% include '/etc/passwd' %}",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "]]><svg onload=alert(1)>",
)


class Loads(HTMLParser):
    """What a page makes a browser fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ran: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ran += [name for name in given if name.startswith("on")] + ([tag] if tag == "script" else [])
        self.ran += [v for v in given.values() if v and v.strip().lower().startswith("javascript:") and tag == "a"]
        if tag in ("img", "iframe", "source", "video", "audio", "embed", "input") and given.get("src"):
            self.fetched.append(given["src"] or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect", "dns-prefetch"):
            self.fetched.append(given["href"] or "")


async def test_head_is_answered_wherever_get_is(visitor):
    for path in ALL:
        got, asked = await visitor.get(path), await visitor.head(path)
        assert got.status == asked.status == 200, path
        assert got.content_type == asked.content_type
        assert await asked.read() == b""


async def test_every_answer_forbids_strangers_and_sets_no_cookie(visitor):
    for path in (*ALL, "/az/nothing", "/manage/x"):
        answer = await visitor.get(path)
        policy = answer.headers["Content-Security-Policy"]
        for rule in (
            "default-src 'none'",
            "img-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ):
            assert rule in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        assert "Set-Cookie" not in answer.headers


async def test_strict_transport_is_asked_for_only_where_there_is_tls(parts, open_site):
    plain = dataclasses.replace(parts, site=dataclasses.replace(parts.site, base_url="http://localhost:8080"))
    answer = await (await open_site(plain)).get("/az/")
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize("evil", HOSTILE)
async def test_whatever_was_written_is_text_and_never_runs(parts, open_site, newsroom, site, clock, evil):
    names = dict.fromkeys(site.languages, evil)
    taxonomy = Taxonomy.from_mapping({"topic": [{"slug": "visas", "name": names}]})
    visitor = await open_site(dataclasses.replace(parts, taxonomy=taxonomy))
    more = {
        "attachments": [
            Attachment("/media/a.jpg", "image/jpeg", 9, evil, evil, evil),
            Attachment(evil, "image/png", 9, evil, evil, evil),
            Attachment(evil, "text/html", 9, evil),
        ],
        "rights": evil,
        "link": evil,
        "summary": evil,
        "topics": ["visas"],
        "kind": "news",
        "slug": "s",
        "key": "k",
    }
    release = await newsroom.publish(evil, **more)
    clock.move(hours=1)
    await newsroom.publish(evil, body="<p>new</p>", note=evil, **more)
    pages = ["/en/", "/en/search", "/en/topics/visas", "/en/subscribe", f"/en/releases/{release.number}-s"]
    for path in pages:
        loads = Loads(await visitor.text(path))
        assert loads.ran == []
        assert "svg" not in loads.tags
        assert all(url.startswith(("/static/", "/favicon.svg", "/media/")) for url in loads.fetched)
    await newsroom.withdraw(release, evil)
    assert Loads(await (await visitor.get(pages[-1])).text()).ran == []


async def test_what_a_visitor_asks_for_comes_back_as_text(visitor):
    for evil, path, name in product(HOSTILE, ("/en/search", "/en/subscribe"), ("q", "topic", "kind", "page")):
        text = await (await visitor.get(path, params={name: evil})).text()
        assert Loads(text).ran == []


async def test_no_page_loads_anything_from_elsewhere(visitor, newsroom):
    await newsroom.publish(attachments=[Attachment("https://elsewhere.example/a.jpg", "image/jpeg", 9, "a", "a")])
    for path in (*PUBLIC, "/az/subscribe", "/az/releases/1-office-hours", "/az/nothing"):
        loads = Loads(await (await visitor.get(path)).text())
        assert loads.fetched
        assert all(url.startswith("/") and not url.startswith("//") for url in loads.fetched)


async def test_a_page_that_has_not_changed_is_not_sent_again(visitor, newsroom):
    for path in PUBLIC:
        first = await visitor.get(path)
        tag = first.headers["ETag"]
        assert "max-age" in first.headers["Cache-Control"]
        for asked in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            again = await visitor.get(path, headers={"If-None-Match": asked})
            assert (again.status, await again.read()) == (304, b"")
            assert again.headers["ETag"] == tag
            assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert (await visitor.get(path, headers={"If-None-Match": '"other"'})).status == 200


async def test_a_new_release_changes_the_validator(visitor, newsroom):
    before = (await visitor.get("/az/")).headers["ETag"]
    await newsroom.publish()
    assert (await visitor.get("/az/", headers={"If-None-Match": before})).status == 200


async def test_pages_are_compressed_for_those_who_take_it(visitor):
    small = await visitor.get("/az/", headers={"Accept-Encoding": "gzip"})
    plain = await visitor.get("/az/", headers={"Accept-Encoding": "identity"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert small.headers["ETag"] == plain.headers["ETag"]
    assert "Accept-Encoding" in plain.headers["Vary"]


@pytest.mark.parametrize("path", ["/en/feeds", "/en/", "/api/v1/topics", "/api/", "/api/openapi.json"])
async def test_what_is_not_modified_varies_by_what_the_whole_answer_varies_by(visitor, path):
    whole = await visitor.get(path)
    again = await visitor.get(path, headers={"If-None-Match": whole.headers["ETag"]})
    assert "Accept-Encoding" in whole.headers["Vary"]
    assert (again.status, again.headers.get("Vary")) == (304, whole.headers["Vary"])


async def test_static_files_are_kept_for_ever_under_their_hash(visitor):
    text = await visitor.text("/az/")
    [style] = re.findall(r'href="(/static/[^"]+\.css)"', text)
    answer = await visitor.get(style)
    assert (answer.status, answer.content_type) == (200, "text/css")
    assert "immutable" in answer.headers["Cache-Control"]


async def test_other_methods_are_refused_with_the_ones_allowed(visitor):
    answer = await visitor.post("/az/feeds")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,HEAD"


async def test_a_bug_becomes_a_page_that_tells_nothing_of_itself(parts, open_site):
    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("the secret is 42")

    visitor = await open_site(parts, extra_routes=[web.get("/ru/broken", broken)])
    answer = await visitor.get("/ru/broken")
    text = await answer.text()
    assert answer.status == 500
    assert 'lang="ru"' in text
    assert "42" not in text
    assert answer.headers["Cache-Control"] == "no-store"


async def test_while_the_database_is_away_pages_say_when_to_come_back_and_the_log_says_it_once(
    visitor, parts, monkeypatch, capsys
):
    monkeypatch.setattr(middleware, "_away", middleware._Away())
    for way in ("reading", "writing"):
        monkeypatch.setattr(parts.database, way, away)
    for path in ("/ru/", "/ru/search?q=x", "/ru/releases/1-a", "/api/v1/topics", "/sitemap.xml"):
        answer = await visitor.get(path)
        text = await answer.text()
        assert (answer.status, answer.headers["Retry-After"], answer.headers["Cache-Control"]) == (503, "5", "no-store")
        assert "10.0.0.1" not in text
        assert path.startswith(("/api", "/sitemap")) or "Сейчас это невозможно" in text
    said = capsys.readouterr().out
    assert said.count("while the database is away") == 1
    assert "Traceback" not in said


def numbers(text):
    """What stands there, by name and labels."""
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("asked_first", [True, False], ids=["it is away", "it goes away after it had answered"])
async def test_while_the_database_is_away_monitors_get_what_is_known_without_it_and_the_alarm(
    parts, monkeypatch, caplog, asked_first
):
    parts.metrics.jobs.labels("tidy", "done").inc()
    async with TestClient(TestServer(make_monitor(parts))) as client:
        known = numbers(await (await client.get("/metrics")).text())
        monkeypatch.setattr(parts.database, "reading", away)
        if not asked_first:
            monkeypatch.setattr(migrate, "is_current", answered)
        parts.metrics.alarms.labels("database").set(1)
        answer = await client.get("/metrics")
        found = numbers(await answer.text())
        monkeypatch.undo()
        back = numbers(await (await client.get("/metrics")).text())
    name = "syndicator_database_answers"
    assert (answer.status, known[name], found[name], back[name]) == (200, "1.0", "0.0", "1.0")
    assert found['syndicator_alarms{kind="database"}'] == "1.0"
    assert found['syndicator_jobs_total{name="tidy",result="done"}'] == "1.0"
    bot = 'syndicator_telegram_pauses{scope="bot"}'
    assert (known[bot], bot in found, back[bot]) == ("0.0", False, "0.0"), "nobody knows that now"
    assert found["syndicator_oldest_due_delivery_seconds"] == found["syndicator_unknown_deliveries"] == "NaN"
    assert not caplog.records


async def test_numbers_are_told_within_three_seconds_though_the_database_hangs(parts, monkeypatch):
    over = asyncio.Event()

    async def hangs(_database):
        await over.wait()
        return True

    monkeypatch.setattr(migrate, "is_current", hangs)
    monkeypatch.setattr(health, "ANSWER", 0.05)
    async with TestClient(TestServer(make_monitor(parts))) as client:
        async with asyncio.timeout(5):
            found = numbers(await (await client.get("/metrics")).text())
        over.set()
    assert found["syndicator_database_answers"] == "0.0"


async def answered(_database):
    return True


def away():
    raise DatabaseTrouble("postgresql://10.0.0.1/syndicator: gone")


async def test_a_route_of_another_room_may_state_its_own_policy(parts, open_site):
    async def embed(_request: web.Request) -> web.Response:
        return web.Response(text="x", headers={"Content-Security-Policy": "frame-ancestors *"})

    visitor = await open_site(parts, extra_routes=[web.get("/embed/x", embed)])
    assert (await visitor.get("/embed/x")).headers["Content-Security-Policy"] == "frame-ancestors *"


# -- for machines
async def test_the_process_is_alive_before_it_is_ready(visitor, publisher):
    publisher.checked = None
    assert (await visitor.get("/healthz")).status == 200
    answer = await visitor.get("/readyz")
    said = {"ready": False, "database": True, "feeds": False, "roles": {}, "seats": []}
    assert (answer.status, await answer.json()) == (503, said)


async def test_however_often_it_is_asked_the_log_says_once_that_the_database_is_away_and_that_it_is_back(
    visitor, monkeypatch, capsys
):
    answers = [DatabaseTrouble("gone")] * 3 + [True] * 3

    async def current(_database):
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(migrate, "is_current", current)
    assert [(await visitor.get("/readyz")).status for _ in range(6)] == [503] * 3 + [200] * 3
    said = capsys.readouterr().out
    assert said.count("database does not answer") == said.count("database answers again") == 1


async def test_it_is_ready_when_the_database_answers_and_feeds_are_built(visitor):
    assert (await (await visitor.get("/readyz")).json())["ready"] is True


async def test_a_database_that_hangs_is_not_ready_within_three_seconds_and_feeds_stand(
    visitor, parts, publisher, monkeypatch
):
    over = asyncio.Event()

    async def hangs(_database):
        await over.wait()
        return True

    monkeypatch.setattr(migrate, "is_current", hangs)
    monkeypatch.setattr(health, "ANSWER", 0.1)
    answers = await asyncio.gather(visitor.get("/readyz"), visitor.get("/readyz"))
    assert [(one.status, (await one.json())["database"]) for one in answers] == [(503, False)] * 2
    assert (await visitor.get("/readyz/feeds")).status == 200
    over.set()
    await asyncio.sleep(0)
    assert (await visitor.get("/readyz")).status == 200
    publisher.checked = None
    assert (await visitor.get("/readyz/feeds")).status == 503


async def test_it_is_not_ready_while_one_of_its_roles_is_not_well(parts, open_site):
    roles = {"web": lambda: True, "bot": lambda: False}
    visitor = await open_site(
        dataclasses.replace(parts, roles=roles, seats={"hub": lambda: True, "telegram": lambda: False})
    )
    answer = await visitor.get("/readyz")
    said = await answer.json()
    assert (answer.status, said["ready"]) == (503, False)
    assert (said["roles"], said["seats"]) == ({"web": True, "bot": False}, ["hub"])


async def test_a_process_without_pages_answers_machines_alone(parts):
    parts = dataclasses.replace(parts, roles={"worker": lambda: True}, serves=False)
    async with TestClient(TestServer(make_monitor(parts), host="127.0.0.1")) as asked:
        assert (await asked.get("/healthz")).status == 200
        ready = await asked.get("/readyz")
        assert await ready.json() == {"ready": True, "database": True, "roles": {"worker": True}, "seats": []}
        assert "syndicator_jobs_total" in await (await asked.get("/metrics")).text()
        assert (await asked.get("/en/")).status == 404
        assert (await asked.get("/readyz/feeds")).status == 404


async def test_metrics_tell_the_numbers_that_alarms_watch(visitor, clock):
    clock.move(minutes=5)
    await visitor.get("/az/")
    text = await visitor.text("/metrics")
    assert "syndicator_newest_feed_age_seconds 300.0" in text
    for name in ("oldest_due_delivery_seconds", "unknown_deliveries", "deliveries", "subscriptions", "source_problems"):
        assert f"# TYPE syndicator_{name} gauge" in text
    assert "# TYPE syndicator_oldest_open_batch_seconds gauge" in text
    assert 'syndicator_telegram_pauses{scope="bot"} 0.0' in text
    assert "syndicator_telegram_too_many_requests_total 0.0" in text
    assert 'syndicator_http_requests_total{route="/{lang}/",status="200"} 1.0' in text


async def test_metrics_hold_no_token_and_no_address(visitor):
    await visitor.get("/manage/" + "s" * 40)
    text = await visitor.text("/metrics")
    assert "ssss" not in text
    assert 'route="/manage/{token}"' in text


async def test_robots_are_kept_from_private_pages(visitor):
    text = await visitor.text("/robots.txt")
    for path in ("/manage/", "/confirm/", "/unsubscribe/"):
        assert f"Disallow: {path}\n" in text
