"""Rows of the ledger by state, found by its partial indexes: a few among millions that are settled.

1. SQLite uses a partial index only if the query holds the index's own condition, with its values written out. A state
   that comes as a parameter is not enough; so who asks for rows of a state asks here.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Text, and_, cast, literal_column, true

from syndicator.domain.model import DeliveryState
from syndicator.store.tables import DELIVERY

__all__ = ["OPEN", "TROUBLED", "has_answer", "in_state"]

OPEN = (DeliveryState.DUE, DeliveryState.SENDING, DeliveryState.DEFERRED)
TROUBLED = (DeliveryState.FAILED, DeliveryState.UNKNOWN)


def in_state(state: DeliveryState) -> ColumnElement[bool]:
    """Deliveries in that state, by the index that holds it, if there is one."""
    group: Collection[DeliveryState] = next((g for g in (OPEN, TROUBLED) if state in g), ())
    return and_(DELIVERY.c.state == state, _one_of(group) if group else true())


def _one_of(states: Collection[DeliveryState]) -> ColumnElement[bool]:
    """The condition of an index, as `tables` writes it."""
    return DELIVERY.c.state.in_([literal_column(f"'{state}'") for state in states])


def has_answer() -> ColumnElement[bool]:
    """Deliveries of which a channel has said something that stands: parts of them may have been accepted."""
    return cast(DELIVERY.c.answer, Text) != literal_column("'{}'")
