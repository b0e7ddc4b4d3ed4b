"""One filter, one meaning: SQL both ways and the domain's `wants` agree, on whatever anybody writes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from syndicator.domain.filters import BadFilter, Facts, Filter, wants
from syndicator.domain.model import (
    Cadence,
    ChannelKind,
    MessageKind,
    OtherLanguage,
    Priority,
    Reader,
    Standing,
    State,
    SubscriptionState,
)
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.store import ledger, releases, subscriptions, words
from syndicator.store.database import Database
from syndicator.store.fanout import fan_out
from syndicator.store.tables import RELEASE
from tests.conftest import TOPICS
from tests.store.looked import TELLS

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ORDER = ("az", "en", "ru")
EVER = datetime(2000, 1, 1, tzinfo=UTC)
WORDS = [
    "viza",
    "vizası",
    "VİZA",
    "Işıq",
    "isiq",
    "ёлка",
    "елки",
    "Йод",
    "иод",
    "q'ay",
    '"OR" *',
    "zz00df",
    "ß",
    "日本",
]
SLUGS = ["migration", "refugees", "visas", "e-visa", "office", "visa-rules", "unheard-of"]


@pytest.fixture(scope="module")
def taxonomy():
    """The usual topics, one of which was renamed: some releases and filters still hold its old slug."""
    rows = [{**row, "was": ["visa-rules"]} if row["slug"] == "visas" else row for row in TOPICS["topic"]]
    return Taxonomy.from_mapping({"topic": rows})


texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
some = {"max_size": 2, "unique": True}


@st.composite
def filters(draw):
    parts = {
        "langs": draw(st.lists(st.sampled_from(ORDER), **some)),
        "topics": draw(st.lists(st.sampled_from(SLUGS), **some)),
        "without": draw(st.lists(st.sampled_from(SLUGS), max_size=1)),
        "kinds": draw(st.lists(st.sampled_from(["news", "notice"]), max_size=1)),
        "words": draw(st.lists(st.sampled_from([*WORDS, "v", "и", "isi"]), max_size=2)),
    }
    kept = draw(st.sets(st.sampled_from(sorted(parts))))
    try:
        return Filter(**{name: tuple(value) for name, value in parts.items() if name in kept})
    except BadFilter:
        return Filter()


papers = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["news", "notice"]),
        "urgency": st.sampled_from(["normal", "urgent"]),
        "topics": st.lists(st.sampled_from(SLUGS), **some).map(tuple),
        "texts": st.dictionaries(st.sampled_from(ORDER), st.tuples(texts, texts, texts), min_size=1),
    }
)
quick = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


async def write(session, press, paper, key="a"):
    for lang, (title, summary, body) in paper["texts"].items():
        facts = {name: paper[name] for name in ("kind", "urgency", "topics")}
        await press.record(session, key, lang, body, title=title, summary=summary, **facts)
    return await releases.get_by_key(session, "directory", key)


@pytest.fixture
def run(database_url, cleared):
    """Run a story in a database of its own loop, emptied again."""

    def told(story):
        async def whole():
            database = Database(database_url)
            try:
                async with database.writing() as session:
                    await cleared(session)
                    return await story(session)
            finally:
                await database.close()

        return asyncio.run(whole())

    return told


@given(stack=st.lists(papers, min_size=1, max_size=3), asked=st.lists(filters(), min_size=1, max_size=6))
@quick
def test_a_listing_gives_what_wants_gives(run, press, taxonomy, stack, asked):
    async def story(session):
        known = [await write(session, press, paper, f"k{n}") for n, paper in enumerate(stack)]
        for wanted, lang in product(asked, ORDER):
            reader = Reader(lang, OtherLanguage.NEVER)
            expected = [r.number for r in known if wants(wanted, Facts.of(r), reader, taxonomy, ORDER)]
            found = await releases.listing(session, wanted, taxonomy, lang=lang, now=NOW)
            assert sorted(r.number for r in found) == expected, (wanted, lang)
            assert await releases.count(session, wanted, taxonomy, lang=lang, now=NOW) == len(expected)

    run(story)


@given(paper=papers, asked=st.lists(filters(), min_size=1, max_size=5, unique=True))
@quick
def test_a_fan_out_reaches_exactly_who_wants_it_in_the_language_they_get(run, press, taxonomy, paper, asked):
    async def story(session):
        release = await write(session, press, paper)
        expected = {}
        for number, (wanted, lang, other) in enumerate(product(asked, ORDER, OtherLanguage)):
            who = await subscriptions.ensure(
                session, ChannelKind.EMAIL, f"p{number}", language=lang, timezone="UTC", now=NOW
            )
            await subscriptions.set_reading(session, who.id, other_language=other)
            await subscriptions.subscribe(
                session,
                who.id,
                wanted,
                cadence=Cadence.IMMEDIATE,
                state=SubscriptionState.ACTIVE,
                consent=None,
                now=NOW,
            )
            if got := wants(wanted, Facts.of(release), Reader(lang, other), taxonomy, ORDER):
                expected[who.id] = got
        message = await ledger.announce(
            session, release.number, kind=MessageKind.RELEASE, major=0, priority=Priority.NORMAL, now=NOW
        )
        how = {"taxonomy": taxonomy, "order": ORDER, "now": NOW, "limit": 20, "batch_size": 7, "tells": TELLS}
        while await fan_out(session, message.id, **how) is not None:
            pass
        found = await session.execute(text("SELECT subscriber_id, lang FROM delivery"))
        assert {row[0]: row[1] for row in found} == expected

    run(story)


@pytest.mark.parametrize(
    ("state", "opens", "opened"),
    list(product(State, (-1, 0, 1), (None, -1))),
)
async def test_what_is_visible_is_what_the_domain_says(database, press, taxonomy, state, opens, opened):
    public_at = NOW + timedelta(seconds=opens)
    opened_at = None if opened is None else NOW - timedelta(hours=1)
    async with database.writing() as session:
        await press.record(session, topics=("office",))
        await session.execute(RELEASE.update().values(state=state, public_at=public_at, opened_at=opened_at))
        stands = standing(state, public_at, opened_at, NOW)
        assert (await releases.visible(session, 1, NOW) is not None) == (stands is not Standing.HIDDEN)
        everything = {"taxonomy": taxonomy, "lang": "az", "now": NOW}
        assert bool(await releases.listing(session, Filter(), **everything)) == (stands is Standing.PUBLIC)
        shown = await releases.listing(session, Filter(), withdrawn_since=EVER, **everything)
        assert bool(shown) == (stands is not Standing.HIDDEN)
        assert bool(await releases.newest_ids(session, "az", None, now=NOW, limit=1)) == (stands is Standing.PUBLIC)
        totals = await releases.topic_totals(session, taxonomy, NOW)
        assert bool(totals) == (stands is Standing.PUBLIC)


async def test_a_text_beyond_what_one_index_row_holds_is_found_whole(database, press, taxonomy, monkeypatch):
    monkeypatch.setattr(words, "PART_BYTES", 100)
    body = " ".join(f"word{number}x" for number in range(60))
    async with database.writing() as session:
        await press.record(session, text=body)
        for asked, found in ((("word0x", "word59"), 1), (("word0x", "word60"), 0), (("word33",), 1)):
            assert await releases.count(session, Filter(words=asked), taxonomy, lang="az", now=NOW) == found


async def test_a_very_long_text_can_be_kept_and_found(database, press, taxonomy):
    body = " ".join(f"söz{number:07}uzunluq" * 2 for number in range(60_000))
    async with database.writing() as session:
        await press.record(session, text=body)
        wanted = Filter(words=("soz0000000", "soz0059999"))
        assert await releases.count(session, wanted, taxonomy, lang="az", now=NOW) == 1
