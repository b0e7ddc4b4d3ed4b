"""Applications: what is asked for on a page is written down, answered, and only then looked at.

Rules, in order:

1. `apply` and `apply_to_move` write one row, and do nothing else: neither what a page answers nor how long it takes
   tells whether an address is known, suppressed, waiting or subscribed. What was answered survives a crash.
2. `hear` looks at what is due, one by one: where the mail domain is crowded it waits for its turn (`crowds`), else it
   is `signing_up.ask` or `relocating.ask_move`, with their limits.
3. What cannot be dealt with is said once and dropped if it will never be otherwise, and else tried again each minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from syndicator.domain.filters import BadFilter, Filter, canonical, parse
from syndicator.domain.model import Cadence, Priority
from syndicator.domain.ports import Again, Clock, Done, Handler, Job, Turn, Verdict
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.pipeline.accounts import Account
from syndicator.pipeline.addresses import BadAddress
from syndicator.pipeline.crowds import Crowds
from syndicator.pipeline.relocating import Relocating
from syndicator.pipeline.signing_up import SigningUp
from syndicator.store import applications
from syndicator.store.applications import Application
from syndicator.store.database import Database
from syndicator.store.subscriptions import Consent

__all__ = ["Applications", "Applying"]

log = structlog.get_logger()


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
    ) -> None:
        super().__init__(database, tokens, site=site, wake=wake, reach=reach)
        self._crowds = Crowds()

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
    ) -> None:
        """Somebody wants to sign up.

        Raises:
            BadAddress: it is no address.
        """
        await self._write(
            Application(
                self.check_address(address),
                consent.at,
                filter=canonical(filter_),
                language=language,
                cadence=cadence,
                text_only=text_only,
                consent_source=consent.source,
                consent_text=consent.text,
                is_busy=busy,
            )
        )

    async def apply_to_move(self, account: Account, address: str, *, now: datetime, busy: bool = False) -> None:
        """A subscriber wants to go on at another address.

        Raises:
            BadAddress: it is no address.
        """
        who = account.subscriber.id
        await self._write(Application(self.check_address(address), now, subscriber=who, is_busy=busy))

    async def _write(self, application: Application) -> None:
        async with self._database.writing() as session:
            await applications.write(session, application)
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
        turn = now if one.has_turn else self._crowds.turn(one.address.rpartition("@")[2], now)
        if turn is not None and turn > now:
            log.info("a mail domain is crowded: a question waits", seconds=round((turn - now).total_seconds()))
            async with self._database.writing() as session:
                await applications.put_off(session, one.id, turn)
            return True
        if turn is None:
            log.warning("a mail domain is too crowded: a question is dropped")
        else:
            await self._hear(one, now)
        async with self._database.writing() as session:
            await applications.done(session, one.id)
        return True

    async def _hear(self, one: Application, now: datetime) -> None:
        if one.subscriber is not None:
            await self.ask_move(one.subscriber, one.address, now=now, busy=one.is_busy)
            return
        try:
            await self.ask(
                one.address,
                filter_=parse(one.filter),
                language=one.language,
                cadence=one.cadence,
                consent=Consent(one.asked_at, one.consent_source, one.consent_text),
                now=now,
                busy=one.is_busy,
                text_only=one.text_only,
            )
        except (BadAddress, BadFilter) as error:  # of another version: it will never be otherwise
            log.warning("a sign-up that cannot be read", reason=type(error).__name__)


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
        key = "applications"
        return [] if due is None else [Job(key, key, Priority.CONFIRMATION, due, lane="applications")]

    async def _look(self, job: Job, turn: Turn) -> Verdict:  # noqa: ARG002  # rows say all
        while await self._applying.hear(self._clock()):
            if turn.should_yield():
                return Again(self._clock())
        return Done()
