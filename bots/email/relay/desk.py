"""Whom a session works for: where its mails come from, and who is told what became of them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from bots.email.relay.queue import Job
from bots.email.verdicts import Stage
from syndicator.domain.letters import Outcome

if TYPE_CHECKING:
    from bots.email.relay.session import Session

__all__ = ["Broken", "Desk"]


class Broken(Enum):
    """How a connection ended."""

    HUNG_UP = "the relay hung up"
    TIMED_OUT = "the relay did not answer in time"
    CONFUSED = "the relay answers something else than it was asked"
    DROPPED = "the connection was given up"
    GAVE_WAY = "no answer came while others waited"
    NOT_OURS = "somebody else may have the message by now"


class Desk(Protocol):
    """Whom a session works for."""

    def take(self, session: Session) -> Job | None:
        """The next mail for it, if there is one and it may go."""
        ...

    def may_leave(self, job: Job) -> bool:
        """Whether the body of a mail that was taken may still leave."""
        ...

    def answered(self, job: Job, stage: Stage, code: int, text: bytes) -> bool:
        """The relay has decided about a mail; whether the connection may be used on."""
        ...

    def settled(self, job: Job, outcome: Outcome, how: Broken | None) -> None:
        """A mail's outcome without a word of the relay."""
        ...

    def doubts(self, job: Job) -> bool:
        """Whether its domain may be silent: nothing is sent behind it."""
        ...

    def give_back(self, job: Job) -> None:
        """It was never begun."""
        ...

    def rests(self, session: Session) -> None:
        """It has nothing to do."""
        ...

    def ended(self, session: Session, how: Broken) -> None:
        """It is over; all its mails are answered for or given back."""
        ...
