"""One letter on its way: operation by operation, each at its pace, until its chat is as it should be.

Rules, in order:

1. The plan is made anew after each operation, from what then stands (`plan`). What was done stands in the answer, so
   that the next attempt goes on behind it.
2. Each operation is handed over in its turn (`handing`). A wait that is too long is `Later`, and costs no attempt.
3. What a refusal means for an operation, `answers` says. A refused picture makes the letter a text.
4. Of a message that nobody can tell of, an audit is asked, where there is one for the office's channels. It stands
   there: on with the next. It does not: it is sent again, once. No telling: its place stays open, the parts behind it
   still go out, and the outcome is unknown.
5. Before anything is sent again (`resent`) the audit is asked whether it stands there already.
6. A line that is down and a chat that takes no posts are `Later`, cost no attempt, and are said once (`reach`). News
   that such a chat has not taken for `GIVEN_UP` are given up: nobody wants a month of them at once. What follows an
   earlier post is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog
from telegram import Message
from telegram.error import TelegramError

from bots.telegram.aims import Task
from bots.telegram.answers import Meaning, meaning, repeatable
from bots.telegram.audit import NotNow
from bots.telegram.copies import OWN, Stand, seal
from bots.telegram.doubts import Doubts
from bots.telegram.handing import Hand, NoPicture
from bots.telegram.lean import Posted
from bots.telegram.outcomes import is_shut, is_token_trouble, outcome
from bots.telegram.pace import MustWait
from bots.telegram.plan import Operation, Reply, Send, after, plan
from bots.telegram.traces import Trace
from syndicator.domain.letters import Gone, Later, Letter, Moved, Outcome, Refused, Sent, Unknown
from syndicator.domain.model import MessageKind, SubscriberRole
from syndicator.domain.places import Place

__all__ = ["GIVEN_UP", "Courier"]

MOST = 60  # operations of one letter; a copy has few messages
TRIES = 2  # sendings of one part, where an audit says that the first one did not arrive
GIVEN_UP = timedelta(days=3)
_NEWS = (MessageKind.RELEASE, MessageKind.DIGEST)

log = structlog.get_logger()


@dataclass(slots=True)
class Courier:
    """Carries one letter. `facts` are what the ledger keeps of the text."""

    letter: Letter
    place: Place
    stand: Stand
    hand: Hand
    doubts: Doubts
    doubted: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    _tries: dict[str, int] = field(default_factory=dict)

    @property
    def answer(self) -> dict[str, object]:
        """What the ledger keeps."""
        return self.stand.answer(self.place.chat, self.facts)

    async def carry(self, task: Task, facts: Mapping[str, object]) -> Outcome:
        """Do what the task wants.

        Raises:
            NoPicture: it has to be written without its picture, and carried again.
        """
        self.facts = facts
        parts = [part for aim in task.aims if aim.copy == OWN for part in aim.parts]
        self.stand = await self.doubts.own(self.stand, self.place, parts)
        for _ in range(MOST):
            rows = plan(self.stand, task.aims, task.word)
            if not rows:
                break
            found = await self._step(rows[0])
            if found is not None:
                return found
        else:
            return Later("there is no end to it", answer=self.answer)
        if self.stand.doubtful:
            kept = self.answer if self.stand.stands or self.stand.word or self._is_ours else {}
            return Unknown(self.doubted or self.doubts.why or "no telling whether all of it arrived", answer=kept)
        if self.stand.stuck:
            numbers = ", ".join(str(one) for one in sorted(self.stand.stuck))
            return Refused(f"post {numbers} cannot be changed: delete it by hand", self.answer)
        return Sent(self.answer, str(self.place))

    async def _step(self, operation: Operation) -> Outcome | None:
        """One operation; an outcome where the letter ends with it."""
        try:
            if await self._stands_already(operation):
                return None
            message = await self.hand.over(operation, self.place)
        except NotNow as wait:
            return Later(str(wait), wait.until, counts=False, answer=self.answer)
        except MustWait as wait:
            return Later(wait.reason, wait.until, counts=False, answer=self.answer)
        except TelegramError as error:
            return await self._refused(operation, error)
        await self._accepted(operation, message)
        return None

    async def _accepted(self, operation: Operation, message: Any) -> None:
        """Take it down, and what Telegram calls the chat."""
        number = 0
        if self._is_ours:
            self.hand.reach.opened(self._name)
        if isinstance(operation, Send | Reply) and isinstance(message, Message | Posted):
            number = message.message_id
            self.hand.pace.pacer.same(self.place.chat, message.chat.id)
            self.place = self.place.within(message.chat.id)
            await self.doubts.accepted(self.place, number)
        self.stand = after(self.stand, operation, number)

    async def _refused(self, operation: Operation, error: TelegramError) -> Outcome | None:
        match meaning(operation, error):
            case Meaning.DONE:
                self.stand = after(self.stand, operation)
            case Meaning.FIXED:
                self.stand = replace(self.stand, fixed=self.stand.fixed | {operation.message})  # type: ignore[union-attr]  # a deletion
            case Meaning.STUCK:
                self._keep_stuck(operation.message)  # type: ignore[union-attr]  # an edit
            case Meaning.NO_PICTURE:
                raise NoPicture from None
            case Meaning.PLAIN:
                return await self._plainly(operation, error)
            case Meaning.OUTCOME:
                return await self._ended(operation, error)
        return None

    async def _plainly(self, operation: Operation, error: TelegramError) -> Outcome | None:
        log.warning("telegram refused the markup, sending plain text", reason=error.message)
        try:
            message = await self.hand.over(operation, self.place, plain=True)
        except MustWait as wait:
            return Later(wait.reason, wait.until, counts=False, answer=self.answer)
        except TelegramError as again:
            if meaning(operation, again) is Meaning.DONE:
                self.stand = after(self.stand, operation)
                return None
            return await self._ended(operation, again)
        await self._accepted(operation, message)
        return None

    async def _ended(self, operation: Operation, error: TelegramError) -> Outcome | None:
        found = outcome(error, role=self.letter.role, now=self.hand.moment(), answer=self.answer)
        found = repeatable(operation, found)
        if isinstance(found, Unknown) and isinstance(operation, Send | Reply):
            return await self._in_doubt(operation, found)
        if is_token_trouble(error) and isinstance(found, Later) and found.not_before is not None:
            self.hand.pace.pacer.hold(found.not_before)
            log.error("telegram refuses the bot's token: set telegram.token and restart; messages wait")
        elif is_shut(error, self.letter.role):
            self.hand.reach.shut(self._name, error.message)
            if self._is_old_news:
                return Refused(f"given up after {GIVEN_UP.days} days: {error.message}", self.answer)
        match found:
            case Moved(chat):
                return Moved(str(self.place.within(int(chat))), self.answer)
            case Refused(reason):
                return Refused(reason, self.answer)
            case Gone(reason):
                return Gone(reason, self.answer)
            case _:
                return found

    @property
    def _is_ours(self) -> bool:
        return self.letter.role is SubscriberRole.CHANNEL

    @property
    def _name(self) -> str:
        """The chat as the office calls it."""
        return self.letter.written or str(self.place)

    @property
    def _is_old_news(self) -> bool:
        made = self.letter.created_at
        return self.letter.kind in _NEWS and made is not None and self.hand.moment() - made > GIVEN_UP

    # -- what nobody can tell

    async def _stands_already(self, operation: Operation) -> bool:
        """Whether what is to be sent again stands there, as the audit knows; then it is taken down.

        Raises:
            NotNow: the audit has to wait, and so has the letter.
        """
        if not (self.letter.resent and isinstance(operation, Send | Reply)) or self._tries.get(_name(operation)):
            return False
        trace = Trace.of(operation.part)
        try:
            number = await self.doubts.ask(self.place, trace)
        except NotNow:
            raise
        except OSError as error:
            self._leave_open(operation, f"no telling whether it stands there: {error}", trace)
            return True
        self._tries[_name(operation)] = 1
        if number is None:
            return False
        self.stand = after(self.stand, operation, number)
        return True

    async def _in_doubt(self, operation: Send | Reply, found: Unknown) -> Outcome | None:
        """It may have arrived."""
        name = _name(operation)
        self._tries[name] = self._tries.get(name, 0) + 1
        trace = await self.doubts.trace(self.place, operation.part)
        if not self.doubts.can_look:
            self._leave_open(operation, found.reason, trace)
            return None
        try:
            number = await self.doubts.ask(self.place, trace)
        except OSError as error:
            self.doubts.again = error if isinstance(error, NotNow) else self.doubts.again
            self._leave_open(operation, f"{found.reason}; {error}", trace)
            return None
        if number is not None:
            self.stand = after(self.stand, operation, number)
            return None
        if self._tries[name] < TRIES:
            return None  # it certainly does not stand there: the plan still has it
        return Later(f"it did not arrive: {found.reason}", answer=self.answer)

    def _leave_open(self, operation: Send | Reply, reason: str, trace: Trace) -> None:
        self.doubted = reason
        left = after(self.stand, operation, 0)
        self.stand = replace(left, traces={**left.traces, seal(operation.part): trace})

    def _keep_stuck(self, message: int) -> None:
        self.stand = replace(self.stand, stuck=self.stand.stuck | {message})
        if self._is_ours:
            log.error("a post cannot be changed: delete it by hand", post=message, chat=self._name)


def _name(operation: Send | Reply) -> str:
    return f"{type(operation).__name__} {seal(operation.part)}"
