"""What tests of the ledger look at: its rows, and what is claimed of all open batches; and who may claim."""

from __future__ import annotations

from sqlalchemy import text

from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.engine import schema
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


async def register(database, *numbers):
    """Processes that count as alive; where one has the database to itself nobody asks."""
    if not database.url.startswith("postgresql"):
        return
    await schema.upgrade(database.url)
    async with database.writing() as session:
        for number in numbers:
            await session.execute(
                text("INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (:id)"), {"id": number}
            )
