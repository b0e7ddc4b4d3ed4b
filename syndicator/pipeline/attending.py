"""Stands for an attendance that is there later: what sends is made before the engine that it asks."""

from __future__ import annotations

from syndicator.domain.ports import ALONE, Attendance

__all__ = ["Attending"]


class Attending:
    """A `domain.ports.Attendance` that asks another; without one this process has the database to itself."""

    def __init__(self) -> None:
        self._asked: Attendance = ALONE

    def ask(self, attendance: Attendance) -> None:
        """From now on, it is this one that knows."""
        self._asked = attendance

    @property
    def number(self) -> int | None:
        """Under which claims are made."""
        return self._asked.number

    def is_sure(self) -> bool:
        """Whether nobody can have taken this process for dead."""
        return self._asked.is_sure()
