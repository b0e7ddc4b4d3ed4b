"""The breaker of one relay: closed, nothing goes; it pauses mail and drops none.

Rules, in order:

1. A relay that turned all mail away is closed until its time; of two times the longer holds. Every mail gets the same
   answer meanwhile. It is closed for so long, whatever becomes of the clock: one that is set back makes it no longer.
2. After that, and at the start, it is not `steady`: one mail goes first. An answer to it opens the way; an answer to
   what was asked before it closed opens nothing.
3. What the relay holds against us is told to the operator, the same thing once in five minutes, and names nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

import structlog

from bots.email.pace import Pace
from bots.email.verdicts import LOGIN_WAIT, without_addresses
from syndicator.domain.letters import Later

__all__ = ["Breaker"]

log = structlog.get_logger()


class Breaker:
    """See the module. `closings` counts how often it closed; `pace`, if any, is told, so that a pause outlives us.

    `ticks` are seconds that only go forward, from wherever.
    """

    def __init__(self, relay: str, pace: Pace | None, ticks: Callable[[], float] = monotonic) -> None:
        self.steady = False
        self.closings = 0
        self._relay = relay
        self._pace = pace
        self._ticks = ticks
        self._closed: Later | None = None
        self._wait = timedelta()
        self._ends_at = 0.0
        self._complaint: tuple[str, datetime] | None = None

    def closed(self, now: datetime) -> Later | None:
        """What every mail is told now; None if mail may go."""
        if self._closed is None or self._closed.not_before is None:
            return None
        until, left = self._closed.not_before, self._ends_at - self._ticks()
        if until <= now or left <= 0:
            return None
        if until - now > self._wait:  # the clock was set back
            return replace(self._closed, not_before=now + timedelta(seconds=left))
        return self._closed

    def ready_at(self, now: datetime) -> datetime | None:
        """When a closed relay is asked again."""
        closed = self.closed(now)
        return closed.not_before if closed is not None else None

    def shut(self, trouble: Later, now: datetime, *, said: bool = True) -> Later:
        """The relay takes nothing for a while, it has `said` so or was not reached; what mails are told until then."""
        closed, reason = self.closed(now), without_addresses(trouble.reason)
        until = closed.not_before if closed is not None else None
        if until is None:
            log.warning("relay refuses", relay=self._relay, reason=reason)
        if until is None or (trouble.not_before is not None and trouble.not_before > until):
            self._closed = closed = trouble
            self._wait = (trouble.not_before or now) - now
            self._ends_at = self._ticks() + self._wait.total_seconds()
            if self._pace is not None and trouble.not_before is not None:
                self._pace.relay_paused(trouble.not_before, now, reason, said=said)
        self.steady = False
        self.closings += 1
        return closed or trouble

    def answers(self, closings: int) -> None:
        """The relay has dealt with a mail that was asked about when it had closed so many times."""
        if closings == self.closings and (not self.steady or self._closed is not None):
            self.steady, self._closed = True, None
            if self._pace is not None:
                self._pace.relay_answers()

    def complain(self, complaint: str, now: datetime) -> None:
        """Tell the operator."""
        if self._complaint is None or self._complaint[0] != complaint or now - self._complaint[1] >= LOGIN_WAIT:
            self._complaint = (complaint, now)
            log.error("the relay does not take our mail: check its settings, ours and our name", reason=complaint)
