"""The office's own channels follow the configuration, at every start, and never get the past."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syndicator.domain.filters import parse
from syndicator.domain.letters import Later, Sent
from syndicator.domain.model import Cadence, ChannelKind, MessageKind, Priority, SubscriberRole, SubscriptionState
from syndicator.pipeline.channels import PublicChannel, configure_channels, public_channels
from syndicator.store import ledger, subscriptions
from tests.offices import settings_of


@pytest.fixture
def configure(press):
    async def do(*channels):
        found = [PublicChannel(chat, parse(filter_), lang) for chat, filter_, lang in channels]
        await configure_channels(press.database, ChannelKind.TELEGRAM, found, site=press.site, now=press.now)

    return do


def chats(press):
    return [(letter.address, letter.lang) for letter in press.telegram.sent]


async def test_each_channel_gets_what_its_filter_wants_in_its_language(press, configure):
    await configure(("@all", "", "az"), ("@visas", "lang=en&topic=visas", "en"), ("@office", "topic=office", "az"))
    await press.publish(press.change(topics=("visas",)), press.change(lang="az", topics=("visas",)))
    assert sorted(chats(press)) == [("@all", "az"), ("@visas", "en")]


async def test_a_channel_without_its_language_gets_another_rather_than_nothing(press, configure):
    await configure(("@all", "", "az"))
    await press.publish(press.change(lang="ru"))
    assert chats(press) == [("@all", "ru")]


async def test_configuring_again_changes_nothing_and_a_removed_channel_gets_nothing_more(press, configure):
    for _ in range(2):
        await configure(("@all", "", "en"), ("@other", "", "en"))
    await press.publish(press.change())
    assert len(press.telegram.sent) == 2
    await configure(("@all", "", "en"))
    await press.publish(press.change(), press.change("next"))
    assert chats(press)[2:] == [("@all", "en")]


async def test_an_added_channel_begins_with_what_comes_next(press, configure):
    await press.publish(press.change())
    press.now += timedelta(minutes=1)
    await configure(("@new", "", "en"))
    await press.publish(press.change(), press.change(lang="az"))
    assert [letter.release.number for letter in press.telegram.sent] == []
    await press.publish(press.change(), press.change("next"))
    assert [letter.release.number for letter in press.telegram.sent] == [2]


async def test_a_changed_filter_holds_from_then_on(press, configure):
    await configure(("@all", "topic=office", "en"))
    await configure(("@all", "topic=visas", "en"))
    await press.publish(press.change(topics=("visas",)), press.change("x", topics=("office",)))
    assert [letter.release.number for letter in press.telegram.sent] == [1]


# -- what the settings say
def test_topics_of_one_chat_are_channels_of_their_own(press):
    chats = [{"chat": "@forum"}, {"chat": "@forum", "thread": 5}, {"chat": "https://t.me/forum", "thread": 6}]
    found = public_channels(settings_of(press.site, channels=chats), press.site, press.taxonomy)
    assert [channel.chat for channel in found] == ["@forum", "@forum/5", "https://t.me/forum/6"]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"chat": "@news"}, {"chat": "t.me/News"}, "t.me/News: is the same place as @news"),
        ({"chat": "-1005", "thread": 7}, {"chat": "t.me/c/5/7"}, "t.me/c/5/7: is the same place as -1005/7"),
        ({"chat": "@news"}, {"chat": "t.me/news/5", "thread": 6}, "thread: t.me/news/5 names topic 5 and not 6"),
    ],
)
def test_a_place_named_twice_is_refused_in_one_line(press, first, second, said):
    with pytest.raises(ValueError, match=r"telegram\.channels: ") as refused:
        public_channels(settings_of(press.site, channels=(first, second)), press.site, press.taxonomy)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_the_offices_own_channels_come_before_all_people_whatever_those_are_told(press, configure):
    await configure(("@all", "", "en"))
    async with press.database.writing() as session:
        for number in range(60):
            who = await subscriptions.ensure(
                session, ChannelKind.TELEGRAM, str(number), language="en", timezone="UTC", now=press.now
            )
            how = {"cadence": Cadence.IMMEDIATE, "state": SubscriptionState.ACTIVE, "consent": None, "now": press.now}
            await subscriptions.subscribe(session, who.id, parse(""), **how)
    first = press.change("one")
    await press.publish(first)
    del press.telegram.sent[:]
    press.now += timedelta(minutes=1)
    await press.harvest(replace(first, title="B", note="Was wrong.", fingerprint="2"))
    await press.spread()  # the correction is to everybody, then comes news
    await press.harvest(press.change("two"))
    await press.spread()
    await press.send()
    kinds = [(letter.address, letter.kind) for letter in press.telegram.sent]
    assert kinds[:2] == [("@all", MessageKind.CORRECTION), ("@all", MessageKind.RELEASE)]
    assert [kind for _, kind in kinds[2:]] == [MessageKind.CORRECTION] * 60 + [MessageKind.RELEASE] * 60


async def test_a_channels_post_that_had_to_wait_still_comes_before_people(press, configure):
    await configure(("@all", "", "en"))
    press.telegram.answers["@all"] = Later("busy", not_before=press.now, counts=False)
    await press.publish(press.change("one"))
    async with press.database.writing() as session:
        await ledger.sweep(session, press.now)
    async with press.database.reading() as session:
        assert [batch.priority for batch in await ledger.open_batches(session)] == [Priority.CHANNEL]


@pytest.mark.parametrize(
    "written",
    [
        ["@Press", "https://t.me/press"],
        ["@press", "@Press", "@press"],
        ["@press", "-1001234567890"],
        ["@press", "", "t.me/press"],
    ],
)
async def test_a_channel_that_is_written_otherwise_is_the_same_and_goes_on(press, configure, written):
    await configure((written[0], "", "en"))
    press.telegram.answers[written[0]] = Sent(address="-1001234567890")
    first = press.change()
    await press.publish(first)
    for chat in written[1:]:
        await configure(*([(chat, "", "en")] if chat else []))
    press.now += timedelta(minutes=1)
    await press.publish(replace(first, title="B", note="Was wrong.", fingerprint="2"))
    [_, told] = press.telegram.sent
    assert (told.kind, told.address, told.written) == (MessageKind.CORRECTION, "-1001234567890", written[-1])
    assert (told.hushed, told.notes) == (False, ("Was wrong.",))


async def test_a_channel_that_was_taken_for_a_new_one_gets_its_posts_back(press, configure, now):
    """As installations before had it: written otherwise, it was a second subscriber."""
    await configure(("@press", "", "en"))
    await press.publish(press.change())
    async with press.database.writing() as session:
        [old] = await subscriptions.configured_channels(session)
        await subscriptions.end_all(session, old.id, "removed from the configuration", press.now)
        new = await subscriptions.ensure(
            session,
            ChannelKind.TELEGRAM,
            "t.me/press",
            language="en",
            timezone="UTC",
            now=press.now,
            role=SubscriberRole.CHANNEL,
        )
        how = {"cadence": Cadence.IMMEDIATE, "state": SubscriptionState.ACTIVE, "consent": None, "now": press.now}
        await subscriptions.subscribe(session, new.id, parse(""), **how)
    await press.publish(press.change("two"))
    await configure(("@press", "", "en"))
    assert {(row["address"], row["message"]) for row in await press.rows()} == {
        ("@press", "release:1:0"),
        ("@press", "release:2:0"),
    }
