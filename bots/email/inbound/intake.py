"""Taking one mail in: read it, do what follows, keep what nobody can make sense of. Done, or raised and not done.

Rules, in order:

1. When `take` returns, what followed is committed, or the mail stands in the folder: whoever brought it may delete it.
   When it raises, nothing has happened, and the mail must come again. Other people's mail, which is not about ours at
   all, never raises for its own sake: the newest of it are kept (`keeping`), a long one as far as it was read.
2. Taking the same mail in again changes nothing (`pipeline.returning`).
3. Reading is pure and may take a while: it runs in a thread, so that nobody waits for a hostile mail.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import structlog

from bots.email.inbound.keeping import Keep
from bots.email.inbound.reading import addressees, read
from syndicator.domain.ports import Clock
from syndicator.domain.returns import CameIn, Unclear
from syndicator.domain.tokens import Tokens
from syndicator.pipeline.returning import Returning

__all__ = ["LARGEST", "Intake"]

log = structlog.get_logger()

LARGEST = 1_000_000  # bytes of a mail that is taken in; reports give back headers, or one mail of ours (100 KB)


class Intake:
    """See the module's rules."""

    def __init__(self, returning: Returning, keep: Keep, *, tokens: Tokens, clock: Clock) -> None:
        self._returning = returning
        self._keep = keep
        self._tokens = tokens
        self._clock = clock

    async def take(
        self, data: bytes, recipients: Sequence[str] = (), *, sender: str | None = None, whole: bool = True
    ) -> str:
        """Take a mail in; what it was, in one word. Without `whole` only its beginning is here.

        `recipients` and `sender` are the envelope's; none: from a mailbox, which keeps no envelope.

        Raises:
            OSError: not now: the database, the folder, or the mail that it is about is not ready for it.
        """
        now = self._clock()
        came = await asyncio.to_thread(self._read, data, recipients, sender)
        if isinstance(came, Unclear):
            if not whole and came.may_matter:
                raise OSError(f"a mail of more than {LARGEST} bytes that nobody can make sense of")
            await asyncio.to_thread(self._keep.keep if came.may_matter else self._keep.keep_other, data)
            log.warning("a mail that came in is kept for a person to look at", reason=came.reason)
        return await self._returning.take(came, now, also=hashlib.sha256(data).hexdigest())

    def _read(self, data: bytes, recipients: Sequence[str], sender: str | None) -> CameIn:
        try:
            return read(data, recipients or addressees(data), self._tokens, self._clock(), sender=sender)
        except Exception as error:
            log.exception("a mail that came in could not be read")
            return Unclear(f"it could not be read: {type(error).__name__}")
