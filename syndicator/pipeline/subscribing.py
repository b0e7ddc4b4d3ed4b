"""Signing up, confirming, changing, moving and leaving: the one door for web, bot and commands.

Its stories:

1. `signing_up`: a mail address asks, is asked, and says yes.
2. `choosing`: what readers get and how, pauses, leaving.
3. `relocating`: another mail address.
4. `chats`: Telegram.
5. `accounts`: what all of them stand on, and who a token opens; `asking`: how often a mail may ask.
"""

from __future__ import annotations

from syndicator.pipeline.accounts import Account
from syndicator.pipeline.addresses import BadAddress
from syndicator.pipeline.chats import Chats
from syndicator.pipeline.choosing import Choosing
from syndicator.pipeline.relocating import Relocating
from syndicator.pipeline.signing_up import SigningUp

__all__ = ["Account", "BadAddress", "Subscribing"]


class Subscribing(SigningUp, Relocating, Choosing, Chats):
    """Every story by one name."""
