"""The rules behind the pages, by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from jinja2.ext import babel_extract

import syndicator.web
from syndicator.i18n import LOCALE_DIR
from syndicator.web.limits import Limits, Window
from syndicator.web.visitors import is_own_form, network, networks, preferred_language, visitor

ROOM = Path(syndicator.web.__file__).parent
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "known_as"),
    [
        ("203.0.113.9", [], [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], [], "203.0.113.9"),  # anybody can write a header
        ("10.0.0.1", ["198.51.100.1"], ["10.0.0.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], ["10.0.0.0/8"], "198.51.100.1"),  # forged on the left
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.9.9.9"], ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", ["nonsense"], ["10.0.0.0/8"], "unknown"),
        ("127.0.0.1", ["1.1.1.1, 198.51.100.1"], [], "198.51.100.1"),  # the usual proxy stands on this machine
        ("127.0.0.53", ["198.51.100.1"], [], "198.51.100.1"),
        ("::1", ["198.51.100.1"], [], "198.51.100.1"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], [], "198.51.100.1"),
        ("127.0.0.1", [], [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1:5555"], [], "198.51.100.1"),
        ("127.0.0.1", ["1.1.1.1, [2001:db8:1:2:3:4:5:6]:44"], [], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["[2001:db8:1:2:3:4:5:6]"], [], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["198.51.100.1, 10.0.0.7:80"], ["10.0.0.0/8"], "198.51.100.1"),
        ("127.0.0.1", ["unknown"], [], "unknown"),
        ("127.0.0.1", ["[]:1"], [], "unknown"),
        ("10.0.0.1", [], ["10.0.0.0/8"], "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", [], [], "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", [], [], "203.0.113.9"),
        ("", [], [], "unknown"),
    ],
)
def test_a_visitor_is_known_by_what_can_be_believed(peer, forwarded, trusted, known_as):
    assert visitor(peer, forwarded, networks(trusted)) == known_as


@pytest.mark.parametrize(
    ("known_as", "from_"),
    [
        ("198.51.100.1", "198.51.100.0/24"),
        ("198.51.101.1", "198.51.101.0/24"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::/64", "2001:db8:1::/48"),
        ("unknown", "unknown"),
    ],
)
def test_a_network_is_what_one_hand_may_hold(known_as, from_):
    assert network(known_as) == from_


def test_a_proxy_that_is_no_address_is_refused_by_name():
    with pytest.raises(ValueError, match=r"web\.trusted_proxies: 'proxy'"):
        networks(["proxy"])


@given(st.text(max_size=200))
def test_any_language_header_leads_to_one_of_our_languages(header):
    assert preferred_language(header, ("az", "en", "ru"), "az") in ("az", "en", "ru")


@pytest.mark.parametrize(
    ("headers", "opaque", "ours"),
    [
        ({}, False, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, False, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://press.example.org"}, True, False),
        ({"Origin": "https://press.example.org"}, False, True),
        ({"Origin": "https://press.example.org.evil.example"}, False, False),
        ({"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"}, False, True),
        ({"Origin": "null"}, True, True),
        ({"Origin": "null"}, False, False),
        ({"Origin": ""}, False, False),
    ],
)
def test_a_form_is_ours_if_the_browser_says_so(headers, opaque, ours):
    assert is_own_form(headers, "https://press.example.org", opaque_allowed=opaque) is ours


MINUTE = timedelta(minutes=1)


def test_a_full_window_says_when_there_is_room_again():
    limits = Limits(Window(2, MINUTE))
    assert [limits.take("a", NOW), limits.take("a", NOW + timedelta(seconds=10))] == [0, 0]
    assert limits.take("a", NOW + timedelta(seconds=20)) == 40
    assert limits.take("b", NOW + timedelta(seconds=20)) == 0
    assert limits.take("a", NOW + timedelta(seconds=60)) == 0


def test_no_crowd_can_use_up_what_is_somebody_elses():
    limits = Limits(Window(2, MINUTE), Window(100, MINUTE), visitors=50)
    assert not any(limits.take(f"robot {number}", NOW) for number in range(5000))
    assert limits.busy(NOW)
    assert limits.take("citizen", NOW) == 0
    assert len(limits._taken) <= 50
    assert len(limits._newest) <= 100
    assert not limits.busy(NOW + MINUTE)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100)), max_size=60))
def test_no_window_ever_holds_more_than_its_turns_and_nobody_is_kept_longer(asks):
    limits, moment, taken = Limits(Window(3, MINUTE)), NOW, []
    for who, later in asks:
        moment += timedelta(seconds=later)
        within = [name for name, when in taken if when > moment - MINUTE]
        wait = limits.take(who, moment)
        assert (wait > 0) is (within.count(who) == 3)
        if not wait:
            taken.append((who, moment))
        assert set(limits._taken) == {*within, who}


def every_text() -> set[str]:
    """Every text the room says, found in templates and code."""
    said: set[str] = set()
    for path in ROOM.glob("templates/*.html"):
        options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
        found = babel_extract(BytesIO(path.read_bytes()), {"t": None, "plural": (1, 2)}, [], options)
        said |= {first(message) for _, _, message, _ in found}
    for path in ROOM.glob("*.py"):
        found = extract_python(BytesIO(path.read_bytes()), {"t": None, "_": None, "plural": (1, 2)}, [], {})
        said |= {first(message) for _, _, message, _ in found}
    return said - {""}


def first(message: object) -> str:
    """The message itself, without what its call passed beside it."""
    return next((str(m) for m in message if m), "") if isinstance(message, tuple) else str(message or "")


@pytest.mark.parametrize("lang", ["az", "ru"])
def test_every_text_is_translated_and_none_is_left_over(lang):
    path = LOCALE_DIR / lang / "web.po"
    with path.open("rb") as file:
        catalogue = read_po(file, locale=lang, abort_invalid=True)
    kept = {}
    for message in catalogue:
        if message.id:
            name = message.id[0] if isinstance(message.id, tuple) else message.id
            kept[name] = message
            forms = message.string if isinstance(message.string, tuple) else (message.string,)
            assert all(forms), name
            for form in forms:
                assert set(placeholders(form)) == set(placeholders(name)), name
    assert set(kept) == every_text()


def placeholders(text: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name]
