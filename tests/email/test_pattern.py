"""Finished bytes with gaps: encoding that needs nothing more on the wire, and values that can spoil nothing."""

from __future__ import annotations

import quopri
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.email.kept import Kept
from bots.email.pattern import BrokenPattern, Marks, Pattern, gap, gaps_in, quoted
from syndicator.domain.text import strip_illegal

DOTS = st.text(alphabet=st.sampled_from(".\n =ə\tx\r"), max_size=300)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=400), DOTS))
def test_any_text_is_read_back_and_fits_the_wire_as_it_is(text):
    data = quoted(text)
    assert quopri.decodestring(data).decode("utf-8").replace("\r\n", "\n") == strip_illegal(text)
    assert all(len(line) <= 76 for line in data.split(b"\r\n"))
    assert not re.search(rb"(?:^|\n)\.", data)
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|[\x00-\x08]", data)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.just(None), st.text(alphabet=". \nəx=", max_size=120)), max_size=9))
def test_what_fills_a_gap_stands_on_a_line_of_its_own_and_changes_nothing_around_it(pieces):
    marks = Marks("seed")
    text = "".join(marks["token"] if piece is None else piece for piece in pieces)
    data = quoted(text, marks)
    names = gaps_in(data)
    filled = Pattern.parse(data, names).fill({"token": b"t" * 40})
    expected = "".join("t" * 40 if piece is None else piece for piece in pieces)
    assert quopri.decodestring(filled).decode("utf-8").replace("\r\n", "\n") == expected
    assert all(len(line) <= 76 for line in filled.split(b"\r\n"))


def test_a_text_cannot_name_a_gap():
    marks = Marks("seed")
    hostile = f"\0to\0 {Marks('other')['to']} Gap0toX"
    assert gaps_in(quoted(hostile, marks)) == frozenset()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("to", b"a@b.example\r\nBcc: c@d.example", "to"),
        ("to", b"a\nb", "to"),
        ("to", b"a\0b", "to"),
        ("to", b".a", "to"),
        ("to", b"a=\r\n.b", "to"),
        ("thread", b"x", "thread"),
        ("thread", b"In-Reply-To: <a@b>", "thread"),
        ("thread", b"In-Reply-To: <a@b>\r\n\r\n", "thread"),
        ("thread", b"In-Reply-To: <a@b>\r\n \r\n", "thread"),
        ("thread", b"\r\nx: y\r\n", "thread"),
        ("thread", "In-Reply-To: <ə@b>\r\n".encode(), "thread"),
    ],
)
def test_a_value_that_could_end_its_line_is_refused(name, value, why):
    pattern = Pattern.parse(b"x: " + gap(name) + b"\r\n", {name})
    with pytest.raises(BrokenPattern, match=why):
        pattern.fill({name: value})


@pytest.mark.parametrize(
    "value", [b"", b"In-Reply-To: <a@b>\r\n", b"In-Reply-To: <a@b>\r\nReferences: <c@d>\r\n <a@b>\r\n"]
)
def test_whole_header_lines_fill_a_gap_for_lines(value):
    assert Pattern.parse(gap("thread") + b"X: y\r\n", {"thread"}).fill({"thread": value}) == value + b"X: y\r\n"


@pytest.mark.parametrize("expected", [set(), {"b"}, {"a", "b"}])
def test_a_gap_that_is_not_expected_or_missing_is_a_defect(expected):
    with pytest.raises(BrokenPattern):
        Pattern.parse(b"x" + gap("a") + b"y", expected)


def test_a_value_that_is_missing_is_a_defect():
    with pytest.raises(BrokenPattern, match="no value for a"):
        Pattern.parse(gap("a"), {"a"}).fill({})


def test_what_many_share_is_put_in_before():
    pattern = Pattern.parse(b"1" + gap("a") + b"2" + gap("b") + b"3" + gap("a") + b"4", {"a", "b"})
    partly = pattern.partly({"a": b"-"})
    assert partly.wanted == ("b",)
    assert partly.fill({"b": b"+"}) == pattern.fill({"a": b"-", "b": b"+"}) == b"1-2+3-4"
    assert partly.size == len(b"1-23-4")


class Thing:
    def __init__(self, size):
        self.size = size


def test_only_so_many_and_so_many_bytes_are_kept_and_what_was_wanted_last_goes_last():
    kept = Kept(3, 100)
    for name in "abc":
        kept.get(name, lambda: Thing(10))
    first = kept.get("a", lambda: Thing(10))
    kept.get("d", lambda: Thing(10))
    assert len(kept) == 3
    assert kept.get("a", lambda: Thing(99)) is first
    kept.get("large", lambda: Thing(95))
    assert kept.size <= 100
    assert kept.get("larger than all", lambda: Thing(500)).size == 500
    assert len(kept) == 0
    assert kept.size == 0
