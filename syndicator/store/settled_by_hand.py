"""What an operator has found out: a delivery that nobody could tell of stands there after all, or does not.

Rules, in order:

1. Only what is `unknown` is settled by hand, and what waits to be sent again (`deferred`): what is being sent, or was
   settled by its channel, is left alone.
2. Of a message in a chat the number is kept, in the place that its own answer left open for it: corrections and
   withdrawals find it then. Without a number they treat it as one that cannot be reached, and say what they have to
   say anew.
3. The reason says that it was done by hand; the row is never sent again.
4. What has followed the release since could not reach that post. With its number the newest of it is opened again, and
   changes or deletes the post without another word; without it, the operator is told what is left to do by hand.
5. What a restore has left unknown is thousands of rows of one reason: they are counted by reason, and settled together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from syndicator.domain.chat_answers import with_found, with_said, within_reach
from syndicator.domain.model import ChannelKind, DeliveryState, MessageKind, State
from syndicator.domain.places import Place
from syndicator.store.batching import ANEW, regroup, urgency
from syndicator.store.indexed import in_state
from syndicator.store.restored import MAY_HAVE_BEEN
from syndicator.store.tables import DELIVERY, HUB_LEASE, MESSAGE, RELEASE, SUBSCRIBER

__all__ = ["BY_HAND", "SETTLED", "settle_by_hand", "settle_restored", "unknown_by_reason"]

SETTLED = (DeliveryState.UNKNOWN, DeliveryState.DEFERRED)
BY_HAND = "settled by hand"
_TOLD_BY_REPLY = (MessageKind.CORRECTION, MessageKind.WITHDRAWAL)
_BRINGING = (MessageKind.RELEASE, MessageKind.CORRECTION)
_FOLLOWING = (MessageKind.CORRECTION, MessageKind.EDIT, MessageKind.WITHDRAWAL)
_STILL_TO_GO = (DeliveryState.DUE, DeliveryState.DEFERRED, DeliveryState.SENDING)


async def settle_by_hand(
    session: AsyncSession,
    delivery: int,
    *,
    outcome: Literal["sent", "failed"],
    messages: Sequence[int] = (),
    now: datetime,
) -> str:
    """Write what became of it. `messages` are the numbers under which it stands in its chat, in order.

    Returns what follows from it, in one line, or "".

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
    if outcome != "sent" or MessageKind(row["kind"]) not in _BRINGING:
        return ""
    return await _follow(session, row, messages, now)


async def unknown_by_reason(session: AsyncSession) -> Sequence[Mapping[str, Any]]:
    """How many rows are unknown: by reason, channel and release (None: digests and others), most first."""
    query = (
        select(DELIVERY.c.reason, SUBSCRIBER.c.channel, MESSAGE.c.kind, MESSAGE.c.release_id.label("release"))
        .add_columns(func.count().label("deliveries"))
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .where(in_state(DeliveryState.UNKNOWN))
        .group_by(DELIVERY.c.reason, SUBSCRIBER.c.channel, MESSAGE.c.kind, MESSAGE.c.release_id)
        .order_by(func.count().desc(), DELIVERY.c.reason, SUBSCRIBER.c.channel, MESSAGE.c.release_id)
    )
    return [dict(row) for row in (await session.execute(query)).mappings()]


async def settle_restored(
    session: AsyncSession,
    *,
    outcome: Literal["sent", "failed"],
    channel: ChannelKind | None = None,
    release: int | None = None,
    now: datetime,
) -> int:
    """All rows that a restore has left unknown, or those of that channel and release; how many."""
    chosen = in_state(DeliveryState.UNKNOWN) & DELIVERY.c.reason.startswith(MAY_HAVE_BEEN, autoescape=True)
    if channel is not None:
        theirs = select(SUBSCRIBER.c.id).where(SUBSCRIBER.c.channel == channel)
        chosen &= DELIVERY.c.subscriber_id.in_(theirs)
    if release is not None:
        chosen &= DELIVERY.c.message_id.in_(select(MESSAGE.c.id).where(MESSAGE.c.release_id == release))
    done = update(DELIVERY).where(chosen).values(state=DeliveryState(outcome), reason=BY_HAND, settled_at=now)
    return int((await session.execute(done)).rowcount)  # type: ignore[attr-defined]  # an UPDATE has one


async def _follow(session: AsyncSession, row: Mapping[str, Any], messages: Sequence[int], now: datetime) -> str:
    """Rule 4."""
    query = (
        select(DELIVERY.c.id, DELIVERY.c.state, DELIVERY.c.answer, MESSAGE.c.key, SUBSCRIBER.c.channel)
        .add_columns(urgency().label("priority"))
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .outerjoin(HUB_LEASE, HUB_LEASE.c.subscriber_id == DELIVERY.c.subscriber_id)
        .where(MESSAGE.c.release_id == row["release_id"], DELIVERY.c.subscriber_id == row["subscriber_id"])
        .where(MESSAGE.c.kind.in_(_FOLLOWING), MESSAGE.c.id > row["message_id"])
        .order_by(MESSAGE.c.id.desc())
        .limit(1)
    )
    newest = (await session.execute(query)).mappings().first()
    if newest is None:
        return "withdrawn since: delete the post by hand" if row["release_state"] == State.WITHDRAWN else ""
    if row["channel"] != ChannelKind.TELEGRAM:
        return ""
    if not messages:
        return f"{newest['key']} has followed since: without its number the post stays as it is, change it by hand"
    state = DeliveryState(newest["state"])
    if state is DeliveryState.SENDING:
        return f"{newest['key']} is being sent just now: look whether the post follows"
    answer = within_reach({**_chat(row), **(newest["answer"] or {})}, messages)
    await session.execute(update(DELIVERY).where(DELIVERY.c.id == newest["id"]).values(answer=answer))
    if state not in _STILL_TO_GO:
        moving = [(newest["id"], newest["channel"], newest["priority"])]
        await regroup(session, moving, state, size=1, now=now, **ANEW)
    return f"the post follows now, by {newest['key']}"


async def _row(session: AsyncSession, delivery: int) -> Mapping[str, Any]:
    query = (
        select(*(DELIVERY.c[name] for name in ("state", "answer", "message_id", "subscriber_id")))
        .add_columns(MESSAGE.c.kind, MESSAGE.c.release_id, RELEASE.c.state.label("release_state"))
        .add_columns(SUBSCRIBER.c.channel, SUBSCRIBER.c.address, SUBSCRIBER.c.resolved)
        .join_from(DELIVERY, MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
        .join(SUBSCRIBER, SUBSCRIBER.c.id == DELIVERY.c.subscriber_id)
        .outerjoin(RELEASE, RELEASE.c.id == MESSAGE.c.release_id)
        .where(DELIVERY.c.id == delivery)
    )
    found = (await session.execute(query)).mappings().first()
    if found is None:
        raise LookupError(f"delivery {delivery}: there is none")
    return dict(found)


def _answer(row: Mapping[str, Any], messages: Sequence[int]) -> dict[str, Any]:
    """The answer with these numbers (rule 2); those of a word that was said without its copy are the word's."""
    answer = {**_chat(row), **row["answer"]}
    if not answer.get("doubt") and MessageKind(row["kind"]) in _TOLD_BY_REPLY:
        return with_said(answer, messages)
    return with_found(answer, messages)


def _chat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"chat": Place.parse(row["resolved"] or row["address"]).chat}
