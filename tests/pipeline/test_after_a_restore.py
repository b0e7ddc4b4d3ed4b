"""What the sources show after a restore: nothing that was told before is told again, whatever times it has now."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from syndicator.domain.model import MessageKind
from syndicator.sources.directory import DirectorySource
from syndicator.store import meta, releases, restored
from syndicator.store.tables import MESSAGE

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
        assert await restored.awaited(session, back.source.name, back.now) is None
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


async def test_times_do_not_count_where_the_folder_was_not_even_back_since_an_earlier_restore(back):
    """The backup is one of a restored office; what its folder shows may have been told before the first loss."""
    until = back.now + LATER
    back.now = until + LATER
    async with back.database.writing() as session:
        await restored.begin(session, until, until, named=True)
    tally = await back.harvest(*back.source.items, back.change(key="new", seen_at=back.now, published=back.now))
    assert (tally.changed, tally.announced) == (1, 0)
    tally = await back.harvest(back.change(key="newer", seen_at=back.now, published=back.now))
    assert tally.announced == 1


async def test_what_was_corrected_by_hand_stays_corrected(press):
    await press.publish(press.change())
    by_hand = press.change(origin="by-hand", body="<p>Corrected by hand.</p>", note="It was wrong.", fingerprint="zz")
    corrected = (await press.intake.take(by_hand)).release
    async with press.database.writing() as session:
        await restored.begin(session, press.now - timedelta(hours=1), press.now)
    press.now += LATER
    tally = await press.harvest()
    async with press.database.reading() as session:
        assert await releases.get(session, corrected.number) == corrected
    assert tally.changed == 0


async def test_a_withdrawal_by_vanishing_is_hushed_in_the_first_pass_and_told_later(press, tmp_path):
    folder = _folder(tmp_path, press.now, "abcd")
    await press.intake.harvest(_desk(folder))
    (folder / "d.en.md").unlink()
    async with press.database.writing() as session:
        await restored.begin(session, press.now - timedelta(hours=1), press.now)
    desk = _desk(folder)
    await press.intake.harvest(desk)
    assert await _withdrawn(press) == [True]
    press.now += LATER
    (folder / "c.en.md").unlink()
    await press.intake.harvest(desk)
    assert await _withdrawn(press) == [True, False]


async def test_documents_that_were_moved_away_long_ago_are_not_waited_for(press):
    old = [press.change(key=f"old-{number}") for number in range(2 * restored.AWAITED)]
    await press.harvest(*old)
    press.now += timedelta(days=1)
    kept = [press.change(key=f"kept-{number}", seen_at=press.now) for number in range(restored.AWAITED)]
    await press.harvest(*kept)
    async with press.database.writing() as session:
        await restored.begin(session, press.now - timedelta(hours=1), press.now)
    press.now += LATER
    await press.harvest()
    tally = await press.harvest(*kept, press.change(key="new", seen_at=press.now, published=press.now))
    assert tally.announced == 1


async def test_a_source_that_stays_away_is_given_up_after_an_hour(back):
    back.source.items.clear()
    await back.harvest()
    back.now += restored.PATIENCE
    await back.harvest()
    async with back.database.reading() as session:
        assert await restored.awaited(session, back.source.name, back.now) is None


async def test_a_folder_that_is_filled_slowly_is_waited_for_as_long_as_it_fills(press):
    kept = [press.change(key=f"kept-{number}") for number in range(restored.AWAITED)]
    await press.harvest(*kept)
    async with press.database.writing() as session:
        await restored.begin(session, press.now - timedelta(hours=1), press.now)
    for number in range(5):
        new = press.change(key=f"new-{number}")
        press.now += restored.PATIENCE - LATER
        new = replace(new, seen_at=press.now, published=press.now)
        tally = await press.harvest(*kept[: 2 * number], new)
        assert (tally.changed, tally.announced) == (1, 0), f"pass {number}"
    press.now += restored.PATIENCE
    tally = await press.harvest(press.change(key="newer", seen_at=press.now, published=press.now))
    assert tally.announced == 1, "none came for an hour"


async def test_the_rest_of_a_folder_that_comes_with_its_old_times_is_told_to_nobody(back):
    await back.harvest()
    until = back.now - LATER
    tally = await back.harvest(back.change(key="rest", seen_at=until - LATER, published=until - LATER))
    assert (tally.changed, tally.announced) == (1, 0)


def _folder(root, now, names):
    for name in names:
        path = root / f"{name}.en.md"
        path.write_text(f"---\ntitle: Notice {name}\nlang: en\n---\n\nWhat notice {name} says.\n")
        os.utime(path, ((now - timedelta(hours=2)).timestamp(),) * 2)
    return root


def _desk(folder):
    return DirectorySource(
        "desk",
        folder,
        languages=("az", "en", "ru"),
        default_language="en",
        zone=ZoneInfo("UTC"),
        settle=0.0,
        clock_ns=lambda: 2**62,
        withdraw_missing=True,
    )


async def _withdrawn(press):
    """Of each withdrawal that was said, in order: whether it is hushed."""
    async with press.database.reading() as session:
        said = await session.scalars(
            select(MESSAGE.c.id).where(MESSAGE.c.kind == MessageKind.WITHDRAWAL).order_by(MESSAGE.c.id)
        )
        return [await meta.get(session, f"{restored.HUSHED}{number}") is not None for number in said]
