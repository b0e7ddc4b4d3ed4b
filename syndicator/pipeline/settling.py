"""Settling: what a channel answered goes into the ledger, and is never forgotten on the way.

Rules, in order:

1. An answer that cannot be written down (a locked file, a full disk, a database that restarts) is owed: it is kept,
   tried again, and paid before anything else is claimed. Its rows stand `sending` meanwhile: nobody sends them again.
2. What an answer means for the subscriber (gone, moved, a resolved id) is written in the same transaction. So is what a
   channel could not show of a digest: where it says what it has `shown`, the rest was not told. Only rows that were
   still `sending` say anything of their subscriber: whoever was erased meanwhile is nobody, and moves nowhere.
3. If the process dies while it owes, the rows are what any crash leaves: `sending`, sent once more at the next start.
4. What is to be claimed next is claimed in the same transaction, and all lanes share it (`grouping`): a message then
   costs less than one synced commit, not two. Where all that together cannot be written, the answers of each are,
   alone, as rule 1 says.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from config.settings import Settings
from syndicator.domain.letters import Outcome
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, SubscriberRole
from syndicator.domain.ports import ALONE, Attendance, Clock
from syndicator.domain.retry import Fate, ResendUnknown, RetryPolicy, fate
from syndicator.metrics import Metrics
from syndicator.pipeline.grouping import Asked, Grouping
from syndicator.pipeline.returning import Consequences
from syndicator.store import digests, ledger, subscriptions
from syndicator.store.database import Database
from syndicator.store.ledger import Claimed, Settlement, Wish

__all__ = ["Settler", "policies", "policy_for"]

log = structlog.get_logger()

WAITING = (DeliveryState.DUE, DeliveryState.DEFERRED)
WAITS = (0.2, 1.0, 4.0)  # seconds between the tries of one payment; after them the job fails and is tried again


@dataclass(frozen=True, slots=True)
class _Debt:
    """Answers that are not written down yet."""

    kind: ChannelKind
    claimed: Sequence[Claimed]
    fates: Sequence[Fate]


def policies(settings: Settings) -> Mapping[ChannelKind, RetryPolicy]:
    """How patient each channel is."""
    attempts = settings.engine.max_attempts
    return {
        ChannelKind.EMAIL: RetryPolicy(
            attempts, ResendUnknown(settings.email.resend_unknown), patience=settings.email.patience
        ),
        ChannelKind.TELEGRAM: RetryPolicy(attempts, ResendUnknown(settings.telegram.resend_unknown)),
        ChannelKind.WEBSUB: RetryPolicy(attempts, ResendUnknown.ONCE),  # the whole feed: twice does no harm
    }


def policy_for(policy: RetryPolicy, channel: ChannelKind, role: str) -> RetryPolicy:
    """How patient the channel is with that reader: a public chat is never sent blindly what may stand there already.

    Thousands would see it twice. An audit chat finds out, or an operator says.
    """
    if channel is ChannelKind.TELEGRAM and role == SubscriberRole.CHANNEL:
        return replace(policy, resend_unknown=ResendUnknown.NEVER)
    return policy


class Settler:
    """Writes outcomes. `policies` says how patient each channel is, `consequences` what follows from bounces."""

    def __init__(
        self,
        database: Database,
        *,
        policies: Mapping[ChannelKind, RetryPolicy],
        clock: Clock,
        metrics: Metrics,
        consequences: Consequences | None = None,
        attendance: Attendance = ALONE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._policies = policies
        self._consequences = consequences
        self._clock = clock
        self._metrics = metrics
        self._sleep = sleep
        self._owed: deque[_Debt] = deque()
        self._paying = asyncio.Lock()
        self._grouping = Grouping(database, self._note, clock, attendance)

    @property
    def owes(self) -> bool:
        """Whether answers wait to be written down, or rows to be given back."""
        return bool(self._owed) or self._grouping.owes

    async def claim(self, wish: Wish) -> Sequence[Claimed]:
        """As `ledger.claim_each`, in the transaction that all lanes share.

        Raises:
            Exception: whatever the database says.
        """
        return await self._grouping.ask(Asked(None, wish))

    async def settle(
        self,
        kind: ChannelKind,
        claimed: Sequence[Claimed],
        outcomes: Sequence[Outcome],
        wish: Wish | None = None,
    ) -> Sequence[Claimed] | None:
        """Write what became of these deliveries, and claim what is wished in the same transaction (rule 4).

        None: the answers were written alone, and nothing is claimed.

        Raises:
            Exception: whatever the database says, after some tries; the answers stay owed.
        """
        debt = self._debt(kind, claimed, outcomes)
        if not self._owed:
            asked = Asked(debt, wish)
            try:
                found = await self._grouping.ask(asked)
            except Exception as error:  # noqa: BLE001  # tried again below, and raised there
                log.warning("answers cannot be written down yet", rows=len(debt.fates), reason=type(error).__name__)
            except BaseException:  # cancelled: what is not written stays owed
                if asked.written:
                    self._count(debt)
                else:
                    self._owed.append(debt)
                raise
            else:
                self._count(debt)
                return None if wish is None else found
        self._owed.append(debt)
        await self.pay()
        return None

    def _debt(self, kind: ChannelKind, claimed: Sequence[Claimed], outcomes: Sequence[Outcome]) -> _Debt:
        now = self._clock()
        fates = [
            fate(
                outcome,
                delivery=c.id,
                attempts=c.attempts,
                slowed=c.slowed,
                resent=c.resent,
                priority=c.message.priority,
                policy=policy_for(self._policies[kind], kind, c.role),
                now=now,
                tried_at=c.tried_at,
            )
            for c, outcome in zip(claimed, outcomes, strict=True)
        ]
        return _Debt(kind, claimed, fates)

    async def pay(self) -> None:
        """Write everything that is owed, oldest first. Raises as `settle`."""
        async with self._paying:
            while self._owed:
                await self._pay(self._owed[0])
                self._owed.popleft()
            await self._grouping.clear_up()

    async def _pay(self, debt: _Debt) -> None:
        for wait in WAITS:
            try:
                await self._write(debt)
            except Exception as error:  # noqa: BLE001  # said here, raised at the last try
                log.warning("answers cannot be written down yet", rows=len(debt.fates), reason=type(error).__name__)
                await self._sleep(wait)
            else:
                return
        await self._write(debt)

    async def _write(self, debt: _Debt) -> None:
        await self._database.again(lambda session: self._note(session, [debt]))
        self._count(debt)

    async def _note(self, session: AsyncSession, debts: Sequence[_Debt]) -> None:
        answered = [pair for debt in debts for pair in zip(debt.claimed, debt.fates, strict=True)]
        settlements = [_settlement(c, f) for c, f in answered]
        telling = [(c, f) for c, f in answered if _tells(c, f)]
        ours = await ledger.being_sent(session, [_settlement(c, f) for c, f in telling]) if telling else ()
        await ledger.settle(session, settlements, self._clock())
        for c, f in telling:
            if c.id in ours:
                await self._follow(session, c, f)

    async def _follow(self, session: AsyncSession, claimed: Claimed, f: Fate) -> None:
        """What the answer means for the subscriber: of a bounce the one story (`returning`), else what it says."""
        if f.bounce is not None and self._consequences is not None:
            await self._consequences.of_reply(session, claimed.id, f.bounce, self._clock())
            f = replace(f, pause="")
        await _follow(session, claimed, f)

    def _count(self, debt: _Debt) -> None:
        for state, many in Counter(f.state for f in debt.fates).items():
            self._metrics.outcomes.labels(debt.kind.value, state.value).inc(many)


def _settlement(claimed: Claimed, f: Fate) -> Settlement:
    return claimed.settled(
        f.state,
        answer=f.answer,
        reason=f.reason,
        due_at=f.due_at,
        counted=f.counted,
        resent=f.resent,
        slowed=f.slowed,
    )


def _tells(claimed: Claimed, f: Fate) -> bool:
    """Whether the answer means anything beside this delivery."""
    resolved = f.resolved and f.resolved not in (claimed.resolved, claimed.address)
    return bool(f.pause or f.bounce or f.move_to or resolved or claimed.message.kind is MessageKind.DIGEST)


async def _follow(session: AsyncSession, claimed: Claimed, f: Fate) -> None:
    """What the answer means for the subscriber, beside this delivery."""
    if claimed.message.kind is MessageKind.DIGEST and f.answer and f.state not in WAITING:
        shown = f.answer.get("shown")
        if isinstance(shown, list | tuple):
            await digests.keep_shown(session, claimed.id, shown)
    if f.pause:
        await subscriptions.pause(session, claimed.subscriber, f.pause)
    if f.move_to:
        await subscriptions.move(session, claimed.subscriber, f.move_to)
    if f.resolved and f.resolved not in (claimed.resolved, claimed.address):
        await subscriptions.resolve(session, claimed.subscriber, f.resolved)
