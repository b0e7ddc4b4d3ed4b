"""What the Telegram side asks of the service's own database beside its work: small ports, each with its place there.

Rules, in order:

1. Whether a release is still as it was read (`handing.Still`), and that a chat takes posts again (`standing.Reopened`).
2. A pause holds corrections and withdrawals, too: nothing at all may go, or the pause grows. Where that keeps one from
   a chat of the office's own for more than a minute, the operator is told once, with the chats by name: what must not
   stand until then has to be deleted or edited by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bots.telegram.limits import Pacer
from syndicator.domain.model import ChannelKind, Priority
from syndicator.domain.places import Place
from syndicator.domain.ports import Clock, Done, Handler, Job, Turn, Verdict
from syndicator.store import ledger, waiting
from syndicator.store.database import Database
from syndicator.store.waiting import FollowUp

__all__ = ["Records", "Watch"]

LONG = timedelta(minutes=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Records:
    """The two ports of rule 1. `wake` is called when deliveries have become due."""

    database: Database
    clock: Clock
    wake: Callable[[], None]

    async def still(self, releases: Mapping[int, int]) -> bool:
        """See `handing.Still`."""
        try:
            async with self.database.reading() as session:
                return await waiting.changes(session, releases) == releases
        except SQLAlchemyError as error:
            raise OSError(f"releases cannot be read: {type(error).__name__}") from error

    async def reopened(self, chats: Collection[str]) -> None:
        """See `standing.Reopened`."""
        try:
            async with self.database.writing() as session:
                moved = await ledger.reopened(session, ChannelKind.TELEGRAM, chats, self.clock())
        except SQLAlchemyError as error:
            raise OSError(f"deliveries cannot be written: {type(error).__name__}") from error
        if moved:
            self.wake()


class Watch:
    """Tells of what a pause holds back (rule 2); a room of its own, see `domain.ports.Workplace`."""

    def __init__(self, database: Database, pacer: Pacer, clock: Clock) -> None:
        self._database = database
        self._pacer = pacer
        self._clock = clock
        self._told: set[int] = set()

    def handlers(self) -> Mapping[str, Handler]:
        """Its one job."""
        return {"telegram-held": self._tell}

    async def pending(self, now: datetime) -> Sequence[Job]:
        """Whether there is something to tell."""
        if not self._pacer.is_paused(now + LONG):
            self._told.clear()
            return []
        held = await self._held(now)
        return [Job("telegram-held", "telegram-held", Priority.URGENT, now, lane="telegram-held")] if held else []

    async def _held(self, now: datetime) -> list[tuple[FollowUp, datetime]]:
        """What is not told yet, each with the end of its pause."""
        async with self._database.reading() as session:
            found = await waiting.follow_ups(session, ChannelKind.TELEGRAM)
        ends = [(one, self._pacer.paused_until(_chat(one), now)) for one in found if one.delivery not in self._told]
        return [(one, until) for one, until in ends if until is not None and until - now > LONG]

    async def _tell(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # one line
        if held := await self._held(self._clock()):
            self._told.update(one.delivery for one, _ in held)
            log.error(
                "telegram: corrections and withdrawals wait for the end of a pause; "
                "what must not stand until then: delete or edit it by hand",
                chats=sorted({one.address for one, _ in held}),
                releases=sorted({one.release for one, _ in held}),
                until=max(until for _, until in held).isoformat(),
            )
        return Done()


def _chat(one: FollowUp) -> int | str:
    return Place.parse(one.resolved or one.address).chat
