"""The times that the processes of a cluster agree on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rhythm"]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds. Whoever holds something lets go of it (`sure`) before anybody takes it away (`dead`)."""

    beat: float = 5.0  # between signs of life
    sure: float = 15.0  # after the last one, a process does nothing more of what only the living may do
    dead: float = 20.0  # without one, seen by a judge's own steady clock
    look: float = 1.0  # between looks of a judge
    poll: float = 2.0  # between looks into the queue that nobody asked for
    sweep: float = 30.0  # between questions for pending work that nobody asked for
    soon: float = 1.0  # until the next one, where something that is due runs already
    settle: float = 0.2  # at least so much between two of them
