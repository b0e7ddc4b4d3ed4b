"""The jobs that several rooms name: their keys, lanes and arguments, said once.

1. A key names the row that the job follows from, or the rows where one job does all of a kind; equal keys are one job.
2. Each source has a lane of its own; so has each channel, and beside it what failed there before (`Priority.LATER`).
"""

from __future__ import annotations

from datetime import datetime

from syndicator.domain.model import ChannelKind, Priority
from syndicator.domain.ports import Job

__all__ = ["applications_job", "deliver_job", "fanout_job", "harvest_job", "lane_of"]


def harvest_job(source: str, now: datetime) -> Job:
    """A pass over a source."""
    return Job("harvest", f"harvest:{source}", Priority.NORMAL, now, lane=f"source:{source}", args={"source": source})


def applications_job(due: datetime) -> Job:
    """Look at the sign-ups and wishes to move that are due."""
    return Job("applications", "applications", Priority.CONFIRMATION, due, lane="applications")


def fanout_job(message: int, priority: Priority, due: datetime) -> Job:
    """Write the recipients of a message."""
    return Job("fanout", f"fanout:{message}", priority, due, lane="fanout", args={"message": message})


def deliver_job(batch: int, channel: ChannelKind, priority: Priority, due: datetime) -> Job:
    """Send what is due of a batch."""
    args = {"batch": batch, "channel": channel.value}
    return Job("deliver", f"deliver:{batch}", priority, due, lane=lane_of(channel, priority), args=args)


def lane_of(channel: ChannelKind, priority: Priority) -> str:
    """The lane that a channel's batch runs in; that of what failed before has one worker."""
    return f"{channel.value}-later" if priority >= Priority.LATER else channel.value
