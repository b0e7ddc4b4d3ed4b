"""What a transaction wants done once it is committed: jobs that go into the queue with it, and a word to all processes.

Rules, in order:

1. Only jobs of rows that this transaction made are wanted. Most keys name one row, so no queue has them yet; where one
   job does all rows of a kind, the one that waits becomes earlier.
2. Where jobs follow from the database alone (one process), nobody listens, and nothing is written.
3. What else a change makes due is found by whoever plans (`pending`), who is told that there was one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.ports import Job

__all__ = ["Post", "has_others", "opened", "posted", "tell", "want"]

_WANTED = "syndicator.wanted"
_OTHERS = "syndicator.others"


class Post(Protocol):
    """Puts jobs into the queue by the session's own connection, and tells all processes when it commits."""

    async def __call__(self, session: AsyncSession, jobs: Sequence[Job], /) -> None:
        """Part of the transaction: it is all committed, or none of it.

        Raises:
            OSError: the database fails.
        """
        ...


def want(session: AsyncSession, *jobs: Job) -> None:
    """These jobs are to be done once this transaction is committed (rule 1); all processes are told."""
    session.info.setdefault(_WANTED, []).extend(jobs)


def tell(session: AsyncSession) -> None:
    """Something changes that others may have to act on: feeds, embargoes, digests."""
    want(session)


def opened(session: AsyncSession, post: Post | None) -> None:
    """The session begins; `post` is what it will be handed over to."""
    session.info[_OTHERS] = post is not None


def has_others(session: AsyncSession) -> bool:
    """Whether its jobs go into a queue that several processes draw from."""
    return bool(session.info.get(_OTHERS))


async def posted(session: AsyncSession, post: Post | None) -> None:
    """Hand over what is wanted, at the end of the transaction."""
    jobs = session.info.pop(_WANTED, None)
    if post is not None and jobs is not None:
        await post(session, jobs)
