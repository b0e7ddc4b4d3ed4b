"""Questions by mail, whatever they ask: whether one more may go to an address.

Rules, in order:

1. At most one question per address an hour and three a day, whoever asks and however they spell it; one a day when
   the caller says that it is `busy`. Confirmations and questions to new addresses count alike. Callers add limits of
   their own.
2. Who may not even be asked (the office blocked them, they complained about being asked) gets none.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.pipeline.accounts import Accounts
from syndicator.pipeline.addresses import email_address
from syndicator.store import ledger, suppressions

__all__ = ["Asking"]

log = structlog.get_logger()

PER_HOUR = 1
PER_DAY = 3
PER_BUSY_DAY = 1


class Asking(Accounts):
    """See the module's rules."""

    def check_address(self, address: str) -> str:
        """The normal form of an email address.

        Raises:
            BadAddress: what is wrong with it, in one line.
        """
        return email_address(address)

    async def _may_ask(self, session: AsyncSession, address: str, now: datetime, *, busy: bool) -> bool:
        """Whether one more question may go to that address."""
        kept_out = await suppressions.has(session, self._fingerprint(address))
        if kept_out is not None and not kept_out.may_be_asked:
            log.info("a question held back: that address may not be asked", reason=kept_out.value)
            return False
        hour = await ledger.asked_of(session, address, now - timedelta(hours=1))
        day = await ledger.asked_of(session, address, now - timedelta(days=1))
        if hour >= PER_HOUR or day >= (PER_BUSY_DAY if busy else PER_DAY):
            log.info("a question held back: that address has had its share")
            return False
        return True
