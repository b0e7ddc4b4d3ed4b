"""What a service would have done until a moment, sending aside: the ledger as it would be then, on a restored database.

Rules, in order:

1. The very jobs of the running service do it; the clock stands at that moment for them.
2. Nothing is harvested: what the sources say is of another moment. Nothing is sent, and no feed is written.
3. What cannot be finished (languages that may still come in) is left open; who calls hushes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from config.settings import Settings
from syndicator.domain.jobs import fanout_job
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import Handler, Job
from syndicator.pipeline.applying import Applications
from syndicator.pipeline.digests import Digests
from syndicator.pipeline.fanout import Fanout
from syndicator.pipeline.office import Office, open_office
from syndicator.store import ledger
from syndicator.store.database import Database

__all__ = ["replay"]

ROUNDS = 50  # one makes work for the next: a digest for its recipients; more would mean that it never ends


class _Alone:
    """A turn that nobody else wants."""

    def should_yield(self) -> bool:
        """Never."""
        return False


async def replay(
    settings: Settings, database: Database, until: datetime, tells: Mapping[ChannelKind, Collection[MessageKind]]
) -> None:
    """Do on that database what was to be done until then.

    Raises:
        OSError: it fails.
    """

    def clock() -> datetime:
        return until

    office = await open_office(settings, database, wake=_nothing, clock=clock)
    digests = Digests(database, settings.digests, clock=clock, wake=_nothing)
    applications = Applications(office.subscribing, clock=clock)
    fanout = Fanout(database, site=office.site, taxonomy=office.taxonomy, tells=tells, clock=clock, wake=_nothing)
    handlers: dict[str, Handler] = {**digests.handlers(), **applications.handlers(), "fanout": fanout.fan_out}
    for _ in range(ROUNDS):
        await office.intake.open_due()
        jobs = [*await digests.pending(until), *await applications.pending(until), *await _open(office, until)]
        due = [job for job in jobs if job.due <= until]
        if not due:
            return
        for job in sorted(due, key=lambda job: job.priority):
            await handlers[job.name](job, _Alone())


async def _open(office: Office, until: datetime) -> list[Job]:
    """The messages whose recipients are not all written."""
    async with office.database.reading() as session:
        messages = await ledger.open_messages(session)
    return [fanout_job(m.id, m.priority, m.again_at or until) for m in messages]


def _nothing() -> None:
    """Nobody is to be woken."""
