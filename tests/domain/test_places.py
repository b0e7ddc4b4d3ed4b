"""Where a post goes: chats and topics, however they were written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syndicator.domain.places import Place, place_address


@pytest.mark.parametrize(
    ("written", "chat", "thread"),
    [
        ("-100123", -100123, None),
        ("7", 7, None),
        (" @press ", "@press", None),
        ("@press/5", "@press", 5),
        ("-100123/5", -100123, 5),
        ("t.me/press", "@press", None),
        ("https://t.me/press/", "@press", None),
        ("https://t.me/press/5", "@press", 5),
        ("https://t.me/c/1234567890", -1001234567890, None),
        ("http://t.me/c/1234567890/5", -1001234567890, 5),
        ("@press/1", "@press", None),
        ("https://t.me/c/1234567890/1", -1001234567890, None),
        ("@press/0", "@press/0", None),
        ("@press/5/6", "@press/5/6", None),
        ("https://t.me.example/press", "https://t.me.example/press", None),
        ("x", "x", None),
        ("", "", None),
    ],
)
def test_an_address_is_a_chat_and_perhaps_a_topic(written, chat, thread):
    assert Place.parse(written) == Place(chat, thread)


@settings(max_examples=60)
@given(st.integers(-(10**13), 10**13), st.none() | st.integers(2, 10**9))
def test_a_place_is_read_back_as_it_was_written(chat, thread):
    place = Place(chat, thread)
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    ("chat", "thread", "address"),
    [
        ("@press", None, "@press"),
        ("@press", 5, "@press/5"),
        ("https://t.me/press/", 5, "https://t.me/press/5"),
        ("-100123", 5, "-100123/5"),
        ("@press", 1, "@press/1"),
        ("@press/1", 1, "@press/1"),
        ("https://t.me/press/5", 5, "https://t.me/press/5"),
    ],
)
def test_a_configured_chat_is_known_as_it_was_written(chat, thread, address):
    assert place_address(chat, thread) == address


def test_a_topic_is_named_once():
    with pytest.raises(ValueError, match="names topic 5 and not 6"):
        place_address("https://t.me/press/5", 6)
    with pytest.raises(ValueError, match="names topic 1 and not 6"):
        place_address("@press/1", 6)


@pytest.mark.parametrize("other", ["@press", "@PRESS", "t.me/Press", "https://t.me/press/"])
def test_equal_places_are_one(other):
    assert Place.parse(other).key == Place.parse("@Press").key
    assert Place.parse(f"{other.rstrip('/')}/5").key != Place.parse(other).key


def test_what_telegram_calls_the_chat_keeps_the_topic():
    assert str(Place.parse("@press/5").within(-100123)) == "-100123/5"
