"""What each answer of the Bot API means for a delivery."""

from __future__ import annotations

import pytest
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, NetworkError, TelegramError, TimedOut

from bots.telegram.outcomes import outcome, worth_plain
from bots.telegram.transport import Flooded, Lost, LostInTime, NotSent
from syndicator.domain.letters import Gone, Later, Moved, Refused, Sent, Unknown
from syndicator.domain.model import SubscriberRole

PERSON, CHANNEL = SubscriberRole.PERSON, SubscriberRole.CHANNEL


@pytest.mark.parametrize(
    ("error", "role", "kind"),
    [
        (Flooded(9), PERSON, Later),
        (ChatMigrated(-100), PERSON, Moved),
        (InvalidToken("Unauthorized"), PERSON, Later),
        (Forbidden("Forbidden: bot was blocked by the user"), PERSON, Gone),
        (Forbidden("Forbidden: user is deactivated"), PERSON, Gone),
        (Forbidden("Forbidden: bot can't initiate conversation with a user"), PERSON, Gone),
        (Forbidden("Forbidden: bot was kicked from the channel chat"), CHANNEL, Later),
        (Forbidden("Forbidden: bot is not a member of the channel chat"), CHANNEL, Later),
        (BadRequest("Chat not found"), PERSON, Gone),
        (BadRequest("Chat not found"), CHANNEL, Later),
        (BadRequest("Need administrator rights in the channel chat"), CHANNEL, Later),
        (BadRequest("Message is not modified: specified new"), PERSON, Sent),
        (BadRequest("Can't parse entities: x"), PERSON, Refused),
        (BadRequest("Message is too long"), PERSON, Refused),
        (NotSent("ClientConnectorError"), PERSON, Later),
        (Lost("ServerDisconnectedError"), PERSON, Unknown),
        (LostInTime("no answer in time"), PERSON, Unknown),
        (TimedOut(), PERSON, Unknown),
        (NetworkError("Bad Gateway"), PERSON, Unknown),
        (TelegramError("the answer is not JSON"), PERSON, Unknown),
    ],
)
def test_every_answer_has_its_outcome(error, role, kind, now):
    assert isinstance(outcome(error, role=role, now=now), kind)


def test_a_flood_waits_as_long_as_it_was_told_and_costs_no_attempt(now, later):
    found = outcome(Flooded(43_837), role=PERSON, now=now, answer={"messages": [1]})
    assert (found.not_before, found.counts, found.answer) == (later(43_837), False, {"messages": [1]})


def test_a_refused_token_costs_no_attempt(now):
    assert outcome(InvalidToken("x"), role=PERSON, now=now).counts is False


def test_a_line_that_broke_keeps_what_was_accepted(now):
    assert outcome(Lost("x"), role=PERSON, now=now, answer={"messages": [1]}).answer == {"messages": [1]}


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (BadRequest("Can't parse entities"), True),
        (BadRequest("BUTTON_DATA_INVALID"), True),
        (BadRequest("Chat not found"), False),
        (Forbidden("Forbidden: bot was blocked by the user"), False),
        (NetworkError("x"), False),
    ],
)
def test_only_a_400_that_blames_the_message_is_tried_as_plain_text(error, again):
    assert worth_plain(error) is again
