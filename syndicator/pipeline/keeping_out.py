"""The office's own word about addresses: kept out, or let in again. What mail itself brings about is `returning`.

Rules, in order:

1. Who is kept out gets nothing from the commit on: what they had subscribed to ends with it, and what somebody has
   asked for there and still waits goes out no more. Nobody need be known by that address; it is kept out of sign-ups
   and imports all the same.
2. Letting in sends nothing and brings no subscription back: they may be asked, or imported, again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.bounces import Suppressed
from syndicator.domain.model import ChannelKind
from syndicator.domain.tokens import Tokens
from syndicator.pipeline.addresses import email_address
from syndicator.store import readdressing, subscriptions, suppressions
from syndicator.store.database import Database

__all__ = ["ENDED", "KeepingOut", "KeptOut"]

ENDED = "kept out by the office"


@dataclass(frozen=True, slots=True)
class KeptOut:
    """Why an address is kept out now, and how many subscriptions have ended by it."""

    reason: Suppressed
    ended: int


class KeepingOut:
    """See the module's rules. Every method is one transaction, and takes the address as people write it.

    Raises:
        BadAddress: it is no address.
    """

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    async def suppress(self, address: str, reason: Suppressed, now: datetime) -> KeptOut:
        """Keep it out; a stronger reason that stands already stays."""
        known, fingerprint = self._both(address)

        async def suppress(session: AsyncSession) -> KeptOut:
            await suppressions.add(session, fingerprint, reason, now)
            await readdressing.call_off(session, known, now)
            found = await subscriptions.find(session, ChannelKind.EMAIL, known)
            ended = await subscriptions.end_all(session, found.id, ENDED, now) if found else 0
            return KeptOut(await suppressions.has(session, fingerprint) or reason, ended)

        return await self._database.again(suppress)

    async def allow(self, address: str) -> Suppressed | None:
        """Let it in again; why it was kept out, None if it was not."""
        _, fingerprint = self._both(address)
        async with self._database.writing() as session:
            return await suppressions.allow(session, fingerprint)

    async def check(self, address: str) -> Suppressed | None:
        """Why it is kept out; None if it is not."""
        _, fingerprint = self._both(address)
        async with self._database.reading() as session:
            return await suppressions.has(session, fingerprint)

    def _both(self, address: str) -> tuple[str, str]:
        known = email_address(address)
        return known, self._tokens.fingerprint("address", known)
