"""Whether this process is the one that acts as the bot: nothing is called by one that may have been taken for dead.

Rules, in order:

1. A tenure belongs to the number that this process was present under when it began: a process that was taken for dead
   and comes back is another one, also where it is sure of itself again.
2. It is asked before each call, and again when the call has its connection: after a freeze of any length the next thing
   that a process finds out is that it may not speak.
3. Where one process has the database to itself, there is nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass

from syndicator.domain.ports import ALONE, Attendance

__all__ = ["Tenure"]


@dataclass(slots=True)
class Tenure:
    """Asked by every line of the bot."""

    attendance: Attendance = ALONE
    _number: int | None = None
    _held: bool = False

    def begin(self) -> None:
        """From now on this process is the bot's."""
        self._number = self.attendance.number
        self._held = True

    def end(self) -> None:
        """It is so no more; safe to call twice."""
        self._held = False

    def holds(self) -> bool:
        """Whether this process may call."""
        if self.attendance is ALONE:
            return True
        return self._held and self.attendance.is_sure() and self.attendance.number == self._number
