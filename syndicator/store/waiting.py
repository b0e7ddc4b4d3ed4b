"""What a channel asks of the store while its letters wait.

1. What is read must be cheap: `changes` is asked before messages are sent, by the release's own number.
2. `follow_ups` begins with the office's own chats, which are few, and is asked while one of them is paused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, SubscriberRole
from syndicator.store.indexed import in_state
from syndicator.store.tables import DELIVERY, MESSAGE, RELEASE, SUBSCRIBER

__all__ = ["FollowUp", "changes", "follow_ups"]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A correction or withdrawal on its way to a chat of the office's own, which the channel calls `resolved`."""

    delivery: int
    release: int
    address: str
    resolved: str


async def changes(session: AsyncSession, releases: Collection[int]) -> Mapping[int, int]:
    """The change at which each of these releases stands now."""
    found = await session.execute(select(RELEASE.c.id, RELEASE.c.change).where(RELEASE.c.id.in_(releases)))
    return {number: change for number, change in found}  # noqa: C416  # rows are no pairs to a type checker


async def follow_ups(session: AsyncSession, channel: ChannelKind) -> Sequence[FollowUp]:
    """What waits to follow a post in the office's own chats on that channel, oldest first."""
    query = (
        select(DELIVERY.c.id, MESSAGE.c.release_id, SUBSCRIBER.c.address, SUBSCRIBER.c.resolved)
        .join_from(SUBSCRIBER, DELIVERY, DELIVERY.c.subscriber_id == SUBSCRIBER.c.id)
        .join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .where(
            SUBSCRIBER.c.role == literal_column(f"'{SubscriberRole.CHANNEL}'"),
            SUBSCRIBER.c.channel == channel,
            or_(in_state(DeliveryState.DUE), in_state(DeliveryState.DEFERRED)),
            MESSAGE.c.kind.in_((MessageKind.CORRECTION, MessageKind.WITHDRAWAL)),
        )
        .order_by(DELIVERY.c.id)
    )
    return [FollowUp(*row) for row in await session.execute(query)]
