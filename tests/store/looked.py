"""What tests of the ledger look at: its rows, and what is claimed of all open batches."""

from __future__ import annotations

from sqlalchemy import text

from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.store import ledger

TELLS = {
    ChannelKind.EMAIL: set(MessageKind) - {MessageKind.EDIT},  # the one that can change what it sent is Telegram
    ChannelKind.TELEGRAM: set(MessageKind),
}


async def rows(session):
    found = await session.execute(
        text(
            "SELECT p.address, d.lang, d.state, d.batch_id, d.attempts FROM delivery d"
            " JOIN subscriber p ON p.id = d.subscriber_id ORDER BY d.id"
        )
    )
    return found.all()


async def langs(session):
    return {row.address: row.lang for row in await rows(session)}


async def drain(session, now, limit=100):
    return [c for b in await ledger.open_batches(session) for c in await ledger.claim(session, b.id, now, limit)]
