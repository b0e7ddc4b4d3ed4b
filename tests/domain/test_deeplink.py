"""Links that open the bot: what a page puts in, the bot takes out, and a stranger's text is nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syndicator.domain.deeplink import MAX_PAYLOAD, bot_link, filter_of, payload_of, topic_key
from syndicator.domain.filters import BadFilter, Filter

SLUGS = {f"topic-{n}": f"topic-{n}" for n in range(30)} | {"visas": "visas", "a" * 60: "a" * 60, "visa": "visas"}
LANGS = ("az", "en", "ru")
FILTERS = st.builds(
    dict,
    langs=st.lists(st.sampled_from(LANGS), max_size=3, unique=True).map(tuple),
    topics=st.lists(st.sampled_from(sorted(SLUGS)), max_size=20, unique=True).map(tuple),
    without=st.lists(st.sampled_from(sorted(SLUGS)), max_size=20, unique=True).map(tuple),
    kinds=st.lists(st.sampled_from(["news", "notice", "a-kind-of-our-own", "k" * 64]), max_size=4).map(tuple),
    words=st.lists(st.text(min_size=1, max_size=30), max_size=8).map(tuple),
)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(topics=("visas",)),
        Filter(topics=("a" * 60,)),
        Filter(topics=("topic-1", "topic-2", "visas")),
        Filter(topics=("visas",), words=("asan", "viza")),
        Filter(words=("виза", "паспорт", "беженцы", "приём")),
        Filter(words=("გზა",)),
        Filter(langs=("ru", "az"), without=("visas",), kinds=("notice", "news")),
    ],
)
def test_a_choice_comes_out_of_the_link_as_it_went_in(wanted):
    link = bot_link("press_bot", wanted)
    address, _, payload = link.address.partition("?start=")
    assert (address, link.carried, link.whole) == ("https://t.me/press_bot", wanted, True)
    assert filter_of(payload, SLUGS, LANGS) == wanted


def test_a_link_to_one_topic_can_be_read_and_never_changes():
    assert bot_link("press_bot", Filter(topics=("visas",))).address == "https://t.me/press_bot?start=visas"
    assert payload_of(Filter(topics=("topic-1", "visas"), words=("viza",)))[1] == "AAvnSBZdwXoR2aXph"


def test_without_a_choice_the_link_just_opens_the_bot_and_without_a_bot_there_is_none():
    assert bot_link("press_bot").address == "https://t.me/press_bot"
    assert not bot_link("", Filter(topics=("visas",)))


def test_a_topic_that_was_renamed_is_still_meant():
    assert filter_of("visa", SLUGS, LANGS) == Filter(topics=("visas",))
    _, payload = payload_of(Filter(topics=("visa", "topic-1")))
    assert filter_of(payload, SLUGS, LANGS) == Filter(topics=("topic-1", "visas"))


def test_what_is_left_of_a_choice_without_its_topics_is_nothing_rather_than_everything():
    _, payload = payload_of(Filter(topics=("gone", "left"), words=("viza",)))
    assert filter_of(payload, SLUGS, LANGS) is None
    _, payload = payload_of(Filter(topics=("gone", "visas")))
    assert filter_of(payload, SLUGS, LANGS) == Filter(topics=("visas",))


def test_a_choice_that_is_too_large_is_carried_as_far_as_it_goes_and_the_link_says_so():
    # Long words say most: the shortest go first, and before them one that no link could hold.
    wanted = Filter(langs=LANGS, topics=("visas",), words=("fee", "international", "responsibilities", "visa"))
    link = bot_link("press_bot", wanted)
    assert (link.whole, link.carried) == (False, Filter(topics=("visas",), words=("international", "responsibilities")))
    wanted = Filter(words=("a" * 60, "fee", "visa"))
    assert bot_link("press_bot", wanted).carried == Filter(words=("fee", "visa"))
    many = bot_link("press_bot", Filter(topics=tuple(f"topic-{n}" for n in range(20))))
    assert (many.whole, len(many.carried.topics)) == (False, 11)


@settings(max_examples=60, deadline=None)
@given(FILTERS)
def test_every_link_is_one_that_telegram_takes_and_says_truly_what_it_carries(fields):
    try:
        wanted = Filter(**fields)
    except BadFilter:
        return
    carried, payload = payload_of(wanted)
    assert re.fullmatch(rf"[A-Za-z0-9_-]{{0,{MAX_PAYLOAD}}}", payload)
    if payload:
        topics, without = (tuple(SLUGS[slug] for slug in slugs) for slugs in (carried.topics, carried.without))
        try:
            meant = Filter(carried.langs, topics, without, carried.kinds, carried.words)
        except BadFilter:  # an old name wanted, the new one refused: nothing could match
            return
        assert filter_of(payload, SLUGS, LANGS) in (meant, None if carried.topics and not meant.topics else meant)
    assert bool(payload) == (carried != Filter())


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=70), st.from_regex(r"A[A-Za-z0-9_-]{0,63}", fullmatch=True)))
@example("")
@example("A")
@example("AA" * 32)
@example("A____")
@example("visas\n")
def test_a_strangers_text_is_a_filter_or_nothing(payload):
    found = filter_of(payload, SLUGS, LANGS)
    assert found is None or (found != Filter() and set(found.topics) <= set(SLUGS.values()))


@pytest.mark.parametrize("payload", ["nothing", "all", "x" * 64, "'; drop", "A" * 64, topic_key("b" * 60)])
def test_what_names_nothing_is_nothing(payload):
    assert filter_of(payload, SLUGS, LANGS) is None
