"""What comes back from a mailbox, in words that hold whoever said it: a relay's reply, a report, a complaint. Pure.

Rules, in order:

1. HARD: nobody is there. SOFT: somebody is, and cannot be reached now. POLICY: they want no mail from us, or not this
   one; that blames us and never the reader. COMPLAINT: the reader called our mail unwanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Bounce", "BounceKind"]


class BounceKind(StrEnum):
    """What came back."""

    HARD = "hard"
    SOFT = "soft"
    POLICY = "policy"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Bounce:
    """One of them. `status` is the enhanced code (RFC 3463) or "", `said` one short line for people."""

    kind: BounceKind
    status: str = ""
    said: str = ""
