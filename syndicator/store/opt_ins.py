"""What somebody wished when a confirmation was written to them: it stands with that letter, and their yes applies it.

Rules, in order:

1. Each letter has its own wish. So one that a stranger asked for changes neither what is active nor what waits, and
   takes no other letter's link away.
2. A yes applies a wish once: pressed again later, it undoes nothing that was chosen since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import Cadence, MessageKind
from syndicator.store.subscriptions import Consent
from syndicator.store.tables import FILTER, MESSAGE, SUBSCRIPTION

__all__ = ["OptIn", "answered", "asked_since", "of", "of_subscriber", "write"]

KEY = "opt_in"  # in the message's `matched`


@dataclass(frozen=True, slots=True)
class OptIn:
    """How they want to read a subscription, and to which words they agreed; `is_done`: it was applied."""

    cadence: Cadence
    language: str
    text_only: bool
    consent: Consent
    is_done: bool = False

    def is_like(self, other: OptIn) -> bool:
        """Whether it wishes the same."""
        return (self.cadence, self.language, self.text_only) == (other.cadence, other.language, other.text_only)


async def write(session: AsyncSession, message: int, wish: OptIn) -> None:
    """Keep it with that confirmation."""
    said = {
        "cadence": wish.cadence.value,
        "language": wish.language,
        "text_only": wish.text_only,
        "at": wish.consent.at.isoformat(),
        "source": wish.consent.source,
        "text": wish.consent.text,
        "is_done": wish.is_done,
    }
    await session.execute(update(MESSAGE).where(MESSAGE.c.id == message).values(matched={KEY: said}))


async def of(session: AsyncSession, message: int) -> tuple[int, OptIn | None] | None:
    """A confirmation's subscription, and its wish if it has one; None where that message is none."""
    query = select(MESSAGE.c.subscription_id, MESSAGE.c.matched).where(
        MESSAGE.c.id == message, MESSAGE.c.kind == MessageKind.CONFIRMATION, MESSAGE.c.subscription_id.is_not(None)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row.subscription_id, _opt_in(row.matched))


async def of_subscriber(session: AsyncSession, subscriber: int, limit: int) -> Sequence[tuple[str, OptIn]]:
    """The newest wishes in confirmations of somebody's subscriptions, live and ended, each with what is subscribed."""
    query = (
        select(FILTER.c.canonical, MESSAGE.c.matched)
        .join_from(SUBSCRIPTION, MESSAGE, MESSAGE.c.subscription_id == SUBSCRIPTION.c.id)
        .join(FILTER, FILTER.c.id == SUBSCRIPTION.c.filter_id)
        .where(SUBSCRIPTION.c.subscriber_id == subscriber, MESSAGE.c.kind == MessageKind.CONFIRMATION)
        .order_by(MESSAGE.c.id.desc())
        .limit(limit)
    )
    found = ((row.canonical, _opt_in(row.matched)) for row in await session.execute(query))
    return [(filter_, wish) for filter_, wish in found if wish is not None]


async def answered(session: AsyncSession, message: int, wish: OptIn) -> None:
    """They said yes to it (rule 2)."""
    await write(session, message, OptIn(wish.cadence, wish.language, wish.text_only, wish.consent, is_done=True))


async def asked_since(session: AsyncSession, subscription: int, wish: OptIn, since: datetime) -> bool:
    """Whether a confirmation with that very wish was written since then."""
    query = select(MESSAGE.c.matched).where(
        MESSAGE.c.subscription_id == subscription,
        MESSAGE.c.kind == MessageKind.CONFIRMATION,
        MESSAGE.c.created_at > since,
    )
    found = [_opt_in(said) for said in await session.scalars(query)]
    return any(one is not None and one.is_like(wish) for one in found)


def _opt_in(matched: dict[str, Any] | None) -> OptIn | None:
    said = (matched or {}).get(KEY)
    if said is None:
        return None
    consent = Consent(datetime.fromisoformat(said["at"]), said["source"], said["text"])
    return OptIn(Cadence(said["cadence"]), said["language"], said["text_only"], consent, said["is_done"])
