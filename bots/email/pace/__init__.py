"""Pace of mail: who may send now, learned from what receivers say. Pure but for `keeper`."""

from bots.email.pace.heard import Heard
from bots.email.pace.limits import Limits
from bots.email.pace.pace import Pace

__all__ = ["Heard", "Limits", "Pace"]
