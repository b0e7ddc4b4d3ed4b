"""Another mail address: asked for on the manage page, and moved to only when somebody there says yes.

Rules, in order:

1. `ask_move` writes one question, to the new address. It does the same whether that address is known or not, within
   the limits of signing up, which it shares (`asking`).
2. `move`, a POST behind that question, moves: the subscriber's row, links and history stay theirs. Who had the new
   address is the same person now (`store.moving`). The old address is told, unless it was kept out already; from then
   on it is: an old file does not bring it back, a yes from there does.
3. The newest question counts alone, and moves once; again is the same, as long as they are still there, also where the
   other one brings along a newer question. An address that may not be asked any more says no yes either.
4. A yes shows that somebody is there: a pause of ours ends, and the address leaves the list of suppressed ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Suppressed
from syndicator.pipeline.accounts import Account
from syndicator.pipeline.asking import Asking
from syndicator.store import ledger, readdressing, subscriptions, suppressions
from syndicator.store.coming_back import heard
from syndicator.store.moving import now_known_as, relocate
from syndicator.store.readdressing import Question
from syndicator.store.subscriptions import Subscriber

__all__ = ["Relocating", "Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants to go on at that address; `is_done`: they do. `is_told`: their old one was told so."""

    account: Account
    address: str
    is_done: bool
    is_told: bool = False


class Relocating(Asking):
    """See the module's rules. Every method that writes is one transaction, and takes `now`."""

    async def ask_move(self, subscriber: int, address: str, *, now: datetime, busy: bool = False) -> None:
        """Ask the new address whether it is theirs.

        Raises:
            BadAddress: it is no address.
        """
        address = self.check_address(address)
        async with self._database.writing() as session:
            await self._ask_move(session, subscriber, address, now, busy=busy)
        self._wake()

    async def _ask_move(
        self, session: AsyncSession, subscriber: int, address: str, now: datetime, *, busy: bool
    ) -> datetime | None:
        """When it is to be asked instead, where it was not asked now because of the limits; None: nothing is left."""
        mover = await subscriptions.by_id(session, await now_known_as(session, subscriber))
        if mover is None or mover.is_erased or mover.address == address:
            return None
        turn = await self._turn(session, address, now, busy=busy)
        if turn == now:
            await ledger.ask_address(session, mover.id, address, now=now)
        return turn if turn and turn > now else None

    async def preview_move(self, token: str, now: datetime) -> Wish | None:
        """What an `address` token is about, for the page that GET shows; changes nothing. None: it moves nobody."""
        number = self._verify("address", token, now)
        if number is None:
            return None
        async with self._database.reading() as session:
            return await self._wish(session, await readdressing.question(session, number))

    async def move(self, token: str, now: datetime) -> Wish | None:
        """POST of that page: from now on mails go to the new address."""
        number = self._verify("address", token, now)
        if number is None:
            return None

        async def answer(session: AsyncSession) -> Wish | None:
            question = await readdressing.question(session, number, held=True)  # two presses: one moves
            wish = await self._wish(session, question)
            if question is None or wish is None or wish.is_done:
                return wish
            await self._move(session, wish, now)
            await readdressing.answered(session, number, now)
            return await self._wish(session, replace(question, done_at=now))

        moved = await self._database.again(answer)
        self._wake()
        return moved

    async def _move(self, session: AsyncSession, wish: Wish, now: datetime) -> None:
        mover = wish.account.subscriber
        if mover.address != wish.address:
            await self._leave(session, mover, wish.address, now)
        await suppressions.lift(session, self._fingerprint(wish.address))
        await self._catch_up.back(session, mover.id, now)
        await heard(session, mover.id, now)

    async def _leave(self, session: AsyncSession, mover: Subscriber, address: str, now: datetime) -> None:
        there = await subscriptions.find(session, mover.channel, address)
        if there is not None:
            await self._catch_up.leave_zone(session, there.id, mover.timezone, now)
        old = self._fingerprint(mover.address)
        await relocate(session, mover.id, address, now)
        if await suppressions.has(session, old) is None:
            await ledger.tell_moved(session, mover.id, mover.address, now=now)
        await suppressions.add(session, old, Suppressed.MOVED, now)

    async def _wish(self, session: AsyncSession, question: Question | None) -> Wish | None:
        if question is None or (question.is_overtaken and question.done_at is None):  # a yes stays one
            return None
        mover = await subscriptions.by_id(session, await now_known_as(session, question.subscriber))
        if mover is None or mover.is_erased:
            return None
        account = await self._account(session, mover.id)
        if question.done_at is None:
            kept_out = await suppressions.has(session, self._fingerprint(question.address))
            may_say_yes = kept_out is None or kept_out.may_be_asked
            return Wish(account, question.address, is_done=False) if may_say_yes else None
        if mover.address != question.address:  # they have gone elsewhere since
            return None
        told = await readdressing.was_told(session, mover.id, question.done_at)
        return Wish(account, question.address, is_done=True, is_told=told)
