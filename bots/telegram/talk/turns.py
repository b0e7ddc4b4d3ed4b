"""What a handler of the dialogue is given, and what a part of it brings: commands, buttons and questions.

Rules, in order:

1. A handler gets a `Turn` and gives a `Screen` (or several, or None): it neither sends nor edits.
2. The screen that follows a press takes the place of the one that was pressed; what follows a message is sent.
3. Names of commands and actions of presses belong to one part each; two parts that want the same are a mistake of
   ours, found at the start.
4. A question is known again by its own words in any language, since Telegram gives them back with the answer: so
   nothing is remembered, and an answer after a restart, or years later, is still one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from telegram import Bot

from bots.telegram.talk.screens import Press, Screen
from syndicator.domain.filters import BadFilter, Filter, parse
from syndicator.domain.model import Cadence, OtherLanguage, SubscriptionState
from syndicator.domain.quiet import Quiet
from syndicator.i18n import Translator
from syndicator.pipeline.subscribing import Account
from syndicator.store.subscriptions import Consent, Subscriber, Subscription

__all__ = ["Chats", "Command", "Heard", "Part", "PressHandler", "Said", "Turn", "quiet_of"]

log = structlog.get_logger()


class Chats(Protocol):
    """What the dialogue asks of `pipeline.subscribing.Subscribing`."""

    async def chat(self, chat: int | str, *, language: str, now: datetime) -> Account:
        """The account of a chat, made if new, resumed if it had blocked us."""
        ...

    async def known(self, chat: int | str) -> Account | None:
        """The account of a chat that has one; nothing is written."""
        ...

    async def choose(
        self,
        account: Account,
        filter_: Filter | None,
        *,
        cadence: Cadence | None = None,
        consent: Consent,
        now: datetime,
    ) -> Account:
        """This filter takes the place of what the chat had; None ends it. Without `cadence` it keeps its own."""
        ...

    async def set_reading(
        self,
        account: Account,
        *,
        language: str | None = None,
        timezone: str | None = None,
        other_language: OtherLanguage | None = None,
        now: datetime | None = None,
    ) -> Account:
        """The reader's language and zone, and whether another language will do."""
        ...

    async def set_quiet(self, account: Account, quiet: Quiet | None, *, now: datetime) -> Account:
        """The hours in which only what is urgent is sent; None for none."""
        ...

    async def rest(self, account: Account, until: datetime | None, *, now: datetime) -> Account:
        """Nothing until then; None: until they say so."""
        ...

    async def resume(self, account: Account, *, now: datetime) -> Account:
        """The pause is over."""
        ...

    async def blocked(self, chat: int | str, *, reason: str) -> None:
        """The chat blocked the bot: paused, topics kept."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that a person did. `said` is what stood behind the command, or the answer: hostile, up to 4096 long.

    `replied` is the number of the message that theirs replies to, if any; `shown` is what the screen said whose button
    they pressed, "" where Telegram no longer tells.
    """

    account: Account
    t: Translator
    now: datetime
    chat: int
    bot: Bot
    said: str = ""
    replied: int | None = None
    shown: str = ""

    @property
    def lang(self) -> str:
        """The reader's language."""
        return self.t.lang

    @property
    def subscriber(self) -> Subscriber:
        """The person, as we know them."""
        return self.account.subscriber

    @property
    def cadence(self) -> Cadence:
        """How often they hear from us."""
        return self.subscription.cadence if self.subscription else Cadence.IMMEDIATE

    @property
    def zone(self) -> ZoneInfo:
        """The reader's clock; one that the machine does not know (any more) is UTC."""
        try:
            return ZoneInfo(self.subscriber.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo("UTC")

    def after(self, account: Account) -> Turn:
        """The same, once something has changed."""
        return replace(self, account=account)

    @property
    def subscription(self) -> Subscription | None:
        """The one that a chat has; None for nothing."""
        active = (one for one in self.account.subscriptions if one.state is SubscriptionState.ACTIVE)
        return next(active, None)

    @property
    def typed(self) -> str:
        """What they wrote, now and when they agreed: words are stored folded, and shown as they were typed."""
        return "\n".join([self.said, *(one.consent_text for one in reversed(self.account.subscriptions))])

    @property
    def chosen(self) -> Filter | None:
        """What the chat gets; None for nothing."""
        if self.subscription is None:
            return None
        try:
            return parse(self.subscription.filter)
        except BadFilter as error:
            log.warning("telegram dialogue: a stored filter cannot be read", reason=str(error))
            return None


def quiet_of(turn: Turn) -> Quiet | None:
    """The quiet hours that hold; none where they cannot be read."""
    try:
        return Quiet.parse(turn.subscriber.quiet)
    except ValueError:
        return None


Said = Screen | Sequence[Screen] | None
Heard = Callable[[Turn], Awaitable[Said]]
PressHandler = Callable[[Turn, Press], Awaitable[Said]]


@dataclass(frozen=True, slots=True)
class Command:
    """`/name`; `what` is the English text (a msgid of telegram.po) beside it in the menu, "" for one that is not in it.

    The menu is sorted by `place`.
    """

    name: str
    what: str
    place: int
    run: Heard


@dataclass(frozen=True, slots=True)
class Part:
    """One idea of the dialogue. `questions` are the English texts of what is asked, each with who hears the answer.

    `strangers` are what a press says to a chat that we know nothing of; by any other press it becomes known.
    """

    commands: Sequence[Command] = ()
    presses: Mapping[str, PressHandler] = field(default_factory=dict)
    questions: Mapping[str, Heard] = field(default_factory=dict)
    strangers: Mapping[str, Callable[[Translator], Screen]] = field(default_factory=dict)
