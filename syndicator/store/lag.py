"""How far behind each channel is, asked of its batches: few rows, however many deliveries wait.

1. A batch is as old as its oldest row: rows become due when their batch is made.
2. Only a batch with something due counts; what waits for a later time is in none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import DeliveryState
from syndicator.store.tables import BATCH, DELIVERY

__all__ = ["oldest_open_batches"]


async def oldest_open_batches(session: AsyncSession) -> Mapping[str, datetime]:
    """When the oldest batch with something due was made, by channel; a channel that has none is left out."""
    due = exists().where(DELIVERY.c.batch_id == BATCH.c.id, DELIVERY.c.state == DeliveryState.DUE)
    query = (
        select(BATCH.c.channel, func.min(BATCH.c.created_at))
        .where(BATCH.c.done_at.is_(None), due)
        .group_by(BATCH.c.channel)
    )
    return {str(channel): since for channel, since in await session.execute(query)}
