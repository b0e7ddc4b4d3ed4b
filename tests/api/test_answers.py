"""What holds for every answer of the API: validators, any origin, errors as problems, bounded cost."""

from __future__ import annotations

import asyncio
import dataclasses
import re

import pytest

from syndicator.domain.model import State
from syndicator.domain.topics import Taxonomy
from syndicator.store import releases
from syndicator.web.api.answering import EACH
from syndicator.web.api.keeping import Kept, Made

GOOD = (
    "/api/v1/",
    "/api/v1/releases",
    "/api/v1/releases/1",
    "/api/v1/changes",
    "/api/v1/topics",
    "/api/v1/search?q=hours",
    "/api/openapi.json",
)
BAD = {
    "/api/nothing": 404,
    "/api/v2/releases": 404,
    "/api/v1/releases/9": 404,
    "/api/v1/releases/1/": 404,
    "/api/v1/releases?limit=x": 400,
    "/api/v1/releases/2": 410,
}


@pytest.fixture
async def published(newsroom):
    await newsroom.publish({"az": "Saatlar", "en": "Hours"}, topics=["visas"])
    gone = await newsroom.publish("Gone")
    await newsroom.withdraw(gone, "Never so.")


@pytest.mark.parametrize("path", GOOD)
async def test_an_answer_is_json_that_any_site_may_read_and_caches_may_keep(visitor, published, path):
    answer = await visitor.get(path)
    headers = answer.headers
    assert answer.status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers
    assert {"ETag", "Link"} <= set(headers["Access-Control-Expose-Headers"].split(", "))
    assert headers["Cache-Control"] == "public, max-age=60", "a withdrawal is followed within the minute"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers
    assert headers["ETag"].startswith('W/"')


