"""The door for subscribing, in memory, with the real one's rules for chats: a fake for the dialogue's own port."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from syndicator.domain.filters import Filter, canonical
from syndicator.domain.model import Cadence, ChannelKind, OtherLanguage, SubscriberRole, SubscriptionState
from syndicator.pipeline.subscribing import Account
from syndicator.store.people import ASKED, Subscriber
from syndicator.store.subscriptions import Subscription

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Person:
    chat: int
    language: str
    filter: Filter | None = None
    cadence: Cadence = Cadence.IMMEDIATE
    paused: bool = False
    rests: bool = False
    until: datetime | None = None
    quiet: str = ""
    timezone: str = "Asia/Baku"
    other_language: OtherLanguage = OtherLanguage.URGENT
    agreed: str = ""

    @property
    def account(self) -> Account:
        subscriber = Subscriber(
            id=self.chat,
            channel=ChannelKind.TELEGRAM,
            address=str(self.chat),
            role=SubscriberRole.PERSON,
            resolved="",
            language=self.language,
            timezone=self.timezone,
            other_language=self.other_language,
            state="paused" if self.paused or self.rests else "active",
            created_at=LONG_AGO,
            quiet=self.quiet,
            state_reason=ASKED if self.rests else "",
            resume_at=self.until,
        )
        return Account(subscriber, [] if self.filter is None else [self._subscription(self.filter)], "", "")

    def _subscription(self, chosen: Filter) -> Subscription:
        return Subscription(
            id=1,
            subscriber=self.chat,
            filter=canonical(chosen),
            cadence=self.cadence,
            state=SubscriptionState.ACTIVE,
            created_at=LONG_AGO,
            confirmed_at=LONG_AGO,
            ended_at=None,
            ended_reason="",
            consent_at=LONG_AGO,
            consent_source="telegram",
            consent_text=self.agreed,
        )


class FakeChats:
    """`people` by chat; `consents` in order; `broken` says the database is away."""

    def __init__(self):
        self.people, self.consents, self.broken = {}, [], False

    def _of(self, account):
        return self.people[account.subscriber.id]

    async def chat(self, chat, *, language, now):
        if self.broken:
            raise RuntimeError("the database is away")
        person = self.people.setdefault(chat, Person(chat, language))
        person.paused = False
        return person.account

    async def known(self, chat):
        return self.people[chat].account if chat in self.people else None

    async def choose(self, account, filter_, *, cadence=None, consent, now):
        self.consents.append(consent)
        person = self._of(account)
        person.cadence = cadence or (person.cadence if person.filter is not None else Cadence.IMMEDIATE)
        person.filter, person.agreed = filter_, consent.text if consent else ""
        return person.account

    async def set_reading(self, account, *, language=None, timezone=None, other_language=None, now=None):
        person = self._of(account)
        person.language = language or person.language
        person.timezone = timezone or person.timezone
        person.other_language = other_language or person.other_language
        return person.account

    async def set_quiet(self, account, quiet, *, now):
        self._of(account).quiet = str(quiet or "")
        return self._of(account).account

    async def rest(self, account, until, *, now):
        person = self._of(account)
        person.rests, person.until = True, until
        return person.account

    async def resume(self, account, *, now):
        person = self._of(account)
        person.rests, person.paused, person.until = False, False, None
        return person.account

    async def blocked(self, chat, *, reason):
        if chat in self.people:
            self.people[chat].paused = True


def labels(message):
    """What stands on the buttons under a message, in order."""
    return [button["text"] for row in message["keyboard"] for button in row]
