"""Questions by mail, whatever they ask: whether one more may go to an address, and when.

Rules, in order:

1. At most one question per mailbox an hour and three a day, whoever asks and however they spell its address
   (`addresses.mailbox`); one a day when the caller says that it is `busy`. Confirmations and questions to new addresses
   count alike. Of two who ask at once the second sees what the first one did. Callers add limits of their own.
2. Who comes beyond that has a turn later, and loses nothing but time.
3. Who may not even be asked (the office blocked them, they complained about being asked) gets none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.pipeline.accounts import Accounts
from syndicator.pipeline.addresses import email_address, mailbox
from syndicator.store import letterboxes, suppressions

__all__ = ["Asking"]

log = structlog.get_logger()

HOUR = timedelta(hours=1)
PER_HOUR = 1
PER_DAY = 3
PER_BUSY_DAY = 1
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Asking(Accounts):
    """See the module's rules."""

    def check_address(self, address: str) -> str:
        """The normal form of an email address.

        Raises:
            BadAddress: what is wrong with it, in one line.
        """
        return email_address(address)

    async def _turn(self, session: AsyncSession, address: str, now: datetime, *, busy: bool) -> datetime | None:
        """When one more question may go to that address: `now`, and it is counted, or later. None: never."""
        kept_out = await suppressions.has(session, self._fingerprint(address))
        if kept_out is not None and not kept_out.may_be_asked:
            log.info("a question held back: that address may not be asked", reason=kept_out.value)
            return None
        box = self._tokens.fingerprint("mailbox", mailbox(address))
        asked = await letterboxes.held(session, box, now)
        turn = max(_free(asked, PER_HOUR, HOUR), _free(asked, PER_BUSY_DAY if busy else PER_DAY, letterboxes.DAY), now)
        if turn == now:
            await letterboxes.count(session, box, asked, now)
        else:
            log.info("a question waits: that mailbox has had its share", seconds=round((turn - now).total_seconds()))
        return turn


def _free(asked: Sequence[datetime], most: int, span: timedelta) -> datetime:
    """When fewer than `most` of these times will be within `span`."""
    return asked[-most] + span if len(asked) >= most else LONG_AGO
