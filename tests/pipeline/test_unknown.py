"""What is done about a message that nobody can tell of: by channel, and by who was to get it."""

from __future__ import annotations

import pytest

from syndicator.domain.model import ChannelKind, SubscriberRole
from syndicator.domain.retry import ResendUnknown, RetryPolicy
from syndicator.pipeline.settling import policy_for

PERSON, CHANNEL = SubscriberRole.PERSON, SubscriberRole.CHANNEL


@pytest.mark.parametrize("policy", ResendUnknown)
@pytest.mark.parametrize(
    ("channel", "role", "never"),
    [
        (ChannelKind.TELEGRAM, PERSON, False),
        (ChannelKind.TELEGRAM, CHANNEL, True),
        (ChannelKind.EMAIL, PERSON, False),
        (ChannelKind.WEBSUB, CHANNEL, False),
    ],
)
def test_a_public_chat_is_never_sent_blindly_what_may_stand_there(channel, role, never, policy):
    chosen = policy_for(RetryPolicy(7, policy), channel, role)
    assert chosen == RetryPolicy(7, ResendUnknown.NEVER if never else policy)
