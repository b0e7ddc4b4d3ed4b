"""What the sources show after a restore: nothing that was told before is told again, whatever times it has now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syndicator.store import meta, restored

LATER = timedelta(minutes=5)


@pytest.fixture
async def back(press):
    """An office restored at `press.now` from a backup of an hour before, which knows one document."""
    await press.publish(press.change())
    async with press.database.writing() as session:
        await restored.begin(session, press.now - timedelta(hours=1), press.now)
    press.now += LATER
    return press


async def test_a_folder_that_was_copied_back_with_new_times_is_told_to_nobody(back):
    tally = await back.harvest(*back.source.items, back.change(key="new", seen_at=back.now))
    assert (tally.changed, tally.announced) == (1, 0)
    tally = await back.harvest(back.change(key="newer", seen_at=back.now))
    assert tally.announced == 1, "what comes after the first whole pass goes out"


async def test_a_correction_with_a_new_time_is_told_to_nobody(back):
    told = back.change(body="<p>Another text.</p>", note="It was wrong.", seen_at=back.now)
    back.source.items.clear()
    await back.harvest(told)
    async with back.database.reading() as session:
        assert await restored.reads_all(session, back.source.name, back.now) is False
        hushed = await meta.get(session, f"{restored.HUSHED}2")
    assert hushed == ""


async def test_a_folder_that_is_empty_yet_is_waited_for(back):
    away = list(back.source.items)
    back.source.items.clear()
    await back.harvest()
    tally = await back.harvest(*away, back.change(key="new", seen_at=back.now))
    assert (tally.changed, tally.announced) == (1, 0)
    tally = await back.harvest(back.change(key="newer", seen_at=back.now))
    assert tally.announced == 1


async def test_a_folder_that_stays_empty_silences_nothing_new_for_longer_than_an_hour(back):
    back.source.items.clear()
    await back.harvest()
    back.now += restored.PATIENCE
    tally = await back.harvest(back.change(key="new", seen_at=back.now))
    assert tally.announced == 1
    tally = await back.harvest(back.change(key="old", seen_at=back.now, published=back.now - timedelta(hours=2)))
    assert tally.announced == 0, "what was public before the restore stays untold when it comes"


async def test_times_count_where_the_operator_has_named_the_moment(press):
    await press.publish(press.change())
    until = press.now - timedelta(minutes=30)
    async with press.database.writing() as session:
        await restored.begin(session, press.now - timedelta(hours=1), until, named=True)
    before = press.change(key="before", seen_at=until - LATER, published=until - LATER)
    after = press.change(key="after", seen_at=until + LATER, published=until + LATER)
    tally = await press.harvest(before, after)
    assert (tally.changed, tally.announced) == (2, 1)
