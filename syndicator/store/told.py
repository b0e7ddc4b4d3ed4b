"""What the ledger has about a release and one reader: all that was sent to them, is being sent, or waits.

Rules, in order:

1. It is looked at when something that follows the release is claimed, and in the claim's own transaction. On
   PostgreSQL the claim holds the reader's row meanwhile: two claims for one reader are made one after the other.
2. A release, its corrections and the digests that tell of it bring copies; edits and withdrawals change them.
3. What follows a release follows in the order of the changes, and so do the answers: by message, and never by the time
   at which somebody's clock says that they came.
4. A withdrawal stops what has begun and waits: it is not to go on. What was accepted of it stands in its answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState, MessageKind
from syndicator.store.indexed import has_answer
from syndicator.store.known import is_known
from syndicator.store.tables import DELIVERY, DIGEST_ITEM, MESSAGE, SUBSCRIBER

__all__ = ["FOLLOWING", "WITHDRAWN", "Told", "look"]

FOLLOWING = (MessageKind.CORRECTION, MessageKind.EDIT, MessageKind.WITHDRAWAL)
BRINGING = (MessageKind.RELEASE, MessageKind.CORRECTION, MessageKind.DIGEST)
ANSWERED = (DeliveryState.SENT, DeliveryState.UNKNOWN)
WAITING = (DeliveryState.DUE, DeliveryState.DEFERRED)
WITHDRAWN = "the release is withdrawn"  # why a row was held back; one that had not begun goes out if it comes back


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery to the same reader about the same release. `is_here`: it is being claimed in the same breath."""

    delivery: int
    message: int
    kind: MessageKind
    lang: str
    state: DeliveryState
    answer: Mapping[str, Any]
    resent: bool
    due_at: datetime
    settled_at: datetime | None
    is_here: bool

    @property
    def has_begun(self) -> bool:
        """Whether something of it may have arrived."""
        return bool(self.answer) or self.resent or self.state in ANSWERED

    @property
    def waits(self) -> bool:
        """Whether it is still to go out."""
        return self.state in WAITING

    @property
    def is_answered(self) -> bool:
        """Whether a channel has answered for it, if only that nobody can tell."""
        return self.has_begun and not self.waits and self.state is not DeliveryState.SENDING

    @property
    def brings(self) -> bool:
        """Whether a copy may stand with the reader because of it."""
        return self.kind in BRINGING and self.has_begun

    @property
    def is_known(self) -> bool:
        """Whether it is known what of it arrived."""
        return self.state is DeliveryState.SENT or (self.state is not DeliveryState.UNKNOWN and not self.resent)


async def look(session: AsyncSession, rows: Sequence[Mapping[str, Any]], now: datetime) -> dict[int, list[Told]]:
    """By delivery, of those among these claimed rows that follow a release: all others, oldest message first.

    A row is what `claiming` reads of a delivery, its message and its reader.
    """
    following = [row for row in rows if MessageKind(row["kind"]) in FOLLOWING]
    if not following:
        return {}
    if session.get_bind().dialect.name == "postgresql":
        people = sorted({row["subscriber_id"] for row in following})
        mine = select(SUBSCRIBER.c.id).where(SUBSCRIBER.c.id.in_(people)).order_by(SUBSCRIBER.c.id)
        await session.execute(mine.with_for_update(key_share=True))
    here = {row["delivery"] for row in rows}
    found: dict[int, list[Told]] = {}
    for release in sorted({row["release_id"] for row in following}):
        about = [row for row in following if row["release_id"] == release]
        gone = {row["subscriber_id"] for row in about if row["kind"] == MessageKind.WITHDRAWAL}
        if gone:
            await _stop(session, release, gone, now)
        theirs = await _about(session, release, {row["subscriber_id"] for row in about}, here)
        for row in about:
            found[row["delivery"]] = [t for t in theirs[row["subscriber_id"]] if t.delivery != row["delivery"]]
    return found


async def _stop(session: AsyncSession, release: int, people: Collection[int], now: datetime) -> None:
    """What has begun and waits goes no further (rule 4)."""
    messages = select(MESSAGE.c.id).where(MESSAGE.c.release_id == release, MESSAGE.c.kind != MessageKind.WITHDRAWAL)
    begun = (
        update(DELIVERY)
        .where(DELIVERY.c.message_id.in_(messages), DELIVERY.c.subscriber_id.in_(people))
        .where(DELIVERY.c.state.in_(WAITING), or_(DELIVERY.c.resent, has_answer()))
        .values(state=DeliveryState.SUPPRESSED, reason=WITHDRAWN, settled_at=now, batch_id=None)
    )
    await session.execute(begun)


async def _about(
    session: AsyncSession, release: int, people: Collection[int], here: Collection[int]
) -> Mapping[int, list[Told]]:
    columns = [
        DELIVERY.c.id,
        *(DELIVERY.c[name] for name in ("subscriber_id", "message_id", "state", "answer", "resent", "due_at")),
        DELIVERY.c.settled_at,
        MESSAGE.c.kind,
    ]
    queries: Sequence[Select[Any]] = (
        select(*columns, DELIVERY.c.lang)
        .join_from(MESSAGE, DELIVERY, DELIVERY.c.message_id == MESSAGE.c.id)
        .where(MESSAGE.c.release_id == release, is_known(), DELIVERY.c.subscriber_id.in_(people)),
        select(*columns, DIGEST_ITEM.c.lang)
        .join_from(DELIVERY, DIGEST_ITEM, DIGEST_ITEM.c.delivery_id == DELIVERY.c.id)
        .join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        # `+ 0` keeps databases from the index on the release: it stands in everybody's digests.
        .where(DIGEST_ITEM.c.release_id + 0 == release, is_known(), DELIVERY.c.subscriber_id.in_(people)),
    )
    rows = [row for query in queries for row in (await session.execute(query)).mappings()]
    found: defaultdict[int, list[Told]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["message_id"], row["id"])):
        found[row["subscriber_id"]].append(
            Told(
                delivery=row["id"],
                message=row["message_id"],
                kind=MessageKind(row["kind"]),
                lang=row["lang"],
                state=DeliveryState(row["state"]),
                answer=row["answer"] or {},
                resent=row["resent"],
                due_at=row["due_at"],
                settled_at=row["settled_at"],
                is_here=row["id"] in here,
            )
        )
    return found
