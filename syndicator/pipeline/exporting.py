"""Subscribers as a CSV file that `importing` takes: the way to another office, another bot, another service.

Rules, in order:

1. A row is an active subscription of a person, with its consent, in the columns of `importing.COLUMNS`; nothing of it
   is rounded. Opt-ins that wait and what has ended are no subscriptions.
2. The file knows no pauses: whoever is paused is in it, and so counted, unless `without_paused`.
3. A file of any length takes no more memory than a page of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from syndicator.domain.model import ChannelKind
from syndicator.pipeline.importing import COLUMNS
from syndicator.store import personal
from syndicator.store.database import Database
from syndicator.store.people import PAUSED

__all__ = ["exported_rows"]


async def exported_rows(
    database: Database, *, without_paused: bool = False
) -> AsyncGenerator[tuple[dict[str, str], bool], None]:
    """Each row by its columns, and whether its person is paused."""
    async with database.reading() as session, aclosing(personal.exported(session)) as rows:
        async for row in rows:
            paused = row["state"] == PAUSED
            if not (paused and without_paused):
                yield _row(row), paused


def _row(row: Mapping[Any, Any]) -> dict[str, str]:
    said = {
        **{name: row[name] for name in ("address", "channel", "language", "timezone", "cadence")},
        "filter": row["canonical"],
        "consent_at": row["consent_at"].isoformat() if row["consent_at"] else "",
        **{name: row[name] for name in ("consent_source", "consent_text")},
        "text_only": "yes" if row["text_only"] else "no" if row["channel"] == ChannelKind.EMAIL else "",
    }
    return {name: said[name] for name in COLUMNS}
