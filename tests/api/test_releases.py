"""What programs are told of releases."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from syndicator.domain.model import Attachment, State, Urgency
from syndicator.store import releases


def numbers(answer):
    return [one["number"] for one in answer["releases"]]


@pytest.fixture
async def shelf(newsroom, clock):
    """Six releases, an hour apart, the newest last."""
    for title, more in (
        ({"az": "Viza", "en": "Visa"}, {"topics": ["visas"]}),
        ({"en": "E-visa"}, {"topics": ["e-visa"], "kind": "notice"}),
        ({"az": "Qaçqın", "ru": "Беженец"}, {"topics": ["refugees"]}),
        ({"ru": "Ведомство"}, {"topics": ["office"], "kind": "notice"}),
        ({"az": "Elektron vizası gecikir"}, {"topics": ["visas", "office"]}),
        ({"az": "İdarə", "en": "Office", "ru": "Ведомство"}, {"urgency": Urgency.URGENT}),
    ):
        await newsroom.publish(title, **more)
        clock.move(hours=1)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [6, 5, 4, 3, 2, 1]),
        ("lang=en", [6, 2, 1]),
        ("lang=ru,en", [6, 4, 3, 2, 1]),
        ("topic=visas", [5, 2, 1]),
        ("topic=visas,office", [5, 4, 2, 1]),
        ("topic=visas&topic=office", [5, 4, 2, 1]),
        ("topic=migration&not=e-visa", [5, 3, 1]),
        ("not=visas", [6, 4, 3]),
        ("kind=notice", [4, 2]),
        ("kind=notice,news&limit=2", [6, 5]),
        ("q=VİZA", [5, 1]),
        ("q=visa", [2, 1]),
        ("lang=az&q=visa", []),
        ("q=viza&q=gecikir", [5]),
        ("q=nothing", []),
        ("since=2026-11-21T11:00:00Z", [6, 5, 4, 3]),
        ("until=2026-11-21T11:00:00Z", [2, 1]),
        ("since=2026-11-21T14:00:00+04:00&until=2026-11-21T16:00:00%2B04:00", [3, 2]),
        ("since=2026-11-21", [6, 5, 4, 3, 2, 1]),
        ("since=2026-11-22", []),
        ("until=0001-01-01T00:00:00%2B14:00", []),
        ("since=9999-12-31T23:59:59-14:00", []),
        ("until=2026-11-21", []),
        ("since=2026-11-21t11:00:00.5z", [6, 5, 4]),
    ],
)
async def test_a_list_holds_what_its_filter_takes_newest_first(ask, shelf, query, found):
    assert numbers(await ask(f"releases?{query}")) == found


@pytest.mark.parametrize(
    ("query", "blamed", "says"),
    [
        ("lang=xx", "lang", "allowed are az, en, ru"),
        ("topic=vizas", "topic", "did you mean visas?"),
        ("not=all", "not", "reserved"),
        ("topic=visas&not=visas", "topic", "can never match"),
        ("kind=../x", "kind", "allowed are a-z"),
        ("q=%21", "q", "holds no letter or digit"),
        ("q=" + "+".join(f"w{chr(97 + n)}x" for n in range(12)), "q", "at most 10"),
        ("topic=" + ",".join(["visas"] * 21), "topic", "21 values; at most 20"),
        ("q=" + "x" * 501, "q", "501 characters; at most 500"),
        ("topics=visas", None, "allowed are lang, topic, not, kind, q, since, until, by, limit, cursor"),
        ("utm_source=x", None, "there is no such parameter"),
        ("limit=0", "limit", "whole numbers from 1 to 100"),
        ("limit=101", "limit", "whole numbers from 1 to 100"),
        ("limit=x", "limit", "whole numbers"),
        ("limit=%D9%A3", "limit", "whole numbers"),
        ("limit=99999999999999999999", "limit", "whole numbers"),
        ("limit=5&limit=6", "limit", "given twice"),
        ("since=yesterday", "since", "2026-11-21T09:00:00Z and 2026-11-21 are"),
        ("since=2026-11-21T09:00:00", "since", "is no time"),
        ("since=2026-02-30", "since", "is no time"),
        ("until=0000-01-01", "until", "is no time"),
        ("by=change", "by", "allowed are published, updated"),
        ("cursor=", "cursor", "take it from `next`"),
        ("cursor=%00%ff", "cursor", "take it from `next`"),
        ("cursor=" + "A" * 4000, "cursor", "take it from `next`"),
        ("cursor=OTk5OTk5OTk5OTk5OTk5OTk5LjE", "cursor", "take it from `next`"),
    ],
)
@pytest.mark.parametrize("path", ["releases", "search"])
async def test_what_cannot_be_read_is_refused_in_one_line_that_says_what_is_allowed(ask, path, query, blamed, says):
    query = query if path == "releases" or "q=" in query else f"{query}&q=visa"
    said = await ask(f"{path}?{query}", 400)
    assert says in said["detail"]
    assert said.get("parameter") == blamed
    assert said["status"] == 400
    assert "\n" not in said["detail"]
    assert len(said["detail"]) < 300


async def test_without_a_language_every_version_comes_and_with_one_the_best_only(ask, shelf):
    (first, *_) = (await ask("releases"))["releases"]
    assert [one["language"] for one in first["versions"]] == first["languages"] == ["az", "en", "ru"]
    found = (await ask("releases?lang=ru,en"))["releases"]
    assert [[one["language"] for one in release["versions"]] for release in found] == [
        ["ru"],
        ["ru"],
        ["ru"],
        ["en"],
        ["en"],
    ]


@pytest.mark.parametrize("path", ["releases?limit=2", "search?q=viza&limit=1", "releases?lang=az,ru&limit=1"])
async def test_a_list_is_walked_to_its_end_by_next_in_the_body_or_in_the_header(ask, visitor, shelf, path):
    whole = numbers(await ask(path.replace("limit=1", "limit=100").replace("limit=2", "limit=100")))
    seen, address = [], f"/api/v1/{path}"
    while address:
        answer = await visitor.get(address.removeprefix("https://press.example.org"))
        said = await answer.json()
        seen += numbers(said)
        link = answer.links.get("next")
        assert said["next"] == (str(link["url"]) if link else None)
        address = said["next"]
    assert seen == whole
    assert len(seen) > 1


async def test_the_update_time_is_the_newest_correction_that_was_told(ask, newsroom, clock):
    await newsroom.publish({"en": "Hours"}, key="k")
    await newsroom.publish({"en": "Other"})
    clock.move(days=2)
    await newsroom.publish({"en": "Hours"}, key="k", body="<p>From Tuesday.</p>", note="The day was wrong.")
    assert numbers(await ask("releases?since=2026-11-23")) == []
    assert numbers(await ask("releases?since=2026-11-23&by=updated")) == [1]
    assert numbers(await ask("releases?until=2026-11-23&by=updated")) == [2]
    assert (await ask("releases?by=updated&since=2026-11-23"))["url"].endswith("since=2026-11-22T20:00:00Z&by=updated")


async def test_search_says_how_many_there_are_in_all(ask, shelf):
    said = await ask("search?q=viza&limit=1")
    assert (said["total"], numbers(said)) == (2, [5])
    assert (await ask("search?q=viza&lang=en"))["total"] == 0
    assert (await ask("search?q=viza&until=2026-11-21T10:00:00Z"))["total"] == 1
    assert "give 1 to 10 words" in (await ask("search", 400))["detail"]
    assert "give 1 to 10 words" in (await ask("search?q=+", 400))["detail"]


async def test_a_release_comes_whole_in_all_its_languages(ask, newsroom, clock):
    release = await newsroom.publish(
        {"az": "Açıq qapı", "en": "Open day"},
        key="k",
        body="<p>From <strong>Monday</strong>.</p>",
        attachments=[
            Attachment("/media/a.jpg", "image/jpeg", 2000, "The hall", "People in a hall", "R. Mammadova"),
            Attachment("https://elsewhere.example/план.pdf", "application/pdf"),
            Attachment("javascript:alert(1)", "text/html", 9, "evil"),
        ],
        rights="© The Service",
        link="https://migration.example.org/x",
        topics=["e-visa", "former"],
        urgency=Urgency.URGENT,
    )
    said = await ask(f"releases/{release.number}")
    assert {name: said[name] for name in ("number", "id", "url", "kind", "urgency", "published", "languages")} == {
        "number": 1,
        "id": "tag:press.example.org,2026:release:1",
        "url": "https://press.example.org/api/v1/releases/1",
        "kind": "news",
        "urgency": "urgent",
        "published": "2026-11-21T09:00:00Z",
        "languages": ["az", "en"],
    }
    assert [topic["slug"] for topic in said["topics"]] == ["e-visa", "former"]
    assert said["topics"][0]["names"] == {"az": "E-viza", "en": "E-visa", "ru": "Э-виза"}
    assert said["topics"][1]["names"] == dict.fromkeys(("az", "en", "ru"), "former")
    version = said["versions"][1]
    assert version["html"] == "<p>From <strong>Monday</strong>.</p>"
    assert (version["text"], version["title"]) == ("From Monday.", "Open day")
    assert version["page"] == "https://press.example.org/en/releases/1-office-hours"
    assert (version["rights"], version["link"]) == ("© The Service", "https://migration.example.org/x")
    assert version["image"] == version["attachments"][0]
    assert version["image"] == {
        "url": "https://press.example.org/media/a.jpg",
        "media_type": "image/jpeg",
        "length": 2000,
        "title": "The hall",
        "alt": "People in a hall",
        "credit": "R. Mammadova",
    }
    assert version["attachments"][1]["url"] == "https://elsewhere.example/%D0%BF%D0%BB%D0%B0%D0%BD.pdf"
    assert version["attachments"][1]["length"] is None
    assert len(version["attachments"]) == 2
    assert [stream["topic"] for stream in version["feeds"]] == ["all", "migration", "visas", "e-visa"]
    assert version["feeds"][3]["feeds"]["atom"] == "https://press.example.org/feeds/en/e-visa.atom"


async def test_corrections_stand_newest_first_each_once(ask, newsroom, clock):
    await newsroom.publish({"en": "Hours"}, key="k")
    for body, note in (("Tuesday", "The day was wrong."), ("tuesday", ""), ("Friday", "The day was wrong again.")):
        clock.move(hours=1)
        await newsroom.publish({"en": "Hours"}, key="k", body=f"<p>{body}</p>", note=note)
    said = await ask("releases/1")
    assert said["updated"] == "2026-11-21T12:00:00Z"
    version = said["versions"][0]
    assert version["corrected"] is True
    assert version["corrections"] == [
        {"at": "2026-11-21T12:00:00Z", "note": "The day was wrong again."},
        {"at": "2026-11-21T10:00:00Z", "note": "The day was wrong."},
    ]


async def test_a_withdrawn_release_leaves_its_number_when_and_why_and_no_word_more(ask, visitor, newsroom, clock):
    release = await newsroom.publish("A secret title", body="<p>secret</p>", summary="secret", slug="secret-slug")
    clock.move(days=1)
    await newsroom.withdraw(release, "It named a minor.")
    answer = await visitor.get("/api/v1/releases/1")
    assert (answer.status, answer.content_type) == (410, "application/problem+json")
    said = await answer.json(content_type=None)
    assert (said["number"], said["reason"], said["withdrawn"]) == (1, "It named a minor.", "2026-11-22T09:00:00Z")
    for path in ("releases", "changes", "search?q=secret", "topics", ""):
        assert "secret" not in json.dumps(await ask(path)).replace("q=secret", "")
    assert "secret" not in json.dumps(said)


@pytest.mark.parametrize("name", ["0", "999999999", "99999999999999999999", "٣", "-1", "x", "1x", "1%2F"])
async def test_what_is_hidden_looks_like_what_never_was(visitor, newsroom, clock, now, name):
    hidden = await newsroom.publish("Embargoed", public_at=now + timedelta(hours=1), topics=["visas"])
    draft = await newsroom.publish("Embargoed draft", state=State.DRAFT)
    gone = await newsroom.publish("Embargoed gone", public_at=now + timedelta(hours=1))
    await newsroom.withdraw(gone, "Never mind.")
    never = await visitor.get(f"/api/v1/releases/{name}")
    for release in (hidden, draft, gone):
        answer = await visitor.get(f"/api/v1/releases/{release.number}")
        assert (answer.status, await answer.read()) == (404, await never.read())
        drop = {"Date"}
        assert {k: v for k, v in answer.headers.items() if k not in drop} == {
            k: v for k, v in never.headers.items() if k not in drop
        }
    for path in ("releases", "changes", "search?q=embargoed"):
        assert "Embargoed" not in await visitor.text(f"/api/v1/{path}")
    clock.move(hours=1)
    async with newsroom.database.writing() as session:
        await releases.open_due(session, clock())
    assert "Embargoed" in await visitor.text("/api/v1/releases")


async def test_a_clock_that_goes_back_shows_nothing_before_its_time(ask, newsroom, clock):
    await newsroom.publish("Early")
    assert numbers(await ask("releases")) == [1]
    clock.move(hours=-1)
    assert numbers(await ask("releases")) == []
    await ask("releases/1", 404)
    assert (await ask("changes"))["changes"] == []
