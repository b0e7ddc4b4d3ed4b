"""Who asks the hub: how often one visitor may, how often one callback's host is asked about, and what stands for them.

Rules, in order:

1. A visitor has so many turns, and so has each callback's host, whoever speaks in its name: nobody can make us call a
   stranger without end.
2. Nobody's address is kept: requests and leases are counted for each visitor by a keyed digest.
3. One process keeps turns in memory, and the digest's key dies with it (`OwnAskers`). Where several machines answer,
   turns are rows that all take from, and the key follows from the site's secret, so that one visitor has one share
   whichever machine answers (`SharedAskers`; `web.shared_limits`).
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Protocol

from syndicator.domain.tokens import Tokens
from syndicator.store.database import Database
from syndicator.web.limits import Limits, Window
from syndicator.web.shared_limits import turn_of

__all__ = ["EACH_HOST", "EACH_VISITOR", "Askers", "OwnAskers", "SharedAskers"]

EACH_VISITOR = Window(120, timedelta(minutes=10))
EACH_HOST = Window(120, timedelta(minutes=10))
DIGITS = 32  # of a digest


class Askers(Protocol):
    """See the module."""

    def digest(self, visitor: str) -> str:
        """What stands for that visitor: 32 hexadecimal digits."""
        ...

    async def visitor(self, visitor: str, now: datetime) -> int:
        """Take one of that visitor's turns: 0, or the seconds to wait when there is none.

        Raises:
            DatabaseTrouble: turns are rows, and the database fails; none is taken.
        """
        ...

    async def host(self, host: str, now: datetime) -> int:
        """The same of a callback's host."""
        ...


class OwnAskers:
    """Of one process that answers alone."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._visitors, self._hosts = Limits(EACH_VISITOR), Limits(EACH_HOST)

    def digest(self, visitor: str) -> str:
        """See `Askers`."""
        return hashlib.blake2b(visitor.encode(), key=self._key, digest_size=DIGITS // 2).hexdigest()

    async def visitor(self, visitor: str, now: datetime) -> int:
        """See `Askers`."""
        return self._visitors.take(visitor, now)

    async def host(self, host: str, now: datetime) -> int:
        """See `Askers`."""
        return self._hosts.take(host, now)


class SharedAskers:
    """Of all machines together; the database's clock counts."""

    def __init__(
        self, database: Database, tokens: Tokens, *, each: Window = EACH_VISITOR, of_host: Window = EACH_HOST
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._each = each
        self._of_host = of_host

    def digest(self, visitor: str) -> str:
        """See `Askers`."""
        return self._tokens.fingerprint("hub asker", visitor)[:DIGITS]

    async def visitor(self, visitor: str, now: datetime) -> int:  # noqa: ARG002  # machines' clocks differ
        """See `Askers`."""
        return await self._turn("hub visitor", visitor, self._each)

    async def host(self, host: str, now: datetime) -> int:  # noqa: ARG002  # the same
        """See `Askers`."""
        return await self._turn("hub host", host, self._of_host)

    async def _turn(self, kind: str, name: str, window: Window) -> int:
        async with self._database.writing() as session:
            return await turn_of(session, self._tokens, kind, name, window)
