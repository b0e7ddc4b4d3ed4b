"""A search through the languages reads no more releases than it shows, whatever a button asks for; both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syndicator.domain.filters import Filter
from syndicator.domain.model import ChannelKind
from syndicator.pipeline.browsing import PER_PAGE, Browsing, Cursor
from syndicator.pipeline.subscribing import Account
from syndicator.store import catalogue, subscriptions

COMMON = Filter(words=("common",))


@pytest.fixture
async def library(database, press, people, site, taxonomy, now):
    """Fourteen releases with the word in two languages, seven in English alone; a reader of Azerbaijani."""
    async with database.writing() as session:
        for number in range(21):
            later = now - timedelta(days=9) + timedelta(minutes=number)
            for lang in ("az", "en"):
                said = "Nothing" if lang == "az" and number in range(5, 12) else "Common words"
                await press.record(session, f"r{number}", lang, said, public_at=later, title=f"{lang} {number}")
        who, _ = await people.add(session, "7", channel=ChannelKind.TELEGRAM)
        account = Account(who, await subscriptions.of(session, who.id), "", "")
    return Browsing(database, site=site, taxonomy=taxonomy), account


async def test_a_search_reads_what_it_shows_and_no_more(library, monkeypatch, now):
    looking, account = library
    read = []
    many = catalogue.many

    async def counted(session, numbers):
        read.extend(numbers)
        return await many(session, numbers)

    monkeypatch.setattr(catalogue, "many", counted)
    for start in (Cursor(1), Cursor(2), Cursor(9)):
        await looking.search(COMMON, account, start, now)
    assert len(read) <= 2 * (PER_PAGE + 1)


async def test_what_was_found_in_the_readers_language_is_not_found_again_in_another(library, now):
    looking, account = library
    seen, cursor = [], Cursor()
    while cursor is not None:
        page = await looking.search(COMMON, account, cursor, now)
        seen += [(one.lang, one.number) for one in page.entries]
        cursor = page.more
    assert [lang for lang, _ in seen] == ["az"] * 14 + ["en"] * 7
    assert len({number for _, number in seen}) == 21
