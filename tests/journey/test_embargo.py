"""An embargoed release is seen nowhere before its second, and then goes out by itself; also when nobody was there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

SECRET = "Zirconium quota"
FACES = (
    "/en/",
    "/en/releases/1",
    "/en/releases/1-zirconium-quota-for-seasonal-workers",
    "/en/releases/1-",
    "/az/releases/1-zirconium-quota-for-seasonal-workers",
    "/en/search?q=zirconium",
    "/en/topics/labour-migration",
    "/en/feeds",
    "/feeds/en/all.rss",
    "/feeds/en/all.atom",
    "/feeds/en/all.json",
    "/feeds/en/labour-migration.rss",
    "/feeds/en.opml",
    "/sitemap.xml",
    "/robots.txt",
    "/metrics",
    "/healthz",
    "/readyz",
)


def embargoed(until: datetime) -> str:
    return (
        f"---\nembargo: {until.isoformat()}\ntopics: [labour-migration]\n---\n"
        f"# {SECRET} for seasonal workers\n\nThe quota is 14 500 places.\n"
    )


def seen(program: Any, path: str) -> bool:
    found = program.get(path)
    return SECRET.lower() in (found[1].decode("utf-8", "replace") + str(found[2])).lower()


def test_an_embargoed_release_is_on_no_face_before_its_time_and_on_all_of_them_after_it(
    program: Any, until: Any
) -> None:
    program.start()
    opens = datetime.now(UTC) + timedelta(seconds=6)
    program.write("quota.en.md", embargoed(opens))
    until(lambda: "recorded" in program.log(), "the release to be taken in")
    hidden = [path for path in FACES if seen(program, path)]
    nothing = program.get("/en/releases/999-zirconium-quota-for-seasonal-workers")[1]
    guessed = program.get("/en/releases/1-zirconium-quota-for-seasonal-workers")[1]
    before = datetime.now(UTC)
    assert before < opens, "the machine was too slow to look before the embargo ended"
    assert hidden == []
    assert guessed.replace(b"/1-", b"/999-") == nothing, "it looks exactly like a number that does not exist"
    assert program.posts() == []

    until(lambda: program.titles() and program.posts(), "the release to open")
    assert datetime.now(UTC) >= opens
    assert seen(program, "/en/releases/1-zirconium-quota-for-seasonal-workers")
    assert seen(program, "/en/search?q=zirconium")
    assert len(program.posts()) == 1


def test_a_release_that_came_due_while_the_service_was_down_goes_out_at_the_next_start(
    program: Any, until: Any
) -> None:
    program.start()
    opens = datetime.now(UTC) + timedelta(seconds=3)
    program.write("quota.en.md", embargoed(opens))
    until(lambda: "recorded" in program.log(), "the release to be taken in")
    program.kill()
    until(lambda: datetime.now(UTC) > opens, "the embargo to end")
    program.start()
    until(lambda: program.titles() and program.posts(), "the release to open")
    assert len(program.posts()) == 1


def test_an_embargo_that_is_moved_before_it_ends_holds_at_its_new_time(program: Any, until: Any) -> None:
    program.start()
    program.write("quota.en.md", embargoed(datetime.now(UTC) + timedelta(seconds=5)))
    until(lambda: "recorded" in program.log(), "the release to be taken in")
    program.write("quota.en.md", embargoed(datetime.now(UTC) + timedelta(days=400)))
    until(lambda: program.log().count('"recorded"') == 2, "the new time")
    program.write("other.en.txt", "Another notice about visas\n\nA visa text.\n")
    until(program.titles, "the other one")
    assert not seen(program, "/feeds/en/all.rss")
