"""A kept file may be had exactly while a release that may be shown now holds it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syndicator.domain.model import Attachment
from syndicator.store import media, releases

HALL, QUEUE = "/media/hall.jpg", "/media/queue.jpg"
HOUR = timedelta(hours=1)


@pytest.fixture
def tell(database, press, now):
    """Records one language version that holds these files."""

    async def recorded(*urls, at=now, **values):
        draft = press.draft(**values)
        held = tuple(Attachment(url, "image/jpeg", 9) for url in urls)
        draft = replace(draft, revision=replace(draft.revision, attachments=held))
        async with database.writing() as session:
            return (await releases.record(session, draft, site_uids=press.site, now=at)).release

    return recorded


@pytest.fixture
def seen(database, now):
    async def asked(url, at=now):
        async with database.reading() as session:
            return await media.public(session, url, at)

    return asked


@pytest.mark.parametrize(
    ("values", "later", "public"),
    [
        ({}, 0, True),
        ({"state": "draft"}, 0, False),
        ({"state": "withdrawn"}, 0, False),
        ({"public_at": HOUR}, 0, False),  # under embargo
        ({"public_at": HOUR}, 1, False),  # its time has come, but nobody has opened it yet
    ],
)
async def test_a_file_is_public_with_its_release(tell, seen, now, values, later, public):
    if "public_at" in values:
        values = {"public_at": now + values["public_at"]}
    await tell(HALL, **values)
    assert await seen(HALL, now + later * HOUR) is public
    assert not await seen(QUEUE)


async def test_an_embargoed_file_comes_out_to_the_second(tell, seen, database, now):
    await tell(HALL, public_at=now + HOUR)
    async with database.writing() as session:
        await releases.open_due(session, now + HOUR)
    assert not await seen(HALL, now + HOUR - timedelta(seconds=1)), "a clock that went back shows nothing early"
    assert await seen(HALL, now + HOUR)


async def test_a_withdrawn_release_takes_its_files_along_and_brings_them_back(tell, seen, database, now):
    release = await tell(HALL)
    async with database.writing() as session:
        await releases.withdraw(session, release.number, "a mistake", now)
    assert not await seen(HALL)
    await tell(HALL, note="it was right after all", text="Again")
    assert await seen(HALL)


async def test_a_file_that_a_revision_lets_go_is_gone_and_its_new_one_is_there(tell, seen):
    await tell(HALL)
    await tell(QUEUE)
    assert (await seen(HALL), await seen(QUEUE)) == (False, True)


async def test_a_language_that_is_still_a_draft_shows_no_files(tell, seen):
    await tell(HALL, lang="az")
    await tell(QUEUE, lang="en", state="draft")
    assert (await seen(HALL), await seen(QUEUE)) == (True, False)
    await tell(QUEUE, lang="en")
    assert await seen(QUEUE)


async def test_a_shared_file_stays_while_one_of_its_releases_may_be_shown(tell, seen, database, now):
    first = await tell(HALL, key="a")
    second = await tell(HALL, HALL, key="b")
    for release, public in ((first, True), (second, False)):
        async with database.writing() as session:
            await releases.withdraw(session, release.number, "a mistake", now)
        assert await seen(HALL) is public


async def test_what_is_elsewhere_is_no_file_of_ours(tell, seen):
    await tell("https://elsewhere.example/media/hall.jpg")
    assert not await seen("https://elsewhere.example/media/hall.jpg")
