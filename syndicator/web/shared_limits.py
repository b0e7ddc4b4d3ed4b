"""How often a visitor may sign up, where several machines answer: the limits of `web.limits`, kept in the database.

Rules, in order:

1. What holds in memory holds here: a visitor has turns of their own, nobody is refused because of others, a refused
   turn is not counted, and many together make the site busy, whichever machines they met.
2. A visitor's turns come back one by one, evenly, not all together when a window has passed: as many at once, as many
   in the long run (`store.rates`).
3. Visitors stand there by fingerprints, which say nothing without the site's secret, for an hour after their last turn
   has come back. The same two statements are made for everybody, before anybody looks at what was asked for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.tokens import Tokens
from syndicator.store import rates
from syndicator.store.database import Database
from syndicator.store.rates import Budget
from syndicator.web.limits import ALL, EACH, Window

__all__ = ["SharedLimits", "turn_of"]


class SharedLimits:
    """See the module. `now` is None where the database's clock counts, as it must where several machines ask."""

    def __init__(self, database: Database, tokens: Tokens, *, each: Window = EACH, everybody: Window = ALL) -> None:
        self._database = database
        self._tokens = tokens
        self._each = each
        self._everybody = Budget.at_once("visitors", everybody.turns, everybody.span)

    async def take(self, visitor: str, now: datetime | None = None) -> tuple[int, bool]:
        """Take a turn: the seconds to wait if there is none, and whether more take one than the site expects.

        Raises:
            DatabaseTrouble: the database fails; no turn is taken.
        """
        async with self._database.writing() as session:
            if wait := await turn_of(session, self._tokens, "visitor", visitor, self._each, now):
                return wait, False
            return 0, await rates.meter(session, self._everybody, now)


async def turn_of(
    session: AsyncSession, tokens: Tokens, kind: str, who: str, window: Window, now: datetime | None = None
) -> int:
    """Take one of somebody's own turns of that kind: 0, or the seconds to wait when there is none.

    Raises:
        DatabaseTrouble: the database fails; no turn is taken.
    """
    own = Budget.at_once(f"{kind}:{tokens.fingerprint(kind, who)}", window.turns, window.span)
    if await rates.reserve(session, own, 1, now) is not None:
        return 0
    return max(1, ceil(await rates.wait(session, own, now) / timedelta(seconds=1)))
