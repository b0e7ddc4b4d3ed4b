"""Many wishes at once, as `subscriptions.ensure` and `subscribe` would take them one by one: a few statements a group.

Rules, in order:

1. Who unsubscribed stays so until they agree anew: a consent that is not later than the end is not taken.
2. A subscriber that exists keeps language, zone and whether mails have HTML; one that is new has those of the first
   wish.
3. At most one live subscription of a filter: an active one stays as it is, a pending one becomes active with this
   consent, another cadence ends the old row and makes a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.filters import Filter, canonical
from syndicator.domain.model import Cadence, ChannelKind, OtherLanguage, SubscriberRole, SubscriptionState
from syndicator.store.filters import share_filter
from syndicator.store.people import ACTIVE, LIVE
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import FILTER, SUBSCRIBER, SUBSCRIPTION
from syndicator.store.upsert import insert_for

__all__ = ["Wish", "enrol"]

# Ends that were no word of the person's: everything else counts as one, also what a later version may write.
NOT_THEIR_WORD = (
    "changed",
    "never confirmed",
    "the configured filter changed",
    "removed from the configuration",
    "merged",  # `moving`: the same person goes on with the other's
    "bounced",  # `retention`: a mailbox that took nothing; the list of suppressed addresses holds it back
    "kept out by the office",  # `keeping_out`: that list says so, until the office lets them in again
)
ID = SUBSCRIPTION.c.id == bindparam("which")

Person = tuple[ChannelKind, str]
Pair = tuple[int, int]  # subscriber, filter


@dataclass(frozen=True, slots=True)
class Wish:
    """One subscription that somebody agreed to. The address is in its one spelling."""

    channel: ChannelKind
    address: str
    language: str
    timezone: str
    filter: Filter
    cadence: Cadence
    consent: Consent
    text_only: bool = False


async def enrol(session: AsyncSession, wishes: Sequence[Wish], now: datetime) -> dict[int, datetime]:
    """Subscribe everyone, active at once; which wishes were left out by rule 1, by position, and when they had ended.

    As many wishes as an IN holds: a thousand, not a hundred thousand.
    """
    people = await _people(session, wishes, now)
    filters = await _filters(session, wishes)
    ended = await _ended(session, people.values())
    left_out: dict[int, datetime] = {}
    wanted: dict[Pair, list[Wish]] = {}
    for place, wish in enumerate(wishes):
        who = people[wish.channel, wish.address]
        if who in ended and wish.consent.at <= ended[who]:
            left_out[place] = ended[who]
            continue
        same = wanted.setdefault((who, filters[canonical(wish.filter)]), [])
        if not same or same[-1].cadence is not wish.cadence:  # said twice is said once
            same.append(wish)
    while wanted:
        await _subscribe(session, {pair: same[0] for pair, same in wanted.items()}, now)
        wanted = {pair: same[1:] for pair, same in wanted.items() if len(same) > 1}
    return left_out


async def _people(session: AsyncSession, wishes: Sequence[Wish], now: datetime) -> dict[Person, int]:
    """The subscribers' ids, made if new; in one order, so that two imports never wait for each other."""
    first: dict[Person, Wish] = {}
    for wish in wishes:
        first.setdefault((wish.channel, wish.address), wish)
    usual: dict[str, Any] = {"role": SubscriberRole.PERSON, "resolved": "", "other_language": OtherLanguage.URGENT}
    usual |= {"state": ACTIVE, "state_reason": "", "created_at": now}
    rows = [
        {
            "channel": channel,
            "address": address,
            "language": wish.language,
            "timezone": wish.timezone,
            "text_only": wish.text_only,
            **usual,
        }
        for (channel, address), wish in sorted(first.items(), key=lambda item: item[0])
    ]
    if not rows:
        return {}
    known = insert_for(session, SUBSCRIBER).on_conflict_do_nothing(index_elements=["channel", "address"])
    await session.execute(known, rows)
    found: dict[Person, int] = {}
    for kind in {channel for channel, _ in first}:
        addresses = [address for channel, address in first if channel is kind]
        query = select(SUBSCRIBER.c.address, SUBSCRIBER.c.id).where(
            SUBSCRIBER.c.channel == kind, SUBSCRIBER.c.address.in_(addresses)
        )
        found |= {(kind, address): number for address, number in await session.execute(query)}
    return found


