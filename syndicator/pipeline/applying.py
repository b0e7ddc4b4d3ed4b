"""Applications: what is asked for on a page is written down, answered, and only then looked at.

Rules, in order:

1. `apply` and `apply_to_move` write one row, and do nothing else: neither what a page answers nor how long it takes
   tells whether an address is known, suppressed, waiting or subscribed. What was answered survives a crash.
2. `hear` looks at what is due, one by one: where the mail domain is crowded it waits for its turn (`crowds`), else it
   is `signing_up.ask` or `relocating.ask_move`. What their limits do not let through now waits until they do, for
   `PATIENCE` at most: who wants two things within an hour gets two letters. What gets no turn within that time is
   given up, and the log says so. When the next one is due the job says itself: nobody need plan it.
3. What cannot be dealt with is said once and dropped if it will never be otherwise, and else tried again each minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import BadFilter, Filter, canonical, parse
from syndicator.domain.jobs import applications_job
from syndicator.domain.model import Cadence
from syndicator.domain.ports import Again, Clock, Done, Handler, Job, Turn, Verdict
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.pipeline.accounts import Account
from syndicator.pipeline.addresses import BadAddress
from syndicator.pipeline.crowds import Crowds, Turns
from syndicator.pipeline.relocating import Relocating
from syndicator.pipeline.signing_up import SigningUp
from syndicator.store import applications
from syndicator.store.applications import Application
from syndicator.store.database import Database
from syndicator.store.opt_ins import OptIn
from syndicator.store.subscriptions import Consent

__all__ = ["Applications", "Applying"]

log = structlog.get_logger()

HELD = timedelta(seconds=1)  # until one that is due, and held by another, is looked at again
PATIENCE = timedelta(days=1)  # a mailbox that had its share all that time is being flooded


class Applying(SigningUp, Relocating):
    """See the module's rules."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        *,
        site: Site,
        wake: Callable[[], None],
        reach: timedelta = timedelta(days=14),
        crowds: Turns | None = None,
    ) -> None:
        super().__init__(database, tokens, site=site, wake=wake, reach=reach)
        self._crowds = Crowds() if crowds is None else crowds

    async def apply(
        self,
        address: str,
        *,
        filter_: Filter,
        language: str,
        cadence: Cadence,
        text_only: bool,
        consent: Consent,
        busy: bool = False,
        network: str = "",
    ) -> None:
        """Somebody wants to sign up, out of that network (kept in memory only, "" where it is not known).

        Raises:
            BadAddress: it is no address.
        """
        address = self.check_address(address)
        await self._write(
            Application(
                address,
                consent.at,
                filter=canonical(filter_),
                language=language,
                cadence=cadence,
                text_only=text_only,
                consent_source=consent.source,
                consent_text=consent.text,
                is_busy=busy,
                due_at=await self._crowds.share(_domain(address), network, consent.at),
            )
        )

    async def apply_to_move(
        self, account: Account, address: str, *, now: datetime, busy: bool = False, network: str = ""
    ) -> None:
        """A subscriber wants to go on at another address; what they asked for before and still waits counts no more.

        Raises:
            BadAddress: it is no address.
        """
        who, address = account.subscriber.id, self.check_address(address)
        due = await self._crowds.share(_domain(address), network, now)
        await self._write(Application(address, now, subscriber=who, is_busy=busy, due_at=due))

    async def _write(self, application: Application) -> None:
        async def write(session: AsyncSession) -> None:
            if application.subscriber is not None:
                await applications.only_newest(session, application.subscriber)
            await applications.write(session, application)

        await self._database.again(write)
        self._wake()

    async def next_application(self) -> datetime | None:
        """When the next one is to be looked at; None where none waits."""
        async with self._database.reading() as session:
            return await applications.next_due(session)

    async def hear(self, now: datetime) -> bool:
        """Look at the one that is due longest; False where none is."""
        async with self._database.writing() as session:
            one = await applications.claim(session, now)
        if one is None:
            return False
        claimed, turn = one, await self._place(one, now)

        async def deal(session: AsyncSession) -> None:
            held = await applications.hold(session, claimed)
            if held is None:  # whose it was has left or was erased meanwhile
                return
            later = turn if turn is None or turn > now else await self._hear(session, held, now)
            if later is None:
                await applications.done(session, held.id)
            else:
                await applications.put_off(session, held.id, later)

        await self._database.again(deal)
        self._wake()
        return True

    async def _place(self, one: Application, now: datetime) -> datetime | None:
        """When it is to be looked at; None: it is given up (rule 2)."""
        if one.has_turn:
            return now
        latest = one.asked_at + PATIENCE
        turn = await self._crowds.turn(_domain(one.address), now) if now < latest else None
        if turn is None or turn > latest:
            log.warning("a question is given up: its mail domain is crowded for a whole day")
            return None
        if turn > now:
            log.info("a mail domain is crowded: a question waits", seconds=round((turn - now).total_seconds()))
        return turn

    async def _hear(self, session: AsyncSession, one: Application, now: datetime) -> datetime | None:
        """Deal with it; when to do so instead, where limits say so (rule 2)."""
        try:
            if one.subscriber is not None:
                later = await self._ask_move(session, one.subscriber, one.address, now, busy=one.is_busy)
            else:
                consent = Consent(one.asked_at, one.consent_source, one.consent_text)
                wish = OptIn(one.cadence, one.language, one.text_only, consent)
                later = await self._ask(
                    session, self.check_address(one.address), parse(one.filter), wish, now, busy=one.is_busy
                )
        except (BadAddress, BadFilter) as error:  # of another version: it will never be otherwise
            log.warning("a sign-up that cannot be read", reason=type(error).__name__)
            return None
        if later is not None and later > one.asked_at + PATIENCE and one.has_turn:
            log.warning("a question is given up: its mailbox had its share for a whole day")
            return None
        return later


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


class Applications:
    """A `Workplace`: looks at applications, as many as are due."""

    def __init__(self, applying: Applying, *, clock: Clock) -> None:
        self._applying = applying
        self._clock = clock

    def handlers(self) -> Mapping[str, Handler]:
        """Its jobs by name."""
        return {"applications": self._look}

    async def pending(self, now: datetime) -> Sequence[Job]:  # noqa: ARG002  # the row says when
        """The next one."""
        due = await self._applying.next_application()
        return [] if due is None else [applications_job(due)]

    async def _look(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # rows say all
        while await self._applying.hear(self._clock()):
            if turn.should_yield():
                return Again(self._clock())
        due = await self._applying.next_application()
        return Done() if due is None else Again(max(due, self._clock() + HELD))
