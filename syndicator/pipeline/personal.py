"""A person and what we hold about them: why they got something, all of it as data, and erasing it.

Rules, in order:

1. Everybody is answered about themselves alone; who asks is known by their chat, or is an operator.
2. A release is named by its title only while it may be shown (`domain.visibility`), else by its number.
3. Data are one JSON document of bounded size: the newest deliveries and subscriptions, with the count of all.
4. Erasing is `store.personal.erase`; the office's own channels are no persons and come with the configuration. A mail
   address is kept out of imports from then on, as a fingerprint, written with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Suppressed
from syndicator.domain.model import ChannelKind, Release, Standing, SubscriberRole
from syndicator.domain.site import Site
from syndicator.domain.tokens import Tokens
from syndicator.domain.topics import Taxonomy
from syndicator.domain.visibility import standing
from syndicator.i18n import Translator
from syndicator.store import applications, opt_ins, personal, releases, subscriptions, suppressions
from syndicator.store.applications import Application
from syndicator.store.database import Database
from syndicator.store.opt_ins import OptIn
from syndicator.store.personal import Entry, Erased
from syndicator.store.subscriptions import Subscriber, Subscription
from syndicator.wording import stored_in_words

__all__ = ["Because", "Personal", "Titled"]

DELIVERIES = 1000
SUBSCRIPTIONS = 1000
RETURNED = 1000
ITEMS = 20  # releases of a digest that are named
_CHUNK = 500  # releases that are looked up at once


@dataclass(frozen=True, slots=True)
class Titled:
    """A release that a message told of; `title` and `url` are "" where it may not be shown any more."""

    number: int
    lang: str
    title: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Because:
    """Something that we sent, what it told of, and the subscriptions that brought it; the first is the row's own."""

    told: Entry
    about: tuple[Titled, ...]
    subscriptions: tuple[Subscription, ...]