async def _filters(session: AsyncSession, wishes: Iterable[Wish]) -> dict[str, int]:
    """The ids of the filters' shared rows by their canonical texts; each distinct one is looked at once."""
    distinct = {canonical(wish.filter): wish.filter for wish in wishes}
    query = select(FILTER.c.canonical, FILTER.c.id).where(FILTER.c.canonical.in_(list(distinct)))
    found: dict[str, int] = {text: number for text, number in await session.execute(query)}  # noqa: C416
    for text in sorted(distinct.keys() - found.keys()):
        found[text] = await share_filter(session, distinct[text])
    return found


async def _ended(session: AsyncSession, people: Collection[int]) -> dict[int, datetime]:
    """When each of them last ended a subscription."""
    query = (
        select(SUBSCRIPTION.c.subscriber_id, func.max(SUBSCRIPTION.c.ended_at))
        .where(
            SUBSCRIPTION.c.subscriber_id.in_(list(people)),
            SUBSCRIPTION.c.state == SubscriptionState.ENDED,
            SUBSCRIPTION.c.ended_at.is_not(None),
            SUBSCRIPTION.c.ended_reason.not_in(NOT_THEIR_WORD),
        )
        .group_by(SUBSCRIPTION.c.subscriber_id)
    )
    return {who: when for who, when in await session.execute(query)}  # noqa: C416  # rows, not pairs


async def _subscribe(session: AsyncSession, wanted: Mapping[Pair, Wish], now: datetime) -> None:
    """Each pair of subscriber and filter once."""
    live = SUBSCRIPTION.c.subscriber_id.in_({who for who, _ in wanted}) & LIVE
    columns = ("id", "subscriber_id", "filter_id", "cadence", "state")
    held = await session.execute(select(*(SUBSCRIPTION.c[name] for name in columns)).where(live))
    new = dict(wanted)
    confirmed: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for row in held:
        wish = wanted.get((row.subscriber_id, row.filter_id))
        if wish is None:
            continue
        if row.cadence != wish.cadence:
            changed.append({"which": row.id})
            continue
        del new[row.subscriber_id, row.filter_id]
        if row.state == SubscriptionState.PENDING:
            confirmed.append({"which": row.id, **_active(wish, now)})
    if confirmed:
        await _each(session, {name: bindparam(name) for name in confirmed[0] if name != "which"}, confirmed)
    if changed:
        ended = {"state": SubscriptionState.ENDED, "ended_at": now, "ended_reason": "changed"}
        await _each(session, ended, changed)
    rows = [
        {
            "subscriber_id": who,
            "filter_id": shared,
            "cadence": wish.cadence,
            "created_at": now,
            "ended_reason": "",
            **_active(wish, now),
        }
        for (who, shared), wish in new.items()
    ]
    if rows:  # one that somebody else makes meanwhile is theirs: the database forbids a second
        await session.execute(insert_for(session, SUBSCRIPTION).on_conflict_do_nothing(), rows)


async def _each(session: AsyncSession, values: Mapping[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """The same change of many rows, by id: on the connection, since a session would take it for objects of its own."""
    connection = await session.connection()
    await connection.execute(update(SUBSCRIPTION).where(ID).values(values), rows)


def _active(wish: Wish, now: datetime) -> dict[str, Any]:
    return {
        "state": SubscriptionState.ACTIVE,
        "confirmed_at": now,
        "consent_at": wish.consent.at,
        "consent_source": wish.consent.source,
        "consent_text": wish.consent.text,
    }
