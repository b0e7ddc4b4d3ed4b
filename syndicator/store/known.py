"""What this version knows of what the ledger may say: beside it a newer one may run, and write what it does not know.

Rules, in order:

1. Machines are upgraded one by one (`migrate`): meanwhile messages of a kind, batches of a channel and priorities may
   stand in the tables that only the newer version knows. The older one leaves them to it: it neither writes their
   recipients, nor claims their deliveries, nor stumbles over them.
2. Nothing else may be added like that: new states, cadences or roles need a migration that says so (`beside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, literal_column, select

from syndicator.domain.model import ChannelKind, MessageKind
from syndicator.store.tables import BATCH, DELIVERY, MESSAGE

__all__ = [
    "CHANNELS",
    "CLAIMABLE",
    "KINDS",
    "LEFT_TO_OTHERS",
    "Strange",
    "has_known_channel",
    "has_known_kind",
    "is_known",
]

KINDS = frozenset(str(kind) for kind in MessageKind)
CHANNELS = frozenset(str(channel) for channel in ChannelKind)
LEFT_TO_OTHERS = timedelta(seconds=30)  # until work of another version is offered again

_NAMES: Sequence[ColumnElement[str]] = [literal_column(f"'{kind}'") for kind in MessageKind]

CLAIMABLE = f"(SELECT m.kind FROM message m WHERE m.id = delivery.message_id) IN ({', '.join(map(str, _NAMES))})"  # noqa: S608  # constants
"""Of a row of `delivery`; written so that no database goes through all messages for it."""


class Strange(LookupError):
    """Another version wrote this, and does it."""


def is_known() -> ColumnElement[bool]:
    """Messages whose kind is known here."""
    return MESSAGE.c.kind.in_(_NAMES)


def has_known_kind() -> ColumnElement[bool]:
    """Deliveries whose message is of a kind that is known here."""
    kind = select(MESSAGE.c.kind).where(MESSAGE.c.id == DELIVERY.c.message_id).correlate(DELIVERY).scalar_subquery()
    return kind.in_(_NAMES)


def has_known_channel() -> ColumnElement[bool]:
    """Batches whose channel is known here."""
    return BATCH.c.channel.in_([literal_column(f"'{channel}'") for channel in ChannelKind])
