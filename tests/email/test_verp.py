"""Each mail's own return address, and the one for leaving: built, dressed up by others on the way, and read back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.email.preview import email_preview
from bots.email.verp import ReturnPaths, leave_mailbox, tagged, which_delivery, who_leaves
from syndicator.domain.tokens import Tokens

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
TOKENS = Tokens(b"a secret of sixteen bytes")
BOUNCED = tagged("bounces@press.example.org", TOKENS.mailbox("return", 12))


@pytest.mark.parametrize(
    "written",
    [
        BOUNCED,
        BOUNCED.upper(),
        BOUNCED.title(),
        f"<{BOUNCED}>",
        f"prvs=1234abcdef={BOUNCED}",
        f"SRS0=HHHH=TT=press.example.org={BOUNCED.partition('@')[0]}@forwarder.example",
        BOUNCED.replace("press.example.org", "[192.0.2.1]"),
    ],
)
def test_a_bounce_names_its_delivery_however_its_address_was_dressed_up(written):
    assert which_delivery(TOKENS, written, NOW) == 12


@pytest.mark.parametrize(
    "strange",
    [
        "",
        "bounces@press.example.org",
        "bounces+12@press.example.org",
        BOUNCED.replace("+", "-"),
        BOUNCED[:-30].replace("@", ""),
        BOUNCED.replace("@", "a@"),
        tagged("bounces@press.example.org", Tokens(b"a secret of somebody else").mailbox("return", 12)),
        tagged("bounces@press.example.org", TOKENS.mailbox("leave", 12)),
        "x" * 1000 + BOUNCED,
    ],
)
def test_an_address_that_is_not_ours_names_nothing(strange):
    assert which_delivery(TOKENS, strange, NOW) is None


def test_an_address_for_leaving_is_none_for_bounces_and_the_other_way_round():
    leaving = tagged("leave@press.example.org", TOKENS.mailbox("leave", 7))
    assert who_leaves(TOKENS, leaving.swapcase(), NOW) == 7
    assert which_delivery(TOKENS, leaving, NOW) is None
    assert who_leaves(TOKENS, BOUNCED, NOW) is None


@settings(max_examples=60)
@given(place=st.integers(0, 47), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_no_letter_of_a_token_can_be_another(place, letter):
    token = TOKENS.mailbox("return", 12)
    forged = token[:place] + letter + token[place + 1 :]
    assert which_delivery(TOKENS, f"b+{forged}@x.example", NOW) == (12 if forged == token else None)


@settings(max_examples=60)
@given(st.text("aZ27+@=.<> \0ı", max_size=120))
def test_anything_may_stand_in_an_address(text):
    assert which_delivery(TOKENS, text, NOW) is None
    assert who_leaves(TOKENS, text, NOW) is None


def test_each_mail_has_a_return_address_of_its_own(make_compiler, letter, now):
    compiler = make_compiler(bounce_address="bounces@press.example.org")
    tokens = [TOKENS.mailbox("return", delivery) for delivery in (1, 2)]
    mails = [compiler.mail(letter(return_token=token), now) for token in tokens]
    assert [m.sender for m in mails] == [f"bounces+{token}@press.example.org" for token in tokens]
    assert [m.envelope_id for m in mails] == tokens
    assert all(len(m.sender.partition("@")[0]) <= 64 for m in mails)


@pytest.mark.parametrize(
    ("changes", "sender"),
    [
        ({"bounce_address": "bounces@press.example.org", "verp": False}, "bounces@press.example.org"),
        ({"bounce_address": "", "sender": "news@press.example.org"}, "news@press.example.org"),
    ],
)
def test_without_verp_all_mails_have_one_return_address(make_compiler, letter, now, changes, sender):
    assert make_compiler(**changes).mail(letter(return_token="a" * 48), now).sender == sender


def test_leaving_by_mail_is_offered_beside_the_link(make_compiler, letter, now, read):
    compiler = make_compiler(unsubscribe_address="leave@press.example.org")
    token = TOKENS.mailbox("leave", 7)
    got = read(compiler.mail(letter(leave_token=token), now).data)
    link, mailbox = (part.strip(" <>") for part in got["List-Unsubscribe"].split(","))
    assert link == f"https://press.example.org/unsubscribe/{'u' * 40}"
    assert mailbox == f"mailto:leave+{token}@press.example.org?subject=unsubscribe"


@pytest.mark.parametrize("made", [ReturnPaths, leave_mailbox])
def test_an_address_with_no_room_for_a_token_is_refused_at_the_start(made):
    made("a" * 15 + "@x.example")
    with pytest.raises(ValueError, match="at most 15 characters"):
        made("a" * 16 + "@x.example")


def test_a_preview_shows_a_mail_of_an_office_that_can_be_left_by_mail(make_compiler, release, now):
    show = email_preview(make_compiler(unsubscribe_address="leave@press.example.org"), "Asia/Baku", lambda: now)
    assert show(release(lang="en"), "en").startswith("Subject: New visa rules")
