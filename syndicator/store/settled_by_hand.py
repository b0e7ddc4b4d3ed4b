"""What an operator has found out: a delivery that nobody could tell of stands there after all, or does not.

Rules, in order:

1. Only what is `unknown` is settled by hand, and what waits to be sent again (`deferred`): what is being sent, or was
   settled by its channel, is left alone.
2. Of a message in a chat the number is kept, in the place that its own answer left open for it: corrections and
   withdrawals find it then. Without a number they treat it as one that cannot be reached, and say what they have to
   say anew.
3. The reason says that it was done by hand; the row is never sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind
from syndicator.domain.places import Place
from syndicator.store.tables import DELIVERY, MESSAGE, SUBSCRIBER

__all__ = ["BY_HAND", "SETTLED", "settle_by_hand"]

SETTLED = (DeliveryState.UNKNOWN, DeliveryState.DEFERRED)
BY_HAND = "settled by hand"
_TOLD_BY_REPLY = (MessageKind.CORRECTION, MessageKind.WITHDRAWAL)


async def settle_by_hand(
    session: AsyncSession,
    delivery: int,
    *,
    outcome: Literal["sent", "failed"],
    messages: Sequence[int] = (),
    now: datetime,
) -> None:
    """Write what became of it. `messages` are the numbers under which it stands in its chat, in order.

    Raises:
        LookupError: there is no such delivery.
        ValueError: it is in no state to be settled by hand, or has no numbers; one line says which.
    """
    row = await _row(session, delivery)
    state = DeliveryState(row["state"])
    if state not in SETTLED:
        raise ValueError(f"delivery {delivery} is {state}: only unknown and deferred ones are settled by hand")
    if messages and outcome != "sent":
        raise ValueError("a message that does not stand anywhere has no number")
    if messages and row["channel"] != ChannelKind.TELEGRAM:
        raise ValueError(f"delivery {delivery} goes by {row['channel']}: only messages in chats have numbers")
    values: dict[str, Any] = {"answer": _answer(row, messages)} if messages else {}
    changed = (
        update(DELIVERY)
        .where(DELIVERY.c.id == delivery, DELIVERY.c.state == state)
        .values(state=DeliveryState(outcome), reason=BY_HAND, settled_at=now, claimed_at=None, batch_id=None, **values)
        .returning(DELIVERY.c.id)
    )
    if (await session.execute(changed)).first() is None:
        raise ValueError(f"delivery {delivery} has just been taken up: look again")


async def _row(session: AsyncSession, delivery: int) -> Mapping[str, Any]:
    query = (
        select(DELIVERY.c.state, DELIVERY.c.answer, MESSAGE.c.kind, SUBSCRIBER.c.channel, SUBSCRIBER.c.address)
        .add_columns(SUBSCRIBER.c.resolved)
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .where(DELIVERY.c.id == delivery)
    )
    found = (await session.execute(query)).mappings().first()
    if found is None:
        raise LookupError(f"delivery {delivery}: there is none")
    return dict(found)


def _answer(row: Mapping[str, Any], messages: Sequence[int]) -> dict[str, Any]:
    """The answer with these numbers in the places that were open, then behind the last."""
    answer = {"chat": Place.parse(row["resolved"] or row["address"]).chat, **row["answer"]}
    doubts = [(int(place), str(seal)) for place, seal in answer.pop("doubt", ())]
    numbers, seals = list(answer.get("messages", ())), list(answer.get("seals", ()))
    seals += [""] * (len(numbers) - len(seals))
    if not doubts and MessageKind(row["kind"]) in _TOLD_BY_REPLY:
        return {**answer, "reply": messages[-1]}
    for place, number in enumerate(messages):
        at, seal = doubts[place] if place < len(doubts) else (len(numbers), "")
        numbers.insert(at, number)
        seals.insert(at, seal)
    left = [[at, seal] for at, seal in doubts[len(messages) :]]
    return {**answer, "messages": numbers, "seals": seals, **({"doubt": left} if left else {})}
