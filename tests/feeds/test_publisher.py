"""What the publisher tells others, and what it does when something it stands on is broken."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from feeds import build
from syndicator.pipeline.work import Work
from syndicator.store.database import Database
from tests.feeds.looking import numbers


async def test_a_store_that_cannot_be_read_leaves_what_is_served(publish, shelf, make):
    shelf.put(make.release(1))
    publisher = publish()
    await publisher.refresh(make.now)
    shelf.broken = OSError("database is gone")
    with pytest.raises(OSError, match="gone"):
        await publisher.refresh(make.now + timedelta(hours=1))
    assert numbers(publisher) == [1]
    assert publisher.newest() == make.now  # the alarm on silent feeds can see it


async def test_quiet_hours_are_no_silence_and_a_store_that_cannot_be_read_is(publish, shelf, make, sqlite_url):
    """What the alarm on silent feeds looks at moves on wherever pending work is asked for and answered."""
    clock = [make.now]
    publisher = publish(clock=lambda: clock[0])
    database = Database(sqlite_url)
    ports = dict.fromkeys(("intake", "fanout", "delivery", "wake"), SimpleNamespace())
    work = Work(
        database,
        sources={},
        settler=SimpleNamespace(owes=0),
        publisher=publisher,
        channels=(),
        clock=lambda: clock[0],
        **ports,
    )
    await work.pending(clock[0])
    assert publisher.newest() is None  # nothing was built
    await publisher.refresh(clock[0])
    for _ in range(3):
        clock[0] += timedelta(minutes=10)
        assert await work.pending(clock[0]) == []
        assert publisher.newest() == clock[0]
    quiet = clock[0]
    clock[0] += timedelta(minutes=10)
    shelf.put(make.release(1))
    assert [job.name for job in await work.pending(clock[0])] == ["feeds"]
    shelf.broken = OSError("database is gone")
    with pytest.raises(OSError, match="gone"):
        await work.pending(clock[0])
    assert publisher.newest() == quiet
    await database.close()


async def test_after_a_restart_the_old_feeds_are_served_even_if_the_store_cannot_be_read(publish, shelf, make):
    shelf.put(make.release(1))
    await publish().refresh(make.now)
    shelf.broken = OSError("database is gone")
    publisher = publish()
    with pytest.raises(OSError, match="gone"):
        await publisher.refresh(make.now)
    assert numbers(publisher) == [1]
    assert publisher.newest() is None
    shelf.broken = None
    assert await publisher.refresh(make.now) == 0


async def test_one_release_that_cannot_be_rendered_is_left_out_and_said_once(publish, shelf, make, monkeypatch):
    real = build._add_entry

    def fails(generator, entry):
        if entry.number == 2:
            raise ValueError("cannot be written")
        real(generator, entry)

    monkeypatch.setattr(build, "_add_entry", fails)
    for number in (1, 2, 3):
        shelf.put(make.release(number, langs=("en",)))
    publisher = publish()
    with capture_logs() as logs:
        await publisher.refresh(make.now)
        shelf.put(make.release(4, langs=("en",)))
        await publisher.refresh(make.now)
    assert numbers(publisher) == [4, 3, 1]
    assert [(log["release"], log["lang"]) for log in logs if log["log_level"] == "error"] == [(2, "en")]
    monkeypatch.undo()
    shelf.put(make.revise(shelf.get(2), at=make.now, title="Mended"))
    await publisher.refresh(make.now)
    assert numbers(publisher) == [4, 3, 2, 1]


def test_the_catalogue_names_every_stream_in_order(publish):
    catalogue = publish()
    found = catalogue.links("ru")
    assert [link.topic for link in found] == ["all", "entry", "visas", "law"]
    assert found[0].title == "Миграционная служба"
    assert found[2].title == "Visas ru – Миграционная служба"
    assert found[2].json == "https://press.example.org/feeds/ru/visas.json"
    assert catalogue.link("ru", "visas") == found[2]
    assert catalogue.link("ru", "nothing") is None
    assert list(catalogue.links("xx")) == []
    assert len({link.title for link in found}) == len(found)  # autodiscovery asks for distinct titles