@pytest.mark.parametrize("path", GOOD)
async def test_who_has_it_already_gets_304_with_what_scripts_need(visitor, published, path):
    first = await visitor.get(path)
    for method in (visitor.get, visitor.head):
        for asked in (first.headers["ETag"], f'"other", {first.headers["ETag"]}', "*"):
            again = await method(path, headers={"If-None-Match": asked})
            assert (again.status, await again.read()) == (304, b"")
            for name in ("ETag", "Cache-Control", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"):
                assert again.headers[name] == first.headers[name]
            assert again.headers.get("Link") == first.headers.get("Link")
    assert (await visitor.get(path, headers={"If-None-Match": '"other"'})).status == 200


@pytest.mark.parametrize("path", GOOD)
async def test_head_is_get_without_its_body(visitor, published, path):
    got, asked = await visitor.get(path), await visitor.head(path)
    assert (asked.status, await asked.read()) == (200, b"")
    names = got.headers.keys() - {"Date"}
    assert {n: asked.headers.get(n) for n in names} == {n: got.headers[n] for n in names}


@pytest.mark.parametrize("path", GOOD)
async def test_it_is_compressed_for_who_takes_it_under_the_same_validator(visitor, published, path):
    small = await visitor.get(path, headers={"Accept-Encoding": "gzip"})
    plain = await visitor.get(path, headers={"Accept-Encoding": "identity"})
    assert small.headers.get("Content-Encoding") == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert small.headers["ETag"] == plain.headers["ETag"]
    assert "Accept-Encoding" in small.headers["Vary"]
    assert await small.read() == await plain.read()


@pytest.mark.parametrize("path", GOOD)
async def test_a_browser_that_asks_first_is_let_in(visitor, path):
    asks = {
        "Origin": "https://partner.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "if-none-match",
    }
    answer = await visitor.client.options(path, headers=asks)
    assert (answer.status, await answer.read()) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "*"


@pytest.mark.parametrize(("path", "status"), BAD.items())
async def test_what_goes_wrong_is_a_problem_and_never_a_page(visitor, published, path, status):
    answer = await visitor.get(path, headers={"Accept": "text/html", "Accept-Language": "ru"})
    assert (answer.status, answer.content_type) == (status, "application/problem+json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    said = await answer.json(content_type=None)
    assert said["status"] == status
    assert said["title"]
    assert said["detail"]
    assert said["detail"].isascii()
    asked = await visitor.head(path)
    assert (asked.status, await asked.read()) == (status, b"")


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused_with_the_ones_allowed(visitor, path, method):
    async with visitor.client.request(method, path, data=b"x") as answer:
        assert (answer.status, answer.content_type) == (405, "application/problem+json")
        assert answer.headers["Allow"] == "GET,HEAD,OPTIONS"
        assert "read only" in (await answer.json(content_type=None))["detail"]


async def test_other_addresses_keep_their_pages(visitor):
    for path in ("/en/nothing", "/apinothing"):
        answer = await visitor.get(path)
        assert (answer.status, answer.content_type) == (404, "text/html")


async def test_a_bug_is_a_problem_that_tells_nothing_of_itself(visitor, monkeypatch):
    async def broken(*_args):
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(releases, "last_change", broken)
    answer = await visitor.get("/api/v1/topics")
    assert (answer.status, answer.content_type) == (500, "application/problem+json")
    assert "42" not in await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"


async def test_who_asks_too_much_is_told_when_to_come_again_and_nobody_else_is_kept_out(visitor, clock):
    for number in range(EACH.turns):
        assert (await visitor.get(f"/api/v1/releases/{number}")).status == 404
    answer = await visitor.get("/api/v1/releases")
    assert (answer.status, answer.content_type) == (429, "application/problem+json")
    assert answer.headers["Retry-After"] == "60"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "again in 60 s" in (await answer.json(content_type=None))["detail"]
    other = await visitor.get("/api/v1/releases", headers={"X-Forwarded-For": "198.51.100.7"})
    assert other.status == 200
    assert (await visitor.get("/api/v1/releases")).status == 200, "what is kept costs no turn"
    assert (await visitor.get("/api/v1/topics")).status == 429
    clock.move(seconds=60)
    assert (await visitor.get("/api/v1/topics")).status == 200


async def test_what_changes_is_seen_at_once_though_answers_are_kept(visitor, newsroom, published):
    for path in GOOD[:-1]:
        before = await visitor.get(path)
        assert (await visitor.get(path)).headers["ETag"] == before.headers["ETag"]
    tags = {path: (await visitor.get(path)).headers["ETag"] for path in GOOD}
    await newsroom.publish({"az": "Saatlar", "en": "Hours"}, topics=["office"], key="release-1", note="Mended.")
    await newsroom.publish({"en": "Hours, too"})
    changed = {path for path in GOOD if (await visitor.get(path)).headers["ETag"] != tags[path]}
    assert changed == set(GOOD) - {"/api/openapi.json"}


def test_kept_answers_are_bounded_and_the_oldest_goes_first(now):
    kept = Kept(most=2, most_bytes=40)
    assert kept.find("a", 1, now) is None
    for key in "abc":
        kept.keep(key, 1, Made(b"x" * 8))
    assert [kept.find(key, 1, now) is not None for key in "abc"] == [False, True, True]
    kept.keep("huge", 1, Made(b"x" * 20))
    assert kept.find("huge", 1, now) is None
    kept.keep("late", 0, Made(b"x"))
    assert kept.find("late", 1, now) is None, "it was made before the store moved on"
    assert kept.find("b", 2, now) is None


async def test_topics_are_trees_with_names_counts_and_feeds(visitor, newsroom, published):
    await newsroom.publish({"en": "On e-visas"}, topics=["e-visa", "visas"])
    await newsroom.publish({"en": "Not yet"}, topics=["visas"], state=State.DRAFT)
    said = await (await visitor.get("/api/v1/topics")).json()
    assert [topic["slug"] for topic in said["topics"]] == ["migration", "office"]
    migration = said["topics"][0]
    assert [topic["slug"] for topic in migration["topics"]] == ["refugees", "visas"]
    (visas,) = [topic for topic in migration["topics"] if topic["slug"] == "visas"]
    assert visas["counts"] == migration["counts"] == {"az": 1, "en": 2, "ru": 0}
    assert visas["topics"][0]["counts"] == {"az": 0, "en": 1, "ru": 0}
    assert visas["names"]["ru"] == "Визы"
    assert visas["feeds"]["az"]["json_feed"] == "https://press.example.org/feeds/az/visas.json"
    assert visas["pages"]["en"] == "https://press.example.org/en/topics/visas"
    answer = await visitor.get(visas["releases"].removeprefix("https://press.example.org"))
    assert len((await answer.json())["releases"]) == 2


async def test_the_front_door_says_who_publishes_and_where_the_rest_is(visitor, published):
    said = await (await visitor.get("/api/v1/")).json()
    assert [one["language"] for one in said["languages"]] == ["az", "en", "ru"]
    assert [one["count"] for one in said["languages"]] == [1, 1, 0]
    assert said["languages"][0]["name"] == "Azərbaycanca"
    assert said["hubs"] == ["https://press.example.org/hub"]
    for name in ("releases", "changes", "topics", "openapi"):
        assert (await visitor.get(said[name].removeprefix("https://press.example.org"))).status == 200
    answer = await visitor.get("/api/v1")
    assert (answer.status, answer.headers["Location"]) == (308, "/api/v1/")


@pytest.mark.parametrize(
    ("asked", "language"), [("en;q=0.9", "en"), ("ru,en;q=0.5", "ru"), ("", "az"), ("de", "az"), ("?lang=ru", "ru")]
)
async def test_people_get_a_page_in_their_language_on_which_every_example_can_be_followed(
    visitor, published, asked, language
):
    query = asked if asked.startswith("?") else ""
    answer = await visitor.get(f"/api/{query}", headers={"Accept-Language": "" if query else asked})
    assert (answer.status, answer.headers["Content-Language"]) == (200, language)
    assert "Accept-Language" in answer.headers["Vary"]
    examples = set(re.findall(r'href="(/api/(?:v1|openapi)[^"]*)"', await answer.text()))
    assert len(examples) == 7
    for path in examples:
        assert (await visitor.get(path.replace("&amp;", "&"))).status == 200, path
    moved = await visitor.get("/api")
    assert (moved.status, moved.headers["Location"]) == (308, "/api/")


async def test_the_type_of_a_problem_leads_to_where_it_is_explained(visitor, published):
    assert "/api/v1/releases/" not in re.findall(r'href="([^"]*)"', await visitor.text("/api/"))
    for path in ("/api/v1/changes?since=999", "/api/v1/releases/2"):
        said = (await (await visitor.get(path)).json(content_type=None))["type"]
        address, _, anchor = said.removeprefix("https://press.example.org").partition("#")
        page = await visitor.text(address)
        assert re.search(rf'<dt id="{anchor}">.+</dt>\s*<dd>.{{40,}}</dd>', page), said


async def test_the_page_stands_where_nothing_is_published_and_there_are_no_topics(parts, open_site):
    bare = await open_site(dataclasses.replace(parts, taxonomy=Taxonomy()))
    page = await bare.text("/api/?lang=en")
    assert "/api/v1/releases/{number}" in page
    for path in set(re.findall(r'href="(/api/v1[^"]*)"', page)):
        assert (await bare.get(path.replace("&amp;", "&"))).status == 200, path


async def test_robots_leave_the_api_alone(visitor):
    assert "Disallow: /api/\n" in await visitor.text("/robots.txt")


async def test_an_office_without_topics_answers_too(parts, open_site, newsroom):
    await newsroom.publish({"en": "Hours"})
    visitor = await open_site(dataclasses.replace(parts, taxonomy=Taxonomy.empty()))
    for path in ("/api/v1/", "/api/v1/topics", "/api/v1/releases", "/api/openapi.json"):
        assert (await visitor.get(path)).status == 200
    assert "allowed are none" in await (await visitor.get("/api/v1/releases?topic=visas")).text()


async def test_many_who_ask_at_once_are_all_answered_alike(visitor, published):
    answers = await asyncio.gather(*(visitor.get("/api/v1/releases") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.headers["ETag"] for answer in answers}) == 1
