"""What a mail that came in means: a report, a complaint, a wish to leave, or nothing for us. Frozen and pure.

Rules, in order:

1. Whoever reads mail says what it is and whom it names; what follows from it the pipeline decides (`returning`).
2. Only a signed token names anybody. A Message-ID is a help beside one, and never enough: it can be worked out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from syndicator.domain.bounces import Bounce, BounceKind

__all__ = [
    "Action",
    "AutoReply",
    "CameIn",
    "Complaint",
    "Failure",
    "Leave",
    "Notice",
    "Report",
    "Unclear",
    "Whom",
    "report_key",
]


class Action(StrEnum):
    """What a report says of a recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class Whom:
    """The delivery that is meant or, where only that is known, the subscriber and perhaps the mail's Message-ID."""

    delivery: int | None = None
    subscriber: int | None = None
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipient that was not reached. `addresses` are all that the report calls them; often one, perhaps none."""

    addresses: tuple[str, ...]
    bounce: Bounce


@dataclass(frozen=True, slots=True)
class Report:
    """A mail was not delivered. `source` is dsn (RFC 3464) or odd (any other form); there is at least one failure."""

    whom: Whom
    failures: tuple[Failure, ...]
    source: str = "dsn"


@dataclass(frozen=True, slots=True)
class Notice:
    """A report that harms nobody: delayed, delivered, relayed or expanded."""

    action: Action


@dataclass(frozen=True, slots=True)
class Complaint:
    """A reader called a mail unwanted (RFC 5965). `feedback` is its kind, such as abuse."""

    whom: Whom
    feedback: str = "abuse"


@dataclass(frozen=True, slots=True)
class Leave:
    """A subscriber wants to leave everything."""

    subscriber: int


@dataclass(frozen=True, slots=True)
class AutoReply:
    """A machine answers for somebody who is away: nothing follows."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nobody can tell what to do with it; a person may. `reason` says what is missing.

    `may_matter`: a machine wrote it, or it names somebody by a token of ours. What does neither is other people's mail.
    """

    reason: str
    may_matter: bool = True


CameIn = Report | Notice | Complaint | Leave | AutoReply | Unclear


def report_key(whom: Whom, kind: BounceKind, also: str = "") -> str:
    """What makes a report unique: one of each kind a delivery, however often and by whomever it is said.

    Where no delivery is known, `also` tells one report from another: the Message-ID of what it is about, or its own.
    """
    about = f"delivery:{whom.delivery}" if whom.delivery is not None else f"subscriber:{whom.subscriber}:{also}"
    return hashlib.sha256(f"{about}\0{kind.value}".encode()).hexdigest()