class Personal:
    """See the module's rules. Every method is one transaction. Without `tokens` nobody by mail can be erased."""

    def __init__(self, database: Database, *, site: Site, taxonomy: Taxonomy, tokens: Tokens | None = None) -> None:
        self._database = database
        self._site = site
        self._taxonomy = taxonomy
        self._tokens = tokens

    async def find(self, channel: ChannelKind, address: str) -> Subscriber | None:
        """By address, in any spelling that means the same."""
        async with self._database.reading() as session:
            return await subscriptions.find(session, channel, address)

    async def why(self, subscriber: int, message: int | None, now: datetime) -> Because | None:
        """Why they got that message of ours in their chat, or the last thing that went out to them; None: not known."""
        async with self._database.reading() as session:
            if message is None:
                told = await personal.last_told(session, subscriber)
            else:
                told = await personal.told_as(session, subscriber, message)
            if told is None:
                return None
            about = await self._titled(session, told.releases, now)
            return Because(told, about, tuple(await personal.matched(session, subscriber, told)))

    async def latest(self, subscriber: int, limit: int, now: datetime) -> Sequence[Because]:
        """The newest that was written for them, newest first, each with why."""
        async with self._database.reading() as session:
            rows = await personal.told(session, subscriber, limit)
            named = await self._titled(session, [pair for row in rows for pair in row.releases[:ITEMS]], now)
            titles = {(one.number, one.lang): one for one in named}
            return [
                Because(
                    row,
                    tuple(titles[pair] for pair in row.releases[:ITEMS]),
                    tuple(await personal.matched(session, subscriber, row)),
                )
                for row in rows
            ]

    async def data(self, subscriber: int, t: Translator, now: datetime) -> Mapping[str, Any] | None:
        """All that is held about them, ready for JSON, filters in the words of `t`; None where there is nobody."""
        async with self._database.reading() as session:
            facts = await personal.facts(session, subscriber)
            if facts is None:
                return None
            held = await subscriptions.of(session, subscriber, live=False)
            rows = await personal.told(session, subscriber, DELIVERIES)
            count = await personal.told_count(session, subscriber)
            returned = await personal.returned(session, subscriber, RETURNED)
            elsewhere = await personal.asked_for(session, subscriber)
            waiting = await applications.of(session, subscriber, facts["address"])
            wishes = await opt_ins.of_subscriber(session, subscriber, SUBSCRIPTIONS)
            kept_out = await self._kept_out(session, facts)
            named = await self._titled(session, [pair for row in rows for pair in row.releases[:ITEMS]], now)
        titles = {(one.number, one.lang): one for one in named}
        return {
            "made_at": _time(now),
            "office": self._site.name(t.lang),
            "subscriber": _subscriber(facts),
            "subscriptions": {
                "count": len(held),
                "newest": [self._subscription(one, t) for one in held[::-1][:SUBSCRIPTIONS]],
            },
            "deliveries": {"count": count, "newest": [_delivery(row, titles) for row in rows]},
            "came_back": [{**one, "at": _time(one["at"])} for one in returned],
            "other_addresses": [_elsewhere(one) for one in elsewhere],
            "asked_for_and_waiting": [self._application(one, facts["address"], t) for one in waiting],
            "wishes_in_letters": [self._wish(filter_, one, t) for filter_, one in wishes],
            "kept_out_because": kept_out,
        }

    async def erase(self, subscriber: Subscriber, now: datetime) -> Erased:
        """Erase a person; again is the same.

        Raises:
            ValueError: it is one of the office's own channels.
        """
        if subscriber.role is SubscriberRole.CHANNEL:
            raise ValueError(f"{subscriber.address}: this is a channel of the configuration; remove it there")
        by_mail = subscriber.channel is ChannelKind.EMAIL and not subscriber.is_erased
        if by_mail and self._tokens is None:
            raise ValueError("a mail address cannot be erased without tokens: it would come back with the next import")
        office = {"language": self._site.default_language, "timezone": self._site.timezone}

        async def erase(session: AsyncSession) -> Erased:
            if by_mail and self._tokens is not None:
                fingerprint = self._tokens.fingerprint("address", subscriber.address)
                await suppressions.add(session, fingerprint, Suppressed.ERASED, now)
            return await personal.erase(session, subscriber.id, now, **office)

        return await self._database.again(erase)

    async def _kept_out(self, session: AsyncSession, facts: Mapping[str, Any]) -> str | None:
        """Why the address stands on the list of those that get nothing, if it does."""
        if self._tokens is None or facts["channel"] != ChannelKind.EMAIL:
            return None
        found = await suppressions.has(session, self._tokens.fingerprint("address", facts["address"]))
        return None if found is None else found.value

    async def _titled(
        self, session: AsyncSession, about: Sequence[tuple[int, str]], now: datetime
    ) -> tuple[Titled, ...]:
        pairs = sorted(dict.fromkeys(about))
        named: dict[tuple[int, str], Titled] = {}
        for start in range(0, len(pairs), _CHUNK):
            part = pairs[start : start + _CHUNK]
            found = await releases.many(session, sorted({number for number, _ in part}))
            named |= {pair: self._title(found.get(pair[0]), *pair, now) for pair in part}
        return tuple(named[pair] for pair in dict.fromkeys(about))

    def _title(self, release: Release | None, number: int, lang: str, now: datetime) -> Titled:
        variant = release.variant(lang) if release else None
        if release is None or variant is None:
            return Titled(number, lang)
        if standing(release.state, release.public_at, release.opened_at, now) is not Standing.PUBLIC:
            return Titled(number, lang)
        return Titled(number, lang, variant.revision.title, self._site.release(lang, number, variant.slug))

    def _application(self, one: Application, address: str, t: Translator) -> dict[str, Any]:
        asked: dict[str, Any] = {"asked_at": _time(one.asked_at)}
        if one.subscriber is not None:  # the other address is whoever's it is: theirs only where they named it
            return asked | {"wish": "another address", "address": one.address}
        consent = {"source": one.consent_source, "text": one.consent_text}
        filter_ = {"filter": one.filter, "filter_in_words": stored_in_words(one.filter, self._taxonomy, t)}
        return asked | {"wish": "to subscribe", "address": address, **filter_, "consent": consent}

    def _wish(self, filter_: str, one: OptIn, t: Translator) -> dict[str, Any]:
        consent = {"at": _time(one.consent.at), "source": one.consent.source, "text": one.consent.text}
        return {
            "filter": filter_,
            "filter_in_words": stored_in_words(filter_, self._taxonomy, t),
            "cadence": one.cadence.value,
            "language": one.language,
            "text_only": one.text_only,
            "consent": consent,
            "is_confirmed": one.is_done,
        }

    def _subscription(self, one: Subscription, t: Translator) -> dict[str, Any]:
        return {
            "filter": one.filter,
            "filter_in_words": stored_in_words(one.filter, self._taxonomy, t),
            "cadence": one.cadence.value,
            "state": one.state.value,
            "asked_at": _time(one.created_at),
            "confirmed_at": _time(one.confirmed_at),
            "ended_at": _time(one.ended_at),
            "ended_because": one.ended_reason,
            "consent": {"at": _time(one.consent_at), "source": one.consent_source, "text": one.consent_text},
        }


def _subscriber(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "channel": facts["channel"],
        "address": facts["address"],
        "resolved_address": facts["resolved"],
        "language": facts["language"],
        "timezone": facts["timezone"],
        "other_language": facts["other_language"],
        "text_only": facts["text_only"],
        "state": facts["state"],
        "state_reason": facts["state_reason"],
        "quiet_hours": facts["quiet"],
        "paused_until": _time(facts["resume_at"]),
        "heard_from": _time(facts["heard_at"]),
        "since": _time(facts["created_at"]),
    }


def _elsewhere(one: Mapping[str, Any]) -> dict[str, Any]:
    times = {"asked_at": _time(one["asked_at"]), "confirmed_at": _time(one["done_at"])}
    return {"address": one["address"], "letter": one["kind"], **times}


def _delivery(row: Entry, titles: Mapping[tuple[int, str], Titled]) -> dict[str, Any]:
    about = [titles[pair] for pair in row.releases[:ITEMS]]
    return {
        "message": row.message,
        "kind": row.kind.value,
        "releases_count": len(row.releases),
        "releases": [
            {"number": one.number, "language": one.lang, "title": one.title, "address": one.url} for one in about
        ],
        "state": row.state.value,
        "reason": row.reason,
        "attempts": row.attempts,
        "written_at": _time(row.created_at),
        "due_at": _time(row.due_at),
        "settled_at": _time(row.settled_at),
        "answer": dict(row.answer),
    }


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat(timespec="seconds")
