"""What Telegram calls a picture is kept by bot and address."""

from __future__ import annotations

from datetime import timedelta

from syndicator.store import telegram_files

URL = "/media/0123.jpg"


async def test_each_bot_has_its_own_name_for_a_picture_and_the_newest_counts(database, now):
    async with database.writing() as session:
        await telegram_files.keep(session, 1, URL, "first", now)
        await telegram_files.keep(session, 2, URL, "other", now)
        await telegram_files.keep(session, 1, URL, "second", now + timedelta(hours=1))
        assert await telegram_files.kept(session, 1, URL) == "second"
        assert await telegram_files.kept(session, 2, URL) == "other"
        assert await telegram_files.kept(session, 1, "/media/else.jpg") is None


async def test_a_forgotten_name_is_gone_for_that_bot_only(database, now):
    async with database.writing() as session:
        await telegram_files.keep(session, 1, URL, "first", now)
        await telegram_files.keep(session, 2, URL, "other", now)
        await telegram_files.forget(session, 1, URL)
        await telegram_files.forget(session, 1, URL)
        assert await telegram_files.kept(session, 1, URL) is None
        assert await telegram_files.kept(session, 2, URL) == "other"
