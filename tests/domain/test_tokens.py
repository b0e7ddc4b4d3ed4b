"""Tokens: nobody makes one, changes one or uses one for something else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syndicator.domain.tokens import TOKEN_LENGTH, BadToken, Tokens

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOKENS = Tokens(b"0123456789abcdef")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**48 - 1), st.none() | st.integers(1, 10**9))
def test_a_token_gives_its_id_back_and_has_one_length(number, seconds):
    expires = None if seconds is None else NOW + timedelta(seconds=seconds)
    token = TOKENS.sign("confirm", number, expires)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert len(token) == TOKEN_LENGTH == 40
    assert TOKENS.verify("confirm", token, NOW) == number


def test_changing_any_one_character_breaks_it():
    token = TOKENS.sign("confirm", 7, NOW + timedelta(hours=1))
    for place, letter in enumerate(token):
        other = ALPHABET[(ALPHABET.index(letter) + 1) % 64]
        with pytest.raises(BadToken, match="not one of ours"):
            TOKENS.verify("confirm", token[:place] + other + token[place + 1 :], NOW)


@pytest.mark.parametrize("change", ["", "x", " ", "=", "\n", "я", "\0"])
def test_a_token_of_another_form_is_refused(change):
    token = TOKENS.sign("confirm", 7)
    for bad in (change, change * 40, token + change if change else token[:-1], change + token[1:]):
        with pytest.raises(BadToken, match="not one of ours"):
            TOKENS.verify("confirm", bad, NOW)


def test_two_tokens_cannot_be_spliced():
    mine, theirs = TOKENS.sign("manage", 1), TOKENS.sign("manage", 2)
    for cut in range(1, 40):
        spliced = theirs[:cut] + mine[cut:]
        if spliced in {mine, theirs}:
            continue
        with pytest.raises(BadToken):
            TOKENS.verify("manage", spliced, NOW)


@pytest.mark.parametrize(("signed", "used"), [("confirm", "manage"), ("a", "a\0"), ("", "a"), ("confirm", "Confirm")])
def test_one_purpose_never_serves_another(signed, used):
    with pytest.raises(BadToken, match="not one of ours"):
        TOKENS.verify(used, TOKENS.sign(signed, 7), NOW)


def test_another_secret_never_serves():
    with pytest.raises(BadToken, match="not one of ours"):
        Tokens(b"fedcba9876543210").verify("confirm", TOKENS.sign("confirm", 7), NOW)


def test_it_holds_until_its_time_and_then_says_so():
    token = TOKENS.sign("confirm", 7, NOW)
    assert TOKENS.verify("confirm", token, NOW - timedelta(seconds=1)) == 7
    with pytest.raises(BadToken, match="expired at 2026-11-21 12:00 UTC"):
        TOKENS.verify("confirm", token, NOW)


def test_a_way_out_never_closes():
    assert TOKENS.verify("unsubscribe", TOKENS.sign("unsubscribe", 7), NOW + timedelta(days=365 * 900)) == 7


def test_what_cannot_be_signed_is_refused():
    with pytest.raises(ValueError, match="16 or more"):
        Tokens(b"short")
    for number in (-1, 2**48):
        with pytest.raises(ValueError, match="out of range"):
            TOKENS.sign("confirm", number)
    with pytest.raises(ValueError, match="out of range"):
        TOKENS.sign("confirm", 1, datetime(1970, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="aware"):
        TOKENS.sign("confirm", 1, NOW.replace(tzinfo=None))


def test_the_secret_does_not_show():
    assert "0123" not in repr(TOKENS)
