"""Which letters may become mails: what may not be seen now is in none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bots.email.allowed import NotShown, shown
from syndicator.domain.letters import Item
from syndicator.domain.model import MessageKind, State

HIDDEN, PUBLIC, WITHDRAWN = "hidden", "public", "withdrawn"
GOES = {
    MessageKind.RELEASE: PUBLIC,
    MessageKind.CORRECTION: PUBLIC,
    MessageKind.WITHDRAWAL: WITHDRAWN,
}


def stands(release, how, now):
    state = State.WITHDRAWN if how == WITHDRAWN else State.PUBLIC
    return replace(release, state=state, public_at=now + timedelta(hours=1) if how == HIDDEN else release.public_at)


@pytest.mark.parametrize("how", [HIDDEN, PUBLIC, WITHDRAWN])
@pytest.mark.parametrize("kind", GOES)
def test_a_letter_about_a_release_goes_while_it_stands_as_the_letter_says(letter, now, kind, how):
    made = letter(kind=kind)
    made = replace(made, release=stands(made.release, how, now))
    if how == GOES[kind]:
        assert shown(made, now) is made
    else:
        with pytest.raises(NotShown, match=GOES[kind]):
            shown(made, now)


def test_a_digest_tells_of_what_is_public_and_of_nothing_it_is_refused(letter, now):
    release = letter().release
    items = tuple(Item(stands(release, how, now), "az") for how in (HIDDEN, PUBLIC, WITHDRAWN))
    digest = replace(letter(kind=MessageKind.DIGEST), release=None, items=items)
    assert shown(digest, now).items == items[1:2]
    whole = replace(digest, items=items[1:2])
    assert shown(whole, now) is whole
    with pytest.raises(NotShown, match="nothing of the digest"):
        shown(replace(digest, items=(items[0], items[2])), now)


@pytest.mark.parametrize("kind", [MessageKind.CONFIRMATION, MessageKind.WELCOME, MessageKind.ADDRESS])
def test_what_tells_of_no_release_always_goes(letter, now, kind):
    made = replace(letter(kind=kind), release=None)
    assert shown(made, now) is made
