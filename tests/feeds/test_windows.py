"""Which releases a feed holds: the newest that may be shown now, and nothing that may not."""

from dataclasses import replace
from datetime import timedelta

from syndicator.domain.model import State
from tests.feeds.looking import numbers


async def test_the_window_is_the_newest_by_date_then_number(publish, shelf, make):
    same = make.now - timedelta(days=1)
    shelf.put(make.release(1, public_at=make.now))
    for number in (2, 3, 4):
        shelf.put(make.release(number, public_at=same))
    publisher = publish(entries=3)
    await publisher.refresh(make.now)
    assert numbers(publisher) == [1, 4, 3]


async def test_a_release_that_is_hidden_gives_its_place_to_the_next(publish, shelf, make):
    for number in (1, 2, 3):
        shelf.put(make.release(number))
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    assert numbers(publisher) == [3, 2]
    shelf.put(replace(shelf.get(3), state=State.DRAFT))
    await publisher.refresh(make.now)
    assert numbers(publisher) == [2, 1]


async def test_a_release_that_changes_topic_leaves_the_old_feed_and_its_parent(publish, shelf, make):
    shelf.put(make.release(1, topics=("visas",)))
    publisher = publish()
    await publisher.refresh(make.now)
    assert numbers(publisher, "en/entry.json") == [1]  # a parent includes its children
    old = publisher.find("en/visas.rss")
    shelf.put(replace(shelf.get(1), topics=("law",)))
    later = make.now + timedelta(hours=1)
    await publisher.refresh(later)
    assert [numbers(publisher, f"en/{t}.json") for t in ("all", "entry", "visas", "law")] == [[1], [], [], [1]]
    new = publisher.find("en/visas.rss")
    assert new.etag != old.etag
    assert new.last_modified == later  # readers who only compare dates must see that it changed


async def test_an_embargoed_release_is_nowhere_until_it_opens(publish, shelf, make, tmp_path):
    opens = make.now + timedelta(hours=2)
    secret = make.release(2, title="Embargoed secret", public_at=opens, state=State.SCHEDULED)
    shelf.put(make.release(1))
    shelf.put(secret)
    publisher = publish()
    await publisher.refresh(make.now)
    for path in (tmp_path / "feeds").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()
    assert numbers(publisher) == [1]
    shelf.put(replace(secret, state=State.PUBLIC, opened_at=opens))
    await publisher.refresh(opens)
    assert numbers(publisher) == [2, 1]


async def test_what_opened_by_a_clock_that_went_back_appears_at_its_time_without_a_change(publish, shelf, make):
    opens = make.now + timedelta(minutes=5)
    publisher = publish(clock=lambda: opens)
    await publisher.refresh(make.now)
    shelf.put(make.release(1, public_at=opens))
    await publisher.refresh(make.now)
    assert numbers(publisher) == []
    assert await publisher.stale()
    await publisher.refresh(opens)
    assert numbers(publisher) == [1]


async def test_a_store_that_answers_too_much_still_leaks_nothing(publish, shelf, make, monkeypatch):
    """The windows' own check stands even where the query would be wrong."""

    async def everything(lang, topics, now, limit):
        return sorted(shelf.releases)[:limit]

    monkeypatch.setattr(shelf, "newest", everything)
    shelf.put(make.release(1, state=State.SCHEDULED))
    shelf.put(make.release(2, public_at=make.now + timedelta(seconds=1)))
    shelf.put(make.release(3, langs=("ru",)))
    publisher = publish()
    await publisher.refresh(make.now)
    assert numbers(publisher) == []
    assert numbers(publisher, "ru/all.json") == [3]


async def test_a_withdrawn_release_is_marked_for_ninety_days_then_gone(publish, shelf, make):
    for number in (1, 2, 3):
        shelf.put(make.release(number))
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    shelf.put(replace(shelf.get(3), state=State.WITHDRAWN, withdrawn_at=make.now, reason="Error"))
    await publisher.refresh(make.now)
    assert numbers(publisher) == [3, 2]
    assert b"deleted-entry" in publisher.find("en/all.atom").body
    assert b"Body 3" not in publisher.find("en/all.atom").body
    almost, ended = make.now + timedelta(days=90, seconds=-1), make.now + timedelta(days=90)
    assert await publisher.refresh(almost) == 0
    again = publish(entries=2)  # a restart remembers when to look again
    assert await again.refresh(almost) == 0
    for one in (publisher, again):
        await one.refresh(ended)
        assert numbers(one) == [2, 1]
        assert b"deleted-entry" not in one.find("en/all.atom").body


async def test_many_old_withdrawals_do_not_starve_a_window(publish, shelf, make):
    shelf.put(make.release(1))
    long_ago = make.now - timedelta(days=200)
    for number in range(2, 40):
        shelf.put(replace(make.release(number), state=State.WITHDRAWN, withdrawn_at=long_ago))
    publisher = publish(entries=2)
    await publisher.refresh(make.now)
    assert numbers(publisher) == [1]
