"""Retention: once an hour, what is no longer needed is deleted, and who has left is erased. Safe to repeat or to stop.

Rules, in order:

1. Who has left is erased `left_days` later, as by their own word (decision 18). The address of whoever had once agreed
   is kept out of imports, as a fingerprint: an old file does not bring them back, their own yes does.
2. A mailbox that came back is given as long; then its subscriptions end, and it counts as left.
3. What was sent is kept for `ledger_days`. A correction of something older reaches nobody, and the log says so.
4. What came back is kept as long as it counts (`domain.bounces`); addresses that were asked whether somebody may move
   there, as long as that may be answered; how often a mailbox was asked, for a day; who had a
   turn of a limit (`store.rates`), for an hour.
5. Everything goes in small transactions with a rest between them, and a pass ends after so many: the next goes on.
6. What cannot be done is said, and stops nothing else: neither one person whose row is bad, nor one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from config.settings import RetentionSettings
from syndicator.domain.bounces import FORGOTTEN, Suppressed
from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.metrics import Metrics
from syndicator.store import letterboxes, rates, retention, suppressions
from syndicator.store.database import Database, DatabaseTrouble
from syndicator.store.retention import Gone, Old

__all__ = ["Retention"]

log = structlog.get_logger()
T = TypeVar("T")

PEOPLE_PAGE = 5_000  # people that one look takes in
SUBSCRIPTIONS = 500  # that one transaction ends
TOGETHER = 1  # people whom one transaction erases: nobody else writes during its dozen of statements
MESSAGES_PAGE = 500
STEPS = 2_000  # transactions that one pass makes at most
GAP = 0.05  # seconds between two of them: a writer that waits for its turn asks again within that time


@dataclass(slots=True)
class _Pass:
    """One pass: its moment, and how many transactions it may still make."""

    now: datetime
    left: int


class Retention:
    """See the module's rules."""

    def __init__(
        self,
        database: Database,
        settings: RetentionSettings,
        *,
        site: Site,
        tokens: Tokens,
        clock: Clock,
        metrics: Metrics,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._site = site
        self._tokens = tokens
        self._clock = clock
        self._metrics = metrics
        self._rest = rest
        self._left_for = timedelta(days=settings.left_days)
        self._sent_for = timedelta(days=settings.ledger_days)
        self._answer_for = max(self._left_for, settings.confirm_for)
        self._returned_for = max(FORGOTTEN, self._left_for)

    async def run(self) -> None:
        """One pass over everything.

        Raises:
            DatabaseTrouble: the database fails; the next pass goes on.
        """
        one = _Pass(self._clock(), STEPS)
        await self._alone(self._erase_left(one), part="people")
        await self._alone(self._repeat(one, "addresses", self._forget_addresses), part="addresses")
        await self._alone(self._repeat(one, "bounces", self._forget_bounces), part="bounces")
        await self._alone(self._repeat(one, "letterboxes", _forget_turns), part="letterboxes")
        await self._alone(self._forget_sent(one), part="messages")
        if one.left <= 0:
            log.info("retention goes on with its next pass")

    # -- people
    async def _end_bounced(self, one: _Pass, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), SUBSCRIPTIONS):
            if one.left <= 0:
                return
            async with self._database.writing() as session:
                some = numbers[start : start + SUBSCRIPTIONS]
                ended = await retention.end_bounced(session, some, one.now - self._left_for, one.now)
            self._metrics.forgotten.labels("subscriptions").inc(ended)
            log.info("subscriptions of mailboxes that came back ended", count=ended)
            await self._took(one)

    async def _erase_left(self, one: _Pass) -> None:
        erased, low = 0, 0
        while one.left > 0:
            async with self._database.reading() as session:
                found, high = await retention.left(session, one.now - self._left_for, low, PEOPLE_PAGE)
                if high is None:
                    break
                returned = await retention.bounced(session, one.now - self._left_for, low, high)
            low = high
            await self._alone(self._end_bounced(one, returned), part="mailboxes that came back")
            for start in range(0, len(found), TOGETHER):
                erased += await self._erase_each(one, found[start : start + TOGETHER])
            await self._rest(0)
        if erased:
            self._metrics.forgotten.labels("people").inc(erased)
            log.info("people who had left were erased", count=erased)

    async def _erase_each(self, one: _Pass, people: Sequence[int]) -> int:
        """Together, which is quicker; where that fails, each alone."""
        gone = await self._alone(self._erase(one, people), part="people", count=len(people))
        if gone is not None:
            return gone
        each = [await self._alone(self._erase(one, [person]), part="a person", subscriber=person) for person in people]
        return sum(found or 0 for found in each)

    async def _erase(self, one: _Pass, people: Sequence[int]) -> int:
        """Erase those who still have left, in one transaction; how many."""
        if one.left <= 0:
            return 0
        office = {"language": self._site.default_language, "timezone": self._site.timezone}
        before = one.now - self._left_for

        async def erase(session: AsyncSession) -> int:
            gone = 0
            for person in people:
                found = await retention.erase_left(session, person, before, one.now, **office)
                if found is not None:
                    gone += 1
                    await self._remember(session, found, one.now)
            return gone

        gone = await self._database.again(erase)  # a collision with a reader's own wish ends no pass
        await self._took(one)
        return gone

    async def _remember(self, session: AsyncSession, gone: Gone, now: datetime) -> None:
        """Rule 1: files do not bring them back."""
        if gone.channel is ChannelKind.EMAIL and gone.agreed:
            await suppressions.add(session, self._tokens.fingerprint("address", gone.address), Suppressed.ERASED, now)

    async def _forget_addresses(self, session: AsyncSession, now: datetime) -> int:
        return await retention.forget_addresses(session, now - self._answer_for)

    async def _forget_bounces(self, session: AsyncSession, now: datetime) -> int:
        return await retention.forget_bounces(session, now - self._returned_for)

    # -- what was sent
    async def _forget_sent(self, one: _Pass) -> None:
        before, after = one.now - self._sent_for, 0
        while one.left > 0:
            async with self._database.reading() as session:
                found, last = await retention.old_messages(session, before, after, MESSAGES_PAGE)
            if last is None:
                break
            after = last
            for old in found:
                await self._alone(self._forget_message(one, old), part="a message", message=old.id)

    async def _forget_message(self, one: _Pass, old: Old) -> None:
        """Marked first, so that whatever ends this pass, nothing of it is sent again."""
        async with self._database.writing() as session:
            await retention.forget_message(session, old)
        await self._took(one)
        if old.kind is MessageKind.RELEASE and old.release is not None:
            await self._repeat(one, "matches", partial(_matches, old.release))
        await self._repeat(one, "deliveries", partial(_deliveries, old))
        if old.release is None and one.left > 0:
            async with self._database.writing() as session:
                self._metrics.forgotten.labels("messages").inc(await retention.forget_message(session, old))
            await self._took(one)

    # -- steps
    async def _alone(self, step: Awaitable[T], **what: object) -> T | None:
        """Rule 6. None: it failed, and the log says what and why.

        Raises:
            DatabaseTrouble: that would stop the rest as well.
        """
        try:
            return await step
        except DatabaseTrouble:
            raise
        except Exception:  # whatever it is: the next hour tries again
            log.exception("retention failed", **what)
            return None

    async def _repeat(self, one: _Pass, what: str, step: Callable[[AsyncSession, datetime], Awaitable[int]]) -> None:
        """A step after the other, each a transaction, until nothing is left of it."""
        gone = 0
        while one.left > 0:
            async with self._database.writing() as session:
                done = await step(session, one.now)
            gone += done
            await self._took(one)
            if not done:
                break
        if gone:
            self._metrics.forgotten.labels(what).inc(gone)
            log.info("no longer kept", what=what, count=gone)

    async def _took(self, one: _Pass) -> None:
        one.left -= 1
        await self._rest(GAP)


async def _matches(release: int, session: AsyncSession, _now: datetime) -> int:
    return await retention.forget_matches(session, release)


async def _deliveries(old: Old, session: AsyncSession, _now: datetime) -> int:
    return await retention.forget_deliveries(session, old)


async def _forget_turns(session: AsyncSession, now: datetime) -> int:
    """How often mailboxes were asked, and who had a turn of what is limited."""
    return await letterboxes.forget(session, now) + await rates.forget(session, now)
