"""Signing up, confirming, changing, moving and leaving: the one door for web, bot and commands.

Its stories:

1. `applying`: what pages write down before anybody looks whose address it is; then
   `signing_up`: a mail address asks, is asked, and says yes; or `relocating`: it takes the place of another one.
2. `choosing`: what readers get and how, pauses, leaving.
3. `chats`: Telegram.
4. `accounts`: what all of them stand on, and who a token opens; `asking`: how often a mail may ask.
"""

from __future__ import annotations

from syndicator.pipeline.accounts import Account
from syndicator.pipeline.addresses import BadAddress
from syndicator.pipeline.applying import Applying
from syndicator.pipeline.chats import Chats
from syndicator.pipeline.choosing import Choosing

__all__ = ["Account", "BadAddress", "Subscribing"]


class Subscribing(Applying, Choosing, Chats):
    """Every story by one name."""
