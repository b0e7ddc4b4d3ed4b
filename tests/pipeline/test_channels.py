"""The office's own channels follow the configuration, at every start, and never get the past."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syndicator.domain.filters import parse
from syndicator.domain.model import ChannelKind
from syndicator.pipeline.channels import PublicChannel, configure_channels


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
